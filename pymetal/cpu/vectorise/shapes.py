"""What a value looks like over the 32 lanes: the same everywhere, a fixed pattern, or anything.

A *pattern* is `base + offset[lane]`: a base that all lanes share and offsets known when compiling.
All offsets zero is uniform; 0, 1, 2… is a thread's position in a row; 0…15, 0…15 its x in a
threadgroup 16 wide. Uniform and patterned values are computed once, as scalars (their base, which
is lane 0's value); an address with a pattern is a vector load or store. Everything else varies and
is a vector.

The analysis is optimistic: everything starts unknown and becomes less regular until nothing
changes. Which branches diverge decides which blocks only some lanes run, and that in turn which
phis can stay regular, so both are found together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pymetal.air.ir import Function, Instruction
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import IntegerType
from pymetal.air.ir.values import Constant, Local, Value, as_integer
from pymetal.cpu.intrinsics import CrossLane, Mathematics, Matrix, Position, meaning
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise.addresses import Terms, gep_terms
from pymetal.cpu.vectorise.bounds import BOUNDLESS, least_above
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.leaves import FROM_LANES, LANE_PART
from pymetal.cpu.vectorise.private import PrivateArrays
from pymetal.cpu.vectorise.regions import Regions

Offsets = tuple[int, ...]
NO_OFFSETS: Offsets = (0,) * LANES
ANY = 1 << 64  # the multiple that 0 is


@dataclass(frozen=True)
class Shape:
    """A pattern. What is no pattern, and varies, has no Shape but None.

    multiple  the base is a multiple of this power of two
    below     what every lane's number is less than, as an unsigned one
    unsigned, signed
              no wrap-around between lanes when the bits are read that way: extending the value
              keeps the pattern
    total     … for all lanes, not only those that are active where the value is made
    late      made anew at each use from its operands, for the lanes that are active there: an
              extension that could wrap for the others (see `Emitter.scalar`)
    """

    offsets: Offsets = NO_OFFSETS
    multiple: int = 1
    unsigned: bool = True
    signed: bool = True
    total: bool = True
    late: bool = False
    below: int = BOUNDLESS

    @property
    def uniform(self) -> bool:
        return self.offsets == NO_OFFSETS

    def disjoint(self, bits: int) -> bool:
        """Whether base and offsets, of numbers of so many bits, share none."""
        return min(self.offsets) >= 0 and max(self.offsets) < min(self.multiple, 1 << bits)


UNIFORM = Shape()
_FARTHEST = 1 << 28  # elements between lanes whose index may wrap: less than to any buffer's end


def reduced(shape: Shape, bits: int) -> Shape:
    """A shape with the offsets that numbers of so many bits have."""
    low, high, half, whole = min(shape.offsets), max(shape.offsets), 1 << bits - 1, 1 << bits
    if (low >= 0 and high < whole) or (low >= -half and high < half):
        return shape
    if shape.multiple >= whole:  # there is no base but 0
        offsets = tuple(o % whole for o in shape.offsets)
        return replace(shape, offsets=offsets, unsigned=True, signed=max(offsets) < half)
    offsets = tuple((o + half) % whole - half for o in shape.offsets)
    return replace(shape, offsets=offsets, unsigned=False, signed=False)


def bounded(shape: Shape, below: int, bits: int) -> Shape:
    """A shape of numbers that would be less than `below`, if their bits were enough."""
    if below > 1 << bits:
        return shape
    signed = shape.signed or below <= 1 << bits - 1
    return replace(shape, below=below, unsigned=True, signed=signed)


class Shapes:
    """The shapes of a function's values, and the regions that follow from them."""

    def __init__(
        self,
        function: Function,
        graph: Graph,
        layout: Layout,
        parameters: dict[str, Shape | None],
        private: PrivateArrays,
        matrices: set[str],
    ) -> None:
        self.function = function
        self.graph = graph
        self.private = private
        self.matrices = matrices
        self.shapes: dict[str, Shape | None] = dict(parameters)
        self.block_of = {i.name: b.name for b in function.blocks for i in b.instructions if i.name}
        self.terms: dict[str, Terms] = {
            i.name: gep_terms(i, layout)
            for i in function.instructions
            if i.opcode == "getelementptr"
        }
        self.regions = Regions(graph, set())
        self._solve()

    def of(self, value: Value) -> Shape | None:
        """The shape of an operand."""
        if isinstance(value, Local):
            return self.shapes[value.name]
        number = as_integer(value)
        if number is None:
            return UNIFORM
        below = number + 1 if number >= 0 else BOUNDLESS
        return replace(UNIFORM, multiple=number & -number or ANY, below=below)

    def uniform(self, value: Value) -> bool:
        shape = self.of(value)
        return shape is not None and shape.uniform

    def accesses(self) -> int:
        """How many loads and stores there are at addresses without a pattern."""
        return sum(
            i.opcode in ("load", "store") and self.of(i.operands[-1]) is None
            for i in self.function.instructions
        )

    def _known(self, value: Value) -> bool:
        return not isinstance(value, Local) or value.name in self.shapes

    def _solve(self) -> None:
        blocks = [(b.name, b.instructions) for b in self.function.blocks]
        divergent: set[str] = set()
        changed = True
        while changed:
            changed = False
            for name, instructions in blocks:
                for i in instructions:
                    if not i.name:
                        continue
                    old = self.shapes.get(i.name, UNIFORM)
                    if old is None:
                        continue
                    if i.opcode != "phi" and not all(map(self._known, i.operands)):
                        continue
                    new = self._phi(name, i) if i.opcode == "phi" else self._transfer(i)
                    if i.name in self.shapes and new is not None and new.offsets != old.offsets:
                        new = None  # an offset that moves from round to round is no pattern
                    if i.name not in self.shapes or new != old:
                        self.shapes[i.name] = new
                        changed = True
                terminator = instructions[-1]
                if name not in divergent and len(terminator.successors) > 1:
                    condition = terminator.operands[0]
                    if self._known(condition) and not self.uniform(condition):
                        divergent.add(name)
                        changed = True
            if divergent != self.regions.divergent:
                self.regions = Regions(self.graph, set(divergent))

    # Phis

    def _phi(self, block: str, i: Instruction) -> Shape | None:
        known = [v for v in i.operands if self._known(v)]
        if not known:
            return self.shapes.get(i.name, UNIFORM)
        shapes = [self.of(v) for v in known if not _is_poison(v)]
        shape = _either(shapes or [UNIFORM])
        return shape if self._together(block, i) else None

    def _together(self, block: str, i: Instruction) -> bool:
        """Whether all lanes that come to a phi at one time come by the same edge, or it does not
        matter which."""
        region = self.regions.region_of[block]
        values = {v for v in i.operands if not _is_poison(v)}
        if len(values) == 1:
            (value,) = values
            if not isinstance(value, Local) or value.name not in self.block_of:
                return True
            home = self.regions.region_of[self.block_of[value.name]]
            around = region
            while around is not home and around.node is not None:
                around = around.node.component.parent
            # Main in a region around this one: it had one value when the lanes parted.
            if around is home and (home is not region or region.exit is not None):
                return True
        sources = list(dict.fromkeys(i.labels))
        body = self.graph.loops.get(block)
        node = region.node
        if body is not None and node is not None and body <= node.component.blocks:
            # A loop that its lanes enter together, and go around together until they leave.
            outside = [s for s in sources if s not in body]
            if block == region.entry and len(outside) == 1 and len(sources) == 2:
                return True
        main = set(region.main) if region.exit is not None else set()
        outside = [s for s in sources if s not in main]
        if block == region.entry:
            return len(outside) <= 1 and self._one_edge(outside, block)
        return not outside

    def _one_edge(self, sources: list[str], block: str) -> bool:
        """Lanes from one block, which has them all at once."""
        for source in sources:
            loop = [b for h, b in self.graph.loops.items() if source in b and block not in b]
            if loop:
                return False  # they leave a loop, perhaps one by one
        return True

    # Everything else

    def _transfer(self, i: Instruction) -> Shape | None:
        operands = [self.of(o) for o in i.operands]
        opcode = i.opcode
        if i.name in self.matrices:
            return None
        if opcode == "alloca":
            step = self.private.lane_stride(i.name)
            return Shape(tuple(step * k for k in range(LANES)))
        if opcode == "call":
            return self._call(i, operands)
        if opcode in ("atomicrmw", "cmpxchg"):
            return None
        if opcode == "extractvalue" and i.operands[0].type.text.startswith("{"):
            return None
        if opcode == "load":
            pointer = operands[0]
            return UNIFORM if pointer is not None and pointer.uniform else None
        if opcode == "getelementptr":
            return self._address(i, operands)
        if opcode in _PATTERNS and isinstance(i.type, IntegerType):
            shape = self._arithmetic(i, operands)
            if shape is None or shape.late:
                return shape
            return bounded(reduced(shape, i.type.bits), self._least_above(i), i.type.bits)
        if opcode == "freeze" or (opcode == "select" and self.uniform(i.operands[0])):
            return _either(operands[-1:] if opcode == "freeze" else operands[1:])
        if all(s is not None and s.uniform for s in operands):
            return UNIFORM
        return None

    def _address(self, i: Instruction, operands: list[Shape | None]) -> Shape | None:
        terms = self.terms[i.name]
        scale = self.private.scale(i.name)
        base = operands[0]
        if base is None:
            return None
        offsets, late = base.offsets, base.late
        for value, step in terms.scaled:
            shape = self.of(value)
            if shape is None:
                return None
            late = late or shape.late
            offsets = _add(offsets, shape.offsets, step * scale)
        return Shape(offsets, late=late)

    def _least_above(self, i: Instruction) -> int:
        left, right = (self.of(o) for o in (i.operands[0], i.operands[-1]))
        assert left is not None
        assert right is not None
        return least_above(i.opcode, i.operands[0].type, left.below, right.below)

    def _arithmetic(self, i: Instruction, operands: list[Shape | None]) -> Shape | None:
        left, right = operands[0], operands[-1]
        if left is None or right is None:
            return None
        assert isinstance(i.type, IntegerType)
        opcode = i.opcode
        late = left.late or right.late
        unsigned, signed = "nuw" in i.flags, "nsw" in i.flags
        if opcode == "or" and "disjoint" in i.flags:
            opcode = "add"
            # A sum of disjoint bits carries nothing.
            unsigned, signed = True, left.signed and right.signed
        if opcode in ("add", "sub"):
            sign = 1 if opcode == "add" else -1
            offsets = _add(left.offsets, right.offsets, sign)
            if offsets == NO_OFFSETS and (not left.uniform or late):
                return None if late else Shape(multiple=1)
            multiple = min(left.multiple, right.multiple)
            if left.uniform and right.uniform:
                return Shape(multiple=multiple)
            if sign < 0:
                unsigned = unsigned and right.uniform
            return Shape(
                offsets,
                multiple,
                unsigned and left.unsigned and right.unsigned,
                signed and left.signed and right.signed,
                False,
                late,
            )
        if opcode in ("zext", "sext"):
            return self._extend(i, left)
        if opcode == "trunc":
            if left.late:
                return None
            # The base's lower bits stay zero, so that lanes' numbers fit between its multiples.
            keeps = self._disjoint(i, left) and max(left.offsets) < 1 << i.type.bits - 1
            return replace(left, unsigned=keeps or left.uniform, signed=keeps or left.uniform)
        if left.uniform and right.uniform and not late:
            number = as_integer(i.operands[1])
            multiple = 1
            if opcode == "mul":
                multiple = min(left.multiple * right.multiple, ANY)
            elif opcode == "shl" and number is not None:
                multiple = min(left.multiple << number, ANY)
            elif opcode == "and":
                multiple = max(left.multiple, right.multiple)
            return Shape(multiple=multiple)
        return self._by_constant(i, opcode, left, right, unsigned, signed)

    def _by_constant(
        self, i: Instruction, opcode: str, left: Shape, right: Shape, unsigned: bool, signed: bool
    ) -> Shape | None:
        """A pattern and a number known now."""
        number = as_integer(i.operands[1])
        if number is None:
            return None
        assert isinstance(i.type, IntegerType)
        bits = i.type.bits
        if opcode in ("mul", "shl"):
            factor = number if opcode == "mul" else 1 << (number % bits)
            return Shape(
                tuple(o * factor for o in left.offsets),
                min(left.multiple * (factor & -factor or 1), ANY),
                unsigned and left.unsigned and factor > 0,
                signed and left.signed,
                False,
                left.late,
            )
        if left.late or not self._disjoint(i, left):
            return None
        number %= 1 << bits
        low = number % (1 << max(left.offsets).bit_length())
        multiple, start = 1, 0
        if opcode == "and":
            numbers = [o & number for o in left.offsets]
            multiple = max(left.multiple, number & -number)
        elif opcode == "or":
            numbers, start = [o | low for o in left.offsets], low
        elif opcode == "xor":
            numbers, start = [o ^ low for o in left.offsets], low
        elif opcode == "lshr" and left.multiple >= 1 << number:
            numbers = [o >> number for o in left.offsets]
            multiple = max(left.multiple >> number, 1)
        elif opcode in ("udiv", "urem") and number and left.multiple == ANY:
            which = 0 if opcode == "udiv" else 1
            numbers, multiple = [divmod(o, number)[which] for o in left.offsets], ANY
        else:
            return None
        # Below the base's bits, so that nothing wraps; but the highest bit may be among them.
        signed = max(numbers) < 1 << bits - 1
        return Shape(tuple(n - start for n in numbers), multiple, signed=signed)

    def _disjoint(self, i: Instruction, shape: Shape) -> bool:
        type_ = i.operands[0].type
        return isinstance(type_, IntegerType) and shape.disjoint(type_.bits)

    def _extend(self, i: Instruction, source: Shape) -> Shape | None:
        keeps = source.unsigned if i.opcode == "zext" else source.signed
        if source.uniform:
            return Shape(multiple=source.multiple)
        if not isinstance(i.operands[0].type, IntegerType) or i.operands[0].type.bits == 1:
            return None
        if keeps and not source.late:
            return Shape(source.offsets, source.multiple, total=source.total)
        if i.operands[0].type.bits < 32 or max(source.offsets) - min(source.offsets) >= _FARTHEST:
            return None  # lanes may be on both sides of a wrap, and all within a buffer
        return Shape(source.offsets, 1, total=False, late=True)

    def _call(self, i: Instruction, operands: list[Shape | None]) -> Shape | None:
        if i.callee in (FROM_LANES, LANE_PART):
            return None
        what = meaning(i.callee)
        if isinstance(what, Position):
            number = [
                k % 4 if what.field == "thread_index_in_quadgroup" else k // 4 for k in range(LANES)
            ]
            return Shape(tuple(number), ANY if number[-1] == 3 else 8)
        if isinstance(what, Matrix):
            return None
        if isinstance(what, CrossLane):
            return UNIFORM if _is_shared(what, operands) else None
        if isinstance(what, Mathematics) or i.callee.startswith("llvm."):
            return UNIFORM if all(s is not None and s.uniform for s in operands) else None
        return None


