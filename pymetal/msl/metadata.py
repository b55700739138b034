"""Metadata to append to a module's text."""

from __future__ import annotations

import re


def quoted(text: str) -> str:
    """A metadata string."""
    escaped = "".join(
        c if c.isprintable() and c.isascii() and c not in '"\\' else _hex(c) for c in text
    )
    return f'!"{escaped}"'


def _hex(character: str) -> str:
    return "".join(f"\\{byte:02X}" for byte in character.encode())


class MetadataWriter:
    """Numbers new nodes behind those that `text` has."""

    def __init__(self, text: str) -> None:
        numbers = [int(n) for n in re.findall(r"^!(\d+) =", text, re.M)]
        self._next = max(numbers, default=-1) + 1
        self._lines: list[str] = []

    def node(self, *operands: str) -> str:
        """Add a node; the reference to it."""
        reference = f"!{self._next}"
        self._next += 1
        self._lines.append(f"{reference} = !{{{', '.join(operands)}}}")
        return reference

    def named(self, name: str, nodes: list[str]) -> None:
        """Add a named list of nodes."""
        self._lines.append(f"!{name} = !{{{', '.join(nodes)}}}")

    def text(self) -> str:
        """What to append to the module."""
        return "\n" + "\n".join(self._lines) + "\n"
