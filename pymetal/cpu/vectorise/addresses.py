"""Address arithmetic as a sum: base + bytes + value * step + …"""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.air.ir import Instruction
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import ArrayType, StructType, Type, VectorType
from pymetal.air.ir.values import Value, as_integer


@dataclass(frozen=True)
class Terms:
    """What a getelementptr adds to its base: `bytes`, and each value times its step."""

    bytes: int
    scaled: tuple[tuple[Value, int], ...]


def gep_terms(i: Instruction, layout: Layout) -> Terms:
    """The terms of a getelementptr."""
    assert i.source_type is not None
    type_: Type = i.source_type
    constant = 0
    scaled: list[tuple[Value, int]] = []
    for k, index in enumerate(i.operands[1:]):
        if k:
            resolved = layout.resolve(type_)
            if isinstance(resolved, StructType):
                member = as_integer(index)
                assert member is not None
                constant += layout.offset(resolved, member)
                type_ = resolved.fields[member]
                continue
            assert isinstance(resolved, (ArrayType, VectorType))
            type_ = resolved.element
        step = layout.size(type_)
        number = as_integer(index)
        if number is not None:
            constant += number * step
        else:
            scaled.append((index, step))
    return Terms(constant, tuple(scaled))
