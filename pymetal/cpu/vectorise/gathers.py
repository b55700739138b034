"""Loads and stores at an address a lane: written out, or calls of a function that does one.

LLVM takes a millisecond for each that is written out, and longer where a block has many. A function
takes what makes addresses, a base and an index a lane if possible, and the mask: vectors of 32
addresses and choosing between them are what LLVM is slowest at.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import I32
from pymetal.air.ir.values import Local, Value
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise.emitter import MASK, Emitter, wide


def load(e: Emitter, pointer: Value, type_: str, align: int) -> str:
    """Load from an address a lane."""
    if e.has_room():
        return _collect(e, _active_addresses(e, pointer), type_, align)
    return _call_load(e, _where(e, pointer), type_, align)


def load_at(e: Emitter, addresses: str, type_: str, align: int) -> str:
    """Load from addresses that a vector holds."""
    if e.has_room():
        return _collect(e, _elements(e, _safe(e, addresses), "ptr"), type_, align)
    return _call_load(e, _Where.addresses(addresses), type_, align)


def store(e: Emitter, vector: str, pointer: Value, type_: str, align: int) -> None:
    """Store to an address a lane, in the lanes' order."""
    if e.has_room():
        values = _elements(e, vector, type_)
        for value, address in zip(values, _active_addresses(e, pointer), strict=True):
            e.do(f"store {type_} {value}, ptr {address}, align {align}")
        return
    where = _where(e, pointer)
    name = _name("scatter", e, where, type_, align)
    if name not in e.helpers.definitions:
        lines = [*where.lines(e.mask is not None, type_), *_element_lines("values", type_)]
        lines += [
            f"  store {type_} %values{lane}, ptr %addresses{lane}, align {align}"
            for lane in range(LANES)
        ]
        parameters = f"{where.parameters(e.mask is not None)}, {wide(type_)} %values"
        e.helpers.definitions[name] = _function("void", name, parameters, [*lines, "  ret void"])
    e.do(f"call void @{name}({where.arguments(e.mask)}, {wide(type_)} {vector})")


@dataclass(frozen=True)
class _Where:
    """Addresses: what a helper is given, (type, value, parameter), and how it makes them of that.

    `form` is part of the helper's name.
    """

    form: str
    given: tuple[tuple[str, str, str], ...]
    made: tuple[str, ...] = ()

    @classmethod
    def addresses(cls, vector: str) -> _Where:
        return cls("", ((wide("ptr"), vector, "%addresses"),))

    @classmethod
    def indexed(cls, base: str, index: str, type_: str, extend: str, step: int) -> _Where:
        """`step` bytes times an index a lane after a base."""
        made, long = [], f"{wide(type_)} %index"
        if extend:
            made.append(f"  %long = {extend} {long} to {wide('i64')}")
            long = f"{wide('i64')} %long"
        made.append(f"  %addresses = getelementptr [{step} x i8], ptr %base, {long}")
        given = ("ptr", base, "%base"), (wide(type_), index, "%index")
        return cls(f".{extend or 'x'}.{type_}.{step}", given, tuple(made))

    def parameters(self, masked: bool) -> str:
        mask = [f"{MASK} %mask"] if masked else []
        return ", ".join([*(f"{type_} {name}" for type_, _, name in self.given), *mask])

    def arguments(self, mask: str | None) -> str:
        given = [f"{type_} {value}" for type_, value, _ in self.given]
        return ", ".join([*given, *([f"{MASK} {mask}"] if mask is not None else [])])

    def lines(self, masked: bool, type_: str) -> list[str]:
        """Make `%addresses0`, `%addresses1`…; of inactive lanes a dummy's."""
        lines = list(self.made)
        if not masked:
            return [*lines, *_element_lines("addresses", "ptr")]
        pointers = wide("ptr")
        lines += [
            f"  %dummy = alloca {type_}",
            f"  %one = insertelement {pointers} poison, ptr %dummy, i64 0",
            f"  %dummies = shufflevector {pointers} %one, {pointers} poison, "
            f"<{LANES} x i32> zeroinitializer",
            f"  %safe = select {MASK} %mask, {pointers} %addresses, {pointers} %dummies",
        ]
        return [*lines, *_element_lines("addresses", "ptr", "%safe")]


def _call_load(e: Emitter, where: _Where, type_: str, align: int) -> str:
    name = _name("gather", e, where, type_, align)
    if name not in e.helpers.definitions:
        lines, result = where.lines(e.mask is not None, type_), "poison"
        for lane in range(LANES):
            lines += [
                f"  %v{lane} = load {type_}, ptr %addresses{lane}, align {align}",
                f"  %r{lane} = insertelement {wide(type_)} {result}, {type_} %v{lane}, i64 {lane}",
            ]
            result = f"%r{lane}"
        lines.append(f"  ret {wide(type_)} {result}")
        parameters = where.parameters(e.mask is not None)
        e.helpers.definitions[name] = _function(wide(type_), name, parameters, lines)
    return e.let(f"call {wide(type_)} @{name}({where.arguments(e.mask)})")


def _name(what: str, e: Emitter, where: _Where, type_: str, align: int) -> str:
    masked = ".masked" if e.mask is not None else ""
    return f"{what}.{type_}.{align}{where.form}{masked}"


def _function(result: str, name: str, parameters: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return f"define internal {result} @{name}({parameters}) noinline nounwind {{\n{body}\n}}\n"


def _element_lines(name: str, type_: str, vector: str = "") -> list[str]:
    """`%name0`, `%name1`…: the elements of the vector `%name`, or of another."""
    return [
        f"  %{name}{lane} = extractelement {wide(type_)} {vector or f'%{name}'}, i64 {lane}"
        for lane in range(LANES)
    ]


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


def _active_addresses(e: Emitter, pointer: Value) -> list[str]:
    """Every lane's address, of those that are not active a dummy's."""
    if e.mask is None:
        return lane_addresses(e, pointer)
    return _elements(e, _safe(e, e.vector(pointer)), "ptr")


def _safe(e: Emitter, addresses: str) -> str:
    """Addresses with those of inactive lanes replaced by a dummy's."""
    if e.mask is None:
        return addresses
    dummy = e.splat("ptr", e.dummy())
    return e.let(f"select {MASK} {e.mask}, {wide('ptr')} {addresses}, {wide('ptr')} {dummy}")


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


def _where(e: Emitter, pointer: Value) -> _Where:
    if e.shapes.of(pointer) is None:
        parts = _parts(e, pointer)
        if parts is not None:
            index, type_ = e.vector(parts.index), parts.index.type.text
            return _Where.indexed(parts.base, index, type_, parts.extend, parts.step)
    return _Where.addresses(e.vector(pointer))


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
