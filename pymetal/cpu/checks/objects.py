"""What a pointer was made from: a buffer, threadgroup memory or a private array."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pymetal.air.ir import Function, Instruction, Module
from pymetal.air.ir.instruction import call
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import (
    I8,
    I64,
    PTR,
    VOID,
    ArrayType,
    IntegerType,
    NamedType,
    StructType,
    Type,
)
from pymetal.air.ir.values import Constant, Expression, Global, Local, Value
from pymetal.air.ir.values import integer_constant as integer
from pymetal.air.normalise import THREADGROUP_SECTION
from pymetal.air.wrapper import Parameter
from pymetal.cpu.checks.sites import ARGUMENT, BUFFER, STACK, UNKNOWN, VARIABLE

MEMSET = "llvm.memset.p0.i64"


@dataclass
class Object:
    """What a pointer was made from; `base`, its start, is None where that is not known.

    Of several things only the run knows which one it is: `space` is unknown then, `base` a value.
    """

    space: int = UNKNOWN
    index: int = 0
    size_bytes: int = 0
    base: Value | None = None
    name: str = ""
    shadow: Value | None = None
    struct_bytes: int = 0  # of an array of structs: of each


@dataclass
class Objects:
    """The memory that one function may access, by the names of what points to its start."""

    module: Module
    function: Function
    known: dict[str, Object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layout = Layout(self.module.types)
        self.defined = {i.name: i for i in self.function.instructions if i.name}
        self.block_of = {
            i.name: block for block in self.function.blocks for i in block.instructions if i.name
        }
        self.starts: dict[str, Value] = {}

    def parameters(self, parameters: tuple[Parameter, ...]) -> None:
        """Buffers and threadgroup arguments, numbered in their order."""
        slots = {"buffer": 0, "threadgroup": 0}
        for p in parameters:
            value = Local(PTR, p.name)
            if p.role == "buffer":
                self.known[p.name] = Object(BUFFER, slots["buffer"], base=value)
                slots["buffer"] += 1
            elif p.role == "threadgroup":
                self.known[p.name] = Object(ARGUMENT, slots["threadgroup"], base=value)
                slots["threadgroup"] += 1

    def private_arrays(self) -> list[Instruction]:
        """Give every private array a shadow that tells which of its bytes were written, and fill
        the array, so that what it holds before does not change from run to run."""
        head: list[Instruction] = []
        fill = call(self.function.fresh("fill"), I8, "pymetal_check_fill", [])
        for block in self.function.blocks:
            for i in list(block.instructions):
                if i.opcode != "alloca" or i.source_type is None:
                    continue
                size = self.layout.size(i.source_type)
                shadow = Instruction(
                    "alloca",
                    self.function.fresh("shadow"),
                    PTR,
                    [integer(I64, size)],
                    source_type=I8,
                    align=8,
                )
                block.instructions.insert(block.instructions.index(i), shadow)
                clear = call(
                    "",
                    VOID,
                    MEMSET,
                    [
                        shadow.result,
                        integer(I8, 0),
                        integer(I64, size),
                        Constant(IntegerType(1), "false"),
                    ],
                )
                if not head:
                    head.append(fill)
                head.append(clear)
                full = [
                    i.result,
                    fill.result,
                    integer(I64, size),
                    Constant(IntegerType(1), "false"),
                ]
                head.append(call("", VOID, MEMSET, full))
                name = re.sub(r"(\.i\d*|\.addr|\.sroa\S*|\.\d+)+$", "", i.name.strip('"'))
                self.known[i.name] = Object(
                    STACK, 0, size, i.result, name, shadow.result, self._struct(i.source_type)
                )
        return head

    def of(self, pointer: Value) -> Object:
        """What the pointer was made from, if the code shows it.

        For a pointer to one of several things this adds instructions, when asked first.
        """
        found: dict[int, Object] = {}
        waiting, seen = [pointer], set()
        while waiting:
            value = waiting.pop()
            if isinstance(value, Expression) and value.opcode in ("getelementptr", "bitcast"):
                waiting.append(value.operands[0])
                continue
            if isinstance(value, Global):
                known = self._global(value)
                found[id(known)] = known
                continue
            if not isinstance(value, Local):
                return Object()
            if value.name in seen:
                continue
            seen.add(value.name)
            if value.name in self.known:
                known = self.known[value.name]
                found[id(known)] = known
                continue
            i = self.defined.get(value.name)
            if i is None:
                return Object()
            if i.opcode in ("getelementptr", "bitcast", "freeze", "addrspacecast"):
                waiting.append(i.operands[0])
            elif i.opcode == "phi":
                waiting += i.operands
            elif i.opcode == "select":
                waiting += i.operands[1:]
            elif i.opcode == "load":  # the run knows what memory the pointer was made from
                self.known[value.name] = Object(base=value)
                found[id(self.known[value.name])] = self.known[value.name]
            else:
                return Object()
        if len(found) != 1:
            return Object(base=self._start(pointer)) if found else Object()
        return next(iter(found.values()))

    def _start(self, pointer: Value) -> Value:
        """Where that of several things starts which the pointer, known to `of`, was made from."""
        if isinstance(pointer, Expression):
            return self._start(pointer.operands[0])
        if not isinstance(pointer, Local):
            return pointer
        if pointer.name in self.known:
            return self.known[pointer.name].base or pointer
        if pointer.name in self.starts:
            return self.starts[pointer.name]
        i = self.defined[pointer.name]
        if i.opcode not in ("phi", "select"):
            return self._start(i.operands[0])
        start = Instruction(i.opcode, self.function.fresh("start"), PTR, labels=list(i.labels))
        self.starts[pointer.name] = start.result  # a loop's phi leads to itself
        chosen = [self._start(o) for o in (i.operands if i.opcode == "phi" else i.operands[1:])]
        start.operands = chosen if i.opcode == "phi" else [i.operands[0], *chosen]
        block = self.block_of[pointer.name]
        block.instructions.insert(block.instructions.index(i) + 1, start)
        return start.result

    def _struct(self, type_: Type) -> int:
        if not isinstance(type_, ArrayType):
            return 0  # a struct around an array is the array to its users
        while isinstance(type_, ArrayType):
            type_ = type_.element
        return self.layout.size(type_) if isinstance(type_, StructType | NamedType) else 0

    def _global(self, value: Global) -> Object:
        if value.name not in self.known:
            variable = self.module.globals.get(value.name)
            known = Object()
            if variable is not None:
                size = self.layout.size(variable.value_type)
                shared = variable.section == THREADGROUP_SECTION
                known = Object(
                    VARIABLE if shared else STACK,
                    0,
                    size,
                    value,
                    _plain_name(value.name),
                    struct_bytes=self._struct(variable.value_type),
                )
            self.known[value.name] = known
        return self.known[value.name]


def _plain_name(symbol: str) -> str:
    """The last name in a mangled symbol: `_ZZ1fvE4tile` -> "tile"."""
    end = re.sub(r"(?:_\d*|\.\d+)+$", "", symbol.strip('"')).removesuffix("E")
    for length in re.finditer(r"\d+", end):
        for start in range(length.start(), length.end()):
            name = end[length.end() :]
            if int(end[start : length.end()]) == len(name):
                return name
    return end
