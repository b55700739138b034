"""The operands of instructions: locals, globals, constants and constant expressions.

Values are immutable and know their type. A local is a name: who defines it is the function's
business, which keeps forward references (phi) and edits simple.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pymetal.air.ir.types import (
    ArrayType,
    FloatType,
    IntegerType,
    StructType,
    Type,
    VectorType,
)


@dataclass(frozen=True, slots=True)
class Value:
    """Something an instruction reads. `text` is its spelling without the type."""

    type: Type

    @property
    def text(self) -> str:
        raise NotImplementedError

    @property
    def typed(self) -> str:
        """`type value`, as most operands are written."""
        return f"{self.type.text} {self.text}"


@dataclass(frozen=True, slots=True)
class Local(Value):
    """`%name`: a parameter or an instruction's result. A quoted name keeps its quotes."""

    name: str

    @property
    def text(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True, slots=True)
class Global(Value):
    """`@name`: the address of a global variable or function."""

    name: str

    @property
    def text(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True, slots=True)
class Constant(Value):
    """A literal: number, true, null, poison, undef, zeroinitializer, none, c"text"."""

    literal: str

    @property
    def text(self) -> str:
        return self.literal


@dataclass(frozen=True, slots=True)
class Aggregate(Value):
    """A vector, array or struct constant, element by element."""

    elements: tuple[Value, ...]

    @property
    def text(self) -> str:
        inner = ", ".join(e.typed for e in self.elements)
        if isinstance(self.type, VectorType):
            return f"<{inner}>"
        if isinstance(self.type, ArrayType):
            return f"[{inner}]"
        braced = f"{{ {inner} }}" if inner else "{}"
        packed = isinstance(self.type, StructType) and self.type.packed
        return f"<{braced}>" if packed else braced


@dataclass(frozen=True, slots=True)
class Splat(Value):
    """`splat (T v)`: a vector constant whose elements are all `element`."""

    element: Value

    @property
    def text(self) -> str:
        return f"splat ({self.element.typed})"


@dataclass(frozen=True, slots=True)
class Expression(Value):
    """A constant expression, such as `getelementptr (i8, ptr @g, i64 4)`."""

    opcode: str
    flags: tuple[str, ...]
    operands: tuple[Value, ...]
    source_type: Type | None = None

    @property
    def text(self) -> str:
        head = " ".join((self.opcode, *self.flags))
        inner = ", ".join(o.typed for o in self.operands)
        if self.opcode == "getelementptr":
            return f"{head} ({self.source_type}, {inner})"
        if len(self.operands) == 1:
            return f"{head} ({inner} to {self.type})"
        return f"{head} ({inner})"


@dataclass(frozen=True, slots=True)
class MetadataOperand(Value):
    """Metadata passed to a call, kept as it was written."""

    raw: str

    @property
    def text(self) -> str:
        return self.raw


def integer_constant(type_: Type, value: int) -> Constant:
    """`value` as a literal of an integer type, wrapped to its width."""
    assert isinstance(type_, IntegerType)
    if type_.bits == 1:
        return Constant(type_, "true" if value & 1 else "false")
    half = 1 << (type_.bits - 1)
    return Constant(type_, str((value + half) % (2 * half) - half))


def float_constant(type_: Type, value: float) -> Constant:
    """`value`, rounded to the type, as a literal that LLVM reads back exactly."""
    assert isinstance(type_, FloatType)
    if type_.text == "half":
        return Constant(type_, f"0xH{_bits('<e', '<H', value):04X}")
    if type_.text == "bfloat":
        wide = _bits("<f", "<I", value)
        rounded = wide if value != value else wide + 0x7FFF + ((wide >> 16) & 1)
        return Constant(type_, f"0xR{rounded >> 16 & 0xFFFF:04X}")
    if type_.text == "float":
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    return Constant(type_, f"0x{_bits('<d', '<Q', value):016X}")


def _bits(as_float: str, as_integer: str, value: float) -> int:
    bits: int = struct.unpack(as_integer, struct.pack(as_float, value))[0]
    return bits


def as_integer(value: Value) -> int | None:
    """The number an integer literal stands for (signed, true is 1), or None."""
    if not isinstance(value, Constant) or not isinstance(value.type, IntegerType):
        return None
    if value.literal in ("true", "zeroinitializer"):
        return int(value.literal == "true")
    if value.literal == "false":
        return 0
    try:
        return int(value.literal)
    except ValueError:
        return None


def element_of(value: Value, index: int) -> Value | None:
    """Element `index` of a constant vector, array or struct; None if `value` is no constant."""
    type_ = value.type
    if isinstance(value, Aggregate):
        return value.elements[index]
    if isinstance(value, Splat):
        return value.element
    if not isinstance(value, Constant):
        return None
    if isinstance(type_, (VectorType, ArrayType)):
        element = type_.element
    elif isinstance(type_, StructType):
        element = type_.fields[index]
    else:
        return None
    if value.literal in ("poison", "undef"):
        return Constant(element, value.literal)
    return zero(element) if value.literal == "zeroinitializer" else None


def zero(type_: Type) -> Constant:
    """The zero of any first-class type, in the literal LLVM prints for it."""
    if isinstance(type_, IntegerType):
        return integer_constant(type_, 0)
    if isinstance(type_, FloatType):
        return float_constant(type_, 0.0)
    if type_.text.startswith("ptr"):
        return Constant(type_, "null")
    return Constant(type_, "zeroinitializer")
