"""What clang says of rewritten source, as diagnostics of the source that the user wrote.

clang reports places in the rewritten text. They are followed back through the rewriter's record of
edits to the preprocessed text, through the preprocessor's line markers to file and line, and by
aligning that line's tokens with the original line's to the column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Literal

from pymetal.errors import CompileError, Diagnostic, ToolchainError, UnsupportedError
from pymetal.msl.metal_names import in_metal
from pymetal.msl.preprocess import STDIN, Preprocessed
from pymetal.msl.rewrite import Apart, Program
from pymetal.msl.tokens import Tokens
from pymetal.source import Source

_LINE = re.compile(
    r"^(?P<file>[^\n:]+|[A-Za-z]:[^\n:]+):(?P<line>\d+):(?P<column>\d+): "
    r"(?P<severity>fatal error|error|warning|note): (?P<message>.*)$"
)
_MARKER = re.compile(r'^# (\d+) "((?:[^"\\]|\\.)*)"')
_UNSUPPORTED = re.compile(r"^(?:.*: )?unsupported Metal feature: (.+)$")
_INCLUDED = re.compile(r"^In file included from [^\n]*<stdin>:(\d+):", re.M)
MOST_DIAGNOSTICS = 100
# What a kernel can do without a feature.
_INSTEAD = {
    "textures": "pass the elements in a buffer, as in 'device const float4*'",
    "samplers": "pass the elements in a buffer and interpolate in the kernel",
    "visible function tables": "keep pointers to functions of the same source in an array",
    "imageblocks": "keep what threads share in threadgroup memory",
    "stage_in": "read the elements from a buffer, by the thread's position",
    "tensors bound by the host": "pass a buffer, and make a tensor over its pointer in the kernel",
}


@dataclass(frozen=True)
class _Message:
    file: str
    line: int
    column: int
    severity: str
    text: str


class Reporter:
    """Collects diagnostics of one source."""

    # Physical places, which the line markers do not touch; one line a message.
    clang_flags = (
        "-fno-caret-diagnostics",
        "-fno-color-diagnostics",
        "-fdiagnostics-absolute-paths",
        f"-ferror-limit={MOST_DIAGNOSTICS}",
        "-ftemplate-backtrace-limit=0",
        "-Xclang",
        "-fno-diagnostics-use-presumed-location",
    )

    def __init__(self, source: Source, preprocessed: Preprocessed) -> None:
        self._source = source
        self._preprocessed = preprocessed
        self._diagnostics: list[Diagnostic] = []
        self._unsupported: list[tuple[str, Diagnostic]] = []
        self._originals: dict[str, list[str]] = {}

    # ---- adding ----

    def add_problems(self, program: Program) -> None:
        """What the rewriter found."""
        for problem in program.problems:
            line, column = self._place(program.tokens.start[problem.token])
            diagnostic = self._original(line, column, "error", problem.message)
            if problem.feature:
                self._unsupported.append((problem.feature, diagnostic))
            else:
                self._diagnostics.append(diagnostic)

    def add_unsupported(self, apart: Apart) -> None:
        """A kernel that was set apart."""
        line, column = self._place(apart.offset)
        message = f"unsupported Metal feature: {apart.feature}"
        diagnostic = self._original(line, column, "error", message)
        self._unsupported.append((apart.feature, diagnostic))

    def add(self, token: int, program: Program, message: str) -> None:
        """An error at a token of the preprocessed text."""
        line, column = self._place(program.tokens.start[token])
        self._diagnostics.append(self._original(line, column, "error", message))

    def add_preprocessor_errors(self, stderr: str) -> None:
        """What clang -E wrote: its places are the source's own."""
        name = self._source.display_name
        for message in _messages(stderr):
            file, line = name if message.file == STDIN else message.file, message.line
            unsupported = _UNSUPPORTED.match(message.text)
            included = _INCLUDED.search(stderr)
            if unsupported and included:  # our header says so; what counts is who included it
                file, line = name, int(included[1])
            where = (file, line, 1 if unsupported else message.column, self._line_of(file, line))
            diagnostic = Diagnostic(_severity(message.severity), message.text, *where)
            if unsupported:
                self._unsupported.append((unsupported[1], diagnostic))
            else:
                self._diagnostics.append(diagnostic)

    def add_compiler_errors(self, stderr: str, program: Program) -> None:
        """What clang wrote of the rewritten text."""
        found: list[tuple[Diagnostic, bool]] = []
        waiting = ""  # an error inside our headers, until a note says which source line led there
        for message in _messages(stderr):
            text = in_metal(message.text)
            unsupported = _UNSUPPORTED.match(text)
            if unsupported:
                text = f"unsupported Metal feature: {unsupported[1]}"
            if message.file != STDIN:
                if message.severity != "note":
                    waiting = text
                continue
            line, column, is_original = program.text.locate(message.line, message.column)
            severity = message.severity
            if severity == "note" and waiting:
                severity, text, waiting = "error", waiting, ""
                unsupported = _UNSUPPORTED.match(text)
            kind = _severity(severity)
            if _is_noise(kind, text):
                continue
            diagnostic = self._original(line, column, kind, text)
            if unsupported:
                self._unsupported.append((unsupported[1], diagnostic))
            else:
                found.append((diagnostic, is_original))
        if waiting:
            found.append((Diagnostic("error", waiting, self._source.display_name), True))
        # Text that the rewriter added repeats mistakes of the source; said once is enough.
        originals = [d for d, is_original in found if is_original and d.severity == "error"]
        said: set[tuple[str, int, int]] = set()
        for diagnostic, is_original in found:
            where = (diagnostic.file, diagnostic.line, diagnostic.column)
            if diagnostic.severity == "error":
                if where in said or (originals and not is_original):
                    continue
                said.add(where)
            self._diagnostics.append(diagnostic)
        if not self._diagnostics and not self._unsupported:
            raise ToolchainError(f"clang failed without a diagnostic:\n{stderr[-2000:]}")

    def raise_errors(self) -> None:
        """Raise what was collected, if anything was."""
        name = self._source.display_name
        if self._unsupported:
            feature, first = self._unsupported[0]
            instead = f"{_INSTEAD[feature]}; " if feature in _INSTEAD else ""
            raise UnsupportedError(
                f"{first}\nThe software device does not have {feature}: "
                f"{instead}see docs/language.md.",
                feature=feature,
                diagnostics=tuple(dict.fromkeys(d for _, d in self._unsupported)),
            )
        if self._diagnostics:
            errors = sum(d.severity == "error" for d in self._diagnostics)
            count = "1 error" if errors == 1 else f"{errors} errors"
            raise CompileError(f"{name}: {count}", self._diagnostics)

    # ---- places ----

    def _place(self, offset: int) -> tuple[int, int]:
        text = self._preprocessed.text
        start = text.rfind("\n", 0, offset) + 1
        return text.count("\n", 0, start) + 1, offset - start + 1

    @cached_property
    def _lines(self) -> list[str]:
        return self._preprocessed.text.split("\n")

    @cached_property
    def _origins(self) -> list[tuple[str, int]]:
        """(file, line) of each line of the preprocessed text."""
        name = self._source.display_name
        if self._preprocessed.is_source:
            return [(name, i + 1) for i in range(len(self._lines))]
        origins = []
        file, line = name, 0
        for text in self._lines:
            marker = _MARKER.match(text)
            if marker:
                file = name if marker[2] == STDIN else marker[2].replace("\\\\", "\\")
                line = int(marker[1]) - 1
            else:
                line += 1
            origins.append((file, line))
        return origins

    def _original(self, line: int, column: int, severity: str, message: str) -> Diagnostic:
        """A diagnostic for a place in the preprocessed text."""
        file, number = self._origins[min(line, len(self._origins)) - 1]
        original = self._line_of(file, number)
        preprocessed = self._lines[min(line, len(self._lines)) - 1]
        if not self._preprocessed.is_source and original:
            column = _align(preprocessed, original, column)
        return Diagnostic(_severity(severity), message, file, number, column, original)

    def _line_of(self, file: str, line: int) -> str:
        if file not in self._originals:
            text = self._source.text
            if file != self._source.display_name:
                try:
                    text = Path(file).read_text(encoding="utf-8", errors="replace")
                except OSError:
                    text = ""
            self._originals[file] = text.split("\n")
        lines = self._originals[file]
        return lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""


