"""How far a kernel's result may be from the exact one: by dtype and by the length of its sums.

A kernel computes in some precision and rounds to the output's dtype at the end, so

    |result - exact| <= bound + unit_roundoff(dtype) * |exact| + smallest subnormal of dtype

where `bound` is what the arithmetic may lose. Each rounding is a relative error of at most u, the
unit roundoff of the precision; a sum of n terms, in any order, is off by at most gamma(n) times the
sum of the terms' magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", chapters 2
and 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]


def unit_roundoff(dtype: Any) -> float:
    """Half the distance from 1 to the next number of `dtype`."""
    return float(ml_dtypes.finfo(dtype).eps) / 2


def gamma(roundings: float, dtype: Any = np.float32) -> float:
    """Relative error of that many roundings in `dtype`; infinite where they leave no digit."""
    lost = roundings * unit_roundoff(dtype)
    return lost / (1 - lost) if lost < 1 else float("inf")


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy or ml_dtypes have it as a floating type."""
    return dtype.kind == "f" or (dtype.kind == "V" and _has_finfo(dtype))


def _has_finfo(dtype: np.dtype[Any]) -> bool:
    try:
        ml_dtypes.finfo(dtype)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Comparison:
    """A result beside the exact one: which elements are right, what they are and may be off by."""

    right: Array
    error: Array
    allowed: Array

    @property
    def wrong(self) -> int:
        """How many elements are wrong."""
        return int(self.right.size - np.count_nonzero(self.right))

    @property
    def first(self) -> tuple[int, ...]:
        """The index of the first wrong element, in memory's order."""
        return tuple(int(i) for i in np.argwhere(~self.right)[0])


def compare(result: Array, exact: Any, bound: Any = 0.0) -> Comparison:
    """Compare with what was computed in float64; shapes must be equal.

    Floats may be off by `bound` and one rounding of their dtype. NaN and infinities must be where
    the exact result has them, or would overflow; integers and booleans must be equal.
    """
    exact = np.asarray(exact)
    if not is_floating(result.dtype) and exact.dtype.kind in "iub":
        right = result == exact
        off = np.abs(result.astype(np.float64) - exact.astype(np.float64))
        # Beyond 2^53 they may round equal.
        return Comparison(right, np.where(right, 0, np.maximum(off, 1)), np.zeros(result.shape))
    actual, exact = result.astype(np.float64), exact.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        if is_floating(result.dtype):
            info = ml_dtypes.finfo(result.dtype)
            too_large = np.abs(exact) > overflow_limit(info)
            exact = np.where(too_large, np.copysign(np.inf, exact), exact)
            rounding = unit_roundoff(result.dtype) * np.abs(exact) + float(info.smallest_subnormal)
        else:
            rounding, bound = np.zeros(exact.shape), 0.0
        allowed = np.broadcast_to(bound + rounding, exact.shape)
        error = np.abs(actual - exact)
        right = np.where(
            np.isfinite(exact),
            error <= allowed,
            (actual == exact) | (np.isnan(actual) & np.isnan(exact)),
        )
    return Comparison(right, error, allowed)


def overflow_limit(info: Any) -> float:
    """What rounds to infinity: half a step above the largest number."""
    return float(info.max) * (1 + float(info.eps) / 4)
