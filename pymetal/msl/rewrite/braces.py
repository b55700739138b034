"""`f({a, b})`: clang does not initialise a vector parameter from braces, so a maker does."""

from __future__ import annotations

from pymetal.msl.tokens import Tokens

_NOT_CALLS = frozenset(("if", "while", "for", "switch", "return", "sizeof", "decltype", "alignas"))


def rewrite(tokens: Tokens) -> None:
    """Rewrite braced arguments of calls that list two or more plain expressions."""
    for i in tokens.find("{"):
        if tokens.text[i - 1] not in ("(", ",") or i == 0:
            continue
        end = tokens.partner[i]
        if tokens.text[end + 1] not in (",", ")") or tokens.is_edited(i):
            continue
        inside = tokens.words(i + 1, end)
        if ";" in inside or "{" in inside or inside[:1] == ["."] or len(tokens.arguments(i)) < 2:
            continue
        if _is_argument(tokens, i):
            tokens.replace(i, "pymetal::list(")
            tokens.replace(end, ")")


def _is_argument(tokens: Tokens, i: int) -> bool:
    """Whether the bracket around token i is the parenthesis of a call."""
    while i > 0:
        i -= 1
        c = tokens.text[i]
        if c in (")", "]", "}"):
            i = tokens.partner[i]
            if i >= tokens.count:
                return False
        elif c in ("{", "[", ";"):
            return False
        elif c == "(":
            before = i - 1
            is_name = tokens.kind[before] == "name" and tokens.text[before] not in _NOT_CALLS
            return is_name or tokens.text[before] in (">", ">>", ")", "]")
    return False
