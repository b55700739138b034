"""`__attribute__((annotate(...)))` as clang leaves it in a module's text."""

from __future__ import annotations

import re
from dataclasses import dataclass

Value = int | str

_LIST = re.compile(r"^@llvm\.global\.annotations = [^\n]*\n", re.M)
_ENTRY = re.compile(
    r'\{ ptr @("[^"]*"|[-\w.$]+), ptr @([-\w.$]+), ptr @[-\w.$]+, i32 \d+, '
    r"ptr (null|@[-\w.$]+) \}"
)
_STRING = re.compile(
    r'^@([-\w.$]+) = [^\n]*constant \[\d+ x i8\] (?:c"((?:[^"\\]|\\.)*)"|zeroinitializer)', re.M
)
_ARGUMENTS = re.compile(
    r"^@([-\w.$]+) = [^\n]*constant \{ ([^}]*) \} (?:\{ ([^}]*) \}|zeroinitializer)"
    r', section "llvm\.metadata"',
    re.M,
)
_CARRIED = re.compile(r'^@("[^"]*"|[-\w.$]+) = [^\n]*constant ptr @("[^"]*"|[-\w.$]+)', re.M)
_USED = re.compile(r"^@llvm\.(?:compiler\.)?used = [^\n]*\n", re.M)


@dataclass(frozen=True)
class Annotation:
    """`annotate("kind", values...)` on `symbol`; `target` is what a carrier variable points to."""

    symbol: str
    kind: str
    values: list[Value]
    target: str = ""


def read_annotations(text: str) -> tuple[list[Annotation], str]:
    """The annotations of a module, and its text without the lists that hold them."""
    listed = _LIST.search(text)
    if listed is None:
        return [], text
    strings = {m[1]: _unescape(m[2] or "") for m in _STRING.finditer(text)}
    arguments = {m[1]: _values(m[2], m[3], strings) for m in _ARGUMENTS.finditer(text)}
    carried = {m[1]: m[2] for m in _CARRIED.finditer(text)}
    found = []
    for symbol, kind, values in _ENTRY.findall(listed[0]):
        found.append(
            Annotation(
                symbol.strip('"'),
                strings.get(kind, ""),
                arguments.get(values[1:], []),
                carried.get(symbol, ""),
            )
        )
    text = text[: listed.start()] + text[listed.end() :]
    return found, _USED.sub("", text)


def _values(types: str, values: str | None, strings: dict[str, str]) -> list[Value]:
    if values is None:  # zeroinitializer
        return [0 for _ in types.split(", ")]
    found: list[Value] = []
    for value in values.split(", "):
        type_, _, content = value.partition(" ")
        found.append(strings[content[1:]] if type_ == "ptr" else int(content))
    return found


def _unescape(text: str) -> str:
    text = re.sub(r"\\([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), text)
    return text.rstrip("\0").encode("latin-1").decode("utf-8", "replace")
