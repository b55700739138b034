"""matrix_add, gelu, silu, rope and transpose against their formulas in float64."""

from __future__ import annotations

from math import erf, erfc, sqrt

import numpy as np
import pytest
from tolerance import COS, DTYPES, EXP, POW, SIN, U, assert_within, ceil_to, gamma, random

from pymetal import run_metal_kernel

TYPES = ["", "_half", "_bfloat"]
SIZES = [1, 31, 32, 33, 255, 1000]


def rounded_sum(a, b):
    """a + b as if rounded once: float64 has so many digits that rounding twice does no harm."""
    return (a.astype(np.float64) + b.astype(np.float64)).astype(a.dtype)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (32, 8), (3, 300)])
def test_matrix_add_is_correctly_rounded(device, shape, suffix):
    rng = np.random.default_rng(0)
    a, b = random(rng, shape, suffix), random(rng, shape, suffix)
    result = run_metal_kernel(
        f"matrix_add:matrix_add{suffix}", [a, b], shape, shape[::-1], (32, 8), device=device
    )
    np.testing.assert_array_equal(result, rounded_sum(a, b))


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", [*SIZES, 4, 5, 6, 7])
def test_matrix_add_4_adds_the_tail_too(device, n, suffix):
    rng = np.random.default_rng(1)
    a, b = random(rng, n, suffix), random(rng, n, suffix)
    result = run_metal_kernel(
        f"matrix_add:matrix_add_4{suffix}", [a, b, n], n, ceil_to(n, 4) // 4, 64, device=device
    )
    np.testing.assert_array_equal(result, rounded_sum(a, b))


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_matrix_add_4_takes_arrays_that_start_at_any_element(device, first, suffix):
    # The kernel casts to vectors of four; a slice is not aligned for them.
    a = random(np.random.default_rng(2), 100 + first, suffix)[first:]
    result = run_metal_kernel(
        f"matrix_add:matrix_add_4{suffix}", [a, a, 100], 100, 25, 25, device=device
    )
    np.testing.assert_array_equal(result, rounded_sum(a, a))


def test_matrix_add_carries_infinity_nan_and_the_sign_of_zero(device):
    values = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3e38, 1e-45], np.float32)
    a, b = np.meshgrid(values, values)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    result = run_metal_kernel("matrix_add", [a, b], a.shape, a.shape, (8, 8), device=device)
    with np.errstate(invalid="ignore", over="ignore"):
        exact = a + b
    np.testing.assert_array_equal(result, exact)
    zeros = exact == 0
    np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(exact[zeros]))


def run(device, file, name, inputs, suffix=""):
    x = inputs[0]
    return run_metal_kernel(f"{file}:{name}{suffix}", inputs, x.shape, x.size, 64, device=device)


def silu_of(x):
    """SiLU and its bound: exp, the addition and the division."""
    exact = x / (1 + np.exp(-x))
    return exact, (EXP + gamma(3)) * abs(exact)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", SIZES)
def test_silu_is_right(device, n, suffix):
    x = random(np.random.default_rng(n), n, suffix) * 4
    assert_within(run(device, "silu", "silu", [x], suffix), *silu_of(x.astype(np.float64)))


@pytest.mark.parametrize("suffix", TYPES)
def test_silu_gate_is_silu_times_up(device, suffix):
    rng = np.random.default_rng(2)
    x, up = random(rng, 100, suffix), random(rng, 100, suffix)
    exact, bound = silu_of(x.astype(np.float64))
    wide = up.astype(np.float64)
    result = run(device, "silu", "silu_gate", [x, up], suffix)
    assert_within(result, exact * wide, (bound + gamma(2) * abs(exact)) * abs(wide))


