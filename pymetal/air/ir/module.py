"""Modules, functions and blocks: the containers of instructions.

A function's body is read when it is first looked at. Of a library with thousands of kernels only
the few that are needed are ever taken apart; the rest stay text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pymetal.air.ir.instruction import Instruction
from pymetal.air.ir.types import FunctionType, Type
from pymetal.air.ir.values import Global, Local, Value


@dataclass(slots=True)
class Parameter:
    """`attributes` are kept as written. Declarations need not name their parameters."""

    type: Type
    name: str = ""
    attributes: str = ""

    @property
    def value(self) -> Local:
        return Local(self.type, self.name)


@dataclass(slots=True, eq=False)
class Block:
    """Instructions that run in order; the last one is the only terminator."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)

    @property
    def terminator(self) -> Instruction:
        return self.instructions[-1]

    @property
    def phis(self) -> list[Instruction]:
        return [i for i in self.instructions if i.opcode == "phi"]


@dataclass(slots=True, eq=False)
class GlobalVariable:
    """`qualifiers` is what stands before `global` or `constant` (linkage, addrspace(3)…) and
    `suffix` what follows the initializer (section, align…), both as written."""

    name: str
    value_type: Type
    pointer: Type
    qualifiers: str = ""
    is_constant: bool = False
    initializer: Value | None = None
    suffix: str = ""

    @property
    def value(self) -> Global:
        return Global(self.pointer, self.name)

    @property
    def section(self) -> str:
        _, found, rest = self.suffix.partition('section "')
        return rest.partition('"')[0] if found else ""


class Function:
    """A definition, or a declaration when it has no body."""

    def __init__(self, name: str, result: Type, parameters: list[Parameter]) -> None:
        self.name = name
        self.result = result
        self.parameters = parameters
        self.qualifiers = ""  # linkage, calling convention…
        self.result_attributes = ""
        self.suffix = ""  # unnamed_addr, #0, section, align, !dbg…
        self.variadic = False
        self.is_declaration = True
        self.unread_body: tuple[str, Callable[[Function, str], list[Block]]] | None = None
        self._blocks: list[Block] = []
        self._fresh = 0

    @property
    def type(self) -> FunctionType:
        return FunctionType(self.result, tuple(p.type for p in self.parameters), self.variadic)

    @property
    def blocks(self) -> list[Block]:
        """The body, entry first; empty for a declaration."""
        if self.unread_body is not None:
            text, reader = self.unread_body
            self.unread_body = None
            self._blocks = reader(self, text)
        return self._blocks

    @blocks.setter
    def blocks(self, blocks: list[Block]) -> None:
        self.unread_body = None
        self.is_declaration = not blocks
        self._blocks = blocks

    @property
    def instructions(self) -> Iterator[Instruction]:
        for block in self.blocks:
            yield from block.instructions

    def block(self, name: str) -> Block:
        return next(b for b in self.blocks if b.name == name)

    def fresh(self, hint: str) -> str:
        """A name that no value or block of this function has."""
        if not self._fresh:
            taken = {p.name for p in self.parameters} | {b.name for b in self.blocks}
            taken |= {i.name for i in self.instructions}
            tails = (n.rpartition("..")[2] for n in taken if ".." in n)
            self._fresh = max((int(t) for t in tails if t.isdigit()), default=0)
        self._fresh += 1
        return f"{hint}..{self._fresh}"

    def __str__(self) -> str:
        from pymetal.air.ir.write import function_text

        return function_text(self)


class Module:
    """One module. Sections are dictionaries in written order; metadata is kept as text."""

    def __init__(self) -> None:
        self.source_filename = ""
        self.data_layout = ""
        self.triple = ""
        self.assembly: list[str] = []
        self.types: dict[str, Type | None] = {}  # None: opaque
        self.comdats: dict[str, str] = {}
        self.globals: dict[str, GlobalVariable] = {}
        self.aliases: dict[str, str] = {}
        self.functions: dict[str, Function] = {}
        self.attribute_groups: dict[str, str] = {}  # "#0" to the text inside its braces
        self.metadata: dict[str, str] = {}  # "!0" or "!air.kernel" to its right-hand side

    def attributes(self, instruction: Instruction) -> dict[str, str]:
        """A call's function attributes with groups spelt out; a flag's value is ""."""
        from pymetal.air.ir.read import read_attributes

        assert instruction.call is not None
        return read_attributes(instruction.call.function_attributes, self.attribute_groups)

    def function_attributes(self, function: Function) -> dict[str, str]:
        """A function's own attributes, likewise."""
        from pymetal.air.ir.read import read_attributes

        return read_attributes(function.suffix, self.attribute_groups)

    def __str__(self) -> str:
        from pymetal.air.ir.write import module_text

        return module_text(self)
