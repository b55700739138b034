"""Elementary functions as LLVM functions of 32 floats: those of polynomials.py and doubles.py.

fmod is right for most arguments only; if a lane has another, all are left to the C library.
"""

from __future__ import annotations

from pymetal.cpu.vectorise import doubles, polynomials
from pymetal.cpu.vectorise.code import Code

NAMES = frozenset(polynomials.FUNCTIONS) | doubles.NAMES


def arity(name: str) -> int:
    """How many arguments a function takes."""
    return doubles.arity(name)


def definition(name: str, count: int) -> tuple[str, str, list[str]]:
    """The function's symbol, its definition for vectors of `count`, and what that declares."""
    symbol = f"vector.{name}.{count}"
    operands = ["%a", "%b"][: arity(name)]
    c = Code(count)
    parameters = ", ".join(f"{c.type()} {o}" for o in operands)
    head = f"define internal {c.type()} @{symbol}({parameters}) noinline nounwind"
    near = _is_near(c, name, operands)
    if near:
        bits = c.let(f"bitcast {c.type('i1')} {near} to i{count}")
        all_near = c.let(f"icmp eq i{count} {bits}, -1")
        c.lines += [f"  br i1 {all_near}, label %near, label %far", "near:"]
    if name in polynomials.FUNCTIONS:
        result = polynomials.FUNCTIONS[name](c, *operands)
    else:
        result = doubles.write(c, name, operands)
    c.lines.append(f"  ret {c.type()} {result}")
    if near:
        c.lines.append("far:")
        c.lines.append(f"  ret {c.type()} {c.lane_by_lane(f'{name}f', operands)}")
    body = "\n".join(c.lines)
    return symbol, f"{head} memory(none) {{\n{body}\n}}\n", list(c.declared)


def _is_near(c: Code, name: str, operands: list[str]) -> str:
    """Which lanes have arguments that the function is right for; "" if it is for all."""
    if name == "fmod":
        x, y = (c.call("fabs", operand) for operand in operands)
        finite = c.compare("olt", y, c.number(float("inf")))
        small = c.compare("olt", x, c.op("fmul", y, c.number(2.0**29)))
        return c.op("and", finite, small, "i1")
    return ""
