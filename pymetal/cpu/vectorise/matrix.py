"""8x8 matrices: 64 elements in rows.

Threads see two elements of a matrix each; whole simdgroups see all 64. As long as only matrix
operations touch one, it stays in row order, and elements move to their lanes only when a kernel
asks for them. Matrices live in stack slots (homes.py) and are multiplied there (products.py).
"""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import VectorType
from pymetal.air.ir.values import Constant, Local, Value, as_integer
from pymetal.cpu.intrinsics import Matrix
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import products
from pymetal.cpu.vectorise.emitter import MASK, Emitter, as_integers, indices
from pymetal.cpu.vectorise.reasons import NotVectorised


def row_of(lane: int) -> int:
    return ((lane // 4) & 4) + (lane // 2) % 4


def column_of(lane: int) -> int:
    return ((lane // 4) & 2) * 2 + (lane % 2) * 2


# Element (row, column) belongs to lane _OWNER[8 * row + column][0] as its first or second.
_OWNER = {
    8 * row_of(lane) + column_of(lane) + k: (lane, k) for lane in range(LANES) for k in (0, 1)
}


def operand(e: Emitter, value: Value) -> str:
    """A matrix as `<64 x T>`."""
    if isinstance(value, Local):
        return e._fetch(value.name, value.type)
    assert isinstance(value, Constant), value
    return value.text


def mask_of_elements(e: Emitter, mask: str) -> str:
    """The mask of the lanes that own each element."""
    lanes = [_OWNER[k][0] for k in range(64)]
    return e.let(f"shufflevector {MASK} {mask}, {MASK} poison, {indices(lanes)}")


def from_lanes(e: Emitter, i: Instruction) -> None:
    """Two elements a lane -> a matrix."""
    assert isinstance(i.type, VectorType)
    type_ = f"<{LANES} x {i.type.element}>"
    first, second = (e.vector(o) for o in i.operands)
    picked = [_OWNER[k][0] + LANES * _OWNER[k][1] for k in range(64)]
    e.define(i, e.let(f"shufflevector {type_} {first}, {type_} {second}, {indices(picked)}"))


def part(e: Emitter, i: Instruction) -> None:
    """The first or second element of every lane."""
    source, index = i.operands
    k = as_integer(index)
    assert k is not None
    picked = [8 * row_of(lane) + column_of(lane) + k for lane in range(LANES)]
    type_ = f"<64 x {i.type}>"
    text = operand(e, source)
    e.define(i, e.let(f"shufflevector {type_} {text}, {type_} poison, {indices(picked)}"))


def elementwise(e: Emitter, i: Instruction) -> None:
    """A cast, negation or uniform choice of whole matrices."""
    assert isinstance(i.type, VectorType)
    result = f"<64 x {i.type.element}>"
    head = " ".join((i.opcode, *i.flags))
    if i.opcode == "select":
        condition, *both = i.operands
        if not e.shapes.uniform(condition):
            mask = mask_of_elements(e, e.vector(condition))
            chosen = f"<64 x i1> {mask}"
        else:
            chosen = f"i1 {e.scalar(condition)}"
        a, b = (operand(e, o) for o in both)
        e.define(i, e.let(f"select {chosen}, {result} {a}, {result} {b}"))
        return
    source = i.operands[0]
    assert isinstance(source.type, VectorType)
    text = f"<64 x {source.type.element}> {operand(e, source)}"
    cast = f" to {result}" if i.opcode in ("fpext", "fptrunc") else ""
    e.define(i, e.let(f"{head} {text}{cast}"))


def lower(e: Emitter, i: Instruction, what: Matrix) -> None:
    # Metal wants whole simdgroups here, so a mask that is not full has no meaning.
    _OPERATIONS[what.operation](e, i, what.llvm_type)


def _rows(e: Emitter, i: Instruction, operands: list[Value], type_: str) -> tuple[list[str], bool]:
    """The address of each row of a matrix in memory, and whether it is transposed there."""
    stride, transpose = operands[1], operands[4]
    if not all(e.shapes.uniform(o) for o in operands):
        raise NotVectorised("a matrix in memory at an address that differs between lanes")
    flipped = as_integer(transpose)
    if flipped is None:
        raise NotVectorised("a matrix that may or may not be transposed")
    address = _start(e, operands, type_)
    rows = [address]
    for _ in range(7):
        address = e.let(f"getelementptr {type_}, ptr {address}, i64 {e.scalar(stride)}")
        rows.append(address)
    return rows, bool(flipped)


def _start(e: Emitter, operands: list[Value], type_: str) -> str:
    """The address of the first element of a matrix in memory."""
    pointer, stride, x, y, _ = operands
    line = e.let(f"mul i64 {e.scalar(y)}, {e.scalar(stride)}")
    start = e.let(f"add i64 {line}, {e.scalar(x)}")
    return e.let(f"getelementptr {type_}, ptr {e.scalar(pointer)}, i64 {start}")


def _load(e: Emitter, i: Instruction, type_: str) -> None:
    if i.name in e.in_place and all(e.shapes.uniform(o) for o in i.operands):
        e.places[i.name] = _start(e, i.operands, type_), e.scalar(i.operands[1])
        return
    rows, flipped = _rows(e, i, i.operands, type_)
    align = 4 if type_ == "float" else 2
    element, type_ = type_, as_integers(type_)
    parts = [e.let(f"load <8 x {type_}>, ptr {row}, align {align}") for row in rows]
    if flipped:
        whole = _transposed(e, _join(e, parts, type_), type_)
        e.define(i, e.as_type(f"<64 x {element}>", whole))
        return
    slot = e.slot(i.name)
    for k, row in enumerate(parts):
        to = e.let(f"getelementptr {type_}, ptr {slot}, i64 {8 * k}")
        e.do(f"store <8 x {type_}> {row}, ptr {to}")


def _store(e: Emitter, i: Instruction, type_: str) -> None:
    rows, flipped = _rows(e, i, i.operands[1:], type_)
    _, whole = e.as_integers(f"<64 x {type_}>", operand(e, i.operands[0]))
    type_ = as_integers(type_)
    if flipped:
        whole = _transposed(e, whole, type_)
    align = 4 if type_ == "float" else 2
    for k, row in enumerate(rows):
        e.do(f"store <8 x {type_}> {_row(e, whole, type_, k)}, ptr {row}, align {align}")


def _join(e: Emitter, parts: list[str], type_: str) -> str:
    count = 64 // len(parts)
    while len(parts) > 1:
        vector, picked = f"<{count} x {type_}>", indices(range(2 * count))
        parts = [
            e.let(f"shufflevector {vector} {a}, {vector} {b}, {picked}")
            for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
        count *= 2
    return parts[0]


def _row(e: Emitter, whole: str, type_: str, row: int) -> str:
    picked = indices(range(8 * row, 8 * row + 8))
    return e.let(f"shufflevector <64 x {type_}> {whole}, <64 x {type_}> poison, {picked}")


def _transposed(e: Emitter, whole: str, type_: str) -> str:
    picked = indices([8 * (k % 8) + k // 8 for k in range(64)])
    return e.let(f"shufflevector <64 x {type_}> {whole}, <64 x {type_}> poison, {picked}")


def _filled(e: Emitter, i: Instruction, type_: str) -> None:
    e.define(i, _spread(e, i.operands[0], type_))


def _spread(e: Emitter, value: Value, type_: str) -> str:
    """A matrix of one element each lane gives for its own."""
    if not e.shapes.uniform(value):
        picked = [_OWNER[k][0] for k in range(64)]
        vector = f"<{LANES} x {type_}>"
        return e.let(
            f"shufflevector {vector} {e.vector(value)}, {vector} poison, {indices(picked)}"
        )
    one = e.let(f"insertelement <64 x {type_}> poison, {type_} {e.scalar(value)}, i64 0")
    return e.let(
        f"shufflevector <64 x {type_}> {one}, <64 x {type_}> poison, <64 x i32> zeroinitializer"
    )


def _diagonal(e: Emitter, i: Instruction, type_: str) -> None:
    whole = _spread(e, i.operands[0], type_)
    zeros = f"<64 x {type_}> zeroinitializer"
    picked = indices([k if k // 8 == k % 8 else 64 for k in range(64)])
    e.define(i, e.let(f"shufflevector <64 x {type_}> {whole}, {zeros}, {picked}"))


_OPERATIONS = {
    "load": _load,
    "store": _store,
    "init_filled": _filled,
    "init_diag": _diagonal,
    "multiply_accumulate": products.multiply,
}
