"""One line of a function's body as an instruction object."""

from __future__ import annotations

from pymetal.air.ir import types
from pymetal.air.ir.instruction import BINARY, CASTS, CallDetails, Instruction
from pymetal.air.ir.tokens import Cursor
from pymetal.air.ir.types import (
    ArrayType,
    FunctionType,
    StructType,
    Type,
    VectorType,
)
from pymetal.air.ir.values import Value

FAST_MATH = frozenset(["fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"])
# Every word that may stand between an opcode and its first type.
FLAGS = FAST_MATH | frozenset(
    [
        "nuw",
        "nsw",
        "nusw",
        "exact",
        "disjoint",
        "nneg",
        "samesign",
        "inbounds",
        "inrange",
        "volatile",
        "atomic",
        "weak",
    ]
)
TAILS = frozenset({"tail", "musttail", "notail"})


def read_instruction(line: str) -> Instruction | None:
    """The instruction on a line; None for a debug record, which describes no behaviour."""
    c = Cursor(line)
    tokens = c.tokens
    name = ""
    if tokens[1] == "=" and tokens[0][0] == "%":
        name = tokens[0][1:]
        c.position = 2
    opcode = c.next()
    if opcode.startswith("#dbg_"):
        return None
    i = Instruction(opcode, name)
    if opcode in BINARY:
        i.flags = c.words(FLAGS)
        _same_type_operands(c, i)
        i.type = i.operands[0].type
    elif opcode in CASTS:
        i.flags = c.words(FLAGS)
        i.operands = [c.typed()]
        c.expect("to")
        i.type = c.type()
    elif reader := READERS.get(opcode):
        reader(c, i)
    elif opcode in TAILS and c.accept("call"):
        i.opcode = "call"
        _call(c, i)
        i.flags = (opcode, *i.flags)
    else:
        raise c.fail(f"instruction '{opcode}' is not supported")
    while c.accept(","):
        key = c.next()
        if key == "align":
            i.align = c.number()
        elif key.startswith("!"):
            i.metadata.append((key, c.next() if c.peek() != "!" else c.next() + c.balanced()))
        else:
            raise c.fail(f"unexpected '{key}'")
    if c.peek():
        raise c.fail(f"unexpected '{c.peek()}'")
    return i


def _same_type_operands(c: Cursor, i: Instruction) -> None:
    first = c.typed()
    c.expect(",")
    i.operands = [first, c.value(first.type)]


def _typed_list(c: Cursor, count: int) -> list[Value]:
    operands = [c.typed()]
    while len(operands) < count:
        c.expect(",")
        operands.append(c.typed())
    return operands


