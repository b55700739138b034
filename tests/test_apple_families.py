"""Whole families of kernels that Apple's compiler compiled: MLX's elementwise operations, copies,
reductions, scans, sorts and norms in every type, against NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import apple_metallib
import numpy as np
import pytest
from canonical_launch import launch
from mlx_case import DTYPES, FLOATS, INTEGERS, Array, epsilon
from mlx_elementwise import ANY_TYPE, ARITHMETIC, COMPARISON, Reference
from mlx_elementwise import UNARY as OF_FLOATS

from pymetal.air.library import Library

COUNT = 300


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.open(apple_metallib.path())


def check(actual: Array, expected: Any, rtol: float = 0, atol: float = 0) -> None:
    """Compare in float64 (complex128); NaN and infinity must be where the reference has them."""
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    reference = np.asarray(expected).astype(wide)
    np.testing.assert_allclose(actual.astype(wide), reference, rtol=rtol, atol=atol)


def spread(dtype: np.dtype[Any], low: float, high: float, seed: int = 0) -> Array:
    """Values from `low` to `high`, edges first."""
    values = np.random.default_rng(seed).uniform(low, high, COUNT)
    values[:2] = low, high
    return values.astype(dtype)


# ---- one operand ------------------------------------------------------------------------------

# operation: (reference, low, high). All in float64; MLX's kernels compute half in half or float.
UNARY: dict[str, tuple[Reference, float, float]] = {
    **OF_FLOATS,
    **{name: (reference, -9, 9) for name, reference in ANY_TYPE.items()},
    "Ceil": (np.ceil, -9, 9),
    "Floor": (np.floor, -9, 9),
}


@pytest.mark.parametrize("type_", FLOATS)
@pytest.mark.parametrize("operation", UNARY)
def test_unary(library: Library, operation: str, type_: str) -> None:
    reference, low, high = UNARY[operation]
    x = spread(DTYPES[type_], low, high)
    out = np.zeros_like(x)
    function = library.canonical(f"v_{operation}{type_}{type_}")
    launch(function, [x, out, np.uint32([COUNT])], (COUNT,), (64,))
    # 16 units in the last place: MLX approximates some of these itself (erf to 1e-6 absolute).
    # Where half is computed in steps, each rounds to half: 4 of its larger units.
    units = 16 if type_ == "float32" else 4
    if operation == "Expm1" and type_ == "float32":
        units = 64  # MLX reduces by multiples of log 2 to 20 bits only
    atol = max(epsilon(x.dtype), 1e-6)
    check(out, reference(x.astype(np.float64)), units * epsilon(x.dtype), atol)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_copy_converts(library: Library, source: str, target: str) -> None:
    rng = np.random.default_rng(5)
    x = (rng.uniform(0, 100, COUNT) * (rng.random(COUNT) > 0.2)).astype(DTYPES[source])
    out = np.zeros(COUNT, DTYPES[target])
    function = library.canonical(f"v_copy{source}{target}")
    launch(function, [x, out, np.uint32([COUNT])], (COUNT,), (64,))
    real = x.real if x.dtype.kind == "c" and target != "complex64" else x
    if target == "bool_":
        real = x  # a complex number is true unless both parts are zero; here it has no second
    check(out, real.astype(DTYPES[target]))


# ---- two operands -----------------------------------------------------------------------------

FLOAT_ONLY: dict[str, Reference] = {
    "Divide": np.divide,
    "Power": lambda a, b: np.power(np.abs(a), b),
    "LogAddExp": np.logaddexp,
    "Remainder": np.mod,
}


@pytest.mark.parametrize("type_", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("operation", ARITHMETIC)
def test_arithmetic(library: Library, operation: str, type_: str) -> None:
    dtype = DTYPES[type_]
    low = -50 if dtype.kind != "u" else 50
    a, b = spread(dtype, low, 100, 1), spread(dtype, 0, 50, 2)
    out = np.zeros_like(a)
    function = library.canonical(f"vv_{operation}{type_}")
    launch(function, [a, b, out, np.uint32([COUNT])], (COUNT,), (64,))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, ARITHMETIC[operation](a, b))


@pytest.mark.parametrize("type_", ["float32", "bfloat16", "int32", "uint8"])
@pytest.mark.parametrize("operation", COMPARISON)
def test_comparison(library: Library, operation: str, type_: str) -> None:
    a, b = (np.rint(spread(np.dtype(np.float64), 0, 9, s)).astype(DTYPES[type_]) for s in (1, 2))
    if type_ == "float32":
        a[5], b[6] = math.nan, math.nan
    out = np.zeros(COUNT, bool)
    function = library.canonical(f"vv_{operation}{type_}")
    launch(function, [a, b, out, np.uint32([COUNT])], (COUNT,), (64,))
    np.testing.assert_array_equal(out, COMPARISON[operation](a, b))


@pytest.mark.parametrize("type_", FLOATS)
@pytest.mark.parametrize("operation", FLOAT_ONLY)
def test_float_arithmetic(library: Library, operation: str, type_: str) -> None:
    dtype = DTYPES[type_]
    a, b = spread(dtype, 0.25 if operation == "Power" else -4, 4, 1), spread(dtype, 0.5, 3, 2)
    out = np.zeros_like(a)
    function = library.canonical(f"vv_{operation}{type_}")
    launch(function, [a, b, out, np.uint32([COUNT])], (COUNT,), (64,))
    expected = FLOAT_ONLY[operation](a.astype(np.float64), b.astype(np.float64))
    units = 16 if type_ == "float32" else 4
    check(out, expected, units * epsilon(dtype), 2 * epsilon(dtype))


@pytest.mark.parametrize("type_", INTEGERS)
@pytest.mark.parametrize("operation", ["Divide", "Remainder", "LeftShift", "RightShift"])
def test_integer_arithmetic(library: Library, operation: str, type_: str) -> None:
    dtype = DTYPES[type_]
    if operation == "Divide" and f"vv_Divide{type_}" not in library.names:
        pytest.skip("MLX divides integers as floats")
    high = 3 if "Shift" in operation else 9
    a = spread(np.dtype(np.float64), -60 if dtype.kind == "i" else 0, 100, 1).astype(dtype)
    b = np.rint(spread(np.dtype(np.float64), 1, high, 2)).astype(dtype)
    out = np.zeros_like(a)
    function = library.canonical(f"vv_{operation}{type_}")
    launch(function, [a, b, out, np.uint32([COUNT])], (COUNT,), (64,))
    reference: dict[str, Reference] = {
        "Divide": lambda x, y: np.trunc(x / y).astype(dtype),  # C's division
        "Remainder": np.mod,  # Python's sign, which MLX has, too
        "LeftShift": np.left_shift,
        "RightShift": np.right_shift,
    }
    np.testing.assert_array_equal(out, reference[operation](a, b))


# ---- across lanes -----------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["float32", "float16", "bfloat16", "int8", "int32", "int64"])
@pytest.mark.parametrize("operation", ["sum", "min", "max"])
def test_reduction_of_everything(library: Library, operation: str, type_: str) -> None:
    dtype = DTYPES[type_]
    x = np.rint(spread(np.dtype(np.float64), -8, 8, 3)).astype(dtype)
    # MLX sums small integers in 32 bits, and floats in their own type.
    out = np.zeros(1, np.int32 if type_ == "int8" and operation == "sum" else dtype)
    function = library.canonical(f"all_reduce_{operation}{type_}")
    sizes = np.uint64([COUNT]), np.uint64([COUNT])
    launch(function, [x, out, *sizes], (256,), (256,))
    expected = getattr(np, operation)(x.astype(np.float64))
    # Sums of integers up to 8 in magnitude: exact in float32, rounded to halves of 8 and 11 bits.
    atol = 0 if dtype.kind == "i" or type_ == "float32" else 200 * epsilon(dtype)
    check(out[0], expected, atol=atol if operation == "sum" else 0)


@pytest.mark.parametrize("type_", ["float32", "int32", "int64", "uint8"])
@pytest.mark.parametrize("kind", ["inclusive", "exclusive", "reverse_inclusive"])
@pytest.mark.parametrize("size", [31, 1000])
def test_scan(library: Library, kind: str, type_: str, size: int) -> None:
    dtype = DTYPES[type_]
    x = np.random.default_rng(4).integers(0, 5, (3, size)).astype(dtype)
    out = np.zeros_like(x)
    function = library.canonical(f"contig_scan_{kind}_sum_{type_}_{type_}")
    threads = 256
    launch(function, [x, out, np.uint64([size])], (threads, 3), (threads, 1))
    expected = np.cumsum(x, axis=1, dtype=dtype)
    if kind == "exclusive":
        expected -= x
    elif kind.startswith("reverse"):
        expected = np.cumsum(x[:, ::-1], axis=1, dtype=dtype)[:, ::-1]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("type_", ["float32", "float16", "bfloat16", "int32", "uint8"])
@pytest.mark.parametrize("size", [5, 500])
def test_block_sort(library: Library, type_: str, size: int) -> None:
    dtype = DTYPES[type_]
    x = np.random.default_rng(6).uniform(0, 200, (2, size)).astype(dtype)
    out = np.zeros_like(x)
    function = library.canonical(f"c_block_sort_{type_}_{type_}_bn128_tn4")
    strides = [np.int32([n]) for n in (size, 1, 1, size, size)]
    launch(function, [x, out, *strides], (128, 2), (128, 1))
    np.testing.assert_array_equal(out, np.sort(x, axis=1))


@pytest.mark.parametrize("type_", FLOATS)
@pytest.mark.parametrize(("name", "size"), [("rms", 999), ("rms_looped", 5000)])
def test_rms_norm(library: Library, name: str, size: int, type_: str) -> None:
    rng, dtype, threads = np.random.default_rng(7), DTYPES[type_], 1024
    x, w = rng.standard_normal((2, size)).astype(dtype), rng.standard_normal(size).astype(dtype)
    out = np.zeros_like(x)
    function = library.canonical(f"{name}{type_}", _norm_constants(library, f"{name}{type_}"))
    numbers = [np.float32([1e-5]), np.uint32([size]), np.uint32([1])]
    launch(function, [x, w, out, *numbers], (2 * threads,), (threads,))
    wide = x.astype(np.float64)
    scale = 1 / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 1e-5)
    # Computed in float; the product with w rounds to the type once or twice.
    check(out, wide * scale * w.astype(np.float64), 4 * epsilon(dtype), 4 * epsilon(dtype))


@pytest.mark.parametrize("type_", FLOATS)
def test_layer_norm(library: Library, type_: str) -> None:
    # Threads past the end of a row write below their local array (MLX 0.32): there are none here.
    rng, dtype, size, threads = np.random.default_rng(8), DTYPES[type_], 1024, 128
    x = rng.standard_normal((2, size)).astype(dtype)
    w, b = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    out = np.zeros_like(x)
    name = f"layer_norm{type_}"
    function = library.canonical(name, _norm_constants(library, name))
    numbers = [np.float32([1e-5]), *(np.uint32([n]) for n in (size, 1, 1))]
    launch(function, [x, w, b, out, *numbers], (2 * threads,), (threads,))
    wide = x.astype(np.float64)
    normal = (wide - wide.mean(axis=1, keepdims=True)) / np.sqrt(
        wide.var(axis=1, keepdims=True) + 1e-5
    )
    expected = normal * w.astype(np.float64) + b.astype(np.float64)
    check(out, expected, 8 * epsilon(dtype), 8 * epsilon(dtype))


def _norm_constants(library: Library, name: str) -> dict[str | int, Any]:
    return {c.name: True for c in library.function(name).constants}


@pytest.mark.parametrize("type_", [*FLOATS, *INTEGERS])
def test_arange(library: Library, type_: str) -> None:
    dtype = DTYPES[type_]
    out = np.zeros(40, dtype)
    start, step = np.array([3], dtype), np.array([2], dtype)
    launch(library.canonical(f"arange{type_}"), [start, step, out], (40,), (32,))
    np.testing.assert_array_equal(out, (3 + 2 * np.arange(40)).astype(dtype))


@pytest.mark.parametrize("type_", ["float32", "bfloat16", "int8", "bool_"])
@pytest.mark.parametrize("which", ["argmax", "argmin"])
def test_argument_of_extremes(library: Library, which: str, type_: str) -> None:
    dtype = DTYPES[type_]
    rows, size, threads = 3, 77, 32
    x = np.random.default_rng(9).uniform(-99, 99, (rows, size)).astype(dtype)
    out = np.zeros(rows, np.uint32)
    buffers: Sequence[Array] = [
        x,
        out,
        np.int32([rows]),
        np.int64([size]),
        np.int64([1]),
        np.uint64([1]),
        np.int64([1]),
        np.uint64([size]),
    ]
    launch(library.canonical(f"{which}_{type_}"), buffers, (threads, rows), (threads, 1))
    np.testing.assert_array_equal(out, getattr(np, which)(x, axis=1))
