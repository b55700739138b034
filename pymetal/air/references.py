"""Which globals a function reaches in a module's text: through calls, and through initialisers.

A module may hold every kernel of a file; a kernel's function constants are those it can read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = r'@("[^"]*"|[-\w.$]+)'
_REFERENCE = re.compile(_NAME)
_STORED = re.compile(rf"^  store [^\n]*, ptr(?: addrspace\(\d+\))? {_NAME}", re.M)


class References:
    """The names that each function and global variable of a module mentions."""

    def __init__(self, text: str) -> None:
        self._of: dict[str, set[str]] = {}
        position = 0
        for match in re.finditer(rf"^(?:define [^\n]*?{_NAME}\(|{_NAME} = )", text, re.M):
            if match.start() < position:
                continue
            end = text.find("\n}\n" if match[1] else "\n", match.start())
            position = end if end >= 0 else len(text)
            body = text[match.end() : position]
            name = (match[1] or match[2]).strip('"')
            self._of[name] = {n.strip('"') for n in _REFERENCE.findall(body)}
            if match[1]:
                # A variable that is computed when the program starts depends on who computes it.
                for stored in _STORED.findall(body):
                    self._of.setdefault(stored.strip('"'), set()).add(name)

    def reached_from(self, roots: Iterable[str]) -> set[str]:
        """Everything that `roots` lead to, themselves included."""
        reached: set[str] = set()
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += self._of.get(name, ())
        return reached
