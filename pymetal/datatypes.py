"""MSL data types in NumPy's terms: what the memory behind `device float3*` looks like.

Sizes and layout follow the Metal Shading Language Specification, section 2: a three-component
vector takes the room of four, packed vectors do not, a matrix is an array of column vectors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pymetal.air.function import Argument, Field

DType = np.dtype[Any]

# A pointer in memory: an address of the software device, or of the GPU.
POINTER = np.dtype(np.uint64)

# Scalar types by their MSL name; bfloat is added by `scalar_dtype` when somebody needs it.
_SCALARS = {
    "bool": "?",
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "long": "i8",
    "ulong": "u8",
    "half": "f2",
    "float": "f4",
}
_ALIASES = {
    "int8_t": "char",
    "uint8_t": "uchar",
    "int16_t": "short",
    "uint16_t": "ushort",
    "int32_t": "int",
    "uint32_t": "uint",
    "int64_t": "long",
    "uint64_t": "ulong",
    "size_t": "ulong",
    "ptrdiff_t": "long",
    "signed char": "char",
    "unsigned char": "uchar",
    "unsigned short": "ushort",
    "unsigned": "uint",
    "unsigned int": "uint",
    "unsigned long": "ulong",
    "bfloat16_t": "bfloat",
    "float16_t": "half",
}
_SHAPED = re.compile(r"(packed_)?([a-z]+?)([234])(?:x([234]))?")
_ATOMIC = re.compile(r"_?atomic(?:_([a-z]+)|<(.+)>)")
_VECTOR = re.compile(r"vec<(.+), ?([234])>")


@dataclass(frozen=True)
class DataType:
    """An MSL scalar, vector, matrix or atomic: `columns` x `rows` of `scalar`.

    In memory each column takes `column_slots` scalars: four for three rows unless packed.
    """

    name: str
    scalar: str
    dtype: DType
    columns: int = 1
    rows: int = 1
    packed: bool = False

    @property
    def column_slots(self) -> int:
        return 4 if self.rows == 3 and not self.packed else self.rows

    @property
    def slots(self) -> int:
        """Scalars that one element takes in memory."""
        return self.columns * self.column_slots

    @property
    def count(self) -> int:
        """Scalars that one element holds."""
        return self.columns * self.rows

    @property
    def size_bytes(self) -> int:
        return self.slots * self.dtype.itemsize

    @property
    def is_scalar(self) -> bool:
        return self.count == 1


@cache
def scalar_dtype(scalar: str) -> DType:
    """The NumPy dtype of an MSL scalar type; ml_dtypes' for bfloat."""
    if scalar == "bfloat":
        import ml_dtypes

        bfloat16: DType = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(_SCALARS[scalar])


@cache
def data_type(name: str) -> DataType | None:
    """The type that MSL calls `name`; None for structs and what NumPy cannot express."""
    name = name.replace("metal::", "").strip()
    if atomic := _ATOMIC.fullmatch(name):
        return data_type(atomic[1] or atomic[2])
    if vector := _VECTOR.fullmatch(name):
        element = data_type(vector[1])
        return data_type(f"{element.scalar}{vector[2]}") if element else None
    scalar = _ALIASES.get(name, name)
    if scalar == "bfloat" or scalar in _SCALARS:
        return DataType(scalar, scalar, scalar_dtype(scalar))
    shaped = _SHAPED.fullmatch(name)
    if shaped is None or not (shaped[2] == "bfloat" or shaped[2] in _SCALARS):
        return None
    packed, scalar, first, second = shaped.groups()
    columns, rows = (int(first), int(second)) if second else (1, int(first))
    return DataType(name, scalar, scalar_dtype(scalar), columns, rows, packed is not None)


@cache
def struct_dtype(fields: tuple[Field, ...], size_bytes: int) -> DType | None:
    """The structured dtype with the struct's own offsets; None if a member has no NumPy type."""
    formats: list[Any] = []
    for field in fields:
        if field.points_to is not None:
            formats.append((POINTER, (field.array_length,)) if field.array_length else POINTER)
            continue
        if field.fields:
            member = struct_dtype(field.fields, field.size_bytes)
            if member is None:
                return None
            formats.append((member, (field.array_length,)) if field.array_length else member)
            continue
        kind = data_type(field.type_name)
        if kind is None:
            return None
        # Arrays keep each element's padding; a lone float3 shows its three components.
        shape: tuple[int, ...] = (field.array_length,) if field.array_length else ()
        if kind.columns > 1:
            shape += (kind.columns, kind.column_slots)
        elif kind.rows > 1:
            shape += (kind.column_slots if field.array_length else kind.rows,)
        formats.append((kind.dtype, shape) if shape else kind.dtype)
    try:
        return np.dtype(
            {
                "names": [field.name for field in fields],
                "formats": formats,
                "offsets": [field.offset for field in fields],
                "itemsize": size_bytes,
            }
        )
    except ValueError:  # members that overlap or repeat a name: a union
        return None


def argument_dtype(argument: Argument) -> DType | None:
    """The dtype of the arrays that `argument` takes: the scalar's for vectors and matrices,
    a structured one for structs, None where any dtype will do (`void`, unknown structs).
    A pointer is the address it holds."""
    if argument.points_to is not None:
        return POINTER
    if argument.fields:
        return struct_dtype(argument.fields, argument.size_bytes)
    kind = data_type(argument.type_name)
    return kind.dtype if kind is not None else None


def describe_dtype(dtype: DType) -> str:
    """A dtype as an error names it: structs with their fields and offsets."""
    if dtype.fields is None:
        return str(dtype)
    members = ", ".join(
        f"{name}: {dtype.fields[name][0]} at byte {dtype.fields[name][1]}"
        for name in dtype.names or ()
    )
    return f"struct of {dtype.itemsize} bytes ({members})"
