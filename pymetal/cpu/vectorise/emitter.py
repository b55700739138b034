"""The function being written: text, names, values in scalar and vector form, masks.

A value that is used in another block than its own passes through a stack slot, because the layout
of divergent regions does not keep dominance; LLVM's SROA turns the slots into registers again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pymetal.air.ir import Function, Instruction
from pymetal.air.ir.types import PointerType, Type, VectorType
from pymetal.air.ir.values import Constant, Local, Value
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise.buffers import Buffers
from pymetal.cpu.vectorise.homes import homes, read_in_place
from pymetal.cpu.vectorise.shapes import NO_OFFSETS, Offsets, Shapes
from pymetal.cpu.vectorise.target import Target

# Accesses lane by lane that are written out. LLVM needs seconds for a block of many.
_ROOM = 12
# Loads with which what lies behind is fetched, too.
_FETCHES = 8
# Vectors that lie in memory at a time to be given to functions, of 256 bytes each.
_LENT = 8
MASK = f"<{LANES} x i1>"
ALL = "splat (i1 true)"


def wide(type_: str) -> str:
    """The vector of 32 lanes of a scalar type."""
    return f"<{LANES} x {type_}>"


def numbers(type_: str, values: Sequence[int]) -> str:
    """A vector constant of integers."""
    if len(set(values)) == 1:
        return f"splat ({type_} {values[0]})"
    return f"<{', '.join(f'{type_} {v}' for v in values)}>"


def indices(values: Sequence[int]) -> str:
    """The mask operand of a shufflevector; negative: whatever."""
    inner = ", ".join(f"i32 {v}" if v >= 0 else "i32 poison" for v in values)
    return f"<{len(values)} x i32> <{inner}>"


def as_integers(type_: str) -> str:
    """bfloat or a vector of it as integers: LLVM takes such vectors apart element by element."""
    return type_.replace("bfloat", "i16")


@dataclass
class Helpers:
    """Internal functions and declarations that the copies of a kernel share."""

    definitions: dict[str, str] = field(default_factory=dict)
    declarations: dict[str, str] = field(default_factory=dict)


class Emitter:
    """One copy of a kernel. `full`: all 32 lanes run it from the start."""

    def __init__(
        self,
        function: Function,
        shapes: Shapes,
        target: Target,
        helpers: Helpers,
        sites: dict[Instruction, int],
        full: bool,
        buffers: Buffers,
        suspends: bool,
    ) -> None:
        self.function = function
        self.sites = sites
        self.shapes = shapes
        self.target = target
        self.helpers = helpers
        self.full = full
        self.buffers = buffers
        self.streams: set[str] = set()  # outputs whose stores may go past the caches
        # Loads with which what lies behind may still be fetched ahead (prefetch.py).
        self.fetches = _FETCHES if full and suspends else 0
        # How many accesses lane by lane may still be written out; later ones are calls.
        self.room = _ROOM if shapes.accesses() <= _ROOM else 0
        self.lines: list[str] = []
        self.head: list[str] = []  # allocas
        self.block = ""
        self._blocks = {b.name: b for b in function.blocks}
        self.mask: str | None = None  # None: all lanes
        self.names: dict[str, str] = {}
        self.definitions = {i.name: i for i in function.instructions if i.name}
        self.known: dict[str, str] = {}  # in this block: scalars, and vectors of varying values
        self.vectors: dict[str, str] = {}  # in this block: patterns made vectors
        self._slots: dict[str, str] = {}
        self._masks: dict[str, str] = {}
        self._count = 0
        self._lendable: list[str] = []  # stack slots for `in_memory`
        self._lent: dict[str, str] = {}  # of this block: which vector lies in which
        self.crossing = _crossing(function, shapes)
        self.in_place = read_in_place(function)
        slots = shapes.matrices - self.in_place
        self.homes = homes(function, shapes.graph, shapes.regions, slots)
        # In this block, of matrices in place: their first element and the stride of their rows.
        self.places: dict[str, tuple[str, str]] = {}
        self.agreed: dict[tuple[str, bool], str] = {}  # see agreement.py
        # Stores of this block that are written together, with the last of them (interleaved.py).
        self.waiting: dict[Instruction, list[Instruction]] = {}
        self.done: set[str] = set()  # of this block, already written with an earlier instruction

    # Text

    def let(self, text: str) -> str:
        """Add an instruction; returns the name of its result."""
        self._count += 1
        name = f"%t{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def fresh_label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}.{self._count}"

    def stack(self, type_: str) -> str:
        """Memory for a value of that type, good to load vectors from."""
        self._count += 1
        name = f"%s{self._count}"
        self.head.append(f"  {name} = alloca {type_}, align 64")
        return name

    def lend(self, value: Value) -> str:
        """Where a varying value lies for functions that are given its address, in this block."""
        if isinstance(value, Local) and value.name in self.crossing and self.varies(value):
            return self.slot(value.name)
        return self.in_memory(wide(self.type_text(value.type)), self.vector(value))

    def in_memory(self, type_: str, vector: str) -> str:
        """Where a vector lies for functions that are given its address, in this block."""
        if vector not in self._lent:
            if len(self._lent) < _LENT:
                free = [slot for slot in self._lendable if slot not in self._lent.values()]
                if not free:
                    free = [self.stack(wide("i64"))]
                    self._lendable += free
                slot = free[0]
            else:
                slot = self._lent.pop(next(iter(self._lent)))
            self.do(f"store {type_} {vector}, ptr {slot}")
            self._lent[vector] = slot
        return self._lent[vector]

    def site(self, i: Instruction) -> int:
        """The number of a place where lanes act together."""
        return self.sites.get(i, 0)

    def has_room(self) -> bool:
        """Whether an access may be written out at length; counts it."""
        self.room -= 1
        return self.room >= 0

    def call(self, result: str, name: str, *operands: str, flags: str = "") -> str:
        """Call a function with typed operands, declaring it; returns its result's name."""
        types = [o[: o.index("> ") + 1] if o[0] == "<" else o.split(" ", 1)[0] for o in operands]
        self.helpers.declarations.setdefault(
            name, f"declare {result} @{name}({', '.join(types)}) nounwind willreturn memory(none)"
        )
        text = f"call {flags}{result} @{name}({', '.join(operands)})"
        if result == "void":
            self.do(text)
            return ""
        return self.let(text)

    # Blocks and masks

    def among(self, mask: str, condition: str) -> str:
        """The lanes of `mask` in which `condition` holds.

        A select, because "and" would let in the poison that absent lanes may have made.
        """
        return self.let(f"select {MASK} {mask}, {MASK} {condition}, {MASK} zeroinitializer")

    def from_here(self, i: Instruction) -> list[Instruction]:
        """The instructions of this block from `i` on."""
        instructions = self._blocks[self.block].instructions
        return instructions[instructions.index(i) :]

    def begin(self, block: str, mask: str | None) -> None:
        """A new block: nothing is in registers yet."""
        self.block = block
        self.mask = mask
        self.known = {}
        self.vectors = {}
        self._masks = {}
        self._lent = {}
        self.places = {}

    def mask_text(self) -> str:
        return self.mask or ALL

    def mask_bits(self) -> str:
        """The mask as i32."""
        if self.mask is None:
            return "-1"
        return self._once("bits", lambda: self.let(f"bitcast {MASK} {self.mask} to i{LANES}"))

    def first_lane(self) -> str:
        """The first active lane, i32."""
        if self.mask is None:
            return "0"
        return self._once(
            "first",
            lambda: self.call("i32", "llvm.cttz.i32", f"i32 {self.mask_bits()}", "i1 false"),
        )

    def _once(self, what: str, make) -> str:  # type: ignore[no-untyped-def]
        if what not in self._masks:
            self._masks[what] = make()
        return self._masks[what]

    # Values

    def type_text(self, type_: Type) -> str:
        return "ptr" if isinstance(type_, PointerType) else type_.text

    def is_matrix(self, value: Value) -> bool:
        return isinstance(value.type, VectorType)

    def stored_type(self, name: str, type_: Type) -> str:
        """The LLVM type that stands for a value."""
        if name in self.shapes.matrices:
            assert isinstance(type_, VectorType)
            return f"<64 x {type_.element.text}>"
        text = self.type_text(type_)
        return text if self.shapes.shapes[name] is not None else wide(text)

    def varies(self, value: Value) -> bool:
        return self.shapes.of(value) is None

    def offsets(self, value: Value) -> Offsets:
        shape = self.shapes.of(value)
        return shape.offsets if shape is not None else NO_OFFSETS

    def scalar(self, value: Value) -> str:
        """The base of a pattern: lane 0's value (of a late one, as if lane 0 were active)."""
        if isinstance(value, Local):
            shape = self.shapes.shapes[value.name]
            assert shape is not None, f"{value} varies"
            if shape.late:
                return self._late(value.name, lambda: self._late_scalar(value.name), self.known)
            return self._fetch(value.name, value.type)
        return _literal(value)

    def vector(self, value: Value) -> str:
        """The value in all lanes."""
        text = self.type_text(value.type)
        if not isinstance(value, Local):
            literal = _literal(value)
            if literal in ("poison", "undef", "zeroinitializer"):
                return literal
            if isinstance(value, Constant):
                return "zeroinitializer" if literal == "null" else f"splat ({text} {literal})"
            return self.splat(text, literal)
        shape = self.shapes.shapes[value.name]
        if shape is None:
            return self._fetch(value.name, value.type)
        if shape.late:
            return self._late(value.name, lambda: self._late_vector(value.name), self.vectors)
        if value.name not in self.vectors:
            result = self.splat(text, self.scalar(value))
            if not shape.uniform:
                result = self.offset(text, result, shape.offsets)
            self.vectors[value.name] = result
        return self.vectors[value.name]

    def splat(self, type_: str, scalar: str) -> str:
        one = self.let(f"insertelement {wide(type_)} poison, {type_} {scalar}, i64 0")
        return self.let(
            f"shufflevector {wide(type_)} {one}, {wide(type_)} poison, "
            f"<{LANES} x i32> zeroinitializer"
        )

    def offset(self, type_: str, vector: str, offsets: Offsets) -> str:
        if type_ == "ptr":
            steps = numbers("i64", offsets)
            return self.let(f"getelementptr i8, {wide('ptr')} {vector}, {wide('i64')} {steps}")
        bits = int(type_[1:])
        steps = numbers(type_, [_wrap(o, bits) for o in offsets])
        return self.let(f"add {wide(type_)} {vector}, {steps}")

    def as_integers(self, type_: str, vector: str) -> tuple[str, str]:
        """A vector of bfloat as one of i16, which LLVM does not take apart; others as they are."""
        integers = as_integers(type_)
        if integers == type_:
            return type_, vector
        return integers, self.let(f"bitcast {type_} {vector} to {integers}")

    def as_type(self, type_: str, vector: str) -> str:
        """Back from `as_integers`."""
        integers = as_integers(type_)
        if integers == type_:
            return vector
        return self.let(f"bitcast {integers} {vector} to {type_}")

    def keep(self, type_: str, value: str, slot: str) -> None:
        """Store a value in a stack slot."""
        type_, value = self.as_integers(type_, value)
        self.do(f"store {type_} {value}, ptr {slot}")

    def take(self, type_: str, slot: str) -> str:
        """Load a value from a stack slot."""
        return self.as_type(type_, self.let(f"load {as_integers(type_)}, ptr {slot}"))

    def define(self, i: Instruction, text: str) -> None:
        """`text` is the result of `i`: a scalar for a pattern, else a vector."""
        if i.name in self.homes:
            self.keep(self.stored_type(i.name, i.type), text, self.slot(i.name))
            return
        self.known[i.name] = text
        if i.name in self.crossing:
            self.keep(self.stored_type(i.name, i.type), text, self.slot(i.name))

    def slot(self, name: str, kind: str = "") -> str:
        """The stack slot of a value, or of a phi on its way (`kind` "phi")."""
        key = self.homes[name] if name in self.homes else name + kind
        if key not in self._slots:
            type_ = self.definitions[name].type
            stored = self.stored_type(name, type_)
            self._slots[key] = self.stack(as_integers(stored))
        return self._slots[key]

    def shares_slot(self, matrix: str, slot: str) -> bool:
        """Whether a matrix lies there."""
        return matrix in self.homes and self.slot(matrix) == slot

    def _fetch(self, name: str, type_: Type) -> str:
        if name not in self.definitions:  # a parameter
            return self.parameter(name)
        if name in self.homes:
            return self.take(self.stored_type(name, type_), self.slot(name))
        if name not in self.known:
            self.known[name] = self.take(self.stored_type(name, type_), self.slot(name))
        return self.known[name]

    def parameter(self, name: str) -> str:
        return f"%p.{name}"

    # Late values (see shapes.py): made where they are used

    def _late(self, name: str, make, memory: dict[str, str]) -> str:  # type: ignore[no-untyped-def]
        if name not in memory:
            memory[name] = make()
        return memory[name]

    def _late_scalar(self, name: str) -> str:
        i = self.definitions[name]
        if i.opcode in ("zext", "sext"):
            return self.extended(i)
        return self.scalar_of(i)

    def _late_vector(self, name: str) -> str:
        return self.vector_of(self.definitions[name])

    def extended(self, i: Instruction) -> str:
        """The base of an extended pattern, computed for the first active lane."""
        source = i.operands[0]
        narrow, target = source.type.text, i.type.text
        base = self.scalar(source)
        shape = self.shapes.of(source)
        assert shape is not None
        if self.mask is None or shape.uniform or (shape.total and not shape.late):
            return self.let(f"{i.opcode} {narrow} {base} to {target}")
        lane = self.first_lane()
        table = numbers("i64", shape.offsets)
        step = self.let(f"extractelement {wide('i64')} {table}, i32 {lane}")
        short = self.let(f"trunc i64 {step} to {narrow}") if narrow != "i64" else step
        own = self.let(f"add {narrow} {base}, {short}")
        long = self.let(f"{i.opcode} {narrow} {own} to {target}")
        if target != "i64":
            step = self.let(f"trunc i64 {step} to {target}")
        return self.let(f"sub {target} {long}, {step}")

    # Instructions that are the same on scalars and vectors

    def scalar_of(self, i: Instruction) -> str:
        """The instruction on the bases of its operands."""
        if i.opcode == "getelementptr":
            return self.address_of(i)
        uniform = self.shapes.shapes[i.name] is not None and self.offsets(i.result) == NO_OFFSETS
        return self._plain(i, [self.scalar(o) for o in i.operands], lambda t: t, uniform)

    def vector_of(self, i: Instruction) -> str:
        """The instruction on the vectors of its operands."""
        if i.opcode == "getelementptr":
            return self.addresses_of(i)
        return self._plain(i, [self.vector(o) for o in i.operands], wide, True)

    def _plain(self, i: Instruction, o: list[str], form, keep_flags: bool) -> str:  # type: ignore[no-untyped-def]
        # Flags promise something of each lane's value, not of a pattern's base.
        opcode, flags = i.opcode, " ".join(i.flags) if keep_flags else ""
        if opcode == "or" and "disjoint" in i.flags and not keep_flags:
            opcode = "add"
        head = f"{opcode} {flags}".rstrip()
        types = [form(self.type_text(x.type)) for x in i.operands]
        if opcode in ("icmp", "fcmp"):
            return self.let(f"{head} {i.predicate} {types[0]} {o[0]}, {o[1]}")
        if opcode == "select":
            return self.let(
                f"{head} {', '.join(f'{t} {v}' for t, v in zip(types, o, strict=True))}"
            )
        if opcode in ("fneg", "freeze"):
            return self.let(f"{head} {types[0]} {o[0]}")
        if len(o) == 2:
            return self.let(f"{head} {types[0]} {o[0]}, {o[1]}")
        result = form(self.type_text(i.type))
        if types[0] == result:  # a cast between address spaces
            return self.let(f"freeze {result} {o[0]}")
        return self.let(f"{head} {types[0]} {o[0]} to {result}")

    def address_of(self, i: Instruction) -> str:
        """The base of a getelementptr's pattern."""
        terms = self.shapes.terms[i.name]
        scale = self.shapes.private.scale(i.name)
        address = self.scalar(i.operands[0])
        for value, step in terms.scaled:
            index = self.scalar(value)
            address = self.let(
                f"getelementptr [{step * scale} x i8], ptr {address}, {value.type} {index}"
            )
        if terms.bytes or not terms.scaled:
            address = self.let(f"getelementptr i8, ptr {address}, i64 {terms.bytes * scale}")
        return address

    def addresses_of(self, i: Instruction) -> str:
        """A getelementptr's address in each lane: uniform terms first, as scalars."""
        terms = self.shapes.terms[i.name]
        scale = self.shapes.private.scale(i.name)
        base = i.operands[0]
        address, type_ = (
            (self.vector(base), wide("ptr"))
            if self.varies(base) or self.offsets(base) != NO_OFFSETS
            else (self.scalar(base), "ptr")
        )
        if terms.bytes:
            address = self.let(f"getelementptr i8, {type_} {address}, i64 {terms.bytes * scale}")
        uniform = [t for t in terms.scaled if self.shapes.uniform(t[0])]
        for value, step in uniform:
            address = self.let(
                f"getelementptr [{step * scale} x i8], {type_} {address}, "
                f"{value.type} {self.scalar(value)}"
            )
        for value, step in terms.scaled:
            if (value, step) in uniform:
                continue
            address = self.let(
                f"getelementptr [{step * scale} x i8], {type_} {address}, "
                f"{wide(value.type.text)} {self.vector(value)}"
            )
            type_ = wide("ptr")
        return address if type_ == wide("ptr") else self.splat("ptr", address)


def _literal(value: Value) -> str:
    return value.text


def _wrap(number: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (number + half) % (2 * half) - half


def _crossing(function: Function, shapes: Shapes) -> set[str]:
    """Values that are used in another block than their own, or may be by way of late ones."""
    home = {i.name: b.name for b in function.blocks for i in b.instructions if i.name}
    found = set()
    for block in function.blocks:
        for i in block.instructions:
            for k, operand in enumerate(i.operands):
                if isinstance(operand, Local) and operand.name in home:
                    shape = shapes.shapes.get(i.name)
                    if shape is not None and shape.late:
                        found.add(operand.name)
                    place = i.labels[k] if i.opcode == "phi" else block.name
                    if home[operand.name] != place:
                        found.add(operand.name)
    return found
