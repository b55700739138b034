"""What `pymetal.compile` is given, checked before any compiler sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from pymetal.errors import ArgumentError, CompileError
from pymetal.shown import shown
from pymetal.source import CompileOptions, MathMode, Source, checked_text

MODES = get_args(MathMode)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def compile_options(
    include_dirs: Any,
    macros: Any,
    math_mode: Any,
    language_version: Any,
    enable_logging: bool,
) -> CompileOptions:
    """The options as both devices take them.

    Raises
    ------
    ArgumentError
        A folder that is not there, a macro that no compiler would take, or an unknown mode.
    """
    if math_mode not in MODES:
        raise ArgumentError(
            f"math_mode is {shown(math_mode)}; it is one of {', '.join(map(repr, MODES))}",
            argument="math_mode",
        )
    version = language_version
    if version is not None and not (
        isinstance(version, (tuple, list))
        and len(version) == 2
        and all(isinstance(part, int) and not isinstance(part, bool) for part in version)
    ):
        raise ArgumentError(
            f"language_version is {shown(version)}; give two numbers, such as (3, 1)",
            argument="language_version",
        )
    return CompileOptions(
        include_dirs=_folders(include_dirs),
        macros=_macros(macros),
        math_mode=math_mode,
        language_version=None if version is None else (version[0], version[1]),
        enable_logging=bool(enable_logging),
    )


def given_source(source: Any) -> Source | Path:
    """Source text, or the path of a file: a `Path`, or a line that ends in `.metal`."""
    if not isinstance(source, (str, PathLike)):
        raise ArgumentError(
            f"source is {type(source).__name__}; pass Metal source as text, or a path",
            argument="source",
        )
    is_path = not isinstance(source, str) or (source.endswith(".metal") and "\n" not in source)
    if is_path:
        return Path(source)
    text = str(source)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise CompileError(
            f"<source>:{line}: the text is not Unicode: {text[error.start]!r} is half a character"
        ) from None
    return Source(checked_text(text, "<source>"))


def _folders(include_dirs: Any) -> tuple[Path, ...]:
    given = (include_dirs,) if isinstance(include_dirs, (str, PathLike)) else include_dirs
    if not isinstance(given, Sequence) or not all(isinstance(f, (str, PathLike)) for f in given):
        raise ArgumentError(
            f"include_dirs is a folder or a list of folders, got {shown(include_dirs)}",
            argument="include_dirs",
        )
    folders = tuple(map(Path, given))
    for folder in folders:
        if not folder.is_dir():
            raise ArgumentError(
                f"include_dirs: there is no folder {folder.absolute()}", argument="include_dirs"
            )
    return folders


def _macros(macros: Any) -> tuple[tuple[str, str], ...]:
    if macros is None:
        return ()
    if not isinstance(macros, Mapping):
        raise ArgumentError(
            f"macros is {type(macros).__name__}, not a dict of {{name: value}}", argument="macros"
        )
    defined: list[tuple[str, str]] = []
    for name, value in macros.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ArgumentError(
                f"macros: {shown(name)} is not a name of letters, digits and _", argument="macros"
            )
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if "\n" in text or "\0" in text:
            raise ArgumentError(
                f"macros: the value of {name} is more than one line", argument="macros"
            )
        defined.append((name, text))
    return tuple(defined)
