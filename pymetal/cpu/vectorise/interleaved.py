"""Neighbouring elements of every lane: a `float4` each, or `x[4 * i]` to `x[4 * i + 3]`.

Lane by lane each element would be an access of its own. Here each lane's two or four are one
access, and 4 x 4 elements change rows for columns in registers. All lanes are active.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import I32
from pymetal.air.ir.values import Local, Value, as_integer
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import streaming
from pymetal.cpu.vectorise.effects import may_read, may_write
from pymetal.cpu.vectorise.emitter import Emitter, indices

_SIZE = 4  # bytes of an element; of others LLVM makes long code
_TYPES = ("float", "i32")
# The lower and the upper two elements of four of one vector and another in turns, in both halves.
_LOW, _HIGH = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]


def load(e: Emitter, i: Instruction) -> bool:
    """Load the element of `i` in all lanes, and with it its neighbours that later loads of the
    block want; False if there are none."""
    group = _group(e, i, may_write) if i.type.text in _TYPES else {}
    if not group:
        return False
    type_ = i.type.text
    rows = [
        e.let(f"load <{len(group)} x {type_}>, ptr {address}, align {_SIZE}")
        for address in _addresses(e, i, min(group))
    ]
    columns = (_columns4 if len(group) == 4 else _columns2)(e, type_, rows)
    for offset, column in zip(sorted(group), columns, strict=True):
        for one in group[offset]:
            e.define(one, column)
            if one is not i:
                e.done.add(one.name)
    return True


def store(e: Emitter, i: Instruction) -> bool:
    """Store the elements of `i`; False if it is alone. Neighbours wait for the last of them."""
    if i in e.waiting:
        group = e.waiting.pop(i)
        if group:
            _store(e, group)
        return True
    value = i.operands[0]
    found = _group(e, i, _touches_memory) if value.type.text in _TYPES else {}
    if not found or any(len(ones) > 1 for ones in found.values()):
        return False
    group = [found[offset][0] for offset in sorted(found)]
    *_, last = (one for one in e.from_here(i) if one in group)
    e.waiting |= {one: [] for one in group if one is not i} | {last: group}
    return True


def _store(e: Emitter, group: list[Instruction]) -> None:
    """Neighbours, in the order of their addresses."""
    type_, count = group[0].operands[0].type.text, len(group)
    columns = [e.vector(one.operands[0]) for one in group]
    if count == 4 and _lie_together(e, group[0].operands[-1], 4 * _SIZE):
        _store_together(e, type_, columns, group[0])
        return
    rows: list[str] = []
    for first in range(0, LANES, 8):
        eight = range(first, first + 8)
        parts = [_shuffle(e, type_, LANES, c, "poison", eight) for c in columns]
        if count == 4:
            both = _transposed(e, type_, parts)
        else:
            both = [_shuffle(e, type_, 8, parts[0], parts[1], p) for p in (_LOW, _HIGH)]
        # Each of `both` holds rows of the lower four lanes in one half, of the upper in the other.
        for half in (0, 4):
            rows += [
                _shuffle(e, type_, 8, b, "poison", range(half + at, half + at + count))
                for b in both
                for at in range(0, 4, count)
            ]
    for row, address in zip(rows, _addresses(e, group[0], 0), strict=True):
        e.do(f"store <{count} x {type_}> {row}, ptr {address}, align {_SIZE}")


def _lie_together(e: Emitter, pointer: Value, size: int) -> bool:
    """Whether each lane's `size` bytes lie right behind those of the lane before."""
    shape = e.shapes.of(pointer)
    return shape is not None and shape.offsets[1] - shape.offsets[0] == size


def _store_together(e: Emitter, type_: str, columns: list[str], first: Instruction) -> None:
    """Four elements a lane, without gaps: vectors of two lanes' each."""
    places = _addresses(e, first, 0)[::2]
    parts: list[tuple[str, str]] = []
    for start in range(0, LANES, 8):
        eight = range(start, start + 8)
        of_eight = [_shuffle(e, type_, LANES, c, "poison", eight) for c in columns]
        four = _transposed(e, type_, of_eight)
        for half in (0, 4):
            picked = [*range(half, half + 4), *range(8 + half, 12 + half)]
            for a, b in (four[:2], four[2:]):
                both = _shuffle(e, type_, 8, a, b, picked)
                parts.append((f"<8 x {type_}> {both}", places[len(parts)]))
    streaming.store(e, first.operands[-1], parts, 4 * _SIZE * LANES, _SIZE)


def _touches_memory(i: Instruction) -> bool:
    return may_read(i) or may_write(i)


def _group(
    e: Emitter, i: Instruction, ends: Callable[[Instruction], bool]
) -> dict[int, list[Instruction]]:
    """Two or four accesses that are neighbours of `i`, by their distance in bytes from it."""
    shape = e.shapes.of(i.operands[-1])
    assert shape is not None
    step = shape.offsets[1] - shape.offsets[0]
    if shape.offsets != tuple(step * lane for lane in range(LANES)) or step < 2 * _SIZE:
        return {}
    found: dict[int, list[Instruction]] = {}
    root, start = _origin(e, i.operands[-1])
    for other in e.from_here(i):
        if other.name in e.done:
            continue
        same = other.opcode == i.opcode and _plain(other) and other.type == i.type
        if same and (i.opcode == "load" or other.operands[0].type == i.operands[0].type):
            other_root, at = _origin(e, other.operands[-1])
            place = e.shapes.of(other.operands[-1])
            if other_root == root and place is not None and place.offsets == shape.offsets:
                found.setdefault(at - start, []).append(other)
                continue
        if ends(other):
            break
    first = 0
    while first - _SIZE in found:
        first -= _SIZE
    last = 0
    while last + _SIZE in found:
        last += _SIZE
    run = list(range(first, last + _SIZE, _SIZE))
    for count in (4, 2):
        begin = run.index(0) // count * count
        if begin + count <= len(run) and count * _SIZE <= step:
            return {offset: found[offset] for offset in run[begin : begin + count]}
    return {}