_BITS = frozenset(["shl", "lshr", "and", "or", "xor"])
_PATTERNS = _BITS | {"add", "sub", "mul", "udiv", "urem", "zext", "sext", "trunc"}
_SHARED = frozenset(
    ["sum", "product", "min", "max", "bit_and", "bit_or", "bit_xor", "all", "any", "ballot"]
)


def _is_shared(what: CrossLane, operands: list[Shape | None]) -> bool:
    """Whether every active lane gets the same."""
    if what.width != LANES:
        return False
    if what.operation in _SHARED or what.operation == "broadcast_first":
        return True
    lane = operands[-1] if operands else None
    return what.operation == "shuffle" and lane is not None and lane.uniform


def _add(a: Offsets, b: Offsets, factor: int) -> Offsets:
    if b == NO_OFFSETS:
        return a
    return tuple(x + factor * y for x, y in zip(a, b, strict=True))


def _either(shapes: list[Shape | None]) -> Shape | None:
    """What a value has in common that is one of several."""
    first = shapes[0]
    if first is None or first.late:
        return None
    common = first
    for shape in shapes[1:]:
        if shape is None or shape.late or shape.offsets != first.offsets:
            return None
        common = Shape(
            first.offsets,
            min(common.multiple, shape.multiple),
            common.unsigned and shape.unsigned,
            common.signed and shape.signed,
            common.total and shape.total,
        )
    return common


def _is_poison(value: Value) -> bool:
    return isinstance(value, Constant) and value.literal in ("poison", "undef")
