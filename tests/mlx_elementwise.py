"""Cases of MLX's elementwise kernels: unary, binary, ternary, copy, arange."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mlx_case import (
    DTYPES,
    FLOATS,
    INTEGERS,
    METAL,
    Array,
    Case,
    Expected,
    Launch,
    epsilon,
    groups,
    number,
)

COUNT = 77  # no multiple of what a thread reads
Reference = Callable[..., Any]
UTILS = "utils.h"


def spread(name: str, low: float, high: float, seed: int = 0, count: int = COUNT) -> Array:
    """Values of a type from `low` to `high`, edges first."""
    dtype = DTYPES[name]
    rng = np.random.default_rng(seed)
    if dtype.kind == "u":
        low = max(low, 0)
    values = rng.uniform(low, high, count)
    values[:2] = low, high
    if dtype.kind == "c":
        return (values + 1j * rng.uniform(low, high, count)).astype(dtype)
    if dtype.kind == "b":
        return rng.random(count) < 0.5
    return values.astype(dtype)


def exact(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


# operation: (reference in float64, low, high)
UNARY: dict[str, tuple[Reference, float, float]] = {
    "ArcCos": (np.arccos, -1, 1),
    "ArcCosh": (np.arccosh, 1.25, 9),
    "ArcSin": (np.arcsin, -1, 1),
    "ArcSinh": (np.arcsinh, -9, 9),
    "ArcTan": (np.arctan, -9, 9),
    "ArcTanh": (np.arctanh, -0.9, 0.9),
    "Cos": (np.cos, -3, 3),
    "Cosh": (np.cosh, -3, 3),
    "Erf": (np.vectorize(math.erf), -3, 3),
    "Exp": (np.exp, -5, 5),
    "Expm1": (np.expm1, -2, 2),
    "Log": (np.log, 0.1, 9),
    "Log10": (np.log10, 0.1, 9),
    "Log1p": (np.log1p, -0.5, 9),
    "Log2": (np.log2, 0.1, 9),
    "Round": (np.rint, -9, 9),
    "Rsqrt": (lambda x: 1 / np.sqrt(x), 0.1, 9),
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), -5, 5),
    "Sin": (np.sin, -3, 3),
    "Sinh": (np.sinh, -3, 3),
    "Sqrt": (np.sqrt, 0, 9),
    "Tan": (np.tan, -1.4, 1.4),
    "Tanh": (np.tanh, -3, 3),
}
ANY_TYPE: dict[str, Reference] = {
    "Abs": np.abs,
    "Negative": np.negative,
    "Sign": np.sign,
    "Square": np.square,
}


def unary(form: str, operation: str, source: str, target: str, x: Array, want: Expected) -> Case:
    """`form` "v", "vn", "v2" or "gn1"; every one reads all of x."""
    types = f"{METAL[source]}, {METAL[target]}, {operation}"
    template = {
        "v": f"unary_v<{types}, 1>",
        "vn": f"unary_v<{types}>",
        "v2": f"unary_v2<{types}>",
        "gn1": f"unary_g<{types}, 1, int>",
    }[form]

    def launch() -> Launch:
        out = np.zeros(x.size, DTYPES[target])
        per_thread = 1 if form in ("v", "gn1") else 8 // x.dtype.itemsize
        threads = groups(x.size, per_thread)
        if form == "gn1":  # transposed: 7 rows of 11 are read by columns
            values, wanted = np.ascontiguousarray(x.reshape(11, 7).T), want
            shape, strides = np.int32([11, 7]), np.int64([1, 11])
            buffers = {0: values, 1: out, 2: shape, 3: strides, 4: np.int32([2])}
            return Launch(buffers, (7, 11), (7, 11), {1: wanted})
        size = np.int64([x.size]) if form == "v2" else np.uint32([x.size])
        return Launch({0: x, 1: out, 2: size}, (threads,), (min(threads, 64),), {1: want})

    name = f"{form}_{operation}{source}{target}"
    return Case("unary", name, (UTILS, "unary_ops.h", "unary.h"), template, launch)


def unary_cases() -> Iterator[Case]:
    for operation, (reference, low, high) in UNARY.items():
        for i, name in enumerate(FLOATS):
            x = spread(name, low, high)
            # 16 units in the last place: MLX approximates some itself (erf to 1e-6 absolute,
            # expm1 with log 2 of 20 bits). Half and bfloat round in each of a few steps.
            units = 4 if i else 64 if operation == "Expm1" else 16
            eps = epsilon(x.dtype)
            want = Expected(reference(exact(x)), units * eps, max(eps, 1e-6))
            form = ("v", "vn", "v2")[i]
            yield unary(form, operation, name, name, x, want)
            if i == 0:
                yield unary("gn1", operation, name, name, x, want)
    for operation, reference in ANY_TYPE.items():
        for name in ("float32", "bfloat16", *INTEGERS):
            x = spread(name, -11, 11)
            yield unary("v", operation, name, name, x, Expected(reference(x)))
    for operation, rounding in (("Floor", np.floor), ("Ceil", np.ceil)):
        for name in (*FLOATS, "int32", "uint8"):
            x = spread(name, -9, 9)
            yield unary("v", operation, name, name, x, Expected(rounding(exact(x))))
    for name in INTEGERS:
        x = spread(name, -100, 100)
        yield unary("v", "BitwiseInvert", name, name, x, Expected(np.invert(x)))
    z = spread("complex64", -2, 2)
    bits = spread("bool_", 0, 1)
    yield unary("v", "LogicalNot", "bool_", "bool_", bits, Expected(~bits))
    yield unary("v", "Conjugate", "complex64", "complex64", z, Expected(z.conj()))
    yield unary("v", "Real", "complex64", "float32", z, Expected(z.real))
    yield unary("v", "Imag", "complex64", "float32", z, Expected(z.imag))
    for operation in ("Exp", "Log", "Sqrt", "Sin", "Cos", "Sinh", "Cosh", "Tanh", "Abs", "Square"):
        function = np.square if operation == "Square" else getattr(np, operation.lower())
        want = Expected(function(exact(z)), 64 * epsilon(z.dtype), 16 * epsilon(z.dtype))
        yield unary("v", operation, "complex64", "complex64", z, want)


ARITHMETIC: dict[str, Reference] = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
}
COMPARISON: dict[str, Reference] = {
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
}
FLOAT_ONLY: dict[str, Reference] = {
    "Divide": np.divide,
    "Power": lambda a, b: np.power(np.abs(a), b),
    "LogAddExp": np.logaddexp,
    "Remainder": np.mod,
    "ArcTan2": np.arctan2,
}
BITWISE: dict[str, Reference] = {
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "LeftShift": np.left_shift,
    "RightShift": np.right_shift,
}


def binary(
    form: str, operation: str, name: str, target: str, a: Array, b: Array, apply: Reference,
    rtol: float = 0, atol: float = 0,
) -> Case:  # fmt: skip
    """`form`: v for vectors, s for a scalar, n for many a thread; g1, g2, g3, gn2 with strides."""
    types = f"{METAL[name]}, {METAL[target]}, {operation}"
    plain = form.rstrip("n")
    template = {
        "g1": f"binary_g_nd1<{types}, int>",
        "g2": f"binary_g_nd2<{types}, int>",
        "g3": f"binary_g_nd3<{types}, int>",
        "gn2": f"binary_g<{types}, 2, int>",
    }.get(form)
    if template is None:
        many = "" if form.endswith("n") or form == "ss" else ", 1"
        template = f"binary_{plain}<{types}{many}>"

    def launch() -> Launch:
        x, y = (a[:1] if plain[0] == "s" else a), (b[:1] if plain[-1] == "s" else b)
        if form.startswith("g"):
            return _strided(form, a, b, apply, DTYPES[target], rtol, atol)
        count = 1 if form == "ss" else COUNT
        with np.errstate(all="ignore"):
            want = np.broadcast_to(apply(x, y), (count,))
        out = np.zeros(count, DTYPES[target])
        threads = groups(count, max(1, 8 // a.dtype.itemsize) if form.endswith("n") else 1)
        buffers = {0: x, 1: y, 2: out, 3: np.uint32([count])}
        return Launch(buffers, (threads,), (min(threads, 64),), {2: Expected(want, rtol, atol)})

    return Case(
        "binary", f"{form}_{operation}{name}", (UTILS, "binary_ops.h", "binary.h"), template, launch
    )


def _strided(
    form: str, a: Array, b: Array, apply: Reference, out: np.dtype[Any], rtol: float, atol: float
) -> Launch:
    """a as it lies, b with its axes swapped, over (3, 5, 5), (7, 11) or 77 elements reversed."""
    if form == "g1":
        buffers = {0: a, 1: b, 3: np.int64([1]), 4: np.int64([0])}
        want, grid = apply(a, b[0]), (COUNT,)
    elif form in ("g2", "gn2"):
        want, grid = apply(a.reshape(7, 11), b.reshape(11, 7).T), (11, 7)
        strides = {"a": np.int64([11, 1]), "b": np.int64([1, 7])}
        buffers = {0: a, 1: b, 3: strides["a"], 4: strides["b"]}
        if form == "gn2":
            buffers = {0: a, 1: b, 3: np.int32([7, 11]), 4: strides["a"], 5: strides["b"]}
            buffers[6] = np.int32([2])
            grid = (6, 7)  # two elements a thread
    else:
        x, y = a[:75].reshape(3, 5, 5), b[:75].reshape(5, 5, 3).transpose(2, 0, 1)
        want, grid = apply(x, y), (5, 5, 3)
        buffers = {0: a, 1: b, 3: np.int64([25, 5, 1]), 4: np.int64([1, 15, 3])}
    buffers[2] = np.zeros(want.size, out)
    return Launch(buffers, grid, grid, {2: Expected(want.ravel(), rtol, atol)})


def binary_cases() -> Iterator[Case]:
    forms = ("vv", "sv", "vs", "ss", "vvn", "svn", "vsn", "g1", "g2", "g3", "gn2")
    for operation, apply in ARITHMETIC.items():
        for i, name in enumerate((*FLOATS, *INTEGERS)):
            a, b = spread(name, -50, 99, 1), spread(name, 0, 50, 2)
            form = forms[i % len(forms)]
            if a.dtype.itemsize == 8 and form.endswith("n"):
                form = "vv"
            yield binary(form, operation, name, name, a, b, apply)
    for form in forms:
        a, b = spread("float32", -50, 99, 1), spread("float32", 0, 50, 2)
        if form != "vv":
            yield binary(form, "Subtract", "float32", "float32", a, b, np.subtract)
    for operation, apply in COMPARISON.items():
        for name in ("float32", "bfloat16", "int32", "uint8"):
            a, b = (np.rint(spread("float32", 0, 9, s)).astype(DTYPES[name]) for s in (1, 2))
            if name == "float32":
                a[5], b[6] = math.nan, math.nan
            yield binary("vv", operation, name, "bool_", a, b, apply)
    for operation, apply in FLOAT_ONLY.items():
        for i, name in enumerate(FLOATS):
            low = 0.25 if operation == "Power" else -4
            a, b = spread(name, low, 4, 1), spread(name, 0.5, 3, 2)
            eps = epsilon(a.dtype)
            wide = _widened(apply)
            yield binary("vv", operation, name, name, a, b, wide, (4 if i else 16) * eps, 2 * eps)
    for operation, apply in BITWISE.items():
        for name in INTEGERS:
            a = spread(name, -60, 100, 1)
            b = np.rint(spread("float32", 0, 5, 2)).astype(a.dtype)
            yield binary("vv", operation, name, name, a, b, apply)
    for name in INTEGERS:
        a, b = spread(name, -60, 100, 1), np.rint(spread("float32", 1, 9, 2)).astype(DTYPES[name])
        yield binary("vv", "Remainder", name, name, a, b, np.mod)  # Python's sign
    for operation, apply in {"Add": np.add, "Multiply": np.multiply, "Divide": np.divide}.items():
        a, b = spread("complex64", -2, 2, 1), spread("complex64", 0.5, 2, 2)
        tolerance = 8 * epsilon(a.dtype)
        yield binary(
            "vv", operation, "complex64", "complex64", a, b, _widened(apply), tolerance, tolerance
        )
    for operation, apply in {"LogicalAnd": np.logical_and, "LogicalOr": np.logical_or}.items():
        a, b = spread("bool_", 0, 1, 1), spread("bool_", 0, 1, 2)
        yield binary("vv", operation, "bool_", "bool_", a, b, apply)


def _widened(apply: Reference) -> Reference:
    return lambda a, b: apply(exact(a), exact(b))


def ternary_cases() -> Iterator[Case]:
    for name in DTYPES:
        for form in ("v", "g1", "g2", "g3") if name == "float32" else ("v",):
            yield _select(form, name)


def _select(form: str, name: str) -> Case:
    condition, a, b = spread("bool_", 0, 1), spread(name, -9, 9, 1), spread(name, -9, 9, 2)
    template = {
        "v": f"ternary_v<{METAL[name]}, Select, false, false, 1>",
        "g1": f"ternary_g_nd1<{METAL[name]}, Select, int>",
        "g2": f"ternary_g_nd2<{METAL[name]}, Select, int>",
        "g3": f"ternary_g_nd3<{METAL[name]}, Select, int>",
    }[form]

    def launch() -> Launch:
        out = np.zeros_like(a)
        buffers = {0: condition, 1: a, 2: b, 3: out}
        if form == "v":
            buffers |= {4: np.uint32([COUNT])}
            return Launch(buffers, (COUNT,), (64,), {3: Expected(np.where(condition, a, b))})
        shape = {"g1": (77,), "g2": (7, 11), "g3": (7, 1, 11)}[form]
        strides = np.int64([11, 11, 1][3 - len(shape) :])
        none = np.zeros_like(strides)  # b is broadcast
        buffers |= {4: strides, 5: strides, 6: none}
        want = Expected(np.where(condition, a, b[0]))
        return Launch(buffers, shape[::-1], shape[::-1], {3: want})

    return Case(
        "ternary",
        f"{form}_Select{name}",
        (UTILS, "ternary_ops.h", "ternary.h"),
        template,
        launch,
    )


def copy_cases() -> Iterator[Case]:
    for source in DTYPES:
        for target in DTYPES:
            yield _copy("v", source, target)
        for form in ("s", "g1", "g2", "g3", "gn2"):
            yield _copy(form, source, source)


def _copy(form: str, source: str, target: str) -> Case:
    rng = np.random.default_rng(5)
    x = (rng.uniform(0, 100, COUNT) * (rng.random(COUNT) > 0.2)).astype(DTYPES[source])
    types = f"{METAL[source]}, {METAL[target]}"
    template = {
        "v": f"copy_v<{types}, 1>",
        "s": f"copy_s<{types}, 1>",
        "g1": f"copy_g_nd1<{types}, int>",
        "g2": f"copy_g_nd2<{types}, int>",
        "g3": f"copy_g_nd3<{types}, int>",
        "gn2": f"copy_g<{types}, 2, int>",
    }[form]

    def launch() -> Launch:
        out = np.zeros(COUNT, DTYPES[target])
        real = x.real if x.dtype.kind == "c" and target not in ("complex64", "bool_") else x
        want = real.astype(out.dtype)
        if form in ("v", "s"):
            expected = Expected(want if form == "v" else np.broadcast_to(want[0], COUNT))
            buffers = {0: x, 1: out, 2: np.uint32([COUNT])}
            return Launch(buffers, (COUNT,), (64,), {1: expected})
        shape = {"g1": (77,), "g2": (11, 7), "g3": (11, 1, 7), "gn2": (11, 7)}[form]
        strides = np.int64([1, 1, 11][3 - len(shape) :] if len(shape) > 1 else [1])
        want = want if len(shape) == 1 else want.reshape(7, 11).T.ravel()
        if form == "g3":
            strides = np.int64([1, 0, 11])
        buffers = {0: x, 1: out, 3: strides}
        grid = shape[::-1]
        if form == "gn2":
            buffers |= {2: np.int32(shape), 5: np.int32([2])}
            grid = (4, 11)
        return Launch(buffers, grid, grid, {1: Expected(want)})

    return Case("copy", f"{form}_copy{source}{target}", (UTILS, "copy.h"), template, launch)


def arange_cases() -> Iterator[Case]:
    for name in (*FLOATS, *INTEGERS):
        yield _arange(name)


def _arange(name: str) -> Case:
    def launch() -> Launch:
        dtype = DTYPES[name]
        buffers = {0: number(dtype, 3), 1: number(dtype, 2), 2: np.zeros(40, dtype)}
        want = Expected((3 + 2 * np.arange(40)).astype(dtype))
        return Launch(buffers, (40,), (32,), {2: want})

    return Case("arange", f"arange{name}", (UTILS, "arange.h"), f"arange<{METAL[name]}>", launch)


def cases() -> Iterator[Case]:
    yield from unary_cases()
    yield from binary_cases()
    yield from ternary_cases()
    yield from copy_cases()
    yield from arange_cases()
