"""`[[name(arguments)]]` lists, read."""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.msl.tokens import Tokens


@dataclass(frozen=True)
class Attribute:
    """One attribute; its arguments are tokens [first, last)."""

    name: str
    token: int
    first: int = 0
    last: int = 0

    def text(self, tokens: Tokens) -> str:
        """The arguments on one line."""
        return " ".join(tokens.words(self.first, self.last))

    def string(self, tokens: Tokens) -> str:
        """The argument as a string: adjacent literals are one, as everywhere in C++."""
        return "".join(word[1:-1] for word in tokens.words(self.first, self.last) if word[0] == '"')


def attributes_in(tokens: Tokens, first: int, last: int) -> list[Attribute]:
    """Every attribute of the lists that start in tokens [first, last)."""
    found = []
    i = first
    while i < last:
        end = tokens.attribute_end(i)
        if end != -1:
            for start, stop in tokens.arguments(i + 1):
                if start < stop:
                    found.append(_attribute(tokens, start, stop))
            i = end
        i += 1
    return found


def _attribute(tokens: Tokens, start: int, stop: int) -> Attribute:
    i = start
    while tokens.text[i + 1] == "::" and i + 2 < stop:  # [[clang::...]]
        i += 2
    if tokens.text[i + 1] == "(":
        return Attribute(tokens.text[i], start, i + 2, tokens.partner[i + 1])
    return Attribute(tokens.text[i], start)
