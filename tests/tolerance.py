"""How far a kernel's result may be from the exact one: worst-case bounds, not guesses.

Kernels add and multiply in float32 and round to the output's dtype at the end, so

    |result - exact| <= bound + unit_roundoff(dtype) * |exact| + smallest subnormal of dtype

where `bound` is what the float32 arithmetic may lose. The test states it from the formula that
the kernel computes, with these rules (Higham, "Accuracy and Stability of Numerical Algorithms",
chapters 2 and 3):

- each rounding is a relative error of at most u = 2^-24;
- a sum of products of n terms, in any order, is off by at most gamma(n) * sum of |terms|, where
  gamma(n) = n u / (1 - n u): each term goes through at most n roundings;
- k further roundings of a product make it gamma(n + k);
- exp(a) for an argument that is itself off by d is off by d relatively; the subtraction in
  exp(x - max x) rounds its result, so d = u |x - max x|.

Library functions are allowed the ULPs of the Metal Shading Language Specification's table of
single precision functions; an ULP is 2 u relatively.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pymetal.tolerance import compare, gamma, unit_roundoff

__all__ = ["assert_within", "gamma", "unit_roundoff"]  # tests take all three from here

U = 2.0**-24  # unit roundoff of float32
# In units of u: the specification's 4, 4, 4, 2 and 16 ULP.
EXP, SIN, COS, RSQRT, POW = 8 * U, 8 * U, 8 * U, 4 * U, 32 * U

DTYPES = {"": np.float32, "_half": np.float16, "_bfloat": ml_dtypes.bfloat16}


def assert_within(result: np.ndarray, exact: np.ndarray, bound: np.ndarray | float = 0.0) -> None:
    """Every element within `bound`, and the rounding of its own dtype, of the float64 `exact`.

    NaN and infinities must be where the exact result has them.
    """
    exact = np.asarray(exact, np.float64)
    assert result.shape == exact.shape
    found = compare(result, exact, bound)
    if not found.wrong:
        return
    at = found.first
    raise AssertionError(
        f"{found.wrong} of {result.size} elements are wrong, first at {at}: "
        f"{float(result[at])!r}, exactly {exact[at]!r}; "
        f"off by {found.error[at]:.3g}, allowed {found.allowed[at]:.3g}"
    )


def random(rng: np.random.Generator, shape, suffix: str = "") -> np.ndarray:
    """Normally distributed numbers of the dtype that a kernel's name ends with."""
    return rng.standard_normal(shape).astype(DTYPES[suffix])


def ceil_to(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
