"""Metal in notebooks: `%load_ext pymetal`, then cells that begin with `%%metal`.

Loaded by `pymetal.load_ipython_extension`; needs nothing of IPython but the shell it is given.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from typing import Any, NoReturn

from pymetal.errors import ArgumentError, CompileError, Diagnostic, Error
from pymetal.library import Library, compile

BOLD, END = "\x1b[1m", "\x1b[0m"
COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;35m", "note": "\x1b[1;36m"}


def load(shell: Any) -> None:
    """Add `%%metal` to an IPython shell."""

    def metal(line: str, cell: str) -> Library:
        library, names = compile_cell(line, cell)
        shell.push(names)
        return library

    metal.__doc__ = compile_cell.__doc__
    shell.register_magic_function(metal, "cell")


class CellError(Error):
    """A cell that does not compile, shown without the traceback of PyMetal's own code.

    `error` is what `pymetal.compile` raised; `diagnostics` are its, placed in the cell.
    """

    error: Error
    diagnostics: tuple[Diagnostic, ...] = ()

    def _render_traceback_(self) -> list[str]:
        """IPython's way to let an exception show itself."""
        if self.diagnostics:
            return [line for diagnostic in self.diagnostics for line in _coloured(diagnostic)]
        return [f"{COLOURS['error']}{type(self.error).__name__}{END}: {self.error}"]


def compile_cell(line: str, cell: str) -> tuple[Library, dict[str, Any]]:
    """%%metal [--device NAME] [--math-mode safe|relaxed|fast] [-I FOLDER] [-D NAME[=VALUE]]
    [--library NAME]

    Compile the cell and put its kernels in the namespace, under their names. The library is the
    cell's value and, with --library, has a name too: `NAME.kernel(kernel, constants)` makes the
    kernels that need function constants.
    """
    try:
        given = _parser().parse_args(shlex.split(line))
        library = compile(
            f"\n{cell}",  # the line of the magic is the cell's first
            include_dirs=tuple(given.include),
            macros=dict(map(_definition, given.define)),
            math_mode=given.math_mode,
            device=given.device,
        )
        names: dict[str, Any] = {
            name: library.kernel(name)
            for name in library
            if not any(constant.required for constant in library.function(name).constants)
        }
    except (Error, ValueError) as error:  # a ValueError: a quotation that does not end
        raise _cell_error(error) from None
    if given.library:
        names[given.library] = library
    return library, names


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}\n{self.format_usage()}".rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="%%metal", add_help=False)
    parser.add_argument("--device")
    parser.add_argument("--math-mode", choices=("safe", "relaxed", "fast"), default="safe")
    parser.add_argument("-I", "--include", action="append", default=[], metavar="FOLDER")
    parser.add_argument("-D", "--define", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("--library", metavar="NAME")
    return parser


def _definition(text: str) -> tuple[str, str]:
    """`NAME` or `NAME=value`, as compilers take them."""
    name, equals, value = text.partition("=")
    return name, value if equals else "1"


def _cell_error(error: Error | ValueError) -> CellError:
    """The error with its places in the cell."""
    diagnostics: tuple[Diagnostic, ...] = ()
    if isinstance(error, CompileError):
        diagnostics = tuple(
            replace(d, file="cell") if d.file == "<source>" else d for d in error.diagnostics
        )
    text = "\n".join(map(str, diagnostics)) or str(error)
    return CellError(text, error=error, diagnostics=diagnostics)


def _coloured(diagnostic: Diagnostic) -> list[str]:
    """The lines of a diagnostic: severity and caret in their colour."""
    colour = COLOURS[diagnostic.severity]
    first, *rest = str(diagnostic).split("\n")
    where, severity, message = first.partition(f"{diagnostic.severity}:")
    return [
        f"{BOLD}{where}{END}{colour}{severity}{END}{BOLD}{message}{END}",
        *(line if line.strip(" \t^") else f"{colour}{line}{END}" for line in rest),
    ]
