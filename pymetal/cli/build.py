"""`pymetal build`: many sources, one `.metallib`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymetal.cli import options, screen

if TYPE_CHECKING:
    from pymetal.air.container import Entry


def build(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="X.metallib", show_default=False)
    ],
    include: options.Include = None,
    define: options.Define = None,
    math_mode: options.Math = "safe",
    as_json: options.Json = False,
) -> None:
    """Compile every kernel of files and folders into one .metallib for the software device."""
    from pymetal.air.container import write_metallib
    from pymetal.check import metal_files
    from pymetal.errors import CompileError, Error, LibraryError
    from pymetal.library import read_source
    from pymetal.msl import compile_entries
    from pymetal.msl.options import language_version
    from pymetal.source import CompileOptions

    given = CompileOptions(
        include_dirs=tuple(include or ()), macros=tuple(define or ()), math_mode=math_mode
    )
    entries: list[Entry] = []
    origins: dict[str, Path] = {}
    errors: list[Error] = []
    for path in screen.progress(metal_files(paths), "building"):
        try:
            for entry in compile_entries(read_source(path), given):
                other = origins.setdefault(entry.name, path)
                if other is not path:
                    raise CompileError(f"{path}: kernel '{entry.name}' is in {other} already")
                entries.append(entry)
        except Error as error:
            errors.append(error)
    for refused in errors:
        screen.show_error(refused)
    if errors:
        if as_json:
            screen.print_json({"ok": False, "errors": [screen.error_facts(e) for e in errors]})
        raise typer.Exit(1)
    data = write_metallib(entries, language_version=language_version(given))
    try:
        output.write_bytes(data)
    except OSError as error:
        raise LibraryError(f"{output} cannot be written: {error.strerror or error}") from None
    if as_json:
        screen.print_json(
            {"ok": True, "file": str(output), "size_bytes": len(data), "kernels": [*origins]}
        )
    else:
        print(f"{output}: {len(origins)} kernels, {len(data)} bytes\n{', '.join(origins)}")
