"""Casts between composites of the same size: bits put together and taken apart."""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import Type, integer
from pymetal.air.ir.values import Value, integer_constant
from pymetal.cpu.vectorise.leaves import Leaves, is_composite


def bitcast(leaves: Leaves, i: Instruction) -> None:
    """Write a bitcast of or to a composite on its leaves."""
    source, targets = leaves.parts(i.operands[0]), [t for t, _ in leaves.flat(i.type)]
    from_bits, to_bits = leaves.layout.bits(source[0].type), leaves.layout.bits(targets[0])
    if from_bits == to_bits:
        result = [_cast(leaves, "bitcast", p, targets[0]) for p in source]
    else:
        result = _regroup(leaves, source, from_bits, to_bits, targets)
    if is_composite(i.type):
        leaves.leaves[i.name] = result
    else:
        leaves.rename(i, result[0])


def _cast(leaves: Leaves, opcode: str, value: Value, type_: Type) -> Value:
    if value.type is type_:
        return value
    return leaves.add(Instruction(opcode, "", type_, [value]))


def _join(leaves: Leaves, pieces: list[Value], bits: int, type_: Type) -> Value:
    """Integers of `bits` bits side by side, the first lowest."""
    whole: Value = _cast(leaves, "zext", pieces[0], type_)
    for k, piece in enumerate(pieces[1:], 1):
        wide = _cast(leaves, "zext", piece, type_)
        amount = integer_constant(type_, k * bits)
        shifted = leaves.add(Instruction("shl", "", type_, [wide, amount]))
        whole = leaves.add(Instruction("or", "", type_, [whole, shifted]))
    return whole


def _regroup(
    leaves: Leaves, source: list[Value], from_bits: int, to_bits: int, targets: list[Type]
) -> list[Value]:
    source = [_cast(leaves, "bitcast", p, integer(from_bits)) for p in source]
    wide = integer(to_bits)
    result = []
    for k, type_ in enumerate(targets):
        if to_bits > from_bits:
            per = to_bits // from_bits
            piece = _join(leaves, source[k * per : (k + 1) * per], from_bits, wide)
        else:
            at = k * to_bits
            piece, shift = source[at // from_bits], at % from_bits
            if shift:
                amount = integer_constant(piece.type, shift)
                piece = leaves.add(Instruction("lshr", "", piece.type, [piece, amount]))
            piece = leaves.add(Instruction("trunc", "", wide, [piece]))
        result.append(_cast(leaves, "bitcast", piece, type_))
    return result
