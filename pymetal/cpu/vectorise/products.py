"""Products of 8x8 matrices: calls of a function that adds them up in place.

Written out they would take LLVM seconds, and registers that no processor has. Factors lie in their
slots or, in rows apart, where they were loaded from (homes.py).
"""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.values import Local, Value
from pymetal.cpu.intrinsics import Barrier, meaning
from pymetal.cpu.vectorise.emitter import Emitter
from pymetal.cpu.vectorise.homes import is_product

_MATRIX = "<64 x float>"
_ROW = "<8 x float>"


def multiply(e: Emitter, i: Instruction, type_: str) -> None:
    """c + a·b. Two products with the same a are computed together."""
    both = [i, *_partner(e, i)]
    arguments = list(_factor(e, i.operands[0]))
    for one in both:
        arguments += [f"ptr {_sum(e, one)}", *_factor(e, one.operands[1])]
    name = f"matrix.multiply.{len(both)}"
    if name not in e.helpers.definitions:
        e.helpers.definitions[name] = _definition(name, len(both), e.target.fused_multiply_add)
        e.helpers.declarations.setdefault(
            "llvm.fma.v8f32",
            f"declare {_ROW} @llvm.fma.v8f32({_ROW}, {_ROW}, {_ROW}) "
            "nounwind willreturn memory(none)",
        )
    e.do(f"call void @{name}({', '.join(arguments)})")
    e.done |= {one.name for one in both[1:]}


def _factor(e: Emitter, value: Value) -> tuple[str, str]:
    """Arguments: where a factor starts, and the elements from one row to the next."""
    in_place = e.places.get(value.name) if isinstance(value, Local) else None
    place, stride = in_place or (_slot(e, value), "8")
    return f"ptr {place}", f"i64 {stride}"


def _sum(e: Emitter, i: Instruction) -> str:
    """The address of a product's result, which holds what is to be added already."""
    place = e.slot(i.name)
    added = i.operands[2]
    if not (isinstance(added, Local) and e.shares_slot(added.name, place)):
        old = e.let(f"load {_MATRIX}, ptr {_slot(e, added)}")
        e.do(f"store {_MATRIX} {old}, ptr {place}")
    return place


def _slot(e: Emitter, value: Value) -> str:
    if not isinstance(value, Local):
        slot = e.stack(_MATRIX)
        e.do(f"store {_MATRIX} {value.text}, ptr {slot}")
        return slot
    return e.slot(value.name)


def _partner(e: Emitter, i: Instruction) -> list[Instruction]:
    """A later product of the block with the same a that can be computed as early."""
    made = {i.name}
    touched = _slots(e, i)
    for other in e.from_here(i)[1:]:
        if (
            is_product(other)
            and other.operands[0] == i.operands[0]
            and other.name not in e.done
            and e.homes[other.name] not in touched
            and not any(isinstance(o, Local) and o.name in made for o in other.operands)
        ):
            return [other]
        if other.opcode == "call" and isinstance(meaning(other.callee), Barrier):
            break
        made.add(other.name)
        touched |= _slots(e, other)
    return []


def _slots(e: Emitter, i: Instruction) -> set[str]:
    """Whose slots an instruction reads and writes."""
    names = {v.name for v in i.operands if isinstance(v, Local)} | {i.name}
    return {e.homes[name] for name in names & e.homes.keys()}


def _definition(name: str, count: int, fused: bool) -> str:
    """`void (ptr a, i64 stride, then ptr sum, ptr b, i64 stride for each of count)`: sum += a·b.

    Four rows at a time fit into registers. Each product is added in order of the inner index.
    """
    lines: list[str] = []
    fresh = iter(range(1 << 20))

    def let(text: str) -> str:
        result = f"%t{next(fresh)}"
        lines.append(f"  {result} = {text}")
        return result

    def rows(base: str, stride: str) -> list[str]:
        found = [base]
        for _ in range(7):
            found.append(let(f"getelementptr float, ptr {found[-1]}, i64 {stride}"))
        return found

    def add(total: str, factor: str, row: str) -> str:
        if fused:
            operands = ", ".join(f"{_ROW} {o}" for o in (factor, row, total))
            return let(f"call {_ROW} @llvm.fma.v8f32({operands})")
        return let(f"fadd {_ROW} {total}, {let(f'fmul {_ROW} {factor}, {row}')}")

    a = rows("%a", "%stride")
    b = [rows(f"%b{m}", f"%stride{m}") for m in range(count)]
    sums = [rows(f"%sum{m}", "8") for m in range(count)]
    for top in (0, 4):
        totals = [[let(f"load {_ROW}, ptr {s[top + r]}, align 32") for r in range(4)] for s in sums]
        for k in range(8):
            factors = [let(f"load {_ROW}, ptr {b[m][k]}, align 4") for m in range(count)]
            for r in range(4):
                address = let(f"getelementptr float, ptr {a[top + r]}, i64 {k}")
                one = let(f"load float, ptr {address}, align 4")
                part = let(f"insertelement {_ROW} poison, float {one}, i64 0")
                spread = f"shufflevector {_ROW} {part}, {_ROW} poison, <8 x i32> zeroinitializer"
                factor = let(spread)
                for m in range(count):
                    totals[m][r] = add(totals[m][r], factor, factors[m])
        for m in range(count):
            for r in range(4):
                lines.append(f"  store {_ROW} {totals[m][r]}, ptr {sums[m][top + r]}, align 32")
    parameters = ["ptr %a", "i64 %stride"]
    for m in range(count):
        parameters += [f"ptr noalias %sum{m}", f"ptr %b{m}", f"i64 %stride{m}"]
    body = "\n".join(lines)
    head = f"define internal void @{name}({', '.join(parameters)}) noinline nounwind"
    return f"{head} {{\n{body}\n  ret void\n}}\n"
