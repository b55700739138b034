"""The reference engine: a canonical function becomes an entry that runs one thread.

Each call of a cross-lane intrinsic gets a small definition of its own, which passes the call's
site to the runtime; mathematics becomes calls of the runtime's functions. LLVM then inlines all
of it. Nothing here is clever: this engine is what the fast one is tested against.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from pymetal import _native
from pymetal.air.canonical import NAME, CanonicalFunction
from pymetal.air.wrapper import Parameter
from pymetal.cpu.intrinsics import (
    Barrier,
    CrossLane,
    Intrinsic,
    Log,
    Mathematics,
    Matrix,
    Position,
    is_private,
    meaning,
)

# A call of an intrinsic: what is before its name, its operands and all that follows them.
_CALL = re.compile(r"^(\s.*\bcall\b.*)@(air\.[\w.]+)(\(.*)$", re.M)
# A site is among the call's own attributes, or in the group that they name.
_OWN_SITE = re.compile(r'"pymetal\.site"="(\d+)"')
_GROUP = re.compile(r"\) #(\d+)(?:, ![\w.]+ !\d+)*$")
_GROUP_SITE = re.compile(r'^attributes #(\d+) = \{.*"pymetal\.site"="(\d+)"', re.M)
_DECLARATION = re.compile(r"^declare .*@(air\.[\w.]+)\(.*\n", re.M)

_RUNTIME = """
declare ptr @pymetal_thread() nounwind
declare void @pymetal_barrier(i32, i32) convergent nounwind
declare void @pymetal_log(ptr, ptr, i32, ptr, ptr, i64) nounwind
declare i64 @pymetal_simd(i32, i32, i32, i32, i64, i32, i64, i32) convergent nounwind
"""
_ALL_LANES = -1


@dataclass(frozen=True)
class Lowered:
    """IR modules to be linked, `entry` in the last; `suspends`: threads may have to wait."""

    modules: tuple[str, ...]
    suspends: bool
    entry: str = "entry"


def lower(canonical: CanonicalFunction) -> Lowered:
    """The reference engine's entry: reads the thread's context and calls the function.

    Buffers and threadgroup arguments are numbered in the order of the function's parameters.
    """
    body, definitions, suspends = _define_intrinsics(canonical.ir)
    return Lowered((body, "\n".join([_RUNTIME, *definitions, _entry(canonical)])), suspends)


def _define_intrinsics(ir: str) -> tuple[str, list[str], bool]:
    """Give each intrinsic, and each site of a cross-lane one, a definition of its own."""
    group_sites = dict(_GROUP_SITE.findall(ir))
    definitions: dict[str, str] = {}
    suspends = False

    def site_of(rest: str) -> int:
        if own := _OWN_SITE.search(rest):
            return int(own[1])
        group = _GROUP.search(rest)
        return int(group_sites.get(group[1], 0)) if group else 0

    def rename(match: re.Match[str]) -> str:
        nonlocal suspends
        before, name, rest = match.groups()
        what = meaning(name)
        if what is None:
            return match[0]  # left undefined: refused by name when linked
        symbol, site = name, 0
        if isinstance(what, Barrier | CrossLane | Matrix):
            suspends = suspends or not is_private(what)
            site = site_of(rest)
            symbol = f"{name}.site{site}"
        if symbol not in definitions:
            definitions[symbol] = define(what, symbol, site)
        return f"{before}@{symbol}{rest}"

    body = _CALL.sub(rename, ir)
    body = _DECLARATION.sub(lambda m: "" if meaning(m[1]) is not None else m[0], body)
    for symbol, text in definitions.items():
        body += "\n" + _declaration_of(text, symbol)
    return body, list(definitions.values()), suspends


def _declaration_of(definition: str, symbol: str) -> str:
    head = next(line for line in definition.splitlines() if line.startswith("define"))
    return re.sub(r" %\w+", "", head[: head.rindex(")") + 1]).replace("define", "declare")


@dataclass
class Body:
    """Lines of a function being written, with fresh names for values."""

    lines: list[str] = field(default_factory=list)

    def let(self, instruction: str) -> str:
        """Add an instruction; returns the name of its result."""
        self.lines.append(f"  %v{len(self.lines)} = {instruction}")
        return f"%v{len(self.lines) - 1}"

    def do(self, instruction: str) -> None:
        """Add an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def define(self, result: str, symbol: str, parameters: str, value: str = "") -> str:
        """The whole definition, returning `value`."""
        lines = "\n".join([*self.lines, f"  ret {result} {value}".rstrip()])
        return f"define {result} @{symbol}({parameters}) alwaysinline nounwind {{\n{lines}\n}}\n"


