"""Debug information of a module -> places in the user's source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FIELD = re.compile(r"(\w+): (\"[^\"]*\"|[^,()]+)")
_OURS = "pymetal/msl/include"


@dataclass(frozen=True)
class Place:
    """A line and column, counted from 1; file "" is the source itself. Line 0: not known."""

    file: str = ""
    line: int = 0
    column: int = 0


class Locations:
    """Reads the nodes of `ir.Module.metadata` as they are asked for."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self._nodes = metadata
        self._places: dict[str, Place] = {}

    def place(self, node: str) -> Place:
        """Where the DILocation `node` ("!12") is; within our headers, who called them."""
        if node not in self._places:
            self._places[node] = self._find(node)
        return self._places[node]

    def _find(self, node: str) -> Place:
        for _ in range(100):
            fields = self._fields(node)
            if "line" not in fields:
                break
            file = self._file(fields.get("scope", ""))
            if file is not None:
                return Place(file, int(fields["line"]), int(fields.get("column", "0")))
            node = fields.get("inlinedAt", "")
        return Place()

    def _fields(self, node: str) -> dict[str, str]:
        return dict(_FIELD.findall(self._nodes.get(node, "")))

    def _file(self, scope: str) -> str | None:
        """The file of a scope: "" for the source, None for our own headers."""
        file = self._fields(self._fields(scope).get("file", ""))
        name = file.get("filename", '""').strip('"')
        if name in ("<stdin>", "-", ""):
            return ""
        path = Path(file.get("directory", '""').strip('"')) / name
        if _OURS not in path.as_posix():
            return str(path)
        # A #line may name a file that is not there; only where it is compiled is known.
        return None if _exists(path) or Path(name).is_absolute() else name


@cache
def _exists(path: Path) -> bool:
    return path.exists()
