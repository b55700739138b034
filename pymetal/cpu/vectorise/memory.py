"""Loads and stores: by the shape of the address one scalar, vectors, or lane by lane.

Lanes that are not active must touch nothing. Where the processor has no masked access of an
element's size, their addresses are replaced by a dummy's on the stack, which costs no branches.
"""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.types import I1, I32, FloatType, IntegerType, Type
from pymetal.air.ir.values import Local, Value
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import interleaved, prefetch, streaming
from pymetal.cpu.vectorise.emitter import MASK, Emitter, indices, wide
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
    if i.type is I1:
        raise NotVectorised("booleans of one bit in memory")
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
            result = _load_segments(e, pointer, type_, size, align, segments)
            if result:
                e.define(i, result)
                return
        if e.mask is None and not i.ordering and interleaved.load(e, i):
            return
    e.define(i, _gather_at(e, pointer, type_, align))


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


def safe(e: Emitter, addresses: str, type_: str) -> str:
    """Addresses with those of inactive lanes replaced by a dummy's."""
    if e.mask is None:
        return addresses
    dummy = e.splat("ptr", e.stack(type_))
    return e.let(f"select {MASK} {e.mask}, {wide('ptr')} {addresses}, {wide('ptr')} {dummy}")


def _gather_at(e: Emitter, pointer: Value, type_: str, align: int) -> str:
    """Load from an address a lane."""
    if e.mask is None and e.has_room():
        return _collect(e, lane_addresses(e, pointer), type_, align)
    return gather(e, e.vector(pointer), type_, align)


def gather(e: Emitter, addresses: str, type_: str, align: int) -> str:
    """Load from addresses that a vector holds."""
    addresses = safe(e, addresses, type_)
    if not e.has_room():
        name = f"gather.{type_}.{align}"
        if name not in e.helpers.definitions:
            e.helpers.definitions[name] = _gather_definition(name, type_, align)
        return e.let(f"call {wide(type_)} @{name}({wide('ptr')} {addresses})")
    return _collect(e, _elements(e, addresses, "ptr"), type_, align)


def _collect(e: Emitter, addresses: list[str], type_: str, align: int) -> str:
    result = "poison"
    for lane, address in enumerate(addresses):
        value = e.let(f"load {type_}, ptr {address}, align {align}")
        result = e.let(f"insertelement {wide(type_)} {result}, {type_} {value}, i64 {lane}")
    return result


def lane_addresses(e: Emitter, pointer: Value) -> list[str]:
    """Every lane's address as a scalar, where all lanes are active."""
    shape = e.shapes.of(pointer)
    if shape is not None:
        base = e.scalar(pointer)
        return [e.let(f"getelementptr i8, ptr {base}, i64 {o}") for o in shape.offsets]
    made = _made_here(e, pointer)
    if made is not None and made.opcode == "getelementptr":
        base_of, terms = made.operands[0], e.shapes.terms[made.name]
        varying = [t for t in terms.scaled if not e.shapes.uniform(t[0])]
        if (
            e.shapes.uniform(base_of)
            and len(varying) == 1
            and e.shapes.private.scale(made.name) == 1
        ):
            (index, step), base = varying[0], e.scalar(base_of)
            for value, size in terms.scaled:
                if value is not index:
                    base = e.let(
                        f"getelementptr [{size} x i8], ptr {base}, {value.type} {e.scalar(value)}"
                    )
            base = e.let(f"getelementptr i8, ptr {base}, i64 {terms.bytes}")
            return _indexed(e, base, index, step)
    return _elements(e, e.vector(pointer), "ptr")


def _made_here(e: Emitter, value: Value) -> Instruction | None:
    """The instruction that makes a value, if it is in this block: its operands are then, too."""
    if isinstance(value, Local) and e.shapes.block_of.get(value.name) == e.block:
        return e.definitions[value.name]
    return None


def _indexed(e: Emitter, base: str, index: Value, step: int) -> list[str]:
    """Addresses `step` bytes times an index a lane after a base: indices take less room."""
    made = _made_here(e, index)
    source, extend = index, ""
    if made is not None and made.opcode in ("zext", "sext") and made.operands[0].type is I32:
        source, extend = made.operands[0], made.opcode
    addresses = []
    for number in _elements(e, e.vector(source), source.type.text):
        if extend:
            number = e.let(f"{extend} i32 {number} to i64")
        type_ = "i64" if extend else source.type.text
        addresses.append(e.let(f"getelementptr [{step} x i8], ptr {base}, {type_} {number}"))
    return addresses


