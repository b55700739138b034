"""Loads and stores: by the shape of the address one scalar, vectors, or lane by lane.

Lanes that are not active must touch nothing. Where the processor has no masked access of an
element's size, access is lane by lane (gathers), by a loop over those of the mask.
"""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import FloatType, IntegerType, Type
from pymetal.air.ir.values import Value
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import gathers, interleaved, prefetch, streaming
from pymetal.cpu.vectorise.emitter import MASK, Emitter, as_integers, indices, wide
from pymetal.cpu.vectorise.reasons import NotVectorised

_SEGMENTS = 8  # more vector loads than this are no better than lane by lane


def size_of(type_: Type) -> int:
    """Bytes of a scalar in memory."""
    if isinstance(type_, (IntegerType, FloatType)):
        return max(type_.bits // 8, 1)
    return 8


def suffix(type_: str) -> str:
    """A scalar type in the name of an LLVM intrinsic."""
    return {"float": "f32", "half": "f16", "bfloat": "bf16", "double": "f64", "ptr": "p0"}.get(
        type_, type_
    )


def allocate(e: Emitter, i: Instruction) -> None:
    """A private array of every lane."""
    size = e.shapes.private.sizes[i.name]
    memory = e.stack(f"[{LANES * size} x i8]")
    e.define(i, e.let(f"getelementptr i8, ptr {memory}, i64 0"))


def load(e: Emitter, i: Instruction) -> None:
    _check(i.type)
    pointer = i.operands[0]
    type_ = e.type_text(i.type)
    size = size_of(i.type)
    align = min(i.align or size, size)
    shape = e.shapes.of(pointer)
    if shape is not None and shape.uniform:
        volatile = "volatile " if "volatile" in i.flags or i.ordering else ""
        e.define(i, e.let(f"load {volatile}{type_}, ptr {e.scalar(pointer)}, align {align}"))
        return
    if shape is not None:
        segments = _segments(shape.offsets, size)
        if len(segments) <= _SEGMENTS and (e.mask is None or _masked(e, size)):
            result = _load_segments(e, pointer, as_integers(type_), size, align, segments)
            if result:
                e.define(i, e.as_type(wide(type_), result))
                return
        if e.mask is None and not i.ordering and interleaved.load(e, i):
            return
    vector = gathers.load(e, pointer, as_integers(type_), align)
    e.define(i, e.as_type(wide(type_), vector))


def _check(type_: Type) -> None:
    if isinstance(type_, IntegerType) and type_.bits not in (8, 16, 32, 64):
        raise NotVectorised(f"numbers of {type_.bits} bits in memory")


def _masked(e: Emitter, size: int) -> bool:
    return 8 * size in e.target.masked_bits


def _segments(offsets: tuple[int, ...], size: int) -> list[list[int]]:
    """The distinct offsets in runs of neighbouring elements."""
    runs: list[list[int]] = []
    for offset in sorted(set(offsets)):
        if runs and offset == runs[-1][-1] + size:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    return runs


def _load_segments(
    e: Emitter, pointer: Value, type_: str, size: int, align: int, segments: list[list[int]]
) -> str:
    """One vector load for each run of addresses, then a shuffle; "" if the mask forbids it."""
    offsets = [o for run in segments for o in run]
    shape = e.shapes.of(pointer)
    assert shape is not None
    place = {offset: k for k, offset in enumerate(offsets)}
    order = [place[o] for o in shape.offsets]
    if e.mask is not None and len(offsets) != LANES:
        return ""
    base = e.scalar(pointer)
    parts = []
    lane_of = {k: lane for lane, k in enumerate(order)}
    at = 0
    for run in segments:
        count = len(run)
        vector = f"<{count} x {type_}>"
        address = base if not run[0] else e.let(f"getelementptr i8, ptr {base}, i64 {run[0]}")
        if e.mask is None:
            prefetch.behind(e, pointer, address, count * size)
            parts.append((count, e.let(f"load {vector}, ptr {address}, align {align}")))
        else:
            mask = e.mask
            lanes = [lane_of[at + k] for k in range(count)]
            if lanes != list(range(LANES)):
                mask = e.let(f"shufflevector {MASK} {mask}, {MASK} poison, {indices(lanes)}")
            name = f"llvm.masked.load.v{count}{suffix(type_)}.p0"
            parts.append((count, _masked_load(e, name, vector, address, align, mask, count)))
        at += count
    return _arrange(e, type_, parts, order)


def _masked_load(
    e: Emitter, name: str, vector: str, address: str, align: int, mask: str, count: int
) -> str:
    e.helpers.declarations.setdefault(
        name, f"declare {vector} @{name}(ptr, <{count} x i1>, {vector})"
    )
    return e.let(
        f"call {vector} @{name}(ptr align {align} {address}, <{count} x i1> {mask}, "
        f"{vector} zeroinitializer)"
    )


def _arrange(e: Emitter, type_: str, parts: list[tuple[int, str]], order: list[int]) -> str:
    """Vectors one after another, then lane by lane in `order`."""
    (count, whole), *rest = parts
    for length, part in rest:
        # A shuffle takes two vectors of one length: the shorter is made longer.
        longest = max(count, length)
        a, b = (_lengthen(e, type_, v, n, longest) for v, n in ((whole, count), (part, length)))
        picked = [*range(count), *range(longest, longest + length)]
        vector = f"<{longest} x {type_}>"
        whole = e.let(f"shufflevector {vector} {a}, {vector} {b}, {indices(picked)}")
        count += length
    if order == list(range(LANES)) and count == LANES:
        return whole
    vector = f"<{count} x {type_}>"
    return e.let(f"shufflevector {vector} {whole}, {vector} poison, {indices(order)}")


def _lengthen(e: Emitter, type_: str, vector: str, count: int, to: int) -> str:
    if count == to:
        return vector
    picked = [*range(count), *[-1] * (to - count)]
    text = f"<{count} x {type_}>"
    return e.let(f"shufflevector {text} {vector}, {text} poison, {indices(picked)}")


def store(e: Emitter, i: Instruction) -> None:
    value, pointer = i.operands
    _check(value.type)
    type_ = e.type_text(value.type)
    size = size_of(value.type)
    align = min(i.align or size, size)
    shape = e.shapes.of(pointer)
    volatile = "volatile " if "volatile" in i.flags or i.ordering else ""
    if shape is not None and shape.uniform:
        # All lanes store to one place: the last one's value stays.
        text = (
            e.scalar(value) if e.shapes.uniform(value) else last_active(e, e.vector(value), type_)
        )
        e.do(f"store {volatile}{type_} {text}, ptr {e.scalar(pointer)}, align {align}")
        return
    _, vector = e.as_integers(wide(type_), e.vector(value))
    type_ = as_integers(type_)
    if shape is not None and (e.mask is None or _masked(e, size)):
        segments = _segments(shape.offsets, size)
        if len(segments) <= _SEGMENTS and len(set(shape.offsets)) == LANES:
            _store_segments(e, pointer, vector, type_, size, align, segments)
            return
        if e.mask is None and not volatile and interleaved.store(e, i):
            return
    gathers.store(e, vector, pointer, type_, align)


def _store_segments(
    e: Emitter,
    pointer: Value,
    vector: str,
    type_: str,
    size: int,
    align: int,
    segments: list[list[int]],
) -> None:
    shape = e.shapes.of(pointer)
    assert shape is not None
    lane_of = {offset: lane for lane, offset in enumerate(shape.offsets)}
    base = e.scalar(pointer)
    for run in segments:
        count = len(run)
        lanes = [lane_of[o] for o in run]
        part, mask = vector, e.mask
        if lanes != list(range(LANES)):
            whole = wide(type_)
            part = e.let(f"shufflevector {whole} {vector}, {whole} poison, {indices(lanes)}")
            if mask is not None:
                mask = e.let(f"shufflevector {MASK} {mask}, {MASK} poison, {indices(lanes)}")
        address = base if not run[0] else e.let(f"getelementptr i8, ptr {base}, i64 {run[0]}")
        text = f"<{count} x {type_}>"
        if mask is None:
            streaming.store(e, pointer, [(f"{text} {part}", address)], count * size, align)
        else:
            name = f"llvm.masked.store.v{count}{suffix(type_)}.p0"
            e.helpers.declarations.setdefault(
                name, f"declare void @{name}({text}, ptr, <{count} x i1>)"
            )
            e.do(
                f"call void @{name}({text} {part}, ptr align {align} {address}, "
                f"<{count} x i1> {mask})"
            )


def last_active(e: Emitter, vector: str, type_: str) -> str:
    """The value of the last active lane."""
    if e.mask is None:
        return e.let(f"extractelement {wide(type_)} {vector}, i64 {LANES - 1}")
    zeros = e.call("i32", "llvm.ctlz.i32", f"i32 {e.mask_bits()}", "i1 false")
    lane = e.let(f"sub i32 {LANES - 1}, {zeros}")
    return e.let(f"extractelement {wide(type_)} {vector}, i32 {lane}")
