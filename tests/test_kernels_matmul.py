"""The matrix products: every step from naive to simdgroup matrices, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from tolerance import assert_within, ceil_to, gamma, random

from pymetal import run_metal_kernel

SHAPES = [(1, 1, 1), (16, 16, 16), (31, 33, 32), (33, 31, 65), (1, 70, 5), (64, 8, 64), (65, 17, 3)]
TYPES = ["", "_half", "_bfloat"]


def check(result, a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    assert_within(result, a @ b, gamma(a.shape[1] + 1) * (abs(a) @ abs(b)))


def operands(rng_seed, m, n, k, suffix=""):
    rng = np.random.default_rng(rng_seed)
    return random(rng, (m, n), suffix), random(rng, (n, k), suffix)


@pytest.mark.parametrize("shape", SHAPES)
def test_matmul_is_right_for_any_shape(device, shape):
    m, n, k = shape
    a, b = operands(0, m, n, k)
    result = run_metal_kernel("matmul", [a, b, n], (m, k), (m, k, 1), (16, 16, 1), device=device)
    check(result, a, b)


@pytest.mark.parametrize("threadgroup", [(1, 1), (32, 8), (7, 5), (32, 32)])
def test_matmul_is_right_for_any_threadgroup(device, threadgroup):
    m, n, k = 35, 9, 33
    a, b = operands(1, m, n, k)
    result = run_metal_kernel("matmul", [a, b, n], (m, k), (m, k), threadgroup, device=device)
    check(result, a, b)


@pytest.mark.parametrize("shape", SHAPES)
def test_matmul_coalesced_is_right_for_any_shape(device, shape):
    m, n, k = shape
    a, b = operands(2, m, n, k)
    result = run_metal_kernel(
        "matmul:matmul_coalesced", [a, b, n], (m, k), (k, m), (32, 8), device=device
    )
    check(result, a, b)


def test_matmul_adds_in_order_in_float(device):
    # 2^24 + 1 is not a float: added one by one from the left nothing changes, from the right it
    # would. Shows that sums are neither reordered nor kept in a wider type.
    a = np.ones((1, 4), np.float32)
    a[0, 0] = 2.0**24
    b = np.ones((4, 1), np.float32)
    result = run_metal_kernel("matmul", [a, b, 4], (1, 1), (1, 1, 1), (1, 1, 1), device=device)
    assert result[0, 0] == 2.0**24


def test_matmul_carries_nan_and_infinity(device):
    a, b = operands(3, 5, 6, 7)
    a[1, 2], a[3, 0], b[4, 5] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        exact = a.astype(np.float64) @ b.astype(np.float64)
    result = run_metal_kernel("matmul", [a, b, 6], (5, 7), (5, 7, 1), (16, 16, 1), device=device)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(exact))
    np.testing.assert_array_equal(np.isinf(result), np.isinf(exact))


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_matmul_tiled_is_right_for_any_shape(device, shape, suffix):
    m, n, k = shape
    a, b = operands(4, m, n, k, suffix)
    grid = (ceil_to(k, 16), ceil_to(m, 16))
    result = run_metal_kernel(
        f"matmul_tiled:matmul_tiled{suffix}", [a, b, m, n, k], (m, k), grid, (16, 16), device=device
    )
    check(result, a, b)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (70, 20, 130)])
def test_matmul_tiled_4x4_is_right_for_any_shape(device, shape, suffix):
    m, n, k = shape
    a, b = operands(5, m, n, k, suffix)
    grid = (ceil_to(k, 64) // 4, ceil_to(m, 64) // 4)
    name = f"matmul_tiled:matmul_tiled_4x4{suffix}"
    result = run_metal_kernel(name, [a, b, m, n, k], (m, k), grid, (16, 16), device=device)
    check(result, a, b)


@pytest.mark.parametrize("shape", [(8, 8, 8), (32, 40, 24), (64, 64, 64), (8, 128, 16)])
def test_matmul_simdgroup_is_right_for_multiples_of_8(device, shape):
    m, n, k = shape
    a, b = operands(6, m, n, k)
    result = run_metal_kernel(
        "matmul_simdgroup", [a, b, m, n, k], (m, k), (k * 4, m // 8), (32, 1), device=device
    )
    check(result, a, b)


@pytest.mark.parametrize("shape", [(9, 8, 8), (8, 9, 8), (8, 8, 9)])
def test_matmul_simdgroup_gives_nan_for_other_shapes(device, shape):
    m, n, k = shape
    a, b = operands(7, m, n, k)
    grid = (ceil_to(k, 8) * 4, ceil_to(m, 8) // 8)
    result = run_metal_kernel(
        "matmul_simdgroup", [a, b, m, n, k], (m, k), grid, (32, 1), device=device
    )
    assert np.isnan(result).all()


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (70, 20, 130)])
def test_matmul_simdgroup_blocked_is_right_for_any_shape(device, shape, suffix):
    m, n, k = shape
    a, b = operands(8, m, n, k, suffix)
    grid = (ceil_to(k, 64) * 2, ceil_to(m, 64) // 64)
    name = f"matmul_simdgroup:matmul_simdgroup_blocked{suffix}"
    result = run_metal_kernel(name, [a, b, m, n, k], (m, k), grid, (128, 1), device=device)
    check(result, a, b)
