"""One kernel, `scale`, as a file and on a fake device that counts what it is asked."""

from __future__ import annotations

import numpy as np
from fake_device import FakeDevice, buffer

from pymetal import loading, run_metal_kernel
from pymetal.air.function import Function

SCALE = """#include <metal_stdlib>
using namespace metal;
kernel void scale(
    device float* out [[buffer(0)]],
    device const float* x [[buffer(1)]],
    constant float& factor [[buffer(2)]],
    uint i [[thread_position_in_grid]])
{
    out[i] = factor * x[i];
}
"""


def write(folder, name, text):
    (folder / f"{name}.metal").write_text(text)


def scale_device() -> FakeDevice:
    function = Function(
        "scale",
        "scale",
        (
            buffer("device float* out", 0),
            buffer("device const float* x", 1),
            buffer("constant float& factor", 2),
        ),
    )
    loading.forget()
    return FakeDevice(function)


def run(fake, **facts):
    return run_metal_kernel("scale", [np.ones(4, np.float32), 2.0], 4, 4, 4, device=fake, **facts)
