"""Metadata of an AIR module, read from its text: named lists and the nodes they point to.

LLVM prints metadata at the end of a module, one node a line, so only that end is looked at, and a
node is taken apart only when asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pymetal.errors import LibraryError


@dataclass(frozen=True)
class Node:
    """A reference to another node: `!7`."""

    id: int


@dataclass(frozen=True)
class Symbol:
    """A function or global variable that a node names: `ptr @f`."""

    name: str


Operand = str | int | Node | Symbol | None

_NAMED = re.compile(r"^!([a-zA-Z_.][\w.\-$]*) = !\{(.*)\}$", re.M)
_NODE = re.compile(r"^!(\d+) = (?:distinct )?!\{(.*)\}$", re.M)
_OPERAND = re.compile(
    r'!"(?P<text>[^"]*)"'  # LLVM writes a quote inside as \22
    r"|!(?P<node>\d+)"
    r'|ptr(?: addrspace\(\d+\))? @(?P<symbol>"[^"]*"|[-\w.$]+)'
    r"|i\d+ (?P<number>-?\d+|true|false)"
    r"|(?P<other>[^,!\s][^,!]*)"
)
_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{2}|\\)")


class Metadata:
    """The metadata of a module's `text`."""

    def __init__(self, text: str) -> None:
        start = text.find("\n!")
        tail = text[start + 1 :] if start >= 0 else ""
        self._named = {m[1]: m[2] for m in _NAMED.finditer(tail)}
        self._nodes = {int(m[1]): m[2] for m in _NODE.finditer(tail)}

    def named(self, name: str) -> list[tuple[Operand, ...]]:
        """The nodes of a named list such as `air.kernel`, [] where there is none."""
        listed = operands(self._named.get(name, ""))
        return [self.node(item) for item in listed if isinstance(item, Node)]

    def node(self, node: Node) -> tuple[Operand, ...]:
        """The operands of one node."""
        if node.id not in self._nodes:
            raise LibraryError(f"the module's metadata has no node !{node.id}")
        return operands(self._nodes[node.id])


def operands(text: str) -> tuple[Operand, ...]:
    """Take the inside of `!{...}` apart. What has no meaning here becomes None."""
    found: list[Operand] = []
    for match in _OPERAND.finditer(text):
        kind, value = match.lastgroup, match.group(match.lastgroup or 0)
        if kind == "text":
            found.append(unescape(value))
        elif kind == "node":
            found.append(Node(int(value)))
        elif kind == "symbol":
            found.append(Symbol(unescape(value.strip('"'))))
        elif kind == "number":
            found.append({"true": 1, "false": 0}.get(value) if value[0] in "tf" else int(value))
        elif value.strip():
            found.append(None)
    return tuple(found)


def unescape(text: str) -> str:
    """A name or string as LLVM printed it, without its escapes."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1], 16)), text)
