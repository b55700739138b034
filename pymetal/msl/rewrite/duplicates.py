"""Declarations that differ in address spaces only: one of them is enough on a CPU.

Metal source overloads on address spaces (`device const T*`, `threadgroup T*`), member functions
among them (`T get() const device`), and specialises templates on them. Without address spaces those
are redefinitions, so all but the first go.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymetal.msl.declarations import ADDRESS_SPACES, Declaration
from pymetal.msl.rewrite.names import SCALARS
from pymetal.msl.tokens import Tokens

_QUALIFIERS = ADDRESS_SPACES | {"const", "volatile", "noexcept"}
# Words that do not tell overloads apart.
_NEUTRAL = ADDRESS_SPACES | {"inline", "static", "METAL_FUNC", "constexpr", "const", "kernel"}

Key = tuple[object, ...]


def rewrite(tokens: Tokens, declarations: Sequence[Declaration]) -> None:
    """Remove the duplicates of each scope."""
    inner = {id(d) for declaration in declarations for d in declaration.inner}
    _scope(tokens, [d for d in declarations if id(d) not in inner])


def _scope(tokens: Tokens, declarations: Sequence[Declaration]) -> None:
    # key -> whether the first declaration of that key names an address space
    seen: dict[Key, bool] = {}
    for declaration in declarations:
        head = tokens.words(declaration.start, declaration.head_end)
        has_space = not ADDRESS_SPACES.isdisjoint(head)
        key: Key | None = None
        if declaration.kind == "function":
            key = _function_key(tokens, declaration)
        elif declaration.kind == "class" and has_space and "<" in head:
            # A specialisation; its base classes do not tell it apart.
            bare = [word for word in head if word not in ADDRESS_SPACES]
            key = ("class", *(bare[: bare.index(":")] if ":" in bare else bare))
        if key is not None:
            if key in seen and (has_space or seen[key]):
                tokens.remove(declaration.start, declaration.end)
                continue
            seen[key] = seen.get(key, False) or has_space
        _scope(tokens, declaration.inner)


def _function_key(tokens: Tokens, declaration: Declaration) -> Key | None:
    opening = declaration.parameters
    if tokens.text[declaration.start] == "template" and tokens.text[declaration.start + 1] != "<":
        return None
    name = [w for w in tokens.words(declaration.start, opening) if w not in _NEUTRAL]
    trailing = []
    i = tokens.partner[opening] + 1
    while tokens.text[i] in _QUALIFIERS:
        trailing.append(tokens.text[i])
        i += 1
    parameters = tuple(
        _parameter(tokens, *part) for part in tokens.arguments(opening, declaring=True)
    )
    return (tuple(name), parameters, "const" in trailing, declaration.body == -1)


def _parameter(tokens: Tokens, first: int, last: int) -> tuple[str, ...]:
    """A parameter's type, without name, default and address space."""
    words = _without_attributes(tokens, first, last)
    if "=" in words:
        words = words[: words.index("=")]
    is_const = "const" in words or "constant" in words
    words = [w for w in words if w not in ADDRESS_SPACES and w != "const"]
    if len(words) > 1 and _is_name(words[-1]) and words[-2] not in ("::", "<", "typename", "..."):
        words = words[:-1]
    return (*words, "const") if is_const else tuple(words)


def _is_name(word: str) -> bool:
    return (word[0].isalpha() or word[0] == "_") and word not in SCALARS


def _without_attributes(tokens: Tokens, first: int, last: int) -> list[str]:
    words = []
    i = first
    while i < last:
        end = tokens.attribute_end(i)
        if end != -1:
            i = end
        else:
            words.append(tokens.text[i])
        i += 1
    return words