def _unary(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.operands = [c.typed()]
    i.type = i.operands[0].type


def _compare(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.predicate = c.next()
    _same_type_operands(c, i)
    type_ = i.operands[0].type
    i.type = types.vector(type_.count, types.I1) if isinstance(type_, VectorType) else types.I1


def _select(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.operands = _typed_list(c, 3)
    i.type = i.operands[1].type


def _phi(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.type = c.type()
    while True:
        c.expect("[")
        i.operands.append(c.value(i.type))
        c.expect(",")
        i.labels.append(c.local_name())
        c.expect("]")
        if c.tokens[c.position + 1] != "[":
            return
        c.expect(",")


def _getelementptr(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.source_type = c.type()
    while c.accept(","):
        if c.peek().startswith("!"):
            c.position -= 1
            break
        i.operands.append(c.typed())
    i.type = i.operands[0].type
    for operand in i.operands[1:]:
        if isinstance(operand.type, VectorType) and not isinstance(i.type, VectorType):
            i.type = types.vector(operand.type.count, i.type)


def _load(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.type = c.type()
    c.expect(",")
    i.operands = [c.typed()]
    i.ordering = _ordering(c)


def _store(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.operands = _typed_list(c, 2)
    i.ordering = _ordering(c)


def _ordering(c: Cursor) -> str:
    words = []
    while c.peek() not in (",", ""):
        words.append(c.next() + (c.balanced() if c.peek() == "(" else ""))
    return " ".join(words)


def _alloca(c: Cursor, i: Instruction) -> None:
    i.source_type = c.type()
    i.type = types.PTR
    while c.peek() == ",":
        follower = c.tokens[c.position + 1]
        if follower == "addrspace":
            c.expect(",")
            i.type = types.pointer(c.address_space())
        elif follower == "align":
            c.position += 2
            i.align = c.number()
        elif follower.startswith("!"):
            return
        else:
            c.expect(",")
            i.operands = [c.typed()]


def _atomicrmw(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.predicate = c.next()
    i.operands = _typed_list(c, 2)
    i.type = i.operands[1].type
    i.ordering = _ordering(c)


def _cmpxchg(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    i.operands = _typed_list(c, 3)
    i.type = types.struct((i.operands[1].type, types.I1))
    i.ordering = _ordering(c)


def _fence(c: Cursor, i: Instruction) -> None:
    i.ordering = _ordering(c)


def _extractvalue(c: Cursor, i: Instruction) -> None:
    i.operands = [c.typed()]
    i.indices = _indices(c)
    i.type = member_type(c, i.operands[0].type, i.indices)


def _insertvalue(c: Cursor, i: Instruction) -> None:
    i.operands = _typed_list(c, 2)
    i.indices = _indices(c)
    i.type = i.operands[0].type


def _indices(c: Cursor) -> tuple[int, ...]:
    found = []
    while c.peek() == "," and c.tokens[c.position + 1].isdigit():
        c.expect(",")
        found.append(c.number())
    return tuple(found)


def member_type(c: Cursor, type_: Type, indices: tuple[int, ...]) -> Type:
    for index in indices:
        if isinstance(type_, StructType):
            type_ = type_.fields[index]
        elif isinstance(type_, ArrayType):
            type_ = type_.element
        else:  # a named struct: llvmlite's passes leave none as a value
            raise c.fail(f"{type_} as a value is not supported")
    return type_


def _extractelement(c: Cursor, i: Instruction) -> None:
    i.operands = _typed_list(c, 2)
    i.type = _vector(c, i.operands[0]).element


def _insertelement(c: Cursor, i: Instruction) -> None:
    i.operands = _typed_list(c, 3)
    i.type = _vector(c, i.operands[0])


def _shufflevector(c: Cursor, i: Instruction) -> None:
    i.operands = _typed_list(c, 3)
    i.type = types.vector(_vector(c, i.operands[2]).count, _vector(c, i.operands[0]).element)


def _vector(c: Cursor, operand: Value) -> VectorType:
    if not isinstance(operand.type, VectorType):
        raise c.fail(f"expected a vector, found {operand.type}")
    return operand.type


def _branch(c: Cursor, i: Instruction) -> None:
    if c.peek() != "label":
        i.operands = [c.typed()]
        c.expect(",")
    i.labels = [_label(c)]
    if i.operands:
        c.expect(",")
        i.labels.append(_label(c))


def _switch(c: Cursor, i: Instruction) -> None:
    i.operands = [c.typed()]
    c.expect(",")
    i.labels = [_label(c)]
    c.expect("[")
    while not c.accept("]"):
        i.operands.append(c.typed())
        c.expect(",")
        i.labels.append(_label(c))


def _label(c: Cursor) -> str:
    c.expect("label")
    return c.local_name()


def _return(c: Cursor, i: Instruction) -> None:
    if not c.accept("void"):
        i.operands = [c.typed()]


def _unreachable(c: Cursor, i: Instruction) -> None:
    pass


def _call(c: Cursor, i: Instruction) -> None:
    i.flags = c.words(FLAGS)
    before = []
    while not _starts_type(c.peek()):
        text = c.next()
        if not text:
            raise c.fail("expected the callee's type")
        if c.peek() == "(":
            text += c.balanced()
        elif text == "align":
            text += f" {c.number()}"
        before.append(text)
    result = c.type()
    variadic = None
    if c.accept("("):
        parameters = []
        while c.peek() not in ("...", ")"):
            parameters.append(c.type())
            c.accept(",")
        variadic = FunctionType(result, tuple(parameters), c.accept("..."))
        c.expect(")")
    i.type = result
    if c.peek() == "asm":
        raise c.fail("inline assembly is not supported")
    callee = c.value(types.PTR)
    attributes = []
    c.expect("(")
    while not c.accept(")"):
        type_ = c.type()
        if type_ is types.METADATA:
            attributes.append("")
            i.operands.append(c.metadata(type_))
        else:
            attributes.append(c.attributes())
            i.operands.append(c.value(type_))
        c.accept(",")
    after = []
    while c.peek() not in (",", "", "["):
        text = c.next()
        if c.peek() == "(":
            text += c.balanced()
        elif c.accept("="):
            text += "=" + c.next()
        after.append(text)
    if c.peek() == "[":
        raise c.fail("operand bundles are not supported")
    i.call = CallDetails(callee, " ".join(before), attributes, " ".join(after), variadic)


def _starts_type(token: str) -> bool:
    return (
        token in types.SIMPLE
        or token == "ptr"
        or token[:1] in ("<", "[", "{", "%")
        or (token[:1] == "i" and token[1:].isdigit())
    )


READERS = {
    "fneg": _unary,
    "freeze": _unary,
    "icmp": _compare,
    "fcmp": _compare,
    "select": _select,
    "phi": _phi,
    "getelementptr": _getelementptr,
    "load": _load,
    "store": _store,
    "alloca": _alloca,
    "atomicrmw": _atomicrmw,
    "cmpxchg": _cmpxchg,
    "fence": _fence,
    "extractvalue": _extractvalue,
    "insertvalue": _insertvalue,
    "extractelement": _extractelement,
    "insertelement": _insertelement,
    "shufflevector": _shufflevector,
    "br": _branch,
    "switch": _switch,
    "ret": _return,
    "unreachable": _unreachable,
    "call": _call,
}
