"""Operations of simdgroups and quadgroups, bit for bit as native/cpu/simdgroup.h defines them.

What lanes wait for each other to do is, with all of them in one vector, a shuffle or a tree of
operations on halves. Inactive lanes count as the operation's identity.
"""

from __future__ import annotations

from collections.abc import Callable

from pymetal.air.ir import Instruction
from pymetal.air.ir.values import Value, as_integer
from pymetal.cpu.intrinsics import CrossLane
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import mathematics
from pymetal.cpu.vectorise.emitter import (
    ALL,
    MASK,
    Emitter,
    as_integers,
    indices,
    numbers,
    wide,
)
from pymetal.cpu.vectorise.gathers import load_at
from pymetal.cpu.vectorise.reasons import NotVectorised

_INTEGER_OPCODES = {
    "sum": "add",
    "product": "mul",
    "bit_and": "and",
    "bit_or": "or",
    "bit_xor": "xor",
}
_NARROW = ("half", "bfloat")


def lower(e: Emitter, i: Instruction, what: CrossLane) -> None:
    operation = what.operation
    if operation in ("all", "any", "ballot", "is_first"):
        _vote(e, i, what)
    elif operation.startswith("prefix_"):
        _scan(e, i, what)
    elif operation in _INTEGER_OPCODES or operation in ("min", "max"):
        _reduce(e, i, what)
    elif operation == "broadcast_first":
        _broadcast_first(e, i, what)
    else:
        _shuffle(e, i, what)


# Reductions and scans


def _prepared(e: Emitter, value: Value, what: CrossLane, identity: bool = True) -> tuple[str, str]:
    """The operand as a vector of the type to compute in, and that type."""
    vector, type_ = e.vector(value), e.type_text(value.type)
    if type_ in _NARROW:
        vector, type_ = mathematics.widen(e, vector, type_), "float"
    if e.mask is not None and identity:
        neutral = _identity(what, type_)
        vector = e.let(
            f"select {MASK} {e.mask}, {wide(type_)} {vector}, "
            f"{wide(type_)} splat ({type_} {neutral})"
        )
    return vector, type_


def _identity(what: CrossLane, type_: str) -> str:
    operation = what.operation.rpartition("_")[2] if "prefix" in what.operation else what.operation
    if type_ == "float":
        return {"sum": "0.0", "product": "1.0"}.get(operation, "0x7FF8000000000000")
    bits = int(type_[1:])
    signed = what.type.startswith("s")
    number = {
        "product": 1,
        "bit_and": -1,
        "min": 2 ** (bits - 1) - 1 if signed else -1,
        "max": -(2 ** (bits - 1)) if signed else 0,
    }.get(operation, 0)
    if type_ == "i1":
        return "true" if number else "false"
    return str(number)


def _combine(e: Emitter, what: CrossLane, vector_type: str, type_: str, a: str, b: str) -> str:
    operation = what.operation.rpartition("_")[2] if "prefix" in what.operation else what.operation
    if operation in ("min", "max"):
        return _extreme(e, operation, what, vector_type, type_, a, b)
    if type_ == "float":
        return e.let(f"{'fadd' if operation == 'sum' else 'fmul'} {vector_type} {a}, {b}")
    return e.let(f"{_INTEGER_OPCODES[operation]} {vector_type} {a}, {b}")


def _extreme(
    e: Emitter, operation: str, what: CrossLane, vector_type: str, type_: str, a: str, b: str
) -> str:
    """max(a, b) is a where a > b or b is NaN, else b."""
    truth = vector_type.replace(type_, "i1")
    if type_ == "float":
        predicate = "ogt" if operation == "max" else "olt"
        better = e.let(f"fcmp {predicate} {vector_type} {a}, {b}")
        nan = e.let(f"fcmp uno {vector_type} {b}, {b}")
        better = e.let(f"or {truth} {better}, {nan}")
    else:
        sign = "s" if what.type.startswith("s") else "u"
        predicate = sign + ("gt" if operation == "max" else "lt")
        better = e.let(f"icmp {predicate} {vector_type} {a}, {b}")
    return e.let(f"select {truth} {better}, {vector_type} {a}, {vector_type} {b}")


