"""Kernels that work on rows (softmax, rms_norm, layer_norm) against their formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
from tolerance import EXP, RSQRT, U, assert_within, gamma, random

from pymetal import run_metal_kernel

TYPES = ["", "_half", "_bfloat"]
WIDTHS = [1, 31, 32, 33, 100, 257]
EPS = 1e-5

# Each version with its grid for `rows` rows and its threadgroup.
SOFTMAX = {
    "softmax": lambda rows: ((rows,), (64,)),
    "softmax_simd": lambda rows: ((32, rows), (32, 4)),
    "softmax_threadgroup": lambda rows: ((96, rows), (96, 1)),
}
RMS_NORM = {
    "rms_norm": SOFTMAX["softmax"],
    "rms_norm_simd": SOFTMAX["softmax_simd"],
    "rms_norm_threadgroup": SOFTMAX["softmax_threadgroup"],
}
LAYER_NORM = {
    "layer_norm": SOFTMAX["softmax"],
    "layer_norm_simd": SOFTMAX["softmax_simd"],
    "layer_norm_welford": SOFTMAX["softmax_simd"],
}


def run(device, launches, name, inputs, suffix=""):
    """The first input is the matrix; the file is named after its first kernel."""
    grid, threadgroup = launches[name](len(inputs[0]))
    file = next(iter(launches))
    return run_metal_kernel(
        f"{file}:{name}{suffix}", inputs, inputs[0].shape, grid, threadgroup, device=device
    )


def softmax(device, name, x, suffix=""):
    return run(device, SOFTMAX, name, [x, x.shape[1]], suffix)


def norm(device, launches, name, x, weights, suffix=""):
    return run(device, launches, name, [x, *weights, x.shape[1], EPS], suffix)


def exact_softmax(x):
    """The result and its bound: numerator and sum each err by their exp and its argument."""
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        below = x - x.max(axis=1, keepdims=True)
        weights = np.exp(below)
        exact = weights / weights.sum(axis=1, keepdims=True)
        # exp is 0 in float32 below -104; such terms err by nothing that counts.
        spread = np.minimum(-np.nan_to_num(below), 104).max(axis=1, keepdims=True)
    # Online, an element is rescaled at most once for each larger one that follows it. The
    # arguments of all its exp add up to the spread, so only their own errors multiply.
    n = x.shape[1]
    relative = 2 * (spread * U + EXP) + gamma(n + 4) + n * EXP
    return exact, relative * exact + np.finfo(np.float32).tiny


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_is_right_for_any_width(device, name, n, suffix):
    x = random(np.random.default_rng(n), (5, n), suffix) * 4
    assert_within(softmax(device, name, x, suffix), *exact_softmax(x))


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_of_large_numbers_does_not_overflow(device, name):
    x = random(np.random.default_rng(0), (4, 70)) + np.float32([[0], [1e4], [-1e4], [3e38]])
    assert_within(softmax(device, name, x), *exact_softmax(x))


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_of_ascending_numbers_is_right(device, name):
    # The online version meets a new maximum at every element.
    x = np.linspace(-50, 50, 3 * 65, dtype=np.float32).reshape(3, 65)
    assert_within(softmax(device, name, x), *exact_softmax(x))


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_gives_zero_for_minus_infinity_and_nan_where_the_formula_does(device, name):
    x = random(np.random.default_rng(1), (7, 70))
    x[0, 3:60] = -np.inf
    x[1, :69] = -np.inf  # one number, seen by one lane
    x[2] = -np.inf
    x[3, 11] = np.inf
    x[4, 12] = np.nan
    x[5], x[5, 12] = -np.inf, np.nan
    result = softmax(device, name, x)
    assert_within(result, *exact_softmax(x))
    assert (result[0, 3:60] == 0).all()
    assert np.isnan(result[2:6]).all()
    assert np.isfinite(result[[0, 1, 6]]).all()


@pytest.mark.parametrize("threads", [32, 64, 1024])
def test_softmax_threadgroup_takes_any_number_of_simdgroups(device, threads):
    x = random(np.random.default_rng(2), (2, 300))
    result = run_metal_kernel(
        "softmax:softmax_threadgroup", [x, 300], x.shape, (threads, 2), (threads, 1), device=device
    )
    assert_within(result, *exact_softmax(x))


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("name", RMS_NORM)
def test_rms_norm_is_right_for_any_width(device, name, n, suffix):
    rng = np.random.default_rng(n)
    x, weight = random(rng, (5, n), suffix), random(rng, n, suffix)
    result = norm(device, RMS_NORM, name, x, [weight], suffix)
    wide = x.astype(np.float64)
    mean_square = (wide**2).mean(axis=1, keepdims=True)
    exact = wide / np.sqrt(mean_square + np.float32(EPS)) * weight.astype(np.float64)
    # Squares have one sign, so their sum errs relatively; the root halves it.
    assert_within(result, exact, (gamma(n + 4) / 2 + RSQRT + gamma(2)) * abs(exact))


@pytest.mark.parametrize("name", RMS_NORM)
def test_rms_norm_of_zeros_is_zero(device, name):
    x, weight = np.zeros((3, 40), np.float32), np.ones(40, np.float32)
    assert (norm(device, RMS_NORM, name, x, [weight]) == 0).all()


@pytest.mark.parametrize("name", RMS_NORM)
def test_rms_norm_with_a_nan_is_nan_in_that_row_only(device, name):
    x, weight = np.ones((3, 40), np.float32), np.ones(40, np.float32)
    x[1, 33] = np.nan
    result = norm(device, RMS_NORM, name, x, [weight])
    assert np.isnan(result[1]).all()
    assert np.isfinite(result[[0, 2]]).all()


def exact_layer_norm(x, weight, bias):
    x, weight, bias = (a.astype(np.float64) for a in (x, weight, bias))
    n = x.shape[1]
    difference = x - x.mean(axis=1, keepdims=True)
    variance = (difference**2).mean(axis=1, keepdims=True) + np.float32(EPS)
    normal = difference / np.sqrt(variance)
    # The mean errs by gamma(2 n) of the mean of |x| (Welford rounds twice an element), and each
    # difference by that and its own rounding; the sum of their squares by twice that, relative to
    # their size, and gamma(n).
    mean_error = gamma(2 * n + 2) * abs(x).mean(axis=1, keepdims=True)
    root = np.sqrt(variance)
    scale_error = (
        gamma(3 * n + 4) / 2
        + abs(difference).mean(axis=1, keepdims=True) * mean_error / variance
        + mean_error**2 / variance
        + RSQRT
    )
    bound = abs(weight) * (mean_error / root + abs(normal) * (scale_error + gamma(4)))
    return normal * weight + bias, bound + gamma(2) * abs(bias)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("name", LAYER_NORM)
def test_layer_norm_is_right_for_any_width(device, name, n, suffix):
    rng = np.random.default_rng(n)
    x, weight, bias = (random(rng, shape, suffix) for shape in [(5, n), n, n])
    result = norm(device, LAYER_NORM, name, x, [weight, bias], suffix)
    assert_within(result, *exact_layer_norm(x, weight, bias))


@pytest.mark.parametrize("name", LAYER_NORM)
def test_layer_norm_far_from_zero_does_not_cancel(device, name):
    # mean(x^2) - mean(x)^2 would lose every digit of the variance here: 1e6 against 1e-4.
    x = random(np.random.default_rng(3), (4, 64)) / 100 + np.float32(1000)
    weight, bias = np.ones(64, np.float32), np.zeros(64, np.float32)
    result = norm(device, LAYER_NORM, name, x, [weight, bias])
    assert_within(result, *exact_layer_norm(x, weight, bias))


@pytest.mark.parametrize("name", LAYER_NORM)
def test_layer_norm_of_equal_elements_is_the_bias(device, name):
    x = np.full((3, 64), 0.5, np.float32)
    bias = np.arange(64, dtype=np.float32)
    result = norm(device, LAYER_NORM, name, x, [np.ones(64, np.float32), bias])
    np.testing.assert_array_equal(result, np.tile(bias, (3, 1)))