def _plain(i: Instruction) -> bool:
    return "volatile" not in i.flags and not i.ordering


# A pointer, and the indices that are added to it: how each is extended, what, times what.
Origin = tuple[Value, list[tuple[str, Value, int]]]


def _origin(e: Emitter, pointer: Value) -> tuple[Origin, int]:
    """What an address is made of, and the constant number of bytes in it."""
    total = 0
    indices: list[tuple[str, Value, int]] = []
    while isinstance(pointer, Local) and pointer.name in e.shapes.terms:
        terms = e.shapes.terms[pointer.name]
        if e.shapes.private.scale(pointer.name) != 1:
            break
        total += terms.bytes
        for value, step in terms.scaled:
            extension, index, number = _index(e, value)
            total += number * step
            indices.append((extension, index, step))
        pointer = e.definitions[pointer.name].operands[0]
    return (pointer, sorted(indices, key=str)), total


def _index(e: Emitter, value: Value) -> tuple[str, Value, int]:
    """How an index is extended to 64 bits, which, and the number that is added to it before."""
    i = _made_by(e, value)
    extension = ""
    # Of 32 bits, one that wraps around is 4 Gi elements from its neighbour: not both are there.
    if i is not None and i.opcode in ("zext", "sext") and i.operands[0].type is I32:
        extension, value = i.opcode, i.operands[0]
        i = _made_by(e, value)
    total = 0
    while i is not None and (i.opcode == "add" or (i.opcode == "or" and "disjoint" in i.flags)):
        number = as_integer(i.operands[1])
        if number is None:
            break
        total += number
        value = i.operands[0]
        i = _made_by(e, value)
    return extension, value, total


def _made_by(e: Emitter, value: Value) -> Instruction | None:
    return e.definitions.get(value.name) if isinstance(value, Local) else None


def _addresses(e: Emitter, i: Instruction, distance: int) -> list[str]:
    """In each lane, `distance` bytes from where `i` is."""
    pointer = i.operands[-1]
    shape = e.shapes.of(pointer)
    assert shape is not None
    base = e.scalar(pointer)
    return [e.let(f"getelementptr i8, ptr {base}, i64 {o + distance}") for o in shape.offsets]


def _columns4(e: Emitter, type_: str, rows: list[str]) -> list[str]:
    """32 rows of 4 -> 4 vectors of 32. Eight lanes at a time: each half of a register holds four,
    so that nothing crosses the halves."""
    parts: list[list[str]] = [[], [], [], []]
    for first in range(0, LANES, 8):
        r = [
            _shuffle(e, type_, 4, rows[first + k], rows[first + 4 + k], range(8)) for k in range(4)
        ]
        for k, column in enumerate(_transposed(e, type_, r)):
            parts[k].append(column)
    return [_joined(e, type_, part) for part in parts]


def _transposed(e: Emitter, type_: str, r: list[str]) -> list[str]:
    """Rows and columns of 4 x 4 elements exchanged, in both halves of four vectors of 8."""
    first, second = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
    a, b, c, d = (
        _shuffle(e, type_, 8, r[k], r[k + 1], picked) for picked in (_LOW, _HIGH) for k in (0, 2)
    )
    return [
        _shuffle(e, type_, 8, *pair, picked)
        for pair in ((a, b), (c, d))
        for picked in (first, second)
    ]


def _columns2(e: Emitter, type_: str, rows: list[str]) -> list[str]:
    """32 rows of 2 -> 2 vectors of 32."""
    parts: list[list[str]] = [[], []]
    for first in range(0, LANES, 8):
        a, b = (
            _pairs(e, type_, [rows[first + k] for k in lanes])
            for lanes in ((0, 1, 4, 5), (2, 3, 6, 7))
        )
        for k, picked in enumerate(([0, 2, 8, 10, 4, 6, 12, 14], [1, 3, 9, 11, 5, 7, 13, 15])):
            parts[k].append(_shuffle(e, type_, 8, a, b, picked))
    return [_joined(e, type_, part) for part in parts]


def _pairs(e: Emitter, type_: str, rows: list[str]) -> str:
    """Four rows of 2 one after another."""
    a, b = (_shuffle(e, type_, 2, rows[k], rows[k + 1], range(4)) for k in (0, 2))
    return _shuffle(e, type_, 4, a, b, range(8))


def _joined(e: Emitter, type_: str, parts: list[str]) -> str:
    """Four vectors of 8 as one of 32."""
    a, b = (_shuffle(e, type_, 8, parts[k], parts[k + 1], range(16)) for k in (0, 2))
    return _shuffle(e, type_, 16, a, b, range(LANES))


def _shuffle(e: Emitter, type_: str, count: int, a: str, b: str, picked: Iterable[int]) -> str:
    vector = f"<{count} x {type_}>"
    return e.let(f"shufflevector {vector} {a}, {vector} {b}, {indices(list(picked))}")
