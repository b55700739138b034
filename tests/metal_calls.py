"""Calls of Metal's standard library from tests: do they compile, what do they give.

A `Call` is one expression over parameters a, b, c, d. `compile_calls` type-checks any number of
them at once; `evaluate` runs element-wise ones over arrays, at every vector width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest

import pymetal

PARAMETERS = "abcd"
WIDTHS = ("", "2", "3", "4")
DTYPES = {
    "float": np.dtype(np.float32),
    "half": np.dtype(np.float16),
    "bfloat": np.dtype(ml_dtypes.bfloat16),
    "bool": np.dtype(np.bool_),
    "char": np.dtype(np.int8),
    "uchar": np.dtype(np.uint8),
    "short": np.dtype(np.int16),
    "ushort": np.dtype(np.uint16),
    "int": np.dtype(np.int32),
    "uint": np.dtype(np.uint32),
    "long": np.dtype(np.int64),
    "ulong": np.dtype(np.uint64),
}
FLOATS = ("float", "half")
SIGNED = ("char", "short", "int", "long")
UNSIGNED = ("uchar", "ushort", "uint", "ulong")
INTEGERS = SIGNED + UNSIGNED
UNSIGNED_OF = dict(zip(SIGNED, UNSIGNED, strict=True)) | {t: t for t in UNSIGNED}

PREAMBLE = "#include <metal_stdlib>\nusing namespace metal;\n"


@dataclass(frozen=True)
class Call:
    """`expression` over parameters named a, b, ... of `parameters`' types, giving `result`."""

    result: str
    expression: str
    parameters: tuple[str, ...] = ()

    def definition(self, name: str) -> str:
        inner = ", ".join(f"{t} {p}" for t, p in zip(self.parameters, PARAMETERS, strict=False))
        give = "" if self.result == "void" else "return "
        return f"{self.result} {name}({inner}) {{ {give}{self.expression}; }}\n"


def calls(
    names: str, result: str, *parameters: str, widths: Sequence[str] = WIDTHS, prefix: str = ""
) -> list[Call]:
    """`name(a, b, ...)` for each of `names` at each width, result and parameters widened alike."""
    arguments = ", ".join(PARAMETERS[: len(parameters)])
    return [
        Call(result + w, f"{prefix}{name}({arguments})", tuple(p + w for p in parameters))
        for w in widths
        for name in names.split()
    ]


def compile_calls(calls: Iterable[Call], device: str, **options) -> None:
    """Every call compiles: one function each, all in one source."""
    source = PREAMBLE + "".join(c.definition(f"call_{i}") for i, c in enumerate(calls))
    source += "kernel void k(device float* out [[buffer(0)]]) { out[0] = 1; }\n"
    pymetal.compile(source, device=device, **options)


