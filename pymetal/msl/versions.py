"""Names of the language and its library that older versions of Metal lack.

Versions are those of the Metal Shading Language Specification's "Metal x.y and later" notes.
"""

from __future__ import annotations

import re

from pymetal.msl.tokens import Tokens

_FIRST = (
    (r"quad_(?:broadcast|shuffle\w*)", (2, 0)),
    (r"simd_(?:sum|product|min|max|and|or|xor|prefix_\w+|shuffle\w*|ballot|all|any)", (2, 1)),
    (r"simdgroup_(?:matrix|(?:float|half)8x8|load|store|multiply\w*)", (2, 3)),
    (r"simd_shuffle_and_fill_(?:up|down)|atomic_ulong", (2, 4)),
    (r"atomic_float", (3, 0)),
    (r"(?:packed_)?bfloat[234]?|simdgroup_bfloat8x8", (3, 1)),
    (r"os_log(?:_default)?", (3, 2)),
)
_SINCE = [(re.compile(pattern), version) for pattern, version in _FIRST]
_LAMBDAS = (3, 2)
_OTHER_NAMES = frozenset((".", "->"))


def too_new(tokens: Tokens, version: tuple[int, int]) -> tuple[int, str] | None:
    """The first token that `version` lacks, and what is wrong with it; None if there is none.

    A name that the source defines itself is its own.
    """
    own = {
        tokens.text[i]
        for i in range(1, tokens.count)
        if tokens.kind[i] == "name"
        and tokens.text[i - 1] in ("struct", "class", "using", "void", "typename")
    }
    is_ = f"this is compiled as Metal {version[0]}.{version[1]}"
    for i in tokens.find("["):
        if version < _LAMBDAS and _is_lambda(tokens, i):
            return i, f"a lambda expression needs Metal {_LAMBDAS[0]}.{_LAMBDAS[1]}; {is_}"
    for i in range(tokens.count):
        word = tokens.text[i]
        if tokens.kind[i] != "name" or word in own or tokens.text[i - 1] in _OTHER_NAMES:
            continue
        for pattern, since in reversed(_SINCE):
            if pattern.fullmatch(word):
                if version < since:
                    needs = f"{since[0]}.{since[1]}"
                    return i, f"'{word}' needs Metal {needs}; {is_}"
                break
    return None


def _is_lambda(tokens: Tokens, i: int) -> bool:
    """`= [&](int x) {`, `f([] {`."""
    behind = tokens.text[tokens.partner[i] + 1]
    return tokens.text[i - 1] in ("=", "(", ",", "return") and behind in ("(", "{")
