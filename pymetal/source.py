"""What is compiled: Metal source with its options. Shared by both devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pymetal.errors import CompileError

MathMode = Literal["safe", "relaxed", "fast"]


@dataclass(frozen=True)
class Source:
    """Metal source text. `path` is where it came from, None for a string.

    Diagnostics name `display_name`; local includes are searched beside `path`.
    """

    text: str
    path: Path | None = None

    @property
    def display_name(self) -> str:
        """The file name that diagnostics show."""
        return str(self.path) if self.path is not None else "<source>"


@dataclass(frozen=True)
class CompileOptions:
    """Options of one compilation; all of them are part of the cache key.

    `math_mode` is Metal's: "safe" keeps IEEE semantics (our default, unlike Apple's "fast").
    `language_version` is (major, minor) of the Metal language, None for the newest known.
    `enable_logging` compiles `os_log` calls in. `debug` keeps source lines, for checked runs.
    """

    include_dirs: tuple[Path, ...] = ()
    macros: tuple[tuple[str, str], ...] = field(default=())
    math_mode: MathMode = "safe"
    language_version: tuple[int, int] | None = None
    enable_logging: bool = False
    debug: bool = False


def checked_text(text: str, name: str) -> str:
    """`text` of the file `name`. Metal's strings end at a null character, without a word."""
    found = text.find("\0")
    if found != -1:
        line = text.count("\n", 0, found) + 1
        raise CompileError(f"{name}:{line}: the text holds a null character; remove it")
    return text
