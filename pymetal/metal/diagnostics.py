"""Apple's compiler's text as `Diagnostic`s."""

from __future__ import annotations

import re
from typing import Literal, cast

from pymetal.errors import Diagnostic

_HEAD = re.compile(
    r"(?P<file>.*?):(?P<line>\d+):(?P<column>\d+): (?P<severity>[a-z ]*): (?P<text>.*)"
)
_SEVERITIES = {"fatal error": "error", "error": "error", "warning": "warning", "note": "note"}
_CARET = re.compile(r"\s*[~^]+[~^ ]*$")

# What Metal calls source that came as a string.
_ANONYMOUS = "program_source"


def parse(text: str, source_name: str) -> tuple[Diagnostic, ...]:
    """Every `file:line:column: severity: message` of `text`, each with its source line.

    `source_name` is the file whose text was compiled.
    """
    lines = text.splitlines()
    found = []
    for i, line in enumerate(lines):
        head = _HEAD.fullmatch(line)
        if head is None or head["severity"] not in _SEVERITIES:
            continue
        has_source = i + 2 < len(lines) and _CARET.match(lines[i + 2])
        found.append(
            Diagnostic(
                cast(Literal["error", "warning", "note"], _SEVERITIES[head["severity"]]),
                head["text"],
                source_name if head["file"] == _ANONYMOUS else head["file"],
                int(head["line"]),
                int(head["column"]),
                lines[i + 1] if has_source else "",
            )
        )
    return tuple(found)
