"""The declarations of a file, found by tokens: namespaces, classes, functions, variables.

Not a C++ parser: it knows where each declaration at namespace or class scope starts and ends, its
parameter list and its body, which is what the rewriter needs. Function bodies are not entered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pymetal.msl.tokens import Tokens

Kind = Literal["namespace", "class", "function", "other"]

ADDRESS_SPACES = frozenset(
    ("device", "constant", "threadgroup", "thread", "threadgroup_imageblock", "ray_data")
)
_CLASS_WORDS = frozenset(("struct", "class", "union", "enum"))
_NOT_A_NAME = frozenset(
    ("decltype", "__attribute__", "alignas", "requires", "static_assert", "noexcept", "explicit")
)


@dataclass
class Declaration:
    """Tokens [start, end) of one declaration.

    `head_end` is the token that ends its head: the body's `{`, the `=`, the `;`. `parameters` is
    the opening parenthesis of a function's list, `body` the opening brace; -1 where there is none.
    """

    kind: Kind
    start: int
    end: int
    head_end: int
    parameters: int = -1
    body: int = -1
    in_class: bool = False
    inner: list[Declaration] = field(default_factory=list)

    def walk(self) -> list[Declaration]:
        """This declaration and all inside it, in source order."""
        found = [self]
        for declaration in self.inner:
            found += declaration.walk()
        return found


def find_declarations(tokens: Tokens) -> list[Declaration]:
    """All declarations at the outermost level; nested ones are in `inner`."""
    return _scope(tokens, 0, tokens.count, in_class=False)


def after_template(tokens: Tokens, declaration: Declaration) -> int:
    """The first token behind `template <...>` heads."""
    i = declaration.start
    while tokens.text[i] == "template" and tokens.text[i + 1] == "<":
        end = tokens.angle_end(i + 1, declaring=True)
        if end == -1:
            break
        i = end + 1
        if tokens.text[i] == "requires" and tokens.text[i + 1] == "(":
            i = tokens.partner[i + 1] + 1
    return i


def name_token(tokens: Tokens, declaration: Declaration) -> int:
    """The token before a function's parameters that names it; attributes may stand between."""
    i = declaration.parameters - 1
    while tokens.text[i] == "]" and tokens.attribute_end(tokens.partner[i]) == i:
        i = tokens.partner[i] - 1
    return i


def _scope(tokens: Tokens, i: int, end: int, *, in_class: bool) -> list[Declaration]:
    text = tokens.text
    found = []
    while i < end:
        if text[i] in (";", "}"):
            i += 1
        elif text[i] in ("public", "private", "protected") and text[i + 1] == ":":
            i += 2
        else:
            declaration = _one(tokens, i, end, in_class)
            found.append(declaration)
            i = max(declaration.end, i + 1)
    return found


def _one(tokens: Tokens, start: int, end: int, in_class: bool) -> Declaration:
    text, kind, partner = tokens.text, tokens.kind, tokens.partner
    parameters = body = initialisers = equals = -1
    is_class = is_namespace = False
    i = start
    while i < end:
        c = text[i]
        if c == "namespace" or (c == "extern" and kind[i + 1] == "string"):
            is_namespace = True
        elif c in _CLASS_WORDS and parameters == -1 and equals == -1 and text[start] != "typedef":
            is_class = True
        elif c == "operator" and parameters == -1:
            # operator(), operator<, operator T: on to the parameter list.
            i += 2 if text[i + 1] in ("(", "[") else 1
            while i + 1 < end and text[i + 1] != "(":
                i += 1
        elif c == "<" and parameters == -1 and (kind[i - 1] == "name"):
            close = tokens.angle_end(i, declaring=True)
            if close != -1:
                i = close
        elif c == "(":
            named = text[i - 1] not in _NOT_A_NAME and i > start
            if parameters == -1 and equals == -1 and named and text[start] != "typedef":
                parameters = i
            i = min(partner[i], end)
        elif c == "[":
            i = min(partner[i], end)
        elif c == "=" and parameters == -1 and equals == -1:
            equals = i
        elif c == ":" and parameters != -1 and initialisers == -1:
            initialisers = i
        elif c == "{":
            starts_member = initialisers != -1 and text[i - 1] not in (")", "}")
            if starts_member or equals != -1 or not (parameters != -1 or is_class or is_namespace):
                i = min(partner[i], end)  # a braced initialiser
            else:
                body = i
                break
        elif c == ";":
            break
        i += 1
    head_end = next(j for j in (initialisers, body, i) if j != -1)
    if equals != -1:
        head_end = equals
    if body == -1:
        stop = min(i + 1, end)
        name: Kind = "function" if parameters != -1 and equals == -1 else "other"
        return Declaration(name, start, stop, head_end, parameters, -1, in_class)
    close = min(partner[body], end)
    stop = min(close + 1, end)
    if parameters == -1:
        name = "namespace" if is_namespace else "class"
        # struct S { ... } s;  ends behind its variables
        while name == "class" and stop < end and text[stop - 1] != ";":
            stop = min(partner[stop], end) + 1 if text[stop] in ("(", "[", "{") else stop + 1
        declaration = Declaration(name, start, stop, body, -1, body, in_class)
        if "enum" not in text[start:body]:
            declaration.inner = _scope(tokens, body + 1, close, in_class=name == "class")
        return declaration
    return Declaration("function", start, stop, head_end, parameters, body, in_class)
