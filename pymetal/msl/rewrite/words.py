"""Address-space words and what is left of attributes go; columns stay where they were."""

from __future__ import annotations

from pymetal.msl.tokens import Tokens

# On a CPU all address spaces are one. `constant` is read-only, which const keeps.
_BLANK = frozenset(("device", "thread", "threadgroup", "threadgroup_imageblock"))


def rewrite(tokens: Tokens) -> None:
    """Blank address spaces and `[[...]]`; `coherent` qualifies a pointer, and is kept by no CPU."""
    text = tokens.text
    for i in tokens.find(("[", "constant", "coherent", "restrict", *_BLANK)):
        c = text[i]
        if c == "[":
            end = tokens.attribute_end(i)
            if end != -1:
                tokens.remove(i, end + 1)
        elif tokens.is_edited(i):  # inside attributes, too
            continue
        elif c in _BLANK:
            tokens.replace(i, " " * len(c))
        elif c == "constant":
            tokens.replace(i, "const   ")
        elif c == "restrict":
            if text[i - 1] in ("*", "&"):
                tokens.replace(i, "__restrict")
        else:
            stop = tokens.partner[i + 1] + 1 if text[i + 1] == "(" else i + 1
            tokens.remove(i, stop)
