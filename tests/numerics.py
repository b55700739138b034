"""How far each mathematical function of Metal is from the exact result, in units of last place.

The bounds are those of the Metal Shading Language Specification ("Numerical Compliance", accuracy
of single- and half-precision operations) without fast math; 0.5 is "correctly rounded". An ULP of x
is the distance between the two numbers of the type that x lies between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import pymetal

Array = np.ndarray[Any, Any]
DTYPES = {"float": np.dtype(np.float32), "half": np.dtype(np.float16)}


@dataclass(frozen=True)
class Function:
    """`exact` takes and gives float64. Arguments beyond `domain` (of each) are not drawn.

    `below_one`: where the result would round to 1, Metal has the number below.
    """

    expression: str
    exact: Callable[..., Array]
    float_bound: float
    half_bound: float
    arguments: int = 1
    domain: tuple[float, float] = (-np.inf, np.inf)
    below_one: bool = False


def _turns(x: Array) -> tuple[Array, Array]:
    """x = n/2 + r with |r| <= 1/4, exactly; and n modulo 4."""
    whole = np.fmod(x, 2.0)
    n = np.rint(2 * whole)
    return whole - n / 2, n.astype(np.int64) % 4


def _sinpi(x: Array) -> Array:
    r, n = _turns(x)
    s, c = np.sin(np.pi * r), np.cos(np.pi * r)
    result: Array = np.choose(n, [s, c, -s, -c])
    return np.where(result == 0, np.copysign(0, x), result)


def _cospi(x: Array) -> Array:
    r, n = _turns(x)
    s, c = np.sin(np.pi * r), np.cos(np.pi * r)
    result: Array = np.choose(n, [c, -s, -c, s])
    return np.where(result == 0, 0.0, result)


def _tanpi(x: Array) -> Array:
    return _sinpi(x) / _cospi(x)


def _rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


def _fdim(x: Array, y: Array) -> Array:
    return np.where(x > y, x - y, np.where(np.isnan(x) | np.isnan(y), np.nan, 0))


def _powr(x: Array, y: Array) -> Array:
    return np.exp2(y * np.log2(x))


def _fract(x: Array) -> Array:
    result: Array = np.where(np.isinf(x), 0, x - np.floor(x))
    return result


def _ldexp(x: Array, n: Array) -> Array:
    exponents = np.clip(np.nan_to_num(np.trunc(n), nan=0), -5000, 5000).astype(np.int64)
    result: Array = np.ldexp(x, exponents)
    return result


# Functions of several results, one result at a time; and one that takes integers.
HELPERS = """
#define PARTS(T, I) \\
    static T fraction(T x) { I e; return frexp(x, e); } \\
    static T exponent(T x) { I e; frexp(x, e); return T(e); } \\
    static T rest(T x) { T whole; return modf(x, whole); } \\
    static T whole(T x) { T w; modf(x, w); return w; } \\
    static T sine(T x) { T c; return sincos(x, c); } \\
    static T cosine(T x) { T c; sincos(x, c); return c; } \\
    static T scaled(T x, T n) { return ldexp(x, I(n)); }
