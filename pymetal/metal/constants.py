"""Function constants as the bytes that Metal takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymetal.air.function import FunctionConstant
from pymetal.datatypes import data_type
from pymetal.errors import ArgumentError


def constant_bytes(constant: FunctionConstant, value: Any) -> bytes:
    """`value`, checked already, in the layout of the constant's type."""
    kind = data_type(constant.type_name)
    if kind is None or kind.columns > 1:
        raise ArgumentError(
            f"function constant '{constant.name}': type {constant.type_name} is not supported",
            argument=constant.name,
        )
    element = np.zeros(kind.slots, kind.dtype)
    element[: kind.rows] = value
    return element.tobytes()


def provisional_bytes(constant: FunctionConstant) -> bytes:
    """True or one, for a look at a function before its constants are known.

    Arguments that a constant switches on are then there to be reflected.
    """
    return constant_bytes(constant, 1)
