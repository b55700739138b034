"""Functions that load or store at an address a lane, which the copies of a kernel share.

One takes what makes addresses: a base, and where a vector lies in memory. There the function finds
each lane's element with the processor's addressing modes; of registers each would have to be moved
to where addresses are. For lanes of a mask it is a loop over those, which is short code.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise.emitter import Emitter, wide
from pymetal.cpu.vectorise.shapes import Offsets


@dataclass(frozen=True)
class Where:
    """Addresses, one a lane.

    form     part of the function's name
    given    what it is given: types, values and parameters
    address  the lines that make `%address` of the lane `%lane`; "#" follows the names they make
    """

    form: str
    given: tuple[tuple[str, str, str], ...]
    address: tuple[str, ...]

    def of_lane(self, lane: str, suffix: str) -> list[str]:
        """The lines for one lane, whose names end in a suffix."""
        return [f"  {line}".replace("%lane", lane).replace("#", suffix) for line in self.address]


def pattern(e: Emitter, base: str, offsets: Offsets) -> Where:
    """Constant distances behind a base."""
    table = ", ".join(f"i64 {offset}" for offset in offsets)
    name = f"pattern.{sha256(table.encode()).hexdigest()[:12]}"  # the same in every kernel
    e.helpers.definitions[name] = f"@{name} = internal constant [{LANES} x i64] [{table}]"
    return Where(
        f".{name}",
        (("ptr", base, "%base"),),
        (
            f"%place# = getelementptr i64, ptr @{name}, i64 %lane",
            "%offset# = load i64, ptr %place#",
            "%address# = getelementptr i8, ptr %base, i64 %offset#",
        ),
    )


def behind(slot: str, distance: str) -> Where:
    """As many bytes behind the addresses in a slot."""
    return Where(
        "",
        (("ptr", slot, "%stored"), ("i64", distance, "%distance")),
        (
            "%place# = getelementptr ptr, ptr %stored, i64 %lane",
            "%one# = load ptr, ptr %place#",
            "%address# = getelementptr i8, ptr %one#, i64 %distance",
        ),
    )


def indexed(base: str, slot: str, type_: str, extend: str, step: int) -> Where:
    """`step` bytes times an index a lane, in a slot, after a base. `extend`: to 64 bits, or ""."""
    long = (f"%long# = {extend} {type_} %index# to i64",) if extend else ()
    index = "i64 %long#" if extend else f"{type_} %index#"
    return Where(
        f".{extend or 'x'}.{type_}.{step}",
        (("ptr", base, "%base"), ("ptr", slot, "%stored")),
        (
            f"%place# = getelementptr {type_}, ptr %stored, i64 %lane",
            f"%index# = load {type_}, ptr %place#",
            *long,
            f"%address# = getelementptr [{step} x i8], ptr %base, {index}",
        ),
    )


def load(e: Emitter, where: Where, type_: str, align: int) -> str:
    """Load an element a lane; whatever in lanes that are not active."""
    name = f"gather.{type_}.{align}{where.form}{_masked(e)}"
    if name not in e.helpers.definitions:
        vector = wide(type_)

        def one(suffix: str) -> list[str]:
            return [f"  %value{suffix} = load {type_}, ptr %address{suffix}, align {align}"]

        if e.mask is None:
            lines, result = [], "poison"
            for k in range(LANES):
                lines += where.of_lane(str(k), str(k)) + one(str(k))
                element = f"{type_} %value{k}, i64 {k}"
                lines.append(f"  %result{k} = insertelement {vector} {result}, {element}")
                result = f"%result{k}"
        else:
            keep = [
                f"  %to = getelementptr {type_}, ptr %values, i64 %lane",
                f"  store {type_} %value, ptr %to",
            ]
            head = [f"  %values = alloca {vector}, align 64"]
            lines = _loop(e, head, where.of_lane("%lane", "") + one("") + keep)
            lines.append(f"  %result = load {vector}, ptr %values, align 64")
            result = "%result"
        _define(e, vector, name, where, [], [*lines, f"  ret {vector} {result}"])
    return e.let(f"call {wide(type_)} @{name}({_arguments(e, where)})")


def store(e: Emitter, where: Where, vector: str, type_: str, align: int) -> None:
    """Store an element a lane, in the lanes' order."""
    name = f"scatter.{type_}.{align}{where.form}{_masked(e)}"
    if name not in e.helpers.definitions:
        if e.mask is None:
            lines = []
            for k in range(LANES):
                lines += where.of_lane(str(k), str(k))
                lines.append(f"  %value{k} = extractelement {wide(type_)} %values, i64 {k}")
                lines.append(f"  store {type_} %value{k}, ptr %address{k}, align {align}")
        else:
            one = [
                f"  %from = getelementptr {type_}, ptr %memory, i64 %lane",
                f"  %value = load {type_}, ptr %from",
                f"  store {type_} %value, ptr %address, align {align}",
            ]
            head = [
                f"  %memory = alloca {wide(type_)}, align 64",
                f"  store {wide(type_)} %values, ptr %memory",
            ]
            lines = _loop(e, head, where.of_lane("%lane", "") + one)
        _define(e, "void", name, where, [f"{wide(type_)} %values"], [*lines, "  ret void"])
    e.do(f"call void @{name}({_arguments(e, where, f'{wide(type_)} {vector}')})")


def _masked(e: Emitter) -> str:
    return "" if e.mask is None else ".masked"


def _arguments(e: Emitter, where: Where, *more: str) -> str:
    mask = [] if e.mask is None else [f"i32 {e.mask_bits()}"]
    return ", ".join([*(f"{type_} {value}" for type_, value, _ in where.given), *mask, *more])


def _loop(e: Emitter, head: list[str], body: list[str]) -> list[str]:
    """The body for each lane of the mask, `%lane`, if there are any."""
    cttz = "llvm.cttz.i32"
    e.helpers.declarations.setdefault(
        cttz, f"declare i32 @{cttz}(i32, i1) nounwind willreturn memory(none)"
    )
    return [
        "start:",
        *head,
        "  %none = icmp eq i32 %mask, 0",
        "  br i1 %none, label %done, label %each",
        "each:",
        "  %left = phi i32 [ %mask, %start ], [ %rest, %each ]",
        f"  %first = call i32 @{cttz}(i32 %left, i1 true)",
        "  %lane = zext i32 %first to i64",
        *body,
        "  %less = add i32 %left, -1",
        "  %rest = and i32 %left, %less",
        "  %last = icmp eq i32 %rest, 0",
        "  br i1 %last, label %done, label %each",
        "done:",
    ]


def _define(
    e: Emitter, result: str, name: str, where: Where, more: list[str], lines: list[str]
) -> None:
    mask = [] if e.mask is None else ["i32 %mask"]
    parameters = [*(f"{type_} {name}" for type_, _, name in where.given), *mask, *more]
    head = f"define internal {result} @{name}({', '.join(parameters)}) noinline nounwind"
    e.helpers.definitions[name] = "\n".join([f"{head} {{", *lines, "}\n"])