PARTS(float, int)
PARTS(float4, int4)
PARTS(half, int)
PARTS(half4, int4)
"""
POSITIVE = (0.0, np.inf)
NUMBERS = (-6e4, 6e4)  # finite in half as well
FUNCTIONS: dict[str, Function] = {
    "x + y": Function("a + b", np.add, 0.5, 0.5, 2),
    "x - y": Function("a - b", np.subtract, 0.5, 0.5, 2),
    "x * y": Function("a * b", np.multiply, 0.5, 0.5, 2),
    "x / y": Function("a / b", np.divide, 0.5, 0.5, 2),
    "1 / x": Function("T(1) / a", np.reciprocal, 0.5, 0.5),
    "acos": Function("acos(a)", np.arccos, 4, 1, domain=(-1, 1)),
    "acosh": Function("acosh(a)", np.arccosh, 4, 1, domain=(1, np.inf)),
    "asin": Function("asin(a)", np.arcsin, 4, 1, domain=(-1, 1)),
    "asinh": Function("asinh(a)", np.arcsinh, 4, 1),
    "atan": Function("atan(a)", np.arctan, 5, 1),
    "atan2": Function("atan2(a, b)", np.arctan2, 6, 1, 2),
    "atanh": Function("atanh(a)", np.arctanh, 5, 1, domain=(-1, 1)),
    "ceil": Function("ceil(a)", np.ceil, 0.5, 0.5),
    "copysign": Function("copysign(a, b)", np.copysign, 0, 0, 2),
    "cos": Function("cos(a)", np.cos, 4, 1),
    "cosh": Function("cosh(a)", np.cosh, 4, 1),
    "cospi": Function("cospi(a)", _cospi, 4, 1),
    "exp": Function("exp(a)", np.exp, 4, 1),
    "exp2": Function("exp2(a)", np.exp2, 4, 1),
    "exp10": Function("exp10(a)", lambda x: np.power(10.0, x), 4, 1),
    "fabs": Function("fabs(a)", np.abs, 0, 0),
    "fdim": Function("fdim(a, b)", _fdim, 0.5, 0.5, 2),
    "floor": Function("floor(a)", np.floor, 0.5, 0.5),
    "fma": Function("fma(a, b, c)", lambda x, y, z: x * y + z, 0.5, 0.5, 3),
    "fmax": Function("fmax(a, b)", np.fmax, 0, 0, 2),
    "fmin": Function("fmin(a, b)", np.fmin, 0, 0, 2),
    "fmod": Function("fmod(a, b)", np.fmod, 0, 0, 2),
    "fract": Function("fract(a)", _fract, 0.5, 0.5, 1, NUMBERS, True),
    "frexp": Function("fraction(a)", lambda x: np.frexp(x)[0], 0, 0),
    "frexp, exponent": Function("exponent(a)", lambda x: np.frexp(x)[1] * 1.0, 0, 0, 1, NUMBERS),
    "ldexp": Function("scaled(a, b)", _ldexp, 0.5, 0.5, 2),
    "log": Function("log(a)", np.log, 4, 1, domain=POSITIVE),
    "log2": Function("log2(a)", np.log2, 4, 1, domain=POSITIVE),
    "log10": Function("log10(a)", np.log10, 4, 1, domain=POSITIVE),
    "modf": Function("rest(a)", lambda x: np.modf(x)[0], 0, 0),
    "modf, whole part": Function("whole(a)", np.trunc, 0, 0),
    "pow": Function("pow(a, b)", np.power, 16, 4, 2),
    "powr": Function("powr(a, b)", _powr, 16, 4, 2, POSITIVE),
    "rint": Function("rint(a)", np.rint, 0.5, 0.5),
    "round": Function("round(a)", lambda x: np.trunc(x + np.copysign(0.5, x)), 0.5, 0.5),
    "rsqrt": Function("rsqrt(a)", _rsqrt, 2, 1, domain=POSITIVE),
    "sin": Function("sin(a)", np.sin, 4, 1),
    "sincos": Function("sine(a)", np.sin, 4, 1),
    "sincos, cosine": Function("cosine(a)", np.cos, 4, 1),
    "sinh": Function("sinh(a)", np.sinh, 4, 1),
    "sinpi": Function("sinpi(a)", _sinpi, 4, 1),
    "sqrt": Function("sqrt(a)", np.sqrt, 0.5, 0.5, domain=POSITIVE),
    "tan": Function("tan(a)", np.tan, 6, 1),
    "tanh": Function("tanh(a)", np.tanh, 5, 1),
    "tanpi": Function("tanpi(a)", _tanpi, 6, 1),
    "trunc": Function("trunc(a)", np.trunc, 0.5, 0.5),
}
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, np.pi, 1e-30, np.inf, -np.inf, np.nan)


@cache
def library(device: str = "cpu", engine: str = "") -> pymetal.Library:
    """A kernel for each function, type and width: `sin_float_1`, `sin_half_4`.

    One for each engine, which PYMETAL_ENGINE chooses: a library keeps what it compiled.
    """
    source = "#include <metal_stdlib>\nusing namespace metal;\n" + HELPERS
    for i, function in enumerate(FUNCTIONS.values()):
        names = "abc"[: function.arguments]
        for type_ in DTYPES:
            for width in (1, 4):
                vector = f"{type_}{width if width > 1 else ''}"
                inputs = "".join(
                    f", device const {vector}* p{n} [[buffer({k + 1})]]"
                    for k, n in enumerate(names)
                )
                loads = " ".join(f"T {n} = p{n}[i];" for n in names)
                source += (
                    f"kernel void f{i}_{type_}_{width}(device {vector}* out [[buffer(0)]]{inputs}, "
                    f"uint i [[thread_position_in_grid]]) "
                    f"{{ typedef {vector} T; {loads} out[i] = {function.expression}; }}\n"
                )
    return pymetal.compile(source, device=device)


def arguments(function: Function, type_: str, count: int, seed: int = 0) -> list[Array]:
    """Edges, then random bit patterns, then numbers around 1, within the domain."""
    dtype = DTYPES[type_]
    rng = np.random.default_rng(seed)
    result = []
    for k in range(function.arguments):
        bits = rng.integers(0, 1 << 8 * dtype.itemsize, count, dtype=np.uint64)
        patterns = bits.astype(f"u{dtype.itemsize}").view(dtype)
        near = (rng.standard_normal(count) * 4).astype(dtype)
        values = np.where(rng.random(count) < 0.5, patterns, near).astype(dtype)
        with np.errstate(over="ignore"):
            edges = np.array(EDGES, dtype)
        if function.arguments > 1:
            mesh = np.meshgrid(*[edges] * function.arguments)
            edges = mesh[k].ravel()[: count // 2]
        values[: len(edges)] = edges
        low, high = function.domain
        inside = np.isnan(values) | ((values >= low) & (values <= high))
        safe = np.array(1.0 if low <= 1 <= high else low, dtype)
        result.append(np.where(inside, values, safe))
    return result


def errors(exact: Array, actual: Array) -> Array:
    """ULPs between them; infinite where one alone is NaN, or infinite beyond rounding."""
    dtype = actual.dtype
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        limit = float(info.max) * (1 + float(info.eps) / 4)
        rounded = np.clip(exact, -float(info.max), float(info.max)).astype(dtype)
        ulp = np.spacing(np.abs(rounded)).astype(np.float64)
        ulp = np.where(np.isfinite(ulp), ulp, float(info.max) * float(info.eps))
        # Just above a power of two's upper side the spacing is half of it.
        below = np.abs(exact) < np.abs(rounded.astype(np.float64))
        power = np.frexp(rounded.astype(np.float64))[0]
        narrow = below & (np.abs(power) == 0.5) & (ulp > float(info.smallest_subnormal))
        ulp = np.where(narrow, ulp / 2, ulp)
        wide = actual.astype(np.float64)
        off = np.abs(wide - exact) / ulp
        off = np.where((np.abs(exact) > limit) & np.isinf(wide) & (wide * exact > 0), 0, off)
        off = np.where(np.isnan(exact) & np.isnan(wide), 0, off)
        off = np.where(np.isnan(exact) != np.isnan(wide), np.inf, off)
        overflow = np.isinf(wide) & (np.abs(exact) <= limit) & np.isfinite(exact)
        near = np.abs(exact) > float(info.max) * (1 - 16 * float(info.eps))
        off = np.where(overflow, np.where(near, 1, np.inf), off)
        short = np.isfinite(wide) & (np.abs(exact) > limit)  # the largest number instead
        large = np.abs(wide) >= float(info.max) * (1 - 32 * float(info.eps))
        return np.where(short, np.where(large, 1, np.inf), off)


def worst(
    kernels: pymetal.Library, name: str, type_: str, count: int, width: int = 1, seed: int = 0
) -> tuple[float, tuple[float, ...], float]:
    """The largest error, its arguments and the result there."""
    function = FUNCTIONS[name]
    inputs = arguments(function, type_, count, seed)
    index = list(FUNCTIONS).index(name)
    out = np.zeros(count, DTYPES[type_])
    shape = (count,) if width == 1 else (count // width, width)
    result = out.reshape(shape)
    kernels[f"f{index}_{type_}_{width}"](
        result, *(x.reshape(shape) for x in inputs), grid=count // width, threadgroup=128
    )
    with np.errstate(all="ignore"):
        exact = function.exact(*(x.astype(np.float64) for x in inputs))
    if function.below_one:
        exact = np.minimum(exact, np.nextafter(out.dtype.type(1), out.dtype.type(0)))
    off = errors(exact, out)
    at = int(np.argmax(off))
    return float(off[at]), tuple(float(x[at]) for x in inputs), float(out[at])
