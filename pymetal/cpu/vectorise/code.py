"""An LLVM function of vectors being written: its lines, numbers and instructions."""

from __future__ import annotations

import struct
from collections.abc import Sequence


class Code:
    """A function of one vector being written."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.lines: list[str] = []
        self.declared: dict[str, None] = {}  # declarations, in order

    def type(self, element: str = "float") -> str:
        return f"<{self.count} x {element}>"

    def let(self, text: str) -> str:
        self.lines.append(f"  %v{len(self.lines)} = {text}")
        return f"%v{len(self.lines) - 1}"

    def number(self, value: float, element: str = "float") -> str:
        if element == "float":
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        bits = struct.unpack("<Q", struct.pack("<d", value))[0]
        return f"splat ({element} 0x{bits:016X})"

    def op(self, opcode: str, a: str, b: str, element: str = "float") -> str:
        return self.let(f"{opcode} {self.type(element)} {a}, {b}")

    def call(self, name: str, *operands: str, element: str = "float") -> str:
        short = {"float": "f32", "double": "f64"}[element]
        t = self.type(element)
        full = f"llvm.{name}.v{self.count}{short}"
        self.declared[f"declare {t} @{full}({', '.join([t] * len(operands))})"] = None
        return self.let(f"call {t} @{full}({', '.join(f'{t} {o}' for o in operands)})")

    def fma(self, a: str, b: str, c: str, element: str = "float") -> str:
        return self.call("fmuladd", a, b, c, element=element)

    def lane_by_lane(self, function: str, operands: Sequence[str], element: str = "float") -> str:
        """`function` of floats, which gives an `element`, called for each lane."""
        floats = ", ".join(["float"] * len(operands))
        declaration = f"declare {element} @{function}({floats}) nounwind willreturn memory(none)"
        self.declared[declaration] = None
        result = "poison"
        for lane in range(self.count):
            own = [self.let(f"extractelement {self.type()} {o}, i64 {lane}") for o in operands]
            inner = ", ".join(f"float {value}" for value in own)
            value = self.let(f"call {element} @{function}({inner})")
            vector = self.type(element)
            result = self.let(f"insertelement {vector} {result}, {element} {value}, i64 {lane}")
        return result

    def series(self, x: str, coefficients: Sequence[float]) -> str:
        """c0 + c1 x + c2 x^2 + …"""
        total = self.number(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = self.fma(total, x, self.number(c))
        return total

    def cast(self, opcode: str, a: str, source: str, target: str) -> str:
        return self.let(f"{opcode} {self.type(source)} {a} to {self.type(target)}")

    def select(self, condition: str, a: str, b: str, element: str = "float") -> str:
        t = self.type(element)
        return self.let(f"select {self.type('i1')} {condition}, {t} {a}, {t} {b}")

    def compare(self, predicate: str, a: str, b: str) -> str:
        return self.let(f"fcmp {predicate} {self.type()} {a}, {b}")

    def integer(self, opcode: str, a: str, b: int | str) -> str:
        b = f"splat (i32 {b})" if isinstance(b, int) else b
        return self.op(opcode, a, b, "i32")
