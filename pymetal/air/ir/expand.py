"""Constant expressions written out as instructions, so that whoever walks a function meets one
form only: a threadgroup variable plus an offset is a getelementptr like any other."""

from __future__ import annotations

from pymetal.air.ir.instruction import Instruction
from pymetal.air.ir.module import Block, Function
from pymetal.air.ir.types import VectorType
from pymetal.air.ir.values import Aggregate, Expression, Splat, Value


def expand_constant_expressions(function: Function) -> None:
    """Replace every constant expression among `function`'s operands by instructions before its
    use; for a phi, at the end of the block that the value comes from."""
    blocks = {b.name: b for b in function.blocks}
    at_end: dict[str, list[Instruction]] = {}
    seen: dict[tuple[str, Value], Value] = {}
    for block in function.blocks:
        expanded: list[Instruction] = []
        for instruction in block.instructions:
            if instruction.opcode == "phi":
                for k, (value, source) in enumerate(instruction.incoming):
                    # A switch may list one predecessor twice: the two must stay one value.
                    key = (source, value)
                    if key not in seen:
                        seen[key] = _expand(function, value, at_end.setdefault(source, []))
                    instruction.operands[k] = seen[key]
            elif instruction.opcode != "switch":
                instruction.operands = [
                    _expand(function, o, expanded) for o in instruction.operands
                ]
            expanded.append(instruction)
        block.instructions = expanded
    for name, instructions in at_end.items():
        _insert_at_end(blocks[name], instructions)


def _insert_at_end(block: Block, instructions: list[Instruction]) -> None:
    block.instructions[-1:-1] = instructions


def _holds_expression(value: Value) -> bool:
    if isinstance(value, Aggregate):
        return any(map(_holds_expression, value.elements))
    if isinstance(value, Splat):
        return _holds_expression(value.element)
    return isinstance(value, Expression)


def _expand(function: Function, value: Value, before: list[Instruction]) -> Value:
    if not _holds_expression(value):
        return value
    if isinstance(value, Expression):
        instruction = Instruction(
            value.opcode,
            function.fresh("constant"),
            value.type,
            [_expand(function, o, before) for o in value.operands],
            value.flags,
            source_type=value.source_type,
        )
        before.append(instruction)
        return instruction.result
    return _insert_elements(function, value, before)


def _insert_elements(function: Function, value: Value, before: list[Instruction]) -> Value:
    """A vector of constant expressions, element by element."""
    from pymetal.air.ir.types import I32
    from pymetal.air.ir.values import Constant, integer_constant

    vector = isinstance(value.type, VectorType)
    elements = (
        value.elements if isinstance(value, Aggregate) else [value.element] * value.type.count  # type: ignore[attr-defined]
    )
    current: Value = Constant(value.type, "poison")
    for k, element in enumerate(elements):
        instruction = Instruction(
            "insertelement" if vector else "insertvalue",
            function.fresh("constant"),
            value.type,
            [current, _expand(function, element, before)],
        )
        if vector:
            instruction.operands.append(integer_constant(I32, k))
        else:
            instruction.indices = (k,)
        before.append(instruction)
        current = instruction.result
    return current
