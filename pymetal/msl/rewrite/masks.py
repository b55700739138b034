"""Comparisons of vectors that become numbers.

What clang gives for `a < b` on vectors has lanes 0 and -1; Metal's are false and true, so
`float4(a < b)` holds ones. Where such an expression is an argument of a constructor or cast, has a
member taken of it, or initialises `auto`, it is wrapped so that it becomes a vector of bool.
"""

from __future__ import annotations

from pymetal.msl.rewrite.names import Names
from pymetal.msl.tokens import Tokens

_CERTAIN = frozenset(("==", "!=", "<=", ">=", "&&", "||"))
_KEYWORDS = frozenset(("if", "while", "for", "switch", "return", "sizeof", "decltype", "alignas"))


def rewrite(tokens: Tokens, names: Names) -> None:
    """Wrap each of them in pymetal::mask(...)."""
    vectors = names.vectors | names.perhaps
    for i in tokens.find(("(", "auto")):
        c = tokens.text[i]
        if c == "(":
            _parentheses(tokens, i, vectors)
        elif tokens.kind[i + 1] == "name" and tokens.text[i + 2] == "=":
            _wrap_comparison(tokens, i + 3, tokens.expression_end(i + 3))


def _parentheses(tokens: Tokens, i: int, vectors: set[str]) -> None:
    end = tokens.partner[i]
    if end >= tokens.count:
        return
    before = tokens.text[i - 1]
    if tokens.kind[i - 1] == "name" and before not in _KEYWORDS:
        if before in vectors and tokens.text[i - 2] not in (".", "->"):
            for first, last in tokens.arguments(i):
                _wrap_comparison(tokens, first, last)
    elif before == ")":
        opening = tokens.partner[i - 1]
        if opening == i - 3 and tokens.text[i - 2] in vectors:  # (float4)(a < b)
            _wrap_comparison(tokens, i + 1, end)
    elif before == ">":
        if _static_cast(tokens, i - 1):
            _wrap_comparison(tokens, i + 1, end)
    elif before != "]" and tokens.text[end + 1] in (".", "["):
        _wrap_comparison(tokens, i + 1, end)


def _static_cast(tokens: Tokens, closing: int) -> bool:
    i = closing
    while i > 0 and tokens.text[i] not in ("static_cast", "vec", ";", "{", "}", "("):
        i -= 1
    return tokens.text[i] in ("static_cast", "vec") and tokens.angle_end(i + 1) == closing


def _wrap_comparison(tokens: Tokens, first: int, last: int) -> None:
    if _compares(tokens, first, last):
        tokens.insert_before(first, "pymetal::mask(")
        tokens.insert_after(last - 1, ")")


def _compares(tokens: Tokens, first: int, last: int) -> bool:
    """Whether the outermost operator of tokens [first, last) compares, or combines comparisons."""
    if first < last and tokens.text[first] == "(" and tokens.partner[first] == last - 1:
        return _compares(tokens, first + 1, last - 1)
    found = tokens.text[first] == "!"
    i = first
    while i < last:
        c = tokens.text[i]
        if c in ("(", "[", "{"):
            i = tokens.partner[i]
        elif c in ("?", "="):
            return False
        elif c in _CERTAIN:
            found = True
        elif tokens.is_right_shift(i):
            i += 1
        elif c in ("<", ">"):
            close = tokens.angle_end(i) if c == "<" and tokens.kind[i - 1] == "name" else -1
            if close != -1 and tokens.text[close + 1] in ("(", "::", "{") and close < last:
                i = close
            else:
                found = True
        i += 1
    return found
