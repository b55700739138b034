"""`pymetal check`: compile every kernel of files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymetal.cli import options, screen


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Compile every kernel of files and folders, and show what each takes."""
    from pymetal.check import check_paths

    result = check_paths(paths, device, lambda files: screen.progress(files, "checking"))
    if as_json:
        screen.print_json(result.as_json())
    else:
        print(result)
    raise typer.Exit(0 if result.ok else 1)
