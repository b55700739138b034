"""The LLVM types of a call's operands or a function's parameters, read from their text."""

from __future__ import annotations

import re

TYPE = r'(?:ptr(?: addrspace\(\d+\))?|<[^<>]*>|\[[^\n]*\]|\{[^{}]*\}|%(?:"[^"]*"|[-\w.$]+)|\w+)'


def types_of(text: str) -> list[str]:
    """The types of `<2 x float> noundef %x, ptr captures(none)`; attributes and values left out.

    The text ends where the bracket closes that was open before it.
    """
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "(<[{") - (c in ")>]}")
        if depth < 0:
            text = text[:i]
            break
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    found = [re.match(TYPE, part.strip()) for part in (*parts, text[start:])]
    return [match[0] for match in found if match]
