"""Python and NumPy numbers as MSL scalars: in range, or refused."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np

from pymetal.datatypes import DataType, scalar_dtype
from pymetal.shown import shown

# NumPy's scalars that are what their `item` is, a Python number.
PLAIN_SCALARS = tuple(np.dtype(code).type for code in "?bhilqBHILQefd")


class Misfit(Exception):  # noqa: N818 - becomes an ArgumentError where the argument is known
    """Why a value does not fit; the caller adds which argument it was for."""


def whole_number(value: Any) -> int:
    """As operator.index, but booleans count nothing: a TypeError too."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{type(value).__name__} is no number")
    return operator.index(value)


def convert_number(value: Any, kind: DataType) -> Any:
    """`value` as a NumPy scalar of `kind.scalar`."""
    if isinstance(value, np.generic):
        value = value.item() if value.dtype.kind in "biuf" else _float_of(value)
    if isinstance(value, complex) or not isinstance(value, numbers.Real):
        hint = "; pass an array" if isinstance(value, (list, tuple, np.ndarray)) else ""
        raise Misfit(f"got {type(value).__name__}, expected a number{hint}")
    if kind.scalar == "bool":
        return _bool(value)
    if isinstance(value, bool):
        raise Misfit(f"got bool {value} for {kind.scalar}; pass int({value})")
    if kind.dtype.kind in "iu":
        return _int(value, kind)
    return _float(value, kind)


def _float_of(value: np.generic) -> Any:
    """bfloat16 and its kind are opaque to NumPy's kinds, but are floats."""
    return value if isinstance(value, np.void) or value.dtype.kind != "V" else float(value)


def _bool(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return np.bool_(value)
    raise Misfit(f"got {type(value).__name__} {shown(value)} for bool; pass True or False")


def _int(value: Any, kind: DataType) -> Any:
    if not isinstance(value, int):
        raise Misfit(f"got {type(value).__name__} {shown(value)} for {kind.scalar}; pass an int")
    limits = np.iinfo(kind.dtype)
    if not limits.min <= value <= limits.max:
        raise Misfit(
            f"{shown(value)} is out of range: {kind.scalar} holds {limits.min} to {limits.max}"
        )
    return kind.dtype.type(value)


def _float(value: Any, kind: DataType) -> Any:
    dtype = scalar_dtype(kind.scalar)
    try:
        wide = float(value)
    except OverflowError:
        raise Misfit(f"{shown(value)} is out of range of {kind.scalar}") from None
    with np.errstate(over="ignore"):
        narrow = dtype.type(wide)
    if math.isfinite(wide) and not math.isfinite(float(narrow)):
        raise Misfit(f"{shown(value)} is out of range: it would become infinite in {kind.scalar}")
    if isinstance(value, int) and int(narrow) != value:
        raise Misfit(
            f"the int {shown(value)} is not exact in {kind.scalar} "
            f"(nearest is {float(narrow):.17g}); pass a float to round it"
        )
    return narrow
