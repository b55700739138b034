"""Neighbouring elements of every lane: a `half4` each, or `x[4 * i]` to `x[4 * i + 3]`.

Lane by lane each element would be an access of its own. Here each lane's one, two or four words of
32 bits are one access, and change rows for columns in registers (rows.py). All lanes are active.
"""

from __future__ import annotations

from collections.abc import Callable

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import I32, Type
from pymetal.air.ir.values import Local, Value, as_integer
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import rows, streaming
from pymetal.cpu.vectorise.effects import may_read, may_write
from pymetal.cpu.vectorise.emitter import Emitter
from pymetal.cpu.vectorise.rows import WORD

# Bytes of the elements that words are made of
_SIZES = {"float": 4, "i32": 4, "half": 2, "bfloat": 2, "i16": 2, "i8": 1}


def load(e: Emitter, i: Instruction) -> bool:
    """Load the element of `i` in all lanes, and with it its neighbours that later loads of the
    block want; False if there are none."""
    group = _group(e, i, i.type, may_write)
    if not group:
        return False
    type_ = i.type.text
    per_word = WORD // _SIZES[type_]
    columns = _load_words(e, i, min(group), len(group) // per_word)
    if per_word > 1:
        columns = [c for word in columns for c in rows.elements_of(e, type_, word, per_word)]
    for offset, column in zip(sorted(group), columns, strict=True):
        for one in group[offset]:
            e.define(one, column)
            if one is not i:
                e.done.add(one.name)
    return True


def _load_words(e: Emitter, i: Instruction, first: int, count: int) -> list[str]:
    """Columns of words. The lowest in memory are `first` bytes from where `i` is."""
    pointer, type_, align = i.operands[-1], _word(i.type), _align(i, i.type)

    def loaded(length: int, every: int) -> list[str]:
        """A vector from the address of each so many lanes."""
        places = _addresses(e, pointer, first, every)
        return [e.let(f"load <{length} x {type_}>, ptr {p}, align {align}") for p in places]

    if count == 1:
        return loaded(LANES, LANES)
    if count == 2 and _lie_together(e, pointer, count):
        return rows.columns_together(e, type_, loaded(8, 4))
    columns = rows.columns_of_fours if count == 4 else rows.columns_of_twos
    return columns(e, type_, loaded(count, 1))


def store(e: Emitter, i: Instruction) -> bool:
    """Store the elements of `i`; False if it is alone. Neighbours wait for the last of them."""
    if i in e.waiting:
        group = e.waiting.pop(i)
        if group:
            _store(e, group)
        return True
    found = _group(e, i, i.operands[0].type, _touches_memory)
    if not found or any(len(ones) > 1 for ones in found.values()):
        return False
    group = [found[offset][0] for offset in sorted(found)]
    *_, last = (one for one in e.from_here(i) if one in group)
    e.waiting |= {one: [] for one in group if one is not i} | {last: group}
    return True


def _store(e: Emitter, group: list[Instruction]) -> None:
    """Neighbours, in the order of their addresses."""
    lowest = group[0]
    element, pointer = lowest.operands[0].type, lowest.operands[-1]
    type_, align = _word(element), _align(lowest, element)
    columns = [e.vector(one.operands[0]) for one in group]
    per_word = WORD // _SIZES[element.text]
    if per_word > 1:
        columns = [
            rows.words_of(e, element.text, columns[k : k + per_word])
            for k in range(0, len(columns), per_word)
        ]
    count = len(columns)
    if _lie_together(e, pointer, count):
        length = LANES if count == 1 else 8
        vectors = columns if count == 1 else rows.rows_together(e, type_, columns)
        places = _addresses(e, pointer, 0, length // count)
        parts = [(f"<{length} x {type_}> {v}", p) for v, p in zip(vectors, places, strict=True)]
        streaming.store(e, pointer, parts, count * WORD * LANES, align)
        return
    for row, place in zip(
        rows.rows_of(e, type_, columns), _addresses(e, pointer, 0, 1), strict=True
    ):
        e.do(f"store <{count} x {type_}> {row}, ptr {place}, align {align}")


def _lie_together(e: Emitter, pointer: Value, words: int) -> bool:
    """Whether each lane's words lie right behind those of the lane before."""
    shape = e.shapes.of(pointer)
    return shape is not None and shape.offsets[1] - shape.offsets[0] == words * WORD


def _align(i: Instruction, element: Type) -> int:
    """What the address of each neighbour is a multiple of."""
    size = _SIZES[element.text]
    return min(i.align or size, size)


def _word(element: Type) -> str:
    """Of which type its words are."""
    return element.text if _SIZES[element.text] == WORD else "i32"


def _touches_memory(i: Instruction) -> bool:
    return may_read(i) or may_write(i)


def _group(
    e: Emitter, i: Instruction, element: Type, ends: Callable[[Instruction], bool]
) -> dict[int, list[Instruction]]:
    """Accesses that with `i` are one, two or four words, by their distance in bytes from it."""
    shape = e.shapes.of(i.operands[-1])
    assert shape is not None
    size = _SIZES.get(element.text, WORD)
    step = shape.offsets[1] - shape.offsets[0]
    regular = shape.offsets == tuple(step * lane for lane in range(LANES))
    if element.text not in _SIZES or not regular or step < 2 * size:
        return {}
    found: dict[int, list[Instruction]] = {}
    root, start = _origin(e, i.operands[-1])
    for other in e.from_here(i):
        if other.name in e.done:
            continue
        same = other.opcode == i.opcode and _plain(other) and other.type == i.type
        if same and (i.opcode == "load" or other.operands[0].type == element):
            other_root, at = _origin(e, other.operands[-1])
            place = e.shapes.of(other.operands[-1])
            if other_root == root and place is not None and place.offsets == shape.offsets:
                found.setdefault(at - start, []).append(other)
                continue
        if ends(other):
            break
    first = 0
    while first - size in found:
        first -= size
    last = 0
    while last + size in found:
        last += size
    run = list(range(first, last + size, size))
    for words in (4, 2, 1):
        count = words * WORD // size
        begin = run.index(0) // count * count
        fits = begin + count <= len(run) and words * WORD <= step
        # Single words of which each lane has one are vectors; those that lie apart gain little.
        if count > 1 and fits and (words > 1 or step == WORD):
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


def _addresses(e: Emitter, pointer: Value, distance: int, every: int) -> list[str]:
    """In each so many lanes, `distance` bytes from `pointer`."""
    shape = e.shapes.of(pointer)
    assert shape is not None
    base = e.scalar(pointer)
    return [
        e.let(f"getelementptr i8, ptr {base}, i64 {offset + distance}")
        for offset in shape.offsets[::every]
    ]
