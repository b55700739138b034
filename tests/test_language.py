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


def test_a_barrier_without_memory_flags_does_not_wait_for_finished_threads(device: str) -> None:
    """MLX's gemv synchronises with the first lane of each simdgroup only."""
    source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void k(device float* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]],
                  uint group [[simdgroup_index_in_threadgroup]]) {
      threadgroup float partial[4];
      if (lane == 0) {
        partial[group] = group + 1;
        threadgroup_barrier(mem_flags::mem_none);
        if (group == 0) out[0] = partial[0] + partial[1] + partial[2] + partial[3];
      }
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    assert kernel(pymetal.output(1), grid=128, threadgroup=128) == np.float32([10])