def define(what: Intrinsic, symbol: str, site: int) -> str:
    """An intrinsic's definition under the name `symbol`."""
    if isinstance(what, Barrier):
        return _barrier(what, symbol, site)
    if isinstance(what, CrossLane):
        return _cross_lane(what, symbol, site)
    if isinstance(what, Matrix):
        return _MATRIX[what.operation](what.llvm_type, symbol, site)
    if isinstance(what, Mathematics):
        return _mathematics(what, symbol)
    body = Body()
    if isinstance(what, Log):
        body.do("call void @pymetal_log(ptr %a, ptr %b, i32 %c, ptr %d, ptr %e, i64 %f)")
        parameters = "ptr %a, ptr %b, i32 %c, ptr %d, ptr %e, i64 %f"
        return body.define("void", symbol, parameters)
    return body.define("i32", symbol, "", _thread_field(body, what))


def _thread_field(body: Body, what: Position) -> str:
    thread = body.let("call ptr @pymetal_thread()")
    address = body.let(
        f"getelementptr i8, ptr {thread}, i64 {_native.layout()['thread'][what.field]}"
    )
    return body.let(f"load i32, ptr {address}, align 4")


def _barrier(what: Barrier, symbol: str, site: int) -> str:
    body = Body()
    if what.scope == "threadgroup":
        # Without memory flags it does not wait for threads that have finished.
        loose = body.let("icmp eq i32 %flags, 0")
        marked = body.let(f"select i1 {loose}, i32 {site | _native.LOOSE_BARRIER}, i32 {site}")
        body.do(f"call void @pymetal_barrier(i32 {marked}, i32 {_ALL_LANES})")
    else:
        _meet(body, site)
    return body.define("void", symbol, "i32 %flags, i32 %scope")


def _meet(body: Body, site: int) -> None:
    """Wait for the simdgroup's other lanes."""
    _simd(body, CrossLane("barrier", "i1", 32, "", "i1"), site)


def _simd(
    body: Body,
    what: CrossLane,
    site: int,
    value: str = "0",
    lane: str = "0",
    fill: str = "0",
    modulo: str = "0",
) -> str:
    operation = _native.simd_operations()[what.operation]
    type_ = _native.simd_types()[what.type]
    return body.let(
        f"call i64 @pymetal_simd(i32 {operation}, i32 {type_}, i32 {what.width}, i32 {site}, "
        f"i64 {value}, i32 {lane}, i64 {fill}, i32 {modulo})"
    )


def _cross_lane(what: CrossLane, symbol: str, site: int) -> str:
    body = Body()
    parameters = [f"{what.value} %value"] if what.value else []
    values = {"value": _to_bits(body, "%value", what.value) if what.value else "1"}
    for operand in what.operands:
        if operand == "fill":
            parameters.append(f"{what.value} %fill")
            values["fill"] = _to_bits(body, "%fill", what.value)
        else:
            parameters.append(f"i16 %{operand}")
            values[operand] = body.let(f"zext i16 %{operand} to i32")
    result = _simd(body, what, site, **values)
    return body.define(
        what.result, symbol, ", ".join(parameters), _from_bits(body, result, what.result)
    )


_BITS = {"float": 32, "half": 16, "bfloat": 16}


def _to_bits(body: Body, value: str, type_: str) -> str:
    """A scalar as i64, zero-extended."""
    if type_ in _BITS:
        value, type_ = body.let(f"bitcast {type_} {value} to i{_BITS[type_]}"), f"i{_BITS[type_]}"
    return value if type_ == "i64" else body.let(f"zext {type_} {value} to i64")


def _from_bits(body: Body, bits: str, type_: str) -> str:
    if type_ == "i64":
        return bits
    integer = f"i{_BITS[type_]}" if type_ in _BITS else type_
    value = body.let(f"trunc i64 {bits} to {integer}")
    return body.let(f"bitcast {integer} {value} to {type_}") if type_ in _BITS else value


