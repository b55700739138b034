"""Indices of 8 and 16 bits wrap around within a buffer, and between two threads of a simdgroup."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"


def compiled(body: str, device: str, position: str = "uint"):
    source = f"""
    kernel void k(device uint* out [[buffer(0)]], device const uint* x [[buffer(1)]],
                  {position} i [[thread_position_in_grid]],
                  {position} t [[thread_position_in_threadgroup]]) {{ {body} }}"""
    return pymetal.compile(HEAD + source, device=device).k


@pytest.mark.parametrize(("t", "bits"), [("uchar", 8), ("ushort", 16)])
@pytest.mark.parametrize("by", [5, 40, -3])
def test_a_sum_that_wraps_is_the_small_number(device, t, bits, by):
    size = 1 << bits
    kernel = compiled(f"{t} j = i; j += {by}; out[i] = x[j];", device)
    x = np.arange(size, dtype=np.uint32)
    out = pymetal.zeros(2 * size, np.uint32)
    kernel(out, x, grid=2 * size, threadgroup=64)
    np.testing.assert_array_equal(np.array(out), (np.arange(2 * size) + by) % size)


@pytest.mark.parametrize("by", [7, 64, -9])
def test_positions_of_16_bits_wrap(device, by):
    kernel = compiled(f"ushort j = i + {by}; out[i] = x[j];", device, "ushort")
    x = np.arange(1 << 16, dtype=np.uint32)
    out = pymetal.zeros(1 << 16, np.uint32)
    kernel(out, x, grid=1 << 16, threadgroup=64)
    np.testing.assert_array_equal(np.array(out), (np.arange(1 << 16) + by) % (1 << 16))


@pytest.mark.parametrize("by", [7, 64, -9])
def test_signed_16_bits_wrap_to_negative_numbers(device, by):
    kernel = compiled(f"short j = short(i) + {by}; out[i] = x[int(j) + 32768];", device)
    x = np.arange(1 << 16, dtype=np.uint32)
    out = pymetal.zeros(1 << 16, np.uint32)
    kernel(out, x, grid=1 << 16, threadgroup=64)
    expected = (np.arange(1 << 16) + by).astype(np.int16).astype(int) + 32768
    np.testing.assert_array_equal(np.array(out), expected)


@pytest.mark.parametrize("threadgroup", [32, 100, 1024])
def test_products_and_sums_of_positions_in_a_threadgroup(device, threadgroup):
    kernel = compiled(
        """
        ushort four = t * 4 + 3, back = 1023 - t, high = t * 63 + 100;
        out[i] = x[four] + 5000 * x[back] + 100000 * (high == uint(t) * 63 + 100);""",
        device,
        "ushort",
    )
    x = np.arange(1 << 13, dtype=np.uint32)
    n = 3 * threadgroup
    out = pymetal.zeros(n, np.uint32)
    kernel(out, x, grid=n, threadgroup=threadgroup)
    t = np.arange(n) % threadgroup
    np.testing.assert_array_equal(np.array(out), 4 * t + 3 + 5000 * (1023 - t) + 100000)


def test_positions_in_a_threadgroup_times_too_much_wrap(device):
    kernel = compiled("ushort j = t * 65; out[i] = x[j];", device, "ushort")
    x = np.arange(1 << 16, dtype=np.uint32)
    out = pymetal.zeros(1024, np.uint32)
    kernel(out, x, grid=1024, threadgroup=1024)
    np.testing.assert_array_equal(np.array(out), np.arange(1024) * 65 % (1 << 16))
