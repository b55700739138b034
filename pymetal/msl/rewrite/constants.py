"""Function constants: values that a pipeline, not the source, gives.

`constant T name [[function_constant(n)]];` becomes an external constant, and a variable that is
annotated with its index and type points to it. A constant computed from others is initialised by
code, which the loader runs once it knows their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pymetal.msl.declarations import Declaration
from pymetal.msl.rewrite.attributes import attributes_in
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

_DROPPED = frozenset(("constant", "const", "constexpr", "static", "inline", "extern"))


@dataclass
class Constant:
    """One function constant. `token` is its name's. It is optional if the source asks whether it
    is defined."""

    name: str
    token: int
    is_optional: bool = False


def rewrite(
    tokens: Tokens, declarations: Sequence[Declaration], problems: list[Problem]
) -> list[Constant]:
    """Rewrite each declaration with `function_constant`, and the questions whether one is set."""
    constants: list[Constant] = []
    for declaration in declarations:
        if declaration.kind != "other" or declaration.in_class:
            continue  # a member that a constant switches belongs to rendering
        # Searched from the end: [[function_constant(n)]] stands behind the name.
        end = declaration.head_end
        if tokens.text[end - 1] != "]":
            continue
        for attribute in attributes_in(tokens, declaration.start, end):
            if attribute.name == "function_constant":
                name = attribute.token - 3
                if tokens.text[end] != ";":
                    message = f"function constant '{tokens.text[name]}' cannot be initialised here"
                    problems.append(Problem(name, message))
                _declare(tokens, declaration, name, attribute.text(tokens), len(constants))
                constants.append(Constant(tokens.text[name], name))
    known = {constant.name: constant for constant in constants}
    _keep_switches(tokens, declarations, known)
    _rewrite_defined(tokens, known)
    return constants


def _keep_switches(
    tokens: Tokens, declarations: Sequence[Declaration], known: dict[str, Constant]
) -> None:
    """Constants computed from others that only switch arguments on are read by no code."""
    switches = {
        tokens.text[i + 2]
        for i in tokens.find(("function_constant",))
        if tokens.text[i + 1] == "(" and tokens.kind[i + 2] == "name"
    } - known.keys()
    for declaration in declarations:
        name = tokens.text[declaration.head_end - 1]
        if declaration.kind == "other" and not declaration.in_class and name in switches:
            tokens.insert_before(declaration.start, "__attribute__((used)) ")


def _declare(tokens: Tokens, declaration: Declaration, name: int, index: str, number: int) -> None:
    for i in range(declaration.start, name):
        if tokens.text[i] in _DROPPED:
            tokens.remove(i, i + 1)
    tokens.insert_before(declaration.start, "extern const ")
    word = tokens.text[name]
    carrier = (
        f' extern const bool {word}_is_defined_ __asm__("{word}.is_defined"); '
        f"__attribute__((used, annotate("
        f'"air.function_constant", {number}, (int)({index}), '
        f"pymetal::type_name<decltype({word})>()))) "
        f"static const void* const {word}_carrier_ = &{word};"
    )
    tokens.insert_after(declaration.end - 1, carrier)


def _rewrite_defined(tokens: Tokens, names: dict[str, Constant]) -> None:
    """is_function_constant_defined(x) reads a constant of its own, set when x is given."""
    for i in tokens.find(("is_function_constant_defined",)):
        if tokens.text[i + 1] != "(":
            continue
        end = tokens.partner[i + 1]
        if end == i + 3 and tokens.text[i + 2] in names:
            tokens.remove(i, i + 1)
            tokens.replace(i + 2, f"{tokens.text[i + 2]}_is_defined_")
            names[tokens.text[i + 2]].is_optional = True