def _mathematics(what: Mathematics, symbol: str) -> str:
    body = Body()
    names = ["%x", "%y"][: 2 if what.name in _TWO_OPERANDS else 1]
    parameters = ", ".join(f"{what.llvm_type} {name}" for name in names)
    if what.symbol.startswith("pymetal_nextafter_"):  # in bits: float has finer neighbours
        bits = [body.let(f"bitcast {what.llvm_type} {name} to i16") for name in names]
        operands = ", ".join(f"i16 zeroext {b}" for b in bits)
        result = body.let(f"call i16 @{what.symbol}({operands})")
        value = body.let(f"bitcast i16 {result} to {what.llvm_type}")
        declaration = (
            f"declare i16 @{what.symbol}(i16 zeroext, i16 zeroext) nounwind memory(none)\n"
        )
        return declaration + body.define(what.llvm_type, symbol, parameters, value)
    narrow = what.llvm_type != "float"
    if narrow:
        names = [body.let(f"fpext {what.llvm_type} {name} to float") for name in names]
    operands = ", ".join(f"float {name}" for name in names)
    value = body.let(f"call float @{what.symbol}({operands})")
    if narrow:
        value = body.let(f"fptrunc float {value} to {what.llvm_type}")
    types = ", ".join("float" for _ in names)
    declaration = f"declare float @{what.symbol}({types}) nounwind willreturn memory(none)\n"
    return declaration + body.define(what.llvm_type, symbol, parameters, value)


_TWO_OPERANDS = frozenset(
    {"atan2", "fdim", "fmod", "hypot", "nextafter", "pow", "powr", "remainder"}
)


# Simdgroup matrices: lane l owns row ((l/4)&4) + (l/2)%4, columns ((l/4)&2)*2 + (l%2)*2 + {0, 1}.


def _row_and_column(body: Body) -> tuple[str, str]:
    lane = _thread_field(body, Position("thread_index_in_simdgroup"))
    quad = body.let(f"lshr i32 {lane}, 2")
    high = body.let(f"and i32 {quad}, 4")
    low = body.let(f"and i32 {body.let(f'lshr i32 {lane}, 1')}, 3")
    row = body.let(f"or i32 {high}, {low}")
    left = body.let(f"shl i32 {body.let(f'and i32 {quad}, 2')}, 1")
    right = body.let(f"shl i32 {body.let(f'and i32 {lane}, 1')}, 1")
    return row, body.let(f"or i32 {left}, {right}")


def _element_addresses(body: Body, type_: str) -> list[str]:
    """Where this lane's two elements are; lanes meet first, as memory is theirs together."""
    row, column = (body.let(f"zext i32 {v} to i64") for v in _row_and_column(body))
    origin_x = body.let("extractelement <2 x i64> %origin, i32 0")
    origin_y = body.let("extractelement <2 x i64> %origin, i32 1")
    addresses = []
    for i in range(2):
        across = body.let(f"add i64 {column}, {i}")
        x = body.let(f"select i1 %transpose, i64 {row}, i64 {across}")
        y = body.let(f"select i1 %transpose, i64 {across}, i64 {row}")
        line = body.let(f"mul i64 {body.let(f'add i64 {y}, {origin_y}')}, %stride")
        index = body.let(f"add i64 {line}, {body.let(f'add i64 {x}, {origin_x}')}")
        addresses.append(body.let(f"getelementptr {type_}, ptr %memory, i64 {index}"))
    return addresses


def _pair(body: Body, type_: str, values: Sequence[str]) -> str:
    first = body.let(f"insertelement <2 x {type_}> poison, {type_} {values[0]}, i32 0")
    return body.let(f"insertelement <2 x {type_}> {first}, {type_} {values[1]}, i32 1")


def _parts(body: Body, type_: str, pair: str) -> list[str]:
    return [body.let(f"extractelement <2 x {type_}> {pair}, i32 {i}") for i in range(2)]


def _matrix_load(type_: str, symbol: str, site: int) -> str:
    body = Body()
    _meet(body, site)
    align = 4 if type_ == "float" else 2
    values = [
        body.let(f"load {type_}, ptr {address}, align {align}")
        for address in _element_addresses(body, type_)
    ]
    parameters = "ptr %memory, i64 %stride, <2 x i64> %origin, i1 %transpose"
    return body.define(f"<2 x {type_}>", symbol, parameters, _pair(body, type_, values))