def evaluate(
    functions: dict[str, str],
    result: str,
    arguments: Sequence[tuple[str, np.ndarray]],
    device: str,
    widths: bool = True,
    **options,
) -> dict[str, np.ndarray]:
    """Run element-wise expressions over a, b, ... and return an array for each name.

    `functions` maps names to expressions, or to function bodies that return, in which WIDTH is
    "", 2, 3 or 4; `arguments` lists (scalar type, array). A thread takes four elements and
    computes them as 4 scalars, 2 vectors of 2, 3 + 1 and 1 vector of 4; unless `widths` is off
    the four results must have the same bits.
    """
    length = len(arguments[0][1])
    padded = -(-length // 4) * 4
    filled = [
        np.concatenate([x, np.repeat(x[-1:], padded - length)]).astype(DTYPES[t])
        for t, x in arguments
    ]
    names = list(functions)
    source = PREAMBLE
    for i, expression in enumerate(functions.values()):
        for w in WIDTHS if widths else WIDTHS[:1]:
            inner = ", ".join(
                f"{t}{w} {p}" for (t, _), p in zip(arguments, PARAMETERS, strict=False)
            )
            body = expression if "return" in expression else f"return {expression};"
            source += f"{result}{w} f{i}({inner}) {{ {body.replace('WIDTH', w)} }}\n"
    inputs = "".join(
        f", device const {t}* {p}_ [[buffer({1 + n})]]"
        for n, ((t, _), p) in enumerate(zip(arguments, PARAMETERS, strict=False))
    )
    loads = "".join(
        f"  {t}4 {p} = {t}4({p}_[4*i], {p}_[4*i+1], {p}_[4*i+2], {p}_[4*i+3]);\n"
        for (t, _), p in zip(arguments, PARAMETERS, strict=False)
    )
    used = PARAMETERS[: len(arguments)]

    def call(i: int, lanes: str) -> str:
        return f"f{i}({', '.join(f'{p}.{lanes}' for p in used)})"

    stores = ""
    for i in range(len(names)):
        forms = [[call(i, lane) for lane in "xyzw"]]
        if widths:
            forms += [[call(i, "xy"), call(i, "zw")], [call(i, "xyz"), call(i, "w")]]
            forms += [[call(i, "xyzw")]]
        for w, parts in enumerate(forms):
            at = f"out[(({i} * n + i) * {len(forms)} + {w}) * 4"
            lane = 0
            for part in parts:
                lanes = 4 // len(parts) if len(parts) != 2 or w == 1 else (3 if lane == 0 else 1)
                stores += f"  {{ {result}{lanes if lanes > 1 else ''} r = {part};\n"
                for k in range(lanes):
                    stores += f"    {at} + {lane + k}] = r{f'[{k}]' if lanes > 1 else ''};\n"
                stores += "  }\n"
                lane += lanes
    source += (
        f"kernel void k(device {result}* out [[buffer(0)]]{inputs},\n"
        f"              uint i [[thread_position_in_grid]], uint n [[threads_per_grid]]) {{\n"
        f"{loads}{stores}}}\n"
    )
    kernel = pymetal.compile(source, device=device, **options).kernel("k")
    threads, form_count = padded // 4, 4 if widths else 1
    out = pymetal.output((len(names), threads, form_count, 4))
    got = kernel(out, *filled, grid=threads, threadgroup=min(threads, 64))
    results = {}
    for i, name in enumerate(names):
        forms = got[i].transpose(1, 0, 2).reshape(form_count, padded)[:, :length]
        bits = np.ascontiguousarray(forms).view(f"u{forms.dtype.itemsize}")
        for w, form in enumerate(bits[1:], 2):
            different = np.flatnonzero((form != bits[0]) & ~both_nan(forms[w - 1], forms[0]))
            assert different.size == 0, (
                f"{name} at width {w} differs from the scalar form at element {different[0]}: "
                f"{forms[w - 1][different[0]]!r} and {forms[0][different[0]]!r}"
            )
        results[name] = forms[0]
    return results


def both_nan(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x != x) & (y != y)


def float_values(dtype: np.dtype, count: int = 4096, seed: int = 0) -> np.ndarray:
    """Every kind of float: edge values, random bit patterns, and numbers of everyday size."""
    info = ml_dtypes.finfo(dtype)
    edges = [0.0, 1.0, 0.5, 1.5, 2.5, float(info.max), float(info.smallest_normal)]
    edges += [float(info.smallest_subnormal), float(info.eps), np.inf, 3.14159, 1e-3, 100.0]
    edges = [*edges, *[-x for x in edges], np.nan]
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2 ** (8 * dtype.itemsize), count // 2, dtype=np.uint64)
    patterns = bits.astype(f"u{dtype.itemsize}").view(dtype)
    everyday = (rng.standard_normal(count // 2) * 10).astype(dtype)
    return np.concatenate([np.array(edges).astype(dtype), patterns, everyday])


def pairs(values: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every combination of two lists of values."""
    first, second = np.meshgrid(values, others, indexing="ij")
    return first.ravel(), second.ravel()


def float_edges(dtype: np.dtype) -> np.ndarray:
    """The edge values of `float_values` alone: for pairs and triples of them."""
    return float_values(dtype, 0)


def integer_values(dtype: np.dtype, count: int = 64, seed: int = 0) -> np.ndarray:
    """Edge values of an integer type, then random ones."""
    info = np.iinfo(dtype)
    edges = {0, 1, 2, 3, 7, info.max, info.max - 1, info.max // 2, info.min, info.min + 1}
    if info.min < 0:
        edges |= {-1, -2, -5, info.min // 2}
    rng = np.random.default_rng(seed)
    drawn = rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
    return np.concatenate([np.array(sorted(edges), dtype=dtype), drawn])


def assert_same(name: str, result: np.ndarray, expected: np.ndarray, *arguments) -> None:
    """Equal in bits, but for which NaN it is; a failure shows the arguments."""
    expected = np.asarray(expected).astype(result.dtype)
    bits = f"u{result.dtype.itemsize}"
    wrong = np.flatnonzero(
        (np.ascontiguousarray(result).view(bits) != np.ascontiguousarray(expected).view(bits))
        & ~both_nan(result, expected)
    )
    if wrong.size:
        at = wrong[0]
        given = ", ".join(repr(x[at]) for x in arguments)
        raise AssertionError(
            f"{name}({given}) gave {result[at]!r}, expected {expected[at]!r}; "
            f"{wrong.size} of {result.size} elements are wrong"
        )


def assert_ulps(name: str, result: np.ndarray, exact: np.ndarray, ulps: float, *arguments) -> None:
    """Within `ulps` steps of the result's type, measured where the float64 `exact` lies.

    NaN and infinity must be where the exact result has them, except that a result within the
    bound of overflow may be the largest number or infinity.
    """
    info = ml_dtypes.finfo(result.dtype)
    got = result.astype(np.float64)
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log2(np.maximum(np.abs(exact), float(info.smallest_normal))))
        step = np.exp2(exponent - info.nmant)
        finite = np.isfinite(exact) & (np.abs(exact) <= float(info.max))
        reach = np.abs(exact) + (ulps + 0.5) * step
        error = np.abs(got - exact) / step
        right = np.where(
            finite,
            np.where(np.isfinite(got), error <= ulps, np.isinf(got) & (reach > float(info.max))),
            np.where(np.isnan(exact), np.isnan(got), np.sign(exact) * np.inf == got)
            | (np.isfinite(exact) & (error <= ulps)),
        )
    wrong = np.flatnonzero(~right)
    if wrong.size:
        at = wrong[0]
        given = ", ".join(repr(x[at]) for x in arguments)
        raise AssertionError(
            f"{name}({given}) gave {result[at]!r}, exactly {exact[at]!r}: {error[at]:.3g} ULP, "
            f"allowed {ulps}; {wrong.size} of {result.size} elements are wrong"
        )


def only_on_the_software_device(device: str) -> None:
    """Skip elsewhere: what docs/language.md calls unsupported is the software device's lack."""
    if device != "cpu":
        pytest.skip("Metal has this; only the software device lacks it")
