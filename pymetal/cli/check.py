"""`pymetal check`: compile every kernel of files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymetal.cli import checked, options, screen

Target = Annotated[
    str,
    typer.Option(
        metavar="FAMILIES",
        help="GPU families that must have what each kernel needs: apple7,apple8,mac2.",
        show_default=False,
    ),
]


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    include: options.Include = None,
    define: options.Define = None,
    math_mode: options.Math = "safe",
    target: Target = "",
    run: Annotated[
        bool,
        typer.Option(
            "--run",
            help="Also run, with the sanitizer, what `// launch:` comments in the files describe.",
        ),
    ] = False,
    sarif: checked.Sarif = None,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Compile every kernel of files and folders, show what each takes, and try it with --run."""
    from pymetal import portability
    from pymetal.check import check_paths
    from pymetal.source import CompileOptions

    given = CompileOptions(
        include_dirs=tuple(include or ()), macros=tuple(define or ()), math_mode=math_mode
    )
    result = check_paths(
        paths,
        device,
        lambda files: screen.progress(files, "checking"),
        given,
        portability.targets_of(target),
    )
    if run or sarif is not None:
        from pymetal.cli.launches import run_launches

        run_launches(result, given)
    if sarif is not None:
        checked.write_sarif(sarif, result.reports)
    if as_json:
        screen.print_json(result.as_json())
    else:
        print(result)
    raise typer.Exit(0 if result.ok else 1)