def test_silu_far_out_goes_to_its_limits(device):
    x = np.array([-1000, -100, 100, 1000, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(
        run(device, "silu", "silu", [x]), [0, 0, 100, 1000, np.inf, np.nan]
    )


def gelu_of(x):
    """GELU and its bound. erfc is fitted to 5e-8 and rounded some twelve times; exp(-z^2) has an
    argument that is off by three roundings of z^2 = x^2 / 2."""
    exact = np.array([0.5 * v * (erfc(-v / sqrt(2)) if v < 0 else 1 + erf(v / sqrt(2))) for v in x])
    tail = np.array([0.5 * abs(v) * erfc(abs(v) / sqrt(2)) for v in x])
    return exact, (5e-8 + gamma(16) + EXP + 3 * U * x**2) * tail + gamma(3) * abs(exact)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", SIZES)
def test_gelu_is_right(device, n, suffix):
    x = random(np.random.default_rng(n), n, suffix) * 3
    result = run(device, "gelu", "gelu", [x], suffix)
    assert_within(result, *gelu_of(x.astype(np.float64)))


def test_gelu_keeps_its_digits_in_the_negative_tail(device):
    x = np.linspace(-13, 13, 999, dtype=np.float32)
    exact, bound = gelu_of(x.astype(np.float64))
    # Below 1e-38 intermediate results are subnormal.
    assert_within(run(device, "gelu", "gelu", [x]), exact, bound + 13 * np.finfo(np.float32).tiny)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("n", SIZES)
def test_gelu_tanh_is_right(device, n, suffix):
    x = random(np.random.default_rng(n), n, suffix) * 3
    wide = x.astype(np.float64)
    u = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    exact = wide / (1 + np.exp(-2 * u))
    # The argument of exp goes through seven roundings, its constants among them.
    bound = (EXP + 2 * abs(u) * gamma(7) + gamma(3)) * abs(exact)
    assert_within(run(device, "gelu", "gelu_tanh", [x], suffix), exact, bound)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu_far_out_goes_to_its_limits(device, name):
    x = np.array([-1000, -100, 100, 1000, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(run(device, "gelu", name, [x]), [0, 0, 100, 1000, np.inf, np.nan])


def rotated(x, cosines, sines, interleaved=False):
    """x, (tokens, heads, D), with its pairs turned; cosines and sines are (tokens, D / 2)."""
    half = x.shape[2] // 2
    first = slice(0, None, 2) if interleaved else slice(0, half)
    second = slice(1, None, 2) if interleaved else slice(half, None)
    result = np.empty(x.shape)
    cosines, sines = cosines[:, None], sines[:, None]
    result[..., first] = x[..., first] * cosines - x[..., second] * sines
    result[..., second] = x[..., first] * sines + x[..., second] * cosines
    return result


def rotated_size(x, cosines, sines, interleaved=False):
    """The sizes of the two products of each result, added: what their rounding is relative to."""
    swapped = rotated(abs(x), abs(cosines), -abs(sines), interleaved)
    straight = rotated(abs(x), abs(cosines), abs(sines), interleaved)
    return np.maximum(swapped, straight)


def angles_of(tokens, depth, offset, base):
    return (offset + np.arange(tokens))[:, None] * base ** (-2 * np.arange(depth // 2) / depth)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("name", ["rope", "rope_interleaved"])
def test_rope_turns_each_pair(device, name, offset, suffix):
    tokens, heads, depth, base = 5, 3, 66, 10000.0
    x = random(np.random.default_rng(3), (tokens, heads, depth), suffix)
    grid = (depth // 2, heads, tokens)
    result = run_metal_kernel(
        f"rope:{name}{suffix}", [x, offset, base], x.shape, grid, (32, 2, 1), device=device
    )
    wide = x.astype(np.float64)
    angles = angles_of(tokens, depth, offset, base)
    interleaved = name == "rope_interleaved"
    exact = rotated(wide, np.cos(angles), np.sin(angles), interleaved)
    # An angle errs by pow, by the rounding of pow's exponent (times the logarithm of the base) and
    # by the product; a cosine or sine moves by no more than its angle.
    angle_error = angles * (POW + U * np.log(base) + gamma(2)) + max(COS, SIN) + gamma(2)
    size = rotated_size(wide, np.ones_like(angles), np.ones_like(angles), interleaved)
    error = np.concatenate([angle_error, angle_error], axis=1)
    error = np.repeat(angle_error, 2, axis=1) if interleaved else error
    assert_within(result, exact, error[:, None] * size)


@pytest.mark.parametrize("suffix", TYPES)
def test_rope_table_uses_the_given_cosines_and_sines(device, suffix):
    tokens, heads, depth = 4, 2, 64
    x = random(np.random.default_rng(4), (tokens, heads, depth), suffix)
    angles = angles_of(tokens, depth, 100000, 10000.0)
    cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    result = run_metal_kernel(
        f"rope:rope_table{suffix}",
        [x, cosines, sines],
        x.shape,
        (depth // 2, heads, tokens),
        (32, 2, 2),
        device=device,
    )
    wide = x.astype(np.float64)
    exact = rotated(wide, cosines.astype(np.float64), sines.astype(np.float64))
    size = rotated_size(wide, cosines, sines)
    assert_within(result, exact, gamma(2) * size)


def bits(rng, shape, dtype):
    """Any bit pattern, NaNs among them, as `dtype`."""
    size = np.dtype(dtype).itemsize
    return rng.integers(0, 1 << 8 * size, shape, dtype=f"u{size}").view(dtype)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (32, 32), (33, 70), (1, 100), (100, 1)])
def test_transpose_moves_every_bit(device, shape, suffix):
    x = bits(np.random.default_rng(5), shape, DTYPES[suffix])
    rows, columns = shape
    plain = run_metal_kernel(
        f"transpose:transpose{suffix}",
        [x],
        (columns, rows),
        (columns, rows),
        (32, 8),
        device=device,
    )
    tiled = run_metal_kernel(
        f"transpose:transpose_tiled{suffix}",
        [x, rows, columns],
        (columns, rows),
        (ceil_to(columns, 32), ceil_to(rows, 32) // 4),
        (32, 8),
        device=device,
    )
    integer = f"u{x.itemsize}"
    np.testing.assert_array_equal(plain.view(integer), np.ascontiguousarray(x.T).view(integer))
    np.testing.assert_array_equal(tiled.view(integer), plain.view(integer))
