"""Loads and stores at an address a lane: written out, or calls of a function that does one.

LLVM takes a millisecond for each that is written out, and longer where a block has many, so that
only few are, and those that all lanes run. Calls take some 10 ns longer (see each.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import I32
from pymetal.air.ir.values import Local, Value
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import each
from pymetal.cpu.vectorise.each import Where, behind, indexed, pattern
from pymetal.cpu.vectorise.emitter import Emitter, wide


def load(e: Emitter, pointer: Value, type_: str, align: int) -> str:
    """Load from an address a lane."""
    if e.mask is None and e.has_room():
        return _collect(e, lane_addresses(e, pointer), type_, align)
    return each.load(e, _where(e, pointer), type_, align)


def load_at(e: Emitter, addresses: str, type_: str, align: int) -> str:
    """Load from addresses that a vector holds."""
    if e.mask is None and e.has_room():
        return _collect(e, _elements(e, addresses, "ptr"), type_, align)
    return each.load(e, behind(e.in_memory(wide("ptr"), addresses), "0"), type_, align)


def store(e: Emitter, vector: str, pointer: Value, type_: str, align: int) -> None:
    """Store to an address a lane, in the lanes' order."""
    if e.mask is None and e.has_room():
        values = _elements(e, vector, type_)
        for value, address in zip(values, lane_addresses(e, pointer), strict=True):
            e.do(f"store {type_} {value}, ptr {address}, align {align}")
        return
    each.store(e, _where(e, pointer), vector, type_, align)


# Written out


def lane_addresses(e: Emitter, pointer: Value) -> list[str]:
    """Every lane's address as a scalar, where all lanes are active."""
    shape = e.shapes.of(pointer)
    if shape is not None:
        base = e.scalar(pointer)
        return [e.let(f"getelementptr i8, ptr {base}, i64 {o}") for o in shape.offsets]
    parts = _parts(e, pointer)
    if parts is None:
        return _elements(e, e.vector(pointer), "ptr")
    addresses = []
    for number in _elements(e, e.vector(parts.index), parts.index.type.text):
        type_ = parts.index.type.text
        if parts.extend:
            number, type_ = e.let(f"{parts.extend} i32 {number} to i64"), "i64"
        addresses.append(
            e.let(f"getelementptr [{parts.step} x i8], ptr {parts.base}, {type_} {number}")
        )
    return addresses


def _collect(e: Emitter, addresses: list[str], type_: str, align: int) -> str:
    result = "poison"
    for lane, address in enumerate(addresses):
        value = e.let(f"load {type_}, ptr {address}, align {align}")
        result = e.let(f"insertelement {wide(type_)} {result}, {type_} {value}, i64 {lane}")
    return result


def _elements(e: Emitter, vector: str, type_: str) -> list[str]:
    return [e.let(f"extractelement {wide(type_)} {vector}, i64 {lane}") for lane in range(LANES)]


# What addresses are made of


@dataclass(frozen=True)
class _Parts:
    """Addresses `step` bytes times an index a lane after a base. `extend` makes the index 64 bits
    wide: before that it takes half the room."""

    base: str
    index: Value
    extend: str
    step: int


def _where(e: Emitter, pointer: Value) -> Where:
    shape = e.shapes.of(pointer)
    if shape is not None:
        return pattern(e, e.scalar(pointer), shape.offsets)
    pointer, distance = _apart(e, pointer)
    parts = _parts(e, pointer)
    if parts is None:
        return behind(e.lend(pointer), distance)
    base, type_ = parts.base, parts.index.type.text
    if distance != "0":
        base = e.let(f"getelementptr i8, ptr {base}, i64 {distance}")
    slot = e.lend(parts.index)
    return indexed(base, slot, type_, parts.extend, parts.step)


def _apart(e: Emitter, pointer: Value) -> tuple[Value, str]:
    """An address as another and bytes that all lanes add to it, as far as this block does that."""
    total, constant = "", 0
    while True:
        made = _made_here(e, pointer)
        if made is None or made.opcode != "getelementptr" or not e.varies(made.operands[0]):
            break
        terms, scale = e.shapes.terms[made.name], e.shapes.private.scale(made.name)
        if not all(e.shapes.uniform(value) for value, _ in terms.scaled):
            break
        constant += terms.bytes * scale
        for value, step in terms.scaled:
            number = e.scalar(value)
            if value.type.text != "i64":
                number = e.let(f"sext {value.type} {number} to i64")
            product = e.let(f"mul i64 {number}, {step * scale}")
            total = e.let(f"add i64 {total}, {product}") if total else product
        pointer = made.operands[0]
    if total and constant:
        total = e.let(f"add i64 {total}, {constant}")
    return pointer, total or str(constant)


def _parts(e: Emitter, pointer: Value) -> _Parts | None:
    """Of what the address is made, if it is made in this block of a uniform base and one index."""
    made = _made_here(e, pointer)
    if made is None or made.opcode != "getelementptr":
        return None
    base_of, terms = made.operands[0], e.shapes.terms[made.name]
    varying = [t for t in terms.scaled if not e.shapes.uniform(t[0])]
    one_index = len(varying) == 1 and e.shapes.private.scale(made.name) == 1
    if not one_index or not e.shapes.uniform(base_of):
        return None
    (index, step), base = varying[0], e.scalar(base_of)
    for value, size in terms.scaled:
        if value is not index:
            base = e.let(f"getelementptr [{size} x i8], ptr {base}, {value.type} {e.scalar(value)}")
    if terms.bytes:
        base = e.let(f"getelementptr i8, ptr {base}, i64 {terms.bytes}")
    made = _made_here(e, index)
    if made is not None and made.opcode in ("zext", "sext") and made.operands[0].type is I32:
        return _Parts(base, made.operands[0], made.opcode, step)
    return _Parts(base, index, "", step)


def _made_here(e: Emitter, value: Value) -> Instruction | None:
    """The instruction that makes a value, if it is in this block: its operands are then, too."""
    if isinstance(value, Local) and e.shapes.block_of.get(value.name) == e.block:
        return e.definitions[value.name]
    return None
