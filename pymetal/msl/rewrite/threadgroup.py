"""Threadgroup variables: one per threadgroup, so static here, in a section of their own."""

from __future__ import annotations

from collections.abc import Sequence

from pymetal.msl.declarations import Declaration
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

SECTION = "air.threadgroup"
_EMPTY = {"{", "}", ","}
_STATIC = f'static __attribute__((section("{SECTION}")))'


def rewrite(tokens: Tokens, declarations: Sequence[Declaration], problems: list[Problem]) -> None:
    """Rewrite `threadgroup T x[N];`; pointers and references to threadgroup memory stay locals."""
    kernels = [
        range(d.body, tokens.partner[d.body])
        for d in declarations
        if d.body != -1 and "kernel" in tokens.text[d.start : d.head_end]
    ]
    for i in tokens.find(("threadgroup",)):
        if not _qualifies_this(tokens, i) and _starts_declaration(tokens, i):
            end = _declarator_end(tokens, i + 1)
            if end == -1:
                continue
            if tokens.text[end] == "{" and set(tokens.words(end, tokens.partner[end])) <= _EMPTY:
                tokens.remove(end, tokens.partner[end] + 1)  # generated code says so of its structs
            elif tokens.text[end] in ("=", "{"):
                name = end - 1
                while tokens.text[name] == "]":
                    name = tokens.partner[name] - 1
                message = (
                    f"threadgroup variable '{tokens.text[name]}' cannot have an initialiser; "
                    "its memory is shared by the threadgroup"
                )
                problems.append(Problem(end, message))
            if not any(i in body for body in kernels):
                message = "variables in threadgroup memory are declared in kernels only"
                problems.append(Problem(i, message))
            tokens.replace(i, _STATIC)


def _qualifies_this(tokens: Tokens, i: int) -> bool:
    """`void f() threadgroup { ... }`, `S() threadgroup = default;`"""
    after = i + 2 if tokens.text[i + 1] == "const" else i + 1
    return tokens.text[i - 1] == ")" and tokens.text[after] in (":", "{", ";", "=")


def _starts_declaration(tokens: Tokens, i: int) -> bool:
    before = i - 1
    while tokens.text[before] in ("static", "volatile", "alignas", ")", "]") and before > 0:
        if tokens.text[before] in (")", "]"):
            opening = tokens.partner[before]
            is_attribute = tokens.attribute_end(opening) == before
            if not is_attribute and tokens.text[opening - 1] not in ("alignas", "__attribute__"):
                # if (...) threadgroup float x;  is as good a start as any
                return tokens.text[before] == ")"
            before = opening - 1
        else:
            before -= 1
    return before < 0 or tokens.text[before] in (";", "{", "}", "else", ":")


def _declarator_end(tokens: Tokens, i: int) -> int:
    """The `;`, `=`, `,` or `{` behind the first declarator; -1 if that is no plain variable."""
    is_struct = False
    while i < tokens.count:
        c = tokens.text[i]
        if c in ("*", "&", "&&", ")", "}"):
            return -1
        if c in ("struct", "union"):
            is_struct = True
        elif c == "{" and is_struct:  # its members, declared on the spot
            i, is_struct = tokens.partner[i], False
            c = ""
        if c == "<":
            close = tokens.angle_end(i, declaring=True)
            i = close if close != -1 else i
        elif c == "(":
            if tokens.text[i + 1] in ("*", "&"):
                return -1
            i = tokens.partner[i]
        elif c == "[":
            i = tokens.partner[i]
        elif c in (";", "=", ",", "{"):
            return i
        i += 1
    return -1
