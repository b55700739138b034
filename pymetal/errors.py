"""Every error PyMetal raises. Each says what happened, where, and what to do.

All derive from `pymetal.Error`, keep their facts as attributes and survive pickling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


class Error(Exception):
    """Base of PyMetal's errors. Keyword arguments become attributes."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(cls: type[Error], message: str, state: dict[str, Any]) -> Error:
    error = cls.__new__(cls, message)
    Error.__init__(error, message)
    error.__dict__.update(state)
    if isinstance(error, CompileError):
        error._locate()
    return error


@dataclass(frozen=True)
class Diagnostic:
    """One message of a Metal compiler. Line and column count from 1; 0 where unknown."""

    severity: Literal["error", "warning", "note"]
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    source_line: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        text = f"{where}{self.severity}: {self.message}"
        if self.source_line:
            # Tabs stay tabs so that the caret stands under its character.
            lead = "".join("\t" if c == "\t" else " " for c in self.source_line[: self.column - 1])
            text += f"\n{self.source_line}\n{lead}^"
        return text


class CompileError(Error, SyntaxError):
    """Wrong Metal source. `diagnostics` holds every message, in source order."""

    diagnostics: tuple[Diagnostic, ...] = ()

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        text = "\n".join([message, *map(str, diagnostics)]) if diagnostics else message
        Error.__init__(self, text, diagnostics=tuple(diagnostics))
        self._locate()

    def _locate(self) -> None:
        """Fill in what SyntaxError shows; these are slots, which pickling leaves out."""
        if self.diagnostics:
            first = self.diagnostics[0]
            self.filename, self.lineno, self.offset = first.file, first.line, first.column
            self.text, self.msg = first.source_line, first.message


class UnsupportedError(Error, NotImplementedError):
    """Right Metal that this device lacks. `feature` is its row in docs/language.md."""

    feature: str = ""


class ToolchainError(Error, RuntimeError):
    """A tool that PyMetal needs (clang, llvmlite, xcrun) is missing or broken."""


class LibraryError(Error, ValueError):
    """A `.metallib` that cannot be read."""


class FunctionNotFoundError(Error, LookupError):
    """No kernel file, or no function, of that name. `available` lists what there is."""

    available: tuple[str, ...] = ()


class ArgumentError(Error, TypeError, ValueError):
    """A value that does not fit the kernel's declared argument. `argument` is its name."""

    argument: str = ""


class LaunchError(Error, ValueError):
    """A grid, threadgroup or threadgroup memory that the pipeline cannot launch."""


class KernelFault(Error, RuntimeError):  # noqa: N818 - Metal calls it a fault
    """A kernel that went wrong while it ran; its outputs are not valid."""


class DeviceError(Error, RuntimeError):
    """No such device, or the device failed."""


class WaitTimeoutError(Error, TimeoutError):
    """A queue was not done when the wait for it ended; its launches go on."""
