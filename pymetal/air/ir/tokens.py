"""Tokens of one line of IR, and a cursor over them that reads types and values."""

from __future__ import annotations

import re

from pymetal.air.ir import types
from pymetal.air.ir.instruction import CASTS
from pymetal.air.ir.types import SIMPLE, ArrayType, StructType, Type, VectorType
from pymetal.air.ir.values import (
    Aggregate,
    Constant,
    Expression,
    Global,
    Local,
    MetadataOperand,
    Splat,
    Value,
)
from pymetal.errors import LibraryError

# A quoted name or string (LLVM writes a quote inside one as \\22), a word, or punctuation.
TOKEN = re.compile(r';.*|[%@$!#c]?"[^"]*"|[%@$!#]?[-\w.$+]+|[()\[\]{}<>,=*:|!]')

EXPRESSIONS = (
    CASTS
    | {"getelementptr", "add", "sub", "xor"}
    | {"extractelement", "insertelement", "shufflevector"}
)
LITERALS = frozenset({"true", "false", "null", "poison", "undef", "zeroinitializer", "none"})
# What may begin a value; any other word before one is an attribute.
VALUE_WORDS = EXPRESSIONS | LITERALS | {"splat", "asm", "blockaddress", "dso_local_equivalent"}
CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


class Cursor:
    """A position in the tokens of one line."""

    __slots__ = ("line", "position", "tokens")

    def __init__(self, line: str) -> None:
        self.line = line
        self.tokens: list[str] = TOKEN.findall(line)
        if self.tokens and self.tokens[-1][0] == ";":
            self.tokens.pop()
        self.tokens += ("", "")  # the end, and one to look past it
        self.position = 0

    def fail(self, what: str) -> LibraryError:
        return LibraryError(f"cannot read LLVM IR: {what}\n  {self.line.strip()}")

    def peek(self) -> str:
        return self.tokens[self.position]

    def next(self) -> str:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def accept(self, token: str) -> bool:
        if self.tokens[self.position] == token:
            self.position += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if self.tokens[self.position] != token:
            raise self.fail(f"expected '{token}', found '{self.peek()}'")
        self.position += 1

    def number(self) -> int:
        token = self.next()
        try:
            return int(token)
        except ValueError:
            raise self.fail(f"expected a number, found '{token}'") from None

    def words(self, allowed: frozenset[str]) -> tuple[str, ...]:
        """As many of the allowed words as stand here."""
        start = self.position
        while self.tokens[self.position] in allowed:
            self.position += 1
        return tuple(self.tokens[start : self.position])

    def local_name(self) -> str:
        token = self.next()
        if token[:1] != "%":
            raise self.fail(f"expected a local name, found '{token}'")
        return token[1:]

    def balanced(self) -> str:
        """The tokens from an opening bracket to its partner, as text."""
        start = self.position
        depth = 0
        while True:
            token = self.next()
            if not token:
                raise self.fail("a bracket is not closed")
            depth += (token in "([{<") - (token in ")]}>")
            if not depth:
                return spelled(self.tokens[start : self.position])

    def attributes(self) -> str:
        """Attributes before a value, name or bracket: words, "text", align 8, range(...)."""
        found: list[str] = []
        while True:
            token = self.peek()
            if not token or token in VALUE_WORDS or token[0] in "%@!,)([{<-0123456789":
                return " ".join(found)
            if token.startswith('c"'):
                return " ".join(found)
            text = self.next()
            if self.peek() == "(":
                text += self.balanced()
            elif text in ("align", "alignstack"):
                text += f" {self.number()}"
            found.append(text)

    # Types

    def type(self) -> Type:
        token = self.tokens[self.position]
        simple = SIMPLE.get(token)
        if simple is not None:
            self.position += 1
            return simple
        self.position += 1
        if token == "ptr":
            if self.peek() != "addrspace":
                return types.PTR
            return types.pointer(self.address_space())
        if token == "<":
            if self.peek() == "{":
                body = self.type()
                self.expect(">")
                assert isinstance(body, StructType)
                return types.struct(body.fields, True)
            return types.vector(*self.counted(">"))
        if token == "[":
            return types.array(*self.counted("]"))
        if token == "{":
            fields = []
            while not self.accept("}"):
                fields.append(self.type())
                self.accept(",")
            return types.struct(tuple(fields))
        if token[:1] == "%":
            return types.named(token[1:])
        if token[:1] == "i" and token[1:].isdigit():
            return types.integer(int(token[1:]))
        raise self.fail(f"expected a type, found '{token}'")

    def address_space(self) -> int:
        self.expect("addrspace")
        self.expect("(")
        space = self.number()
        self.expect(")")
        return space

    def counted(self, close: str) -> tuple[int, Type]:
        count = self.number()
        self.expect("x")
        element = self.type()
        self.expect(close)
        return count, element

    # Values

    def typed(self) -> Value:
        return self.value(self.type())

    def value(self, type_: Type) -> Value:
        token = self.tokens[self.position]
        first = token[:1]
        self.position += 1
        if first == "%":
            return Local(type_, token[1:])
        if first == "@":
            return Global(type_, token[1:])
        if first.isdigit() or first == "-" or token in LITERALS or token[:2] == 'c"':
            return Constant(type_, token)
        if first in CLOSING and first != "(":
            return self.aggregate(type_, token)
        if token == "splat":
            self.expect("(")
            element = self.typed()
            self.expect(")")
            return Splat(type_, element)
        if token in EXPRESSIONS:
            return self.expression(type_, token)
        if type_ is types.METADATA:
            self.position -= 1
            return self.metadata(type_)
        raise self.fail(f"expected a value of type {type_}, found '{token}'")

    def aggregate(self, type_: Type, opening: str) -> Value:
        packed = opening == "<" and self.accept("{")
        if not isinstance(type_, (VectorType, ArrayType, StructType, types.NamedType)):
            raise self.fail(f"{type_} has no elements")
        closing = "}" if packed else CLOSING[opening]
        elements = []
        while not self.accept(closing):
            elements.append(self.typed())
            self.accept(",")
        if packed:
            self.expect(">")
        return Aggregate(type_, tuple(elements))

    def expression(self, type_: Type, opcode: str) -> Value:
        start = self.position
        while self.peek() not in ("(", ""):
            self.position += 1
            if self.tokens[self.position - 1] == "inrange":
                raise self.fail("inrange is not supported")
        flags = tuple(self.tokens[start : self.position])
        self.expect("(")
        source = None
        if opcode == "getelementptr":
            source = self.type()
            self.expect(",")
        operands = [self.typed()]
        while self.accept(","):
            operands.append(self.typed())
        if self.accept("to"):
            self.type()
        self.expect(")")
        return Expression(type_, opcode, flags, tuple(operands), source)

    def metadata(self, type_: Type) -> Value:
        start = self.position
        if self.peek()[:1] == "!" and len(self.peek()) > 1 and self.tokens[start + 1] != "(":
            self.position += 1
        else:
            while self.peek() not in ("", ",", ")"):
                if self.peek() in ("(", "{"):
                    self.balanced()
                else:
                    self.position += 1
        return MetadataOperand(type_, spelled(self.tokens[start : self.position]))


def spelled(tokens: list[str]) -> str:
    """Tokens as text again."""
    text = " ".join(tokens)
    for mark in (",", ")", "]", "}", ">", ":"):
        text = text.replace(f" {mark}", mark)
    for mark in "([{<":
        text = text.replace(f"{mark} ", mark)
    return text.replace(" (", "(")