def _messages(stderr: str) -> list[_Message]:
    found = []
    for text in stderr.splitlines():
        match = _LINE.match(text)
        if match and not match["message"].startswith("too many errors"):
            file = match["file"]
            file = STDIN if file.endswith(STDIN) else file
            place = int(match["line"]), int(match["column"])
            found.append(_Message(file, *place, match["severity"], match["message"]))
    return found


def _severity(said: str) -> Literal["error", "note"]:
    return "note" if said == "note" else "error"


def _is_noise(severity: str, text: str) -> bool:
    """Notes about how the rewriter's own templates came to be instantiated."""
    return severity == "note" and "pymetal::" in text


def _align(preprocessed: str, original: str, column: int) -> int:
    """The column in the original line of what stands at `column` of the preprocessed one."""
    if preprocessed == original:
        return column
    now, was = Tokens(preprocessed), Tokens(original)
    at = next((i for i in range(now.count - 1, -1, -1) if now.start[i] < column), 0)
    matcher = SequenceMatcher(None, was.text[: was.count], now.text[: now.count], autojunk=False)
    for operation, i1, _, j1, j2 in matcher.get_opcodes():
        if j1 <= at < j2:
            inside = at - j1 if operation == "equal" else 0
            token = min(i1 + inside, max(was.count - 1, 0))
            # Inside a token only if it is that token, not a macro that became it.
            extra = column - 1 - now.start[at] if operation == "equal" else 0
            return was.start[token] + extra + 1
    return column
