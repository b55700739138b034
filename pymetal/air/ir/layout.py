"""Sizes and offsets of types in memory.

Metal's layout, x86-64's and AArch64's agree on all types that AIR stores.
"""

from __future__ import annotations

from pymetal.air.ir.types import (
    ArrayType,
    FloatType,
    IntegerType,
    NamedType,
    PointerType,
    StructType,
    Type,
    VectorType,
)


class Layout:
    """The layout of a module's types; `types` are its named ones."""

    def __init__(self, types: dict[str, Type | None]) -> None:
        self.types = types

    def resolve(self, type_: Type) -> Type:
        """The struct behind a name."""
        while isinstance(type_, NamedType):
            body = self.types[type_.name]
            assert body is not None, f"{type_} is opaque"
            type_ = body
        return type_

    def align(self, type_: Type) -> int:
        """Alignment in bytes."""
        type_ = self.resolve(type_)
        if isinstance(type_, ArrayType):
            return self.align(type_.element)
        if isinstance(type_, StructType):
            return 1 if type_.packed else max(map(self.align, type_.fields), default=1)
        return self.size(type_)

    def size(self, type_: Type) -> int:
        """Bytes from one element of an array of `type_` to the next."""
        type_ = self.resolve(type_)
        if isinstance(type_, PointerType):
            return 8
        if isinstance(type_, (IntegerType, FloatType)):
            return _power_of_two((type_.bits + 7) // 8)
        if isinstance(type_, VectorType):
            return _power_of_two((type_.count * self.bits(type_.element) + 7) // 8)
        if isinstance(type_, ArrayType):
            return type_.count * self.size(type_.element)
        if isinstance(type_, StructType):
            return self.offset(type_, len(type_.fields))
        raise AssertionError(f"{type_} has no size")

    def bits(self, type_: Type) -> int:
        """Bits of a scalar's value."""
        if isinstance(type_, (IntegerType, FloatType)):
            return type_.bits
        return 8 * self.size(type_)

    def offset(self, type_: StructType, index: int) -> int:
        """Byte offset of member `index`; the padded size when `index` is one past the last."""
        at = 0
        for k, member in enumerate(type_.fields):
            if not type_.packed:
                at = -(-at // self.align(member)) * self.align(member)
            if k == index:
                return at
            at += self.size(member)
        align = self.align(type_)
        return -(-at // align) * align


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length() if n > 1 else 1