def _elements(e: Emitter, vector: str, type_: str) -> list[str]:
    return [e.let(f"extractelement {wide(type_)} {vector}, i64 {lane}") for lane in range(LANES)]


def _gather_definition(name: str, type_: str, align: int) -> str:
    """A gather as a function: where there are many, LLVM would compile them for seconds."""
    lines, result = _element_lines("addresses", "ptr"), "poison"
    for lane in range(LANES):
        lines += [
            f"  %v{lane} = load {type_}, ptr %addresses{lane}, align {align}",
            f"  %r{lane} = insertelement {wide(type_)} {result}, {type_} %v{lane}, i64 {lane}",
        ]
        result = f"%r{lane}"
    body = "\n".join(lines)
    head = f"define internal {wide(type_)} @{name}({wide('ptr')} %addresses) noinline nounwind"
    return f"{head} {{\n{body}\n  ret {wide(type_)} {result}\n}}\n"


def _element_lines(name: str, type_: str) -> list[str]:
    """`%name0`, `%name1`…: the elements of the vector `%name`."""
    return [
        f"  %{name}{lane} = extractelement {wide(type_)} %{name}, i64 {lane}"
        for lane in range(LANES)
    ]


def store(e: Emitter, i: Instruction) -> None:
    value, pointer = i.operands
    if value.type is I1:
        raise NotVectorised("booleans of one bit in memory")
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
    vector = e.vector(value)
    if shape is not None and (e.mask is None or _masked(e, size)):
        segments = _segments(shape.offsets, size)
        if len(segments) <= _SEGMENTS and len(set(shape.offsets)) == LANES:
            _store_segments(e, pointer, vector, type_, size, align, segments)
            return
        if e.mask is None and not volatile and interleaved.store(e, i):
            return
    if e.mask is None and e.has_room():
        _distribute(e, vector, lane_addresses(e, pointer), type_, align)
    else:
        scatter(e, vector, e.vector(pointer), type_, align)


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


def scatter(e: Emitter, vector: str, addresses: str, type_: str, align: int) -> None:
    """Store to an address a lane, in the lanes' order."""
    addresses = safe(e, addresses, type_)
    if not e.has_room():
        name = f"scatter.{type_}.{align}"
        if name not in e.helpers.definitions:
            e.helpers.definitions[name] = _scatter_definition(name, type_, align)
        e.do(f"call void @{name}({wide('ptr')} {addresses}, {wide(type_)} {vector})")
        return
    _distribute(e, vector, _elements(e, addresses, "ptr"), type_, align)


def _distribute(e: Emitter, vector: str, addresses: list[str], type_: str, align: int) -> None:
    values = _elements(e, vector, type_)
    for value, address in zip(values, addresses, strict=True):
        e.do(f"store {type_} {value}, ptr {address}, align {align}")


def _scatter_definition(name: str, type_: str, align: int) -> str:
    lines = [*_element_lines("addresses", "ptr"), *_element_lines("values", type_)]
    lines += [
        f"  store {type_} %values{lane}, ptr %addresses{lane}, align {align}"
        for lane in range(LANES)
    ]
    body = "\n".join(lines)
    parameters = f"{wide('ptr')} %addresses, {wide(type_)} %values"
    head = f"define internal void @{name}({parameters}) noinline nounwind"
    return f"{head} {{\n{body}\n  ret void\n}}\n"


def last_active(e: Emitter, vector: str, type_: str) -> str:
    """The value of the last active lane."""
    if e.mask is None:
        return e.let(f"extractelement {wide(type_)} {vector}, i64 {LANES - 1}")
    zeros = e.call("i32", "llvm.ctlz.i32", f"i32 {e.mask_bits()}", "i1 false")
    lane = e.let(f"sub i32 {LANES - 1}, {zeros}")
    return e.let(f"extractelement {wide(type_)} {vector}, i32 {lane}")
