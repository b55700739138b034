"""Function constants: values by name or index, checked against the types that MSL declares."""

from __future__ import annotations

import operator
import struct
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from pymetal.air.function import Function, FunctionConstant
from pymetal.errors import ArgumentError

_INTEGERS = {
    "char": (8, True),
    "uchar": (8, False),
    "short": (16, True),
    "ushort": (16, False),
    "int": (32, True),
    "uint": (32, False),
    "long": (64, True),
    "ulong": (64, False),
}
# How LLVM spells each float type's literal: prefix, hexadecimal digits.
_FLOATS = {"float": ("0x", 16), "half": ("0xH", 4), "bfloat": ("0xR", 4)}


def resolve(function: Function, values: Mapping[str | int, Any]) -> dict[FunctionConstant, str]:
    """Each constant that has a value -> LLVM literal of that value.

    Raises ArgumentError for a value that no constant takes, given twice, of the wrong type or out
    of range, and for a required constant without one.
    """
    by_key: dict[str | int, FunctionConstant] = {}
    for constant in function.constants:
        by_key[constant.name] = by_key[constant.index] = constant
    literals: dict[FunctionConstant, str] = {}
    for key, value in values.items():
        constant_or_none = by_key.get(key)
        if constant_or_none is None:
            known = ", ".join(f"{c.name} ({c.index})" for c in function.constants) or "none"
            raise ArgumentError(
                f"{function.name}: no function constant {key!r}; it has {known}", argument=str(key)
            )
        if constant_or_none in literals:
            raise ArgumentError(
                f"{function.name}: function constant '{constant_or_none.name}' "
                f"({constant_or_none.index}) is given twice, by name and by index",
                argument=constant_or_none.name,
            )
        literals[constant_or_none] = literal(function.name, constant_or_none, value)
    for constant in function.constants:
        if constant.required and constant not in literals:
            raise ArgumentError(
                f"{function.name}: function constant '{constant.name}' "
                f"(index {constant.index}, {constant.type_name}) needs a value; "
                f"pass constants={{'{constant.name}': ...}}",
                argument=constant.name,
            )
    return literals


def literal(kernel: str, constant: FunctionConstant, value: Any) -> str:
    """`value` as LLVM writes a constant of the function constant's type."""
    name, count = constant.type_name, 1
    if name[-1:] in "234" and name[:-1] in (*_INTEGERS, *_FLOATS, "bool"):
        name, count = name[:-1], int(name[-1])
    if count == 1:
        return _scalar(kernel, constant, name, value)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        raise _error(kernel, constant, f"takes {count} values, got {value!r}")
    element = "i8" if name == "bool" else _llvm_type(name)
    parts = (f"{element} {_scalar(kernel, constant, name, v)}" for v in value)
    return f"<{', '.join(parts)}>"


def _scalar(kernel: str, constant: FunctionConstant, name: str, value: Any) -> str:
    is_bool = type(value).__name__ in ("bool", "bool_")  # Python's and NumPy's
    if name == "bool":
        if not is_bool:
            raise _error(kernel, constant, f"takes True or False, got {value!r}")
        return str(int(bool(value)))
    if name in _INTEGERS:
        bits, signed = _INTEGERS[name]
        if is_bool or not hasattr(value, "__index__"):
            raise _error(kernel, constant, f"takes an integer, got {value!r}")
        number = operator.index(value)
        low = -(1 << bits - 1) if signed else 0
        high = (1 << bits - signed) - 1
        if not low <= number <= high:
            raise _error(kernel, constant, f"takes {low} to {high}, got {number}")
        return str(number)
    if name in _FLOATS:
        if is_bool or isinstance(value, (str, bytes)) or not isinstance(value, SupportsFloat):
            raise _error(kernel, constant, f"takes a number, got {value!r}")
        return _float_literal(kernel, constant, name, float(value))
    raise _error(kernel, constant, "has a type that function constants cannot have")


def _float_literal(kernel: str, constant: FunctionConstant, name: str, value: float) -> str:
    try:
        if name == "half":
            bits = struct.unpack("<H", struct.pack("<e", value))[0]
        else:
            rounded = struct.unpack("<f", struct.pack("<f", value))[0]
            if name == "bfloat":
                wide = struct.unpack("<I", struct.pack("<f", rounded))[0]
                even = wide if rounded != rounded else wide + 0x7FFF + (wide >> 16 & 1)
                bits = even >> 16 & 0xFFFF
            else:
                bits = struct.unpack("<Q", struct.pack("<d", rounded))[0]
    except OverflowError as error:
        raise _error(kernel, constant, f"cannot hold {value!r}") from error
    prefix, digits = _FLOATS[name]
    return f"{prefix}{bits:0{digits}X}"


def _llvm_type(name: str) -> str:
    return name if name in _FLOATS else f"i{_INTEGERS[name][0]}"


def _error(kernel: str, constant: FunctionConstant, what: str) -> ArgumentError:
    return ArgumentError(
        f"{kernel}: function constant '{constant.name}' ({constant.type_name}) {what}",
        argument=constant.name,
    )
