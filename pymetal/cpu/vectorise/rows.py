"""Elements of 32 lanes in registers: rows, as each lane's lie in memory, for columns, which are
vectors with an element of each lane; and words of 32 bits for the shorter elements in them.

Eight lanes at a time: each half of a register of 32 bytes holds four, so that little crosses the
halves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise.emitter import Emitter, indices, wide

WORD = 4  # bytes

# The lower and the upper two elements of four of one vector and another in turns, in both halves.
_LOW, _HIGH = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]


def words_of(e: Emitter, type_: str, elements: Sequence[str]) -> str:
    """A word a lane, of its elements of `type_` in the order of their addresses."""
    bits = 8 * WORD // len(elements)
    words = wide("i32")
    result = ""
    for k, element in enumerate(elements):
        word = e.let(f"zext {wide(f'i{bits}')} {_integers(e, type_, bits, element)} to {words}")
        if result:
            upper = e.let(f"shl {words} {word}, splat (i32 {k * bits})")
            word = e.let(f"or {words} {result}, {upper}")
        result = word
    return result


def elements_of(e: Emitter, type_: str, word: str, count: int) -> list[str]:
    """`words_of`, backwards."""
    bits = 8 * WORD // count
    words, narrow = wide("i32"), wide(f"i{bits}")
    result = []
    for k in range(count):
        part = e.let(f"lshr {words} {word}, splat (i32 {k * bits})") if k else word
        part = e.let(f"trunc {words} {part} to {narrow}")
        if type_ != f"i{bits}":
            part = e.let(f"bitcast {narrow} {part} to {wide(type_)}")
        result.append(part)
    return result


def _integers(e: Emitter, type_: str, bits: int, vector: str) -> str:
    if type_ == f"i{bits}":
        return vector
    return e.let(f"bitcast {wide(type_)} {vector} to {wide(f'i{bits}')}")


def columns_of_twos(e: Emitter, type_: str, rows: Sequence[str]) -> list[str]:
    """Every lane's row of two elements -> 2 vectors."""
    fours = [
        _fours(e, type_, [rows[first + k] for k in lanes])
        for first in range(0, LANES, 8)
        for lanes in ((0, 1, 4, 5), (2, 3, 6, 7))
    ]
    places = ([0, 2, 8, 10, 4, 6, 12, 14], [1, 3, 9, 11, 5, 7, 13, 15])
    return _columns(e, type_, fours, places)


def columns_together(e: Emitter, type_: str, vectors: Sequence[str]) -> list[str]:
    """Rows of two elements one behind another, in vectors of 8 -> 2 vectors."""
    return _columns(e, type_, vectors, (range(0, 16, 2), range(1, 16, 2)))


def _columns(
    e: Emitter, type_: str, vectors: Sequence[str], places: Sequence[Iterable[int]]
) -> list[str]:
    """Of each two vectors of 8 what is at `places`, all of them as one vector."""
    pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
    return [
        _joined(e, type_, [_shuffle(e, type_, 8, *pair, picked) for pair in pairs])
        for picked in places
    ]


def _fours(e: Emitter, type_: str, rows: Sequence[str]) -> str:
    """Four rows of 2 one after another."""
    a, b = (_shuffle(e, type_, 2, rows[k], rows[k + 1], range(4)) for k in (0, 2))
    return _shuffle(e, type_, 4, a, b, range(8))


def columns_of_fours(e: Emitter, type_: str, rows: Sequence[str]) -> list[str]:
    """Every lane's row of four elements -> 4 vectors."""
    parts: list[list[str]] = [[], [], [], []]
    for first in range(0, LANES, 8):
        r = [
            _shuffle(e, type_, 4, rows[first + k], rows[first + 4 + k], range(8)) for k in range(4)
        ]
        for k, column in enumerate(_transposed(e, type_, r)):
            parts[k].append(column)
    return [_joined(e, type_, part) for part in parts]


def rows_of(e: Emitter, type_: str, columns: Sequence[str]) -> list[str]:
    """2 or 4 vectors -> a row a lane."""
    count = len(columns)
    rows: list[str] = []
    for parts in _eights(e, type_, columns):
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
    return rows


def rows_together(e: Emitter, type_: str, columns: Sequence[str]) -> list[str]:
    """2 or 4 vectors -> vectors of 8 with the lanes' rows one behind another."""
    result: list[str] = []
    for parts in _eights(e, type_, columns):
        if len(columns) == 4:
            a, b, c, d = _transposed(e, type_, parts)
            pairs = [(a, b), (c, d)]
        else:
            a, b = parts
            pairs = [(_shuffle(e, type_, 8, a, b, _LOW), _shuffle(e, type_, 8, a, b, _HIGH))]
        for half in (0, 4):
            picked = [*range(half, half + 4), *range(8 + half, 12 + half)]
            result += [_shuffle(e, type_, 8, *pair, picked) for pair in pairs]
    return result


def _eights(e: Emitter, type_: str, columns: Sequence[str]) -> list[list[str]]:
    """Of eight lanes at a time, their part of each column."""
    return [
        [_shuffle(e, type_, LANES, c, "poison", range(first, first + 8)) for c in columns]
        for first in range(0, LANES, 8)
    ]


def _transposed(e: Emitter, type_: str, r: Sequence[str]) -> list[str]:
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


def _joined(e: Emitter, type_: str, parts: Sequence[str]) -> str:
    """Four vectors of 8 as one of 32."""
    a, b = (_shuffle(e, type_, 8, parts[k], parts[k + 1], range(16)) for k in (0, 2))
    return _shuffle(e, type_, 16, a, b, range(LANES))


def _shuffle(e: Emitter, type_: str, count: int, a: str, b: str, picked: Iterable[int]) -> str:
    vector = f"<{count} x {type_}>"
    return e.let(f"shufflevector {vector} {a}, {vector} {b}, {indices(list(picked))}")