def _reduce(e: Emitter, i: Instruction, what: CrossLane) -> None:
    vector, type_ = _prepared(e, i.operands[0], what)
    if what.width == LANES:
        count = LANES
        while count > 1:
            # Lane k takes op(lane k, lane k + count / 2).
            half = count // 2
            text = f"<{count} x {type_}>"
            low, high = (
                e.let(
                    f"shufflevector {text} {vector}, {text} poison, {indices(range(s, s + half))}"
                )
                for s in (0, half)
            )
            vector = _combine(e, what, f"<{half} x {type_}>", type_, low, high)
            count = half
        result = e.let(f"extractelement <1 x {type_}> {vector}, i64 0")
        result = _narrowed(e, result, what, scalar=True)
    else:
        for distance in (2, 1):
            other = _permute(e, vector, type_, [min(k + distance, LANES - 1) for k in range(LANES)])
            vector = _combine(e, what, wide(type_), type_, vector, other)
        vector = _permute(e, vector, type_, [k // 4 * 4 for k in range(LANES)])
        result = _narrowed(e, vector, what, scalar=False)
    e.define(i, result)


def _narrowed(e: Emitter, value: str, what: CrossLane, scalar: bool) -> str:
    """Back to the operand's type."""
    if what.value not in _NARROW:
        return value
    if not scalar:
        return mathematics.shorten(e, value, what.value)
    vector = e.splat("float", value)
    short = mathematics.shorten(e, vector, what.value)
    return e.let(f"extractelement {wide(what.value)} {short}, i64 0")


def _scan(e: Emitter, i: Instruction, what: CrossLane) -> None:
    vector, type_ = _prepared(e, i.operands[0], what)
    distance = 1
    while distance < what.width:
        other = _permute(e, vector, type_, [max(k - distance, 0) for k in range(LANES)])
        total = _combine(e, what, wide(type_), type_, other, vector)
        chosen = [k if k % what.width >= distance else k + LANES for k in range(LANES)]
        vector = e.let(
            f"shufflevector {wide(type_)} {total}, {wide(type_)} {vector}, {indices(chosen)}"
        )
        distance *= 2
    if "exclusive" in what.operation:
        neutral = f"{wide(type_)} splat ({type_} {_identity(what, type_)})"
        before = [k - 1 if k % what.width else LANES for k in range(LANES)]
        vector = e.let(f"shufflevector {wide(type_)} {vector}, {neutral}, {indices(before)}")
    e.define(i, _narrowed(e, vector, what, scalar=False))


def _permute(e: Emitter, vector: str, type_: str, order: list[int]) -> str:
    text = wide(type_)
    return e.let(f"shufflevector {text} {vector}, {text} poison, {indices(order)}")


# Votes


def _vote(e: Emitter, i: Instruction, what: CrossLane) -> None:
    if what.operation == "is_first":
        votes = e.mask_bits()
    elif what.operation == "all":
        # Inactive lanes vote yes.
        ballot = e.vector(i.operands[0])
        if e.mask is not None:
            ballot = e.let(f"select {MASK} {e.mask}, {MASK} {ballot}, {MASK} {ALL}")
        votes = e.let(f"bitcast {MASK} {ballot} to i32")
    elif i.operands:
        ballot = e.vector(i.operands[0])
        if e.mask is not None:
            ballot = e.among(e.mask, ballot)
        votes = e.let(f"bitcast {MASK} {ballot} to i32")
    else:
        votes = e.mask_bits()
    if what.width == LANES:
        _whole_vote(e, i, what, votes)
    else:
        _quad_vote(e, i, what, votes)


def _whole_vote(e: Emitter, i: Instruction, what: CrossLane, votes: str) -> None:
    if what.operation == "all":
        e.define(i, e.let(f"icmp eq i32 {votes}, -1"))
    elif what.operation == "any":
        e.define(i, e.let(f"icmp ne i32 {votes}, 0"))
    elif what.operation == "ballot":
        e.define(i, _resize(e, votes, what.result, scalar=True))
    else:
        first = e.splat("i32", e.first_lane())
        e.define(i, e.let(f"icmp eq {wide('i32')} {first}, {numbers('i32', range(LANES))}"))


def _quad_vote(e: Emitter, i: Instruction, what: CrossLane, votes: str) -> None:
    shifts = numbers("i32", [k // 4 * 4 for k in range(LANES)])
    shifted = e.let(f"lshr {wide('i32')} {e.splat('i32', votes)}, {shifts}")
    quad = e.let(f"and {wide('i32')} {shifted}, splat (i32 15)")
    if what.operation == "all":
        e.define(i, e.let(f"icmp eq {wide('i32')} {quad}, splat (i32 15)"))
    elif what.operation == "any":
        e.define(i, e.let(f"icmp ne {wide('i32')} {quad}, zeroinitializer"))
    elif what.operation == "ballot":
        e.define(i, _resize(e, quad, what.result, scalar=False))
    else:
        below = numbers("i32", [(1 << (k % 4)) - 1 for k in range(LANES)])
        before = e.let(f"and {wide('i32')} {quad}, {below}")
        e.define(i, e.let(f"icmp eq {wide('i32')} {before}, zeroinitializer"))


def _resize(e: Emitter, value: str, result: str, scalar: bool) -> str:
    if result == "i32":
        return value
    opcode = "zext" if result == "i64" else "trunc"
    source, target = ("i32", result) if scalar else (wide("i32"), wide(result))
    return e.let(f"{opcode} {source} {value} to {target}")


# Shuffles


def _broadcast_first(e: Emitter, i: Instruction, what: CrossLane) -> None:
    value = i.operands[0]
    if what.width == LANES:
        if e.shapes.uniform(value):
            e.define(i, e.scalar(value))
            return
        type_ = e.type_text(value.type)
        e.define(i, e.let(f"extractelement {wide(type_)} {e.vector(value)}, i32 {e.first_lane()}"))
        return
    votes = e.splat("i32", e.mask_bits())
    shifts = numbers("i32", [k // 4 * 4 for k in range(LANES)])
    shifted = e.let(f"lshr {wide('i32')} {votes}, {shifts}")
    first = e.call(wide("i32"), "llvm.cttz.v32i32", f"{wide('i32')} {shifted}", "i1 false")
    source = e.let(f"add {wide('i32')} {first}, {shifts}")
    e.define(i, _pick(e, value, source))


def _shuffle(e: Emitter, i: Instruction, what: CrossLane) -> None:
    value, lane = i.operands[0], i.operands[-1]
    if what.operation.startswith("shuffle_and_fill"):
        _fill(e, i, what)
        return
    known = as_integer(lane)
    if known is not None:
        sources = [_source(what, k, known % 65536) for k in range(LANES)]
        if what.operation == "shuffle" and what.width == LANES:
            _broadcast(e, i, sources[0])
        else:
            e.define(i, _fixed(e, value, sources))
    elif what.operation == "shuffle" and what.width == LANES and e.shapes.uniform(lane):
        _broadcast_at(e, i)
    else:
        e.define(i, _variable(e, i, what))


def _source(what: CrossLane, k: int, argument: int) -> int:
    """The lane that lane `k` reads; its own where that is out of range."""
    width = what.width
    base, position = k // width * width, k % width
    compute: Callable[[], int] = {
        "shuffle": lambda: argument,
        "shuffle_up": lambda: position - argument,
        "shuffle_down": lambda: position + argument,
        "shuffle_xor": lambda: position ^ argument,
        "shuffle_rotate_up": lambda: (position - argument) % width,
        "shuffle_rotate_down": lambda: (position + argument) % width,
    }[what.operation]
    source = compute()
    return base + source if 0 <= source < width else k


def _broadcast(e: Emitter, i: Instruction, source: int) -> None:
    value = i.operands[0]
    type_ = e.type_text(value.type)
    e.define(i, e.let(f"extractelement {wide(type_)} {e.vector(value)}, i64 {source}"))


def _broadcast_at(e: Emitter, i: Instruction) -> None:
    value, lane = i.operands
    type_ = e.type_text(value.type)
    index = e.let(f"and i16 {e.scalar(lane)}, {LANES - 1}")
    e.define(i, e.let(f"extractelement {wide(type_)} {e.vector(value)}, i16 {index}"))


def _fixed(e: Emitter, value: Value, sources: list[int]) -> str:
    """A shuffle known now; from an inactive lane comes the lane's own value."""
    type_ = e.type_text(value.type)
    vector = e.vector(value)
    moved = _permute(e, vector, type_, sources)
    if e.mask is None:
        return moved
    there = e.let(f"shufflevector {MASK} {e.mask}, {MASK} poison, {indices(sources)}")
    return e.let(f"select {MASK} {there}, {wide(type_)} {moved}, {wide(type_)} {vector}")


def _variable(e: Emitter, i: Instruction, what: CrossLane) -> str:
    value, lane = i.operands
    width, operation = what.width, what.operation
    integers = wide("i32")
    argument = e.let(f"zext {wide('i16')} {e.vector(lane)} to {integers}")
    position = numbers("i32", [k % width for k in range(LANES)])
    if operation == "shuffle":
        source = argument
    elif operation == "shuffle_xor":
        source = e.let(f"xor {integers} {position}, {argument}")
    elif operation in ("shuffle_up", "shuffle_rotate_up"):
        source = e.let(f"sub {integers} {position}, {argument}")
    else:
        source = e.let(f"add {integers} {position}, {argument}")
    if "rotate" in operation:
        source = e.let(f"and {integers} {source}, splat (i32 {width - 1})")
    inside = e.let(f"icmp ult {integers} {source}, splat (i32 {width})")
    based = e.let(
        f"add {integers} {source}, {numbers('i32', [k // width * width for k in range(LANES)])}"
    )
    own = numbers("i32", range(LANES))
    source = e.let(f"select {MASK} {inside}, {integers} {based}, {integers} {own}")
    return _pick(e, value, _if_active(e, source))


def _if_active(e: Emitter, source: str) -> str:
    """Source lanes, or a lane's own where the source is inactive."""
    if e.mask is None:
        return source
    integers = wide("i32")
    bits = e.splat("i32", e.mask_bits())
    shifted = e.let(f"lshr {integers} {bits}, {source}")
    active = e.let(f"trunc {integers} {shifted} to {MASK}")
    own = numbers("i32", range(LANES))
    return e.let(f"select {MASK} {active}, {integers} {source}, {integers} {own}")


def _pick(e: Emitter, value: Value, source: str) -> str:
    """Each lane's value from the lane that `source` names, by way of memory."""
    own = e.type_text(value.type)
    type_, vector = as_integers(own), e.vector(value)
    if own == "i1":
        type_, vector = "i8", e.let(f"zext {MASK} {vector} to {wide('i8')}")
    else:
        _, vector = e.as_integers(wide(own), vector)
    memory = e.stack(wide(type_))
    e.do(f"store {wide(type_)} {vector}, ptr {memory}")
    bounded = e.let(f"and {wide('i32')} {source}, splat (i32 {LANES - 1})")
    addresses = e.let(f"getelementptr {type_}, ptr {memory}, {wide('i32')} {bounded}")
    picked = load_at(e, addresses, type_, 1)
    if own == "i1":
        return e.let(f"trunc {wide('i8')} {picked} to {MASK}")
    return e.as_type(wide(own), picked)


def _fill(e: Emitter, i: Instruction, what: CrossLane) -> None:
    """Data shifted within sections of `modulo` lanes; at one end the fill data enters."""
    data, fill, delta, modulo = i.operands
    shift, section = as_integer(delta), as_integer(modulo)
    if shift is None or section is None:
        if not (e.shapes.uniform(delta) and e.shapes.uniform(modulo)):
            raise NotVectorised("shuffle-and-fill with distances that differ between lanes")
        _variable_fill(e, i, what)
        return
    sources = [_fill_source(what, k, shift % 65536, section % 65536) for k in range(LANES)]
    type_ = e.type_text(data.type)
    text = wide(type_)
    own = e.vector(data)
    result = e.let(f"shufflevector {text} {own}, {text} {e.vector(fill)}, {indices(sources)}")
    if e.mask is not None:
        lanes = [s % LANES for s in sources]
        there = e.let(f"shufflevector {MASK} {e.mask}, {MASK} poison, {indices(lanes)}")
        result = e.let(f"select {MASK} {there}, {text} {result}, {text} {own}")
    e.define(i, result)


def _fill_source(what: CrossLane, k: int, shift: int, modulo: int) -> int:
    """The lane that lane `k` reads, of the fill data where it is LANES or more."""
    width = what.width
    if what.operation.endswith("up"):
        shift = -shift
    modulo = modulo if 0 < modulo <= width else width
    base, position = k // width * width, k % width
    start = position // modulo * modulo
    within = position - start + shift
    if 0 <= within < modulo:
        return base + start + within
    wrapped = within + modulo if within < 0 else within - modulo
    return base + start + wrapped + LANES if 0 <= wrapped < modulo else k


def _variable_fill(e: Emitter, i: Instruction, what: CrossLane) -> None:
    data, fill, delta, modulo = i.operands
    integers, width = wide("i32"), what.width
    shift = e.let(f"zext {wide('i16')} {e.vector(delta)} to {integers}")
    if what.operation.endswith("up"):
        shift = e.let(f"sub {integers} zeroinitializer, {shift}")
    asked = e.let(f"zext {wide('i16')} {e.vector(modulo)} to {integers}")
    less = e.let(f"sub {integers} {asked}, splat (i32 1)")
    sane = e.let(f"icmp ult {integers} {less}, splat (i32 {width})")
    whole = f"{integers} splat (i32 {width})"
    section = e.let(f"select {MASK} {sane}, {integers} {asked}, {whole}")
    position = numbers("i32", [k % width for k in range(LANES)])
    base = numbers("i32", [k // width * width for k in range(LANES)])
    rest = e.let(f"urem {integers} {position}, {section}")
    start = e.let(f"sub {integers} {position}, {rest}")
    start = e.let(f"add {integers} {start}, {base}")
    within = e.let(f"add {integers} {rest}, {shift}")
    inside = e.let(f"icmp ult {integers} {within}, {section}")
    below = e.let(f"icmp slt {integers} {within}, zeroinitializer")
    up = e.let(f"add {integers} {within}, {section}")
    down = e.let(f"sub {integers} {within}, {section}")
    wrapped = e.let(f"select {MASK} {below}, {integers} {up}, {integers} {down}")
    valid = e.let(f"icmp ult {integers} {wrapped}, {section}")
    source = e.let(f"select {MASK} {inside}, {integers} {within}, {integers} {wrapped}")
    source = e.let(f"add {integers} {source}, {start}")
    some = e.let(f"or {MASK} {inside}, {valid}")
    own = numbers("i32", range(LANES))
    source = e.let(f"select {MASK} {some}, {integers} {source}, {integers} {own}")
    bits = e.splat("i32", e.mask_bits())
    shifted = e.let(f"lshr {integers} {bits}, {source}")
    there = e.let(f"trunc {integers} {shifted} to {MASK}")
    some = e.let(f"and {MASK} {some}, {there}")
    from_data = e.let(f"or {MASK} {inside}, {e.let(f'xor {MASK} {some}, {ALL}')}")
    source = e.let(f"select {MASK} {some}, {integers} {source}, {integers} {own}")
    type_ = e.type_text(data.type)
    a, b = _pick(e, data, source), _pick(e, fill, source)
    e.define(i, e.let(f"select {MASK} {from_data}, {wide(type_)} {a}, {wide(type_)} {b}"))
