"""Bodies for intrinsics in LLVM's text, and how types are spelled in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pymetal.air.vocabulary import Signature

SCALARS = {"f32": "float", "f16": "half", "bf16": "bfloat"} | {
    f"i{bits}": f"i{bits}" for bits in (1, 8, 16, 32, 64)
}
_SUFFIXES = {ir: suffix for suffix, ir in SCALARS.items()}
_FLOAT_BITS = {"half": 16, "bfloat": 16, "float": 32}


@dataclass
class Body:
    """A function being written: parameters `%p0`, `%p1`, ... and the lines so far."""

    signature: Signature
    lines: list[str] = field(default_factory=list)
    used: list[Signature] = field(default_factory=list)

    def emit(self, instruction: str) -> str:
        """Add an instruction that has a result; returns the result's name."""
        self.lines.append(f"  %v{len(self.lines)} = {instruction}")
        return f"%v{len(self.lines) - 1}"

    def call(self, name: str, result: str, *operands: tuple[str, str], flags: str = "") -> str:
        """Call `name` with (type, value) operands; a vector may meet scalar-only intrinsics."""
        if not name.startswith("llvm."):
            self.used.append(Signature(name, result, tuple(t for t, _ in operands)))
        inner = ", ".join(f"{t} {v}" for t, v in operands)
        call = f"call {flags}{result} @{name}({inner})"
        if result == "void":
            self.lines.append(f"  {call}")
            return ""
        return self.emit(call)

    def text(self, value: str) -> str:
        """The whole definition, returning `value`."""
        s = self.signature
        inner = ", ".join(f"{t} %p{i}" for i, t in enumerate(s.parameters))
        result = f"{s.result} {value}" if s.result != "void" else "void"
        lines = "\n".join([*self.lines, f"  ret {result}"])
        return f"define internal {s.result} @{s.name}({inner}) alwaysinline {{\n{lines}\n}}\n"


def split_vector(type_: str) -> tuple[int, str]:
    """`<4 x float>` -> (4, "float"); a scalar counts as 1."""
    match = re.fullmatch(r"<(\d+) x (\w+)>", type_)
    return (int(match[1]), match[2]) if match else (1, type_)


def with_element(type_: str, element: str) -> str:
    """`type_` with another element: `<4 x i8>`, "float" -> `<4 x float>`."""
    count, _ = split_vector(type_)
    return f"<{count} x {element}>" if type_.startswith("<") else element


def suffix(type_: str) -> str:
    """How LLVM's intrinsic names spell a type: `<4 x float>` -> "v4f32"."""
    count, element = split_vector(type_)
    return (f"v{count}" if type_.startswith("<") else "") + _SUFFIXES.get(element, element)


def splat(type_: str, value: str) -> str:
    """A constant of `type_` whose elements are all `value`."""
    _, element = split_vector(type_)
    return f"splat ({element} {value})" if type_.startswith("<") else value


def convert_float(body: Body, value: str, source: str, target: str) -> str:
    """Between float types; half and bfloat meet in float, which holds both exactly."""
    if source == target:
        return value
    from_bits, to_bits = (_FLOAT_BITS[split_vector(t)[1]] for t in (source, target))
    if from_bits == to_bits:
        wide = with_element(source, "float")
        return convert_float(body, convert_float(body, value, source, wide), wide, target)
    operation = "fpext" if to_bits > from_bits else "fptrunc"
    return body.emit(f"{operation} {source} {value} to {target}")
