"""`--against`: a result compared with a NumPy expression, in float64; and with the last result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymetal.errors import ArgumentError

Array = np.ndarray[Any, Any]

# Roundings of the result's type, relative to the largest value of the reference, that are
# allowed by default. Sums of a few hundred terms stay within 64 roundings of float; kernels for
# 16-bit and smaller types mostly add in float and round once or twice.
ROUNDINGS = 64
ROUNDINGS_NARROW = 4


@dataclass(frozen=True)
class Difference:
    """How far a result is from what it should be, worst element first."""

    name: str
    largest: float
    allowed: float
    differing: int
    size: int
    index: tuple[int, ...] = ()
    got: float = 0.0
    expected: float = 0.0

    @property
    def ok(self) -> bool:
        return self.differing == 0

    def __str__(self) -> str:
        if self.ok:
            return (
                f"{self.name}: matches; largest difference {self.largest:.3g}, "
                f"allowed {self.allowed:.3g}"
            )
        place = ", ".join(map(str, self.index))
        return (
            f"{self.name}: {self.differing} of {self.size} elements differ; worst at "
            f"[{place}]: {self.got:.9g}, expected {self.expected:.9g} "
            f"(allowed {self.allowed:.3g})"
        )

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, **vars(self)}


def evaluate(expression: str, values: Mapping[str, Any]) -> Any:
    """A NumPy expression over a kernel's values, floats as float64.

    NumPy's functions are there with and without `np.`.
    """
    names = {name: getattr(np, name) for name in np.__all__ if not name.startswith("_")}
    names |= {"np": np} | {name: _wide(value) for name, value in values.items()}
    try:
        code = compile(expression.strip(), "<expression>", "eval")
        with np.errstate(all="ignore"):  # 1 / 0 may well be what the kernel computes
            return eval(code, names)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        NameError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        raise ArgumentError(
            f"'{expression}' cannot be evaluated: {type(error).__name__}: {error}; it may use "
            f"NumPy and {', '.join(values) or 'no values'}"
        ) from None


def against(
    expression: str,
    values: Mapping[str, Any],
    results: Mapping[str, Array],
    roundings: float | None,
) -> list[Difference]:
    """Each result compared with the expression's value, or with its part of a tuple."""
    expected = evaluate(expression, values)
    parts = expected if isinstance(expected, tuple) else (expected,)
    if len(parts) != len(results):
        raise ArgumentError(
            f"'{expression}' gives {len(parts)} values for {len(results)} results "
            f"({', '.join(results)}); several are written (a, b)"
        )
    return [
        difference(name, array, part, roundings)
        for (name, array), part in zip(results.items(), parts, strict=True)
    ]


def difference(name: str, got: Array, expected: Any, roundings: float | None = None) -> Difference:
    """Compare with float64; NaN and infinity must be where they are expected.

    Integers and booleans must be equal. Floats may differ by `roundings` units of the result's
    precision at the largest finite value expected.
    """
    try:
        expected = np.asarray(expected)
        is_number = expected.dtype.kind in "iufb"
    except ValueError:
        is_number = False
    if not is_number:
        raise ArgumentError(f"the reference for '{name}' is not an array of numbers")
    if got.dtype.fields is not None:
        raise ArgumentError(f"'{name}' is an array of structs: --against compares numbers")
    if got.shape != expected.shape:
        raise ArgumentError(
            f"'{name}' has shape {got.shape}, the reference has shape {expected.shape}"
        )
    if got.dtype.kind in "iub" and expected.dtype.kind in "iub":
        wrong = got != expected
        distance = abs(got.astype(np.float64) - expected.astype(np.float64))
        distance = np.where(wrong, np.maximum(distance, 1), 0)  # beyond 2**53 they may round equal
        allowed = 0.0
    else:
        precise, exact = got.astype(np.float64), expected.astype(np.float64)
        finite = np.isfinite(exact)
        allowed = _allowed(got.dtype, abs(exact[finite]).max(initial=0.0), roundings)
        with np.errstate(invalid="ignore"):
            same = (precise == exact) | (np.isnan(precise) & np.isnan(exact))
            distance = np.where(same, 0.0, abs(precise - exact))
        distance = np.where(np.isnan(distance), np.inf, distance)
        wrong = distance > allowed
    if not got.size:
        return Difference(name, 0.0, allowed, 0, 0)
    worst = np.unravel_index(int(np.argmax(distance)), got.shape)
    return Difference(
        name,
        float(distance[worst]),
        float(allowed),
        int(np.count_nonzero(wrong)),
        int(got.size),
        tuple(int(i) for i in worst),
        float(got[worst]),
        float(expected[worst]),
    )


def _allowed(dtype: np.dtype[Any], scale: float, roundings: float | None) -> float:
    if dtype.kind in "iub":
        return 0.0 if roundings is None else float(roundings)
    import ml_dtypes

    epsilon = float(ml_dtypes.finfo(dtype).eps)
    if roundings is None:
        roundings = ROUNDINGS if dtype.itemsize >= 4 else ROUNDINGS_NARROW
    return roundings * epsilon * float(scale)


def _wide(value: Any) -> Any:
    """Floating arrays as float64; integers as they are, so that they wrap as in the kernel."""
    if isinstance(value, np.ndarray) and value.dtype.fields is None:
        return value.astype(np.float64) if value.dtype.kind not in "iub" else value
    return value
