"""One instruction: its opcode, result, operands and whatever else the opcode carries."""

from __future__ import annotations

from dataclasses import dataclass, field

from pymetal.air.ir.types import PTR, VOID, FunctionType, Type
from pymetal.air.ir.values import Global, Local, Value

BINARY = frozenset(
    [
        "add",
        "sub",
        "mul",
        "udiv",
        "sdiv",
        "urem",
        "srem",
        "shl",
        "lshr",
        "ashr",
        "and",
        "or",
        "xor",
        "fadd",
        "fsub",
        "fmul",
        "fdiv",
        "frem",
    ]
)
CASTS = frozenset(
    [
        "trunc",
        "zext",
        "sext",
        "fptrunc",
        "fpext",
        "fptoui",
        "fptosi",
        "uitofp",
        "sitofp",
        "ptrtoint",
        "ptrtoaddr",
        "inttoptr",
        "bitcast",
        "addrspacecast",
    ]
)
TERMINATORS = frozenset({"br", "switch", "ret", "unreachable"})


@dataclass(slots=True)
class CallDetails:
    """What a call carries beyond its operands. Attributes are kept as they were written."""

    callee: Value
    result_attributes: str = ""
    argument_attributes: list[str] = field(default_factory=list)
    function_attributes: str = ""
    variadic_type: FunctionType | None = None


@dataclass(slots=True, eq=False)
class Instruction:
    """`name` is "" when there is no result, and `type` then is void.

    flags        nsw, inbounds, fast, volatile, tail…, in written order
    predicate    of icmp and fcmp; the operation of atomicrmw
    source_type  what a getelementptr steps over, an alloca allocates
    labels       successors of a terminator; a phi's predecessors, operand for operand
    indices      of extractvalue and insertvalue
    ordering     of atomics, with `syncscope`, as written
    metadata     attachments: ("!dbg", "!12")
    A switch's operands are its value, then one constant per label after the first (the default).
    """

    opcode: str
    name: str = ""
    type: Type = VOID
    operands: list[Value] = field(default_factory=list)
    flags: tuple[str, ...] = ()
    predicate: str = ""
    source_type: Type | None = None
    labels: list[str] = field(default_factory=list)
    indices: tuple[int, ...] = ()
    align: int = 0
    ordering: str = ""
    call: CallDetails | None = None
    metadata: list[tuple[str, str]] = field(default_factory=list)

    @property
    def result(self) -> Local:
        """The value this instruction defines."""
        assert self.name, f"{self.opcode} has no result"
        return Local(self.type, self.name)

    @property
    def is_terminator(self) -> bool:
        return self.opcode in TERMINATORS

    @property
    def successors(self) -> list[str]:
        """The blocks a terminator may go on to, without repeats."""
        return list(dict.fromkeys(self.labels)) if self.opcode in ("br", "switch") else []

    @property
    def callee(self) -> str:
        """The name of the function that a call calls directly, else ""."""
        if self.call is not None and isinstance(self.call.callee, Global):
            return self.call.callee.name
        return ""

    @property
    def incoming(self) -> list[tuple[Value, str]]:
        """A phi's values, each with the block it comes from."""
        return list(zip(self.operands, self.labels, strict=True))

    def __str__(self) -> str:
        from pymetal.air.ir.write import instruction_text

        return instruction_text(self, {})


def call(name: str, result: Type, callee: str, operands: list[Value]) -> Instruction:
    """A direct call without attributes."""
    target = Global(PTR, callee)
    details = CallDetails(target, argument_attributes=[""] * len(operands))
    return Instruction("call", name, result, operands, call=details)
