"""What Metal's compiler refuses to see declared, and plain C++ does not: variables at program scope
outside the constant address space, pointers that say no address space, names that are keywords.

By tokens, and only where they leave no doubt: pointers and references to scalars and vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymetal.msl.declarations import ADDRESS_SPACES, Declaration
from pymetal.msl.rewrite.attributes import attributes_in
from pymetal.msl.rewrite.names import SCALARS, VECTORS
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

_TYPES = (SCALARS | VECTORS) - {"auto"}
_SPECIFIERS = frozenset(("const", "constexpr", "static", "inline"))
_BEFORE_TYPE = frozenset(("const", "volatile", "unsigned", "signed", "metal", "::"))
_STARTS = frozenset((";", "{", "}", "(", ","))
_BEHIND_NAME = frozenset(("=", ";", ",", ")", "["))
_OF_FUNCTIONS = frozenset(("max_total_threads_per_threadgroup", "host_name", "kernel"))


def check(tokens: Tokens, declarations: Sequence[Declaration], problems: list[Problem]) -> None:
    """Add a problem for each."""
    for declaration in declarations:
        if declaration.kind == "other" and not declaration.in_class:
            _program_scope(tokens, declaration, problems)
        elif declaration.kind == "function" and declaration.parameters != -1:
            _attributes(tokens, declaration, problems)
    of_kernels = [  # whose parameters are looked at elsewhere
        range(d.parameters, tokens.partner[d.parameters])
        for d in declarations
        if d.parameters != -1 and "kernel" in tokens.text[d.start : d.head_end]
    ]
    for i in tokens.find(_TYPES):
        if tokens.text[i + 1] in ("*", "&") and not any(i in range_ for range_ in of_kernels):
            _pointer(tokens, i, problems)
    for i in tokens.find(("half",)):
        named = tokens.text[i - 1] in _TYPES and tokens.text[i + 1] in _BEHIND_NAME
        if named and tokens.text[i - 2] not in ("<", "typename"):
            problems.append(Problem(i, "'half' is a type, and cannot be declared"))


def _program_scope(tokens: Tokens, declaration: Declaration, problems: list[Problem]) -> None:
    first, end = declaration.start, declaration.head_end
    head = tokens.text[first:end]
    is_variable = tokens.text[first] in _SPECIFIERS | _TYPES and tokens.text[end] == "="
    if is_variable and ADDRESS_SPACES.isdisjoint(head) and {"operator", "sampler"}.isdisjoint(head):
        name = end - 1
        while tokens.text[name] == "]":
            name = tokens.partner[name] - 1
        message = (
            f"variable '{tokens.text[name]}' at program scope must be in the constant address space"
        )
        problems.append(Problem(name, message))


def _attributes(tokens: Tokens, declaration: Declaration, problems: list[Problem]) -> None:
    behind = tokens.partner[declaration.parameters] + 1
    if tokens.attribute_end(behind) != -1:
        for attribute in attributes_in(tokens, behind, behind + 1):
            if attribute.name in _OF_FUNCTIONS:
                message = (
                    f"'{attribute.name}' stands before the function, not behind its parameters"
                )
                problems.append(Problem(attribute.token, message))


def _pointer(tokens: Tokens, i: int, problems: list[Problem]) -> None:
    """`float* p`, where the type is token i."""
    text = tokens.text
    name = i + 2
    if tokens.kind[name] != "name" or text[name] in ("operator", "const", *ADDRESS_SPACES):
        return
    before = i - 1
    while before >= 0 and text[before] in _BEFORE_TYPE:
        before -= 1
    if text[name + 1] in _BEHIND_NAME and (before < 0 or text[before] in _STARTS):
        what, verb = ("pointer", "points") if text[i + 1] == "*" else ("reference", "refers")
        message = (
            f"{what} '{text[name]}' must say which address space it {verb} to, "
            f"as in 'thread {text[i]}{text[i + 1]}'"
        )
        problems.append(Problem(name, message))
