"""Metal that real kernels write, each reduced to the least that shows it."""

from __future__ import annotations

import numpy as np

import pymetal


def test_function_constants_that_no_kernel_reads_may_stay_unset(device: str) -> None:
    source = """
    constant int used [[function_constant(0)]];
    constant int unused [[function_constant(1)]];
    kernel void k(device int* out [[buffer(0)]]) { out[0] = used; }
    """
    kernel = pymetal.compile(source, device=device).kernel("k", {"used": 7})
    assert kernel(pymetal.output(1), grid=1, threadgroup=1) == np.int32([7])
