"""Threadgroup variables: globals in one section -> offsets from `%threadgroup_memory`.

Done after optimising, because LLVM knows of two globals that they do not overlap.
"""

from __future__ import annotations

from pymetal.air import ir
from pymetal.air.ir.instruction import Instruction
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import I8, I64, PTR
from pymetal.air.ir.values import Aggregate, Expression, Global, Local, Splat, Value
from pymetal.air.ir.values import integer_constant as integer
from pymetal.air.normalise import THREADGROUP_SECTION

_ALIGN = 16  # of every variable: what a SIMD access of the vectorised engine may want


def lay_out(text: str, name: str) -> tuple[str, int]:
    """Replace the threadgroup variables of `@name`; returns the text and their size in bytes."""
    if f'section "{THREADGROUP_SECTION}"' not in text:
        return text, 0
    module = ir.read(text)
    function = module.functions[name]
    layout = Layout(module.types)
    base = Local(PTR, "threadgroup_memory")
    places: dict[str, Local] = {}
    head: list[Instruction] = []
    size = 0
    for variable in list(module.globals.values()):
        if variable.section != THREADGROUP_SECTION:
            continue
        del module.globals[variable.name]
        place = Instruction(
            "getelementptr",
            function.fresh("threadgroup"),
            PTR,
            [base, integer(I64, size)],
            ("inbounds",),
            source_type=I8,
        )
        head.append(place)
        places[variable.name] = place.result
        size += -(-layout.size(variable.value_type) // _ALIGN) * _ALIGN
    for instruction in function.instructions:
        instruction.operands = [_replace(o, places) for o in instruction.operands]
    ir.expand_constant_expressions(function)
    function.blocks[0].instructions[:0] = head
    return str(module), size


def _replace(value: Value, places: dict[str, Local], inner: bool = False) -> Value:
    """`value` with the variables' places in it; an aggregate then counts as an expression."""
    if isinstance(value, Global) and value.name in places:
        place = places[value.name]
        if not inner:
            return place
        return Expression(PTR, "getelementptr", (), (place, integer(I64, 0)), I8)
    if isinstance(value, Expression):
        operands = tuple(_replace(o, places) for o in value.operands)
        return Expression(value.type, value.opcode, value.flags, operands, value.source_type)
    if isinstance(value, Aggregate):
        return Aggregate(value.type, tuple(_replace(e, places, True) for e in value.elements))
    if isinstance(value, Splat):
        return Splat(value.type, _replace(value.element, places, True))
    return value
