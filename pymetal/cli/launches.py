"""Launches that a Metal file describes itself, for `pymetal check --run`.

    // launch: softmax softmax_half -i random:4,64 -i 64 -o 4,64 --grid 4 --threadgroup 2

Kernels of the file, `*` for any letters; then options as `pymetal run` takes them. A backslash at
the end goes on in the comment of the next line.
"""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pymetal.check import CheckResult, FileResult, LaunchResult
from pymetal.cli.calling import call_of
from pymetal.errors import ArgumentError, Error, KernelFault
from pymetal.source import CompileOptions

if TYPE_CHECKING:
    from pymetal.sanitizer import Report

_LAUNCH = re.compile(r"^[ \t]*//[ \t]*launch:((?:.*\\\n[ \t]*//)*.*)", re.M)
_FURTHER = re.compile(r"\\\n[ \t]*//")


@dataclass(frozen=True)
class Described:
    """One `launch:` comment: at which line, of which kernels, with which options."""

    line: int
    kernels: tuple[str, ...]
    options: tuple[str, ...]


def described(text: str) -> Iterator[Described]:
    """The launches that comments of the source describe."""
    for match in _LAUNCH.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        try:
            words = shlex.split(_FURTHER.sub(" ", match[1]))
        except ValueError as error:
            raise ArgumentError(f"line {line}: `launch:` cannot be read: {error}") from None
        first = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
        if not first:
            raise ArgumentError(f"line {line}: `launch:` names no kernel before its options")
        yield Described(line, tuple(words[:first]), tuple(words[first:]))


def run_launches(result: CheckResult, options: CompileOptions) -> None:
    """Run what the checked files describe, with the sanitizer; adds to `result`."""
    result.launched = True
    for file in result.files:
        if file.error:
            continue
        path = Path(file.file)
        if path.suffix == ".metallib":
            continue
        try:
            _run_file(file, path, options)
        except ArgumentError as error:
            file.error = f"{path}: {error}"
    if not any(kernel.launches for file in result.files for kernel in file.kernels):
        for file in result.files:
            file.error = file.error or f"{file.file}: no `// launch:` comment says what to run"


def _run_file(file: FileResult, path: Path, options: CompileOptions) -> None:
    for one in described(path.read_text(encoding="utf-8-sig")):
        for pattern in one.kernels:
            named = [kernel for kernel in file.kernels if fnmatchcase(kernel.name, pattern)]
            if not named:
                listed = ", ".join(kernel.name for kernel in file.kernels) or "none"
                raise ArgumentError(
                    f"line {one.line}: `launch:` names '{pattern}'; the file has {listed}"
                )
            for kernel in named:
                if not kernel.error:
                    kernel.launches.append(_launch(f"{path}:{kernel.name}", one, options))


def _launch(kernel: str, described: Described, options: CompileOptions) -> LaunchResult:
    from pymetal.cli.checked import checked_as
    from pymetal.sanitizer import CheckWarning

    result = LaunchResult(described.line)
    try:
        call = replace(
            call_of([kernel, *described.options]),
            include_dirs=options.include_dirs,
            macros=options.macros,
            math_mode=options.math_mode,
            device="cpu",
        )
        prepared = call.prepare()
        with checked_as(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CheckWarning)
            prepared.run()
        result.reports = [w.message.report for w in caught if isinstance(w.message, CheckWarning)]
    except KernelFault as fault:
        found: Sequence[Report] = fault.__dict__.get("reports", ())
        result.reports = list(found)
        if not found:
            result.error = str(fault)
    except Error as error:
        result.error = str(error)
    return result