def _matrix_store(type_: str, symbol: str, site: int) -> str:
    body = Body()
    _meet(body, site)
    align = 4 if type_ == "float" else 2
    values = _parts(body, type_, "%matrix")
    for address, value in zip(_element_addresses(body, type_), values, strict=True):
        body.do(f"store {type_} {value}, ptr {address}, align {align}")
    inner = "ptr %memory, i64 %stride, <2 x i64> %origin, i1 %transpose"
    return body.define("void", symbol, f"<2 x {type_}> %matrix, {inner}")


def _matrix_filled(type_: str, symbol: str, site: int) -> str:
    body = Body()
    return body.define(f"<2 x {type_}>", symbol, f"{type_} %x", _pair(body, type_, ["%x", "%x"]))


def _matrix_diagonal(type_: str, symbol: str, site: int) -> str:
    body = Body()
    row, column = _row_and_column(body)
    values = []
    for i in range(2):
        across = body.let(f"add i32 {column}, {i}")
        on_it = body.let(f"icmp eq i32 {row}, {across}")
        zero = "0.0" if type_ != "bfloat" else "0xR0000"
        values.append(body.let(f"select i1 {on_it}, {type_} %x, {type_} {zero}"))
    return body.define(f"<2 x {type_}>", symbol, f"{type_} %x", _pair(body, type_, values))


def _matrix_multiply(type_: str, symbol: str, site: int) -> str:
    body = Body()
    memory = body.let("alloca [6 x float], align 8")
    for i, name in enumerate("abc"):
        address = body.let(f"getelementptr <2 x float>, ptr {memory}, i64 {i}")
        body.do(f"store <2 x float> %{name}, ptr {address}, align 8")
    address = body.let(f"ptrtoint ptr {memory} to i64")
    _simd(body, CrossLane("matrix_multiply_accumulate", "f32", 32, "", "i64"), site, address)
    result = body.let(f"load <2 x float>, ptr {memory}, align 8")
    parameters = ", ".join(f"<2 x float> %{name}" for name in "abc")
    return body.define("<2 x float>", symbol, parameters, result)


_MATRIX = {
    "load": _matrix_load,
    "store": _matrix_store,
    "init_filled": _matrix_filled,
    "init_diag": _matrix_diagonal,
    "multiply_accumulate": _matrix_multiply,
}


def _entry(canonical: CanonicalFunction) -> str:
    """`void entry(ptr %thread)`: read each parameter from the context, then call."""
    body = Body()
    layout = _native.layout()
    structs = {name: struct for struct, fields in layout.items() for name in fields}

    def read(name: str, type_: str) -> str:
        struct = structs[name]
        offset = layout[struct][name]
        address = body.let(f"getelementptr i8, ptr {bases[struct]}, i64 {offset}")
        return body.let(f"load {type_}, ptr {address}, align {8 if type_ == 'ptr' else 4}")

    bases = {"thread": "%thread"}
    bases["threadgroup"] = read("threadgroup", "ptr")
    bases["launch"] = read("launch", "ptr")
    tables = {"buffer": read("buffers", "ptr"), "threadgroup": read("threadgroup_offsets", "ptr")}
    memory = read("memory", "ptr")
    slots = {"buffer": count(), "threadgroup": count()}

    def value(parameter: Parameter) -> str:
        role = parameter.role
        if role == "threadgroup_memory":
            return memory
        if role in slots:
            slot = next(slots[role])
            address = body.let(f"getelementptr i64, ptr {tables[role]}, i64 {slot}")
            if role == "buffer":
                return body.let(f"load ptr, ptr {address}, align 8")
            offset = body.let(f"load i64, ptr {address}, align 8")
            return body.let(f"getelementptr i8, ptr {memory}, i64 {offset}")
        return read(_FIELDS.get(role, role), parameter.type)

    operands = [f"{p.type} {value(p)}" for p in canonical.parameters]
    body.do(f"call void @{NAME}({', '.join(operands)})")
    types = ", ".join(p.type for p in canonical.parameters)
    lines = "\n".join([*body.lines, "  ret void"])
    head = 'define void @entry(ptr %thread) nounwind "no-builtins"'
    return f"declare void @{NAME}({types})\n{head} {{\n{lines}\n}}\n"


# Roles whose field in the native structs has another name.
_FIELDS = {"lane": "thread_index_in_simdgroup", "simdgroup": "simdgroup_index_in_threadgroup"}
