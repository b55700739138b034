"""What the names of a file are, as far as the rewriter must know: vectors, types, structs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pymetal.msl.declarations import ADDRESS_SPACES, Declaration, after_template
from pymetal.msl.tokens import Tokens

_INTEGERS = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong")
_ELEMENTS = (*_INTEGERS, "half", "bfloat", "float")
VECTORS = frozenset(f"{element}{lanes}" for element in _ELEMENTS for lanes in (2, 3, 4))
SCALARS = frozenset(
    (
        *_ELEMENTS,
        *("bool", "void", "auto", "unsigned", "signed"),
        *("size_t", "ptrdiff_t", "intptr_t", "uintptr_t"),
        *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
)


_BEFORE_TYPE = frozenset(("typename", "class", "const", *ADDRESS_SPACES))


@dataclass(frozen=True)
class Member:
    """A data member of a struct, and the struct of that name that its type is, if there is one.

    `type_name` is "" for a pointer: what it points to lies elsewhere. `space` is the address space
    that its declaration names: that of what a pointer points to.
    """

    name: str
    type_name: str
    space: str = ""


class Names:
    """Names that a file declares.

    `vectors`: vector types and aliases of them. `perhaps`: template parameters and aliases of
    unknown types, each of which may turn out to be a vector. Half and bfloat are among them where
    both occur: clang has no conversion between the two. `structs`: data members by name.
    `is_value` tells where one of `perhaps` is none.
    `variables`: what is declared with a vector's type somewhere in the file.
    """

    def __init__(self, tokens: Tokens, declarations: Sequence[Declaration]) -> None:
        self.vectors = set(VECTORS)
        self.perhaps: set[str] = set()
        self.structs: dict[str, tuple[Member, ...]] = {}
        text, kind = tokens.text, tokens.kind
        if any(word.startswith("bfloat") for word in tokens.places):
            self.perhaps |= {"half", "bfloat"}
        for i in tokens.find(("using", "typedef", "typename", "class")):
            c = text[i]
            if c == "using" and kind[i + 1] == "name" and text[i + 2] == "=":
                self._alias(tokens, text[i + 1], i + 3)
            elif c == "typedef":
                end = i
                while text[end] not in (";", "{", ""):
                    end += 1
                if kind[end - 1] == "name":
                    self._alias(tokens, text[end - 1], i + 1, end - 1)
            elif kind[i + 1] == "name" and text[i - 1] in ("<", ","):
                self.perhaps.add(text[i + 1])
        self.perhaps.discard("decltype")  # f<typename decltype(x)::type>
        self._values = _value_parameters(tokens, declarations, self.perhaps)
        self.variables = {text[i + 1] for i in tokens.find(self.vectors) if kind[i + 1] == "name"}
        for declaration in declarations:
            if declaration.kind == "class":
                self._struct(tokens, declaration)

    def is_value(self, word: str, i: int) -> bool:
        """Whether what may be a type elsewhere is a parameter at token i that is a value."""
        return any(first <= i < end for first, end in self._values.get(word, ()))

    def _alias(self, tokens: Tokens, name: str, first: int, last: int = -1) -> None:
        if last == -1:
            last = first
            while tokens.text[last] not in (";", "{", ""):
                last += 1
        words = [w for w in tokens.words(first, last) if w not in ("metal", "::", "typename")]
        words = [w for w in words if w not in ("const", "constant", "device", "thread")]
        if not words or words[-1] in ("*", "&", "]", ")"):
            return
        if (len(words) == 1 and words[0] in self.vectors) or words[:2] == ["vec", "<"]:
            self.vectors.add(name)
        elif words[0] in self.perhaps or not (len(words) == 1 and words[0] in SCALARS):
            self.perhaps.add(name)

    def _struct(self, tokens: Tokens, declaration: Declaration) -> None:
        i = after_template(tokens, declaration)
        words = tokens.words(i, declaration.head_end)
        if "struct" not in words and "class" not in words:
            return
        name = declared_name(tokens, i, declaration.head_end)
        if name == "":  # typedef struct { ... } Name;
            name = tokens.text[declaration.end - 2]
        members: list[Member] = []
        for inner in declaration.inner:
            if inner.kind == "other":
                members += _members(tokens, inner)
        if any(_has_bit_field(tokens, inner) for inner in declaration.inner):
            members = []  # which have no offsets
        if name not in self.structs:
            self.structs[name] = tuple(members)


def _value_parameters(
    tokens: Tokens, declarations: Sequence[Declaration], among: set[str]
) -> dict[str, list[tuple[int, int]]]:
    """Where names are values of templates, such as functions: `template <float (*op)(float)>`."""
    text = tokens.text
    found: dict[str, list[tuple[int, int]]] = {}
    for declaration in declarations:
        head = range(declaration.start, after_template(tokens, declaration))
        for i in head:
            if text[i] not in among:
                continue
            is_pointer = text[i - 1] in ("*", "&") and text[i - 2] == "(" and text[i + 1] == ")"
            typed = tokens.kind[i - 1] == "name" and text[i - 1] not in _BEFORE_TYPE
            if is_pointer or (typed and text[i + 1] in (",", ">", "=", "(")):
                found.setdefault(text[i], []).append((declaration.start, declaration.end))
    return found


def declared_name(tokens: Tokens, first: int, last: int) -> str:
    """The name behind `struct`, attributes and alignment left out; "" for none."""
    i = first
    while i < last and tokens.text[i] not in ("struct", "class"):
        i += 1
    i += 1
    while i < last:
        if tokens.text[i] in ("[", "(", "alignas", "__attribute__"):
            opening = i if tokens.text[i] in ("[", "(") else i + 1
            i = tokens.partner[opening] + 1
        elif tokens.kind[i] == "name":
            return tokens.text[i]
        else:
            break
    return ""


def _has_bit_field(tokens: Tokens, declaration: Declaration) -> bool:
    """`unsigned a : 3;`"""
    words = tokens.text[declaration.start : declaration.end]
    return declaration.kind == "other" and ":" in words and "?" not in words


def _members(tokens: Tokens, declaration: Declaration) -> list[Member]:
    """The members that `T a, b[3];` declares; none for aliases, statics and the like."""
    text, kind = tokens.text, tokens.kind
    first, last = declaration.start, declaration.end - 1
    words = text[first:last]
    if not words or words[0] in ("using", "typedef", "friend", "static_assert", "template", "enum"):
        return []
    if "static" in words or "operator" in words:
        return []
    members: list[Member] = []
    type_name = name = ""
    is_pointer = False
    space = next((word for word in words if word in ADDRESS_SPACES), "")
    i = first
    while i <= last:
        c = text[i]
        if c in ("[", "(", "{"):
            i = min(tokens.partner[i], last)
        elif c == "<":
            close = tokens.angle_end(i, declaring=True)
            i = close if close != -1 else i
        elif kind[i] == "name":
            type_name, name = (name, c) if not members else (type_name, c)
        elif c in ("=", ":"):
            while text[i + 1] not in (",", ";", ""):
                i += 1
        elif c == "*":
            is_pointer = True
        elif c in (",", ";") and name:
            members.append(Member(name, "" if is_pointer else type_name, space))
            name, is_pointer = "", False
        i += 1
    return members
