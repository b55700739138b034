"""Whether all lanes agree on a condition, told from its ends.

`i < n` with i = base + lane holds in all lanes if it holds in the last one and the numbers between
do not wrap around: two scalar comparisons instead of 32 and a mask. A loop over a grid runs in
full simdgroups until its last round that way.
"""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.values import Local, Value
from pymetal.cpu.vectorise.emitter import Emitter

_INVERSE = {
    "ult": "uge", "uge": "ult", "ule": "ugt", "ugt": "ule",
    "slt": "sge", "sge": "slt", "sle": "sgt", "sgt": "sle",
}  # fmt: skip
_SWAPPED = {
    "ult": "ugt", "ugt": "ult", "ule": "uge", "uge": "ule",
    "slt": "sgt", "sgt": "slt", "sle": "sge", "sge": "sle",
}  # fmt: skip


def holds(e: Emitter, value: Value, wanted: bool) -> str:
    """An i1: whether the value is `wanted` in all lanes for sure; "" if that is not known so
    simply. All lanes are active."""
    if e.shapes.uniform(value):
        scalar = e.scalar(value)
        return scalar if wanted else e.let(f"xor i1 {scalar}, true")
    if not isinstance(value, Local):
        return ""
    if e.shapes.block_of.get(value.name) != e.block:
        # The operands of what is made elsewhere may not be kept; what was noted is.
        slot = e.agreed.get((value.name, wanted))
        return e.let(f"load i1, ptr {slot}") if slot else ""
    made = e.definitions[value.name]
    if made.opcode == "icmp":
        return _compared(e, made, wanted)
    both = _both(made)
    if both is None:
        return ""
    a, b = (holds(e, v, wanted) for v in both[1:])
    if both[0] == wanted:
        return e.let(f"and i1 {a}, {b}") if a and b else ""
    return e.let(f"or i1 {a}, {b}") if a and b else a or b


def note(e: Emitter, i: Instruction) -> None:
    """Keep what is known of a comparison that other blocks use, for `holds` there."""
    if i.opcode != "icmp" or i.name not in e.crossing or not e.varies(i.result):
        return
    for wanted in (True, False):
        slot = e.agreed.get((i.name, wanted))
        told = _compared(e, i, wanted) if e.mask is None else ""
        if told and not slot:
            slot = e.agreed[i.name, wanted] = e.stack("i1")
            e.head.append(f"  store i1 false, ptr {slot}")
        if slot:
            e.do(f"store i1 {told or 'false'}, ptr {slot}")


def _both(i: Instruction) -> tuple[bool, Value, Value] | None:
    """The sides of an "and" (True) or an "or" (False)."""
    if i.opcode in ("and", "or"):
        return i.opcode == "and", i.operands[0], i.operands[1]
    if i.opcode == "select" and i.operands[2].text == "false":
        return True, i.operands[0], i.operands[1]
    if i.opcode == "select" and i.operands[1].text == "true":
        return False, i.operands[0], i.operands[2]
    return None


def _compared(e: Emitter, i: Instruction, wanted: bool) -> str:
    left, right = i.operands
    predicate = i.predicate if wanted else _INVERSE.get(i.predicate, "")
    if e.shapes.uniform(left):
        left, right, predicate = right, left, _SWAPPED.get(predicate, "")
    shape = e.shapes.of(left)
    if shape is None or shape.late or not e.shapes.uniform(right) or predicate not in _INVERSE:
        return ""
    type_ = left.type.text
    if type_ not in ("i32", "i64"):
        return ""
    base, limit = e.scalar(left), e.scalar(right)
    low, high = (
        e.let(f"add {type_} {base}, {end(shape.offsets)}") if end(shape.offsets) else base
        for end in (min, max)
    )
    sign = predicate[0]
    outer = high if predicate[1] == "l" else low
    ordered = e.let(f"icmp {sign}le {type_} {low}, {high}")  # else numbers wrap between lanes
    inside = e.let(f"icmp {predicate} {type_} {outer}, {limit}")
    return e.let(f"and i1 {ordered}, {inside}")
