"""The kernel that tests of the metal device launch, and whether it works."""

from __future__ import annotations

import numpy as np

import pymetal

SCALE = """
kernel void scale(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                  constant float& by [[buffer(2)]], uint gid [[thread_position_in_grid]]) {
    out[gid] = x[gid] * by;
}
"""
X = np.arange(2000, dtype=np.float32)  # 8000 bytes: a buffer, not setBytes


def launch(kernel):
    return kernel(pymetal.output(X.size), X, 2.0, grid=X.size, threadgroup=64)


def check_works(kernel):
    np.testing.assert_array_equal(launch(kernel), X * 2)
