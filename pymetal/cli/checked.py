"""`--check` and `--sarif`: a run with the sanitizer, its reports written for other tools."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pymetal.sanitizer import Report

Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Run with the sanitizer, which finds accesses out of bounds, races and more.",
    ),
]
Sarif = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where to write what checked runs find, as SARIF; asks for them, too.",
        show_default=False,
    ),
]


@contextmanager
def checking(check: bool, sarif: Path | None) -> Iterator[None]:
    """Launches inside are checked; what they find goes to `sarif`, too."""
    if not check and sarif is None:
        yield
        return
    from pymetal.errors import KernelFault
    from pymetal.sanitizer import CheckWarning

    reports: list[Report] = []
    try:
        with checked_as(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CheckWarning)
            try:
                yield
            except KernelFault as fault:
                reports += fault.__dict__.get("reports", ())
                raise
        for warning in caught:
            if isinstance(warning.message, CheckWarning):
                reports.append(warning.message.report)
                typer.echo(str(warning.message), err=True)
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
    finally:
        if sarif is not None:
            write_sarif(sarif, reports)


@contextmanager
def checked_as() -> Iterator[None]:
    """Launches inside are checked, as `PYMETAL_CHECK` says if it is set."""
    before = os.environ.get("PYMETAL_CHECK")
    os.environ["PYMETAL_CHECK"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYMETAL_CHECK"]
        else:
            os.environ["PYMETAL_CHECK"] = before


def write_sarif(path: Path, reports: Iterable[Report]) -> None:
    """Write reports for other tools."""
    from pymetal.errors import ArgumentError
    from pymetal.sanitizer import sarif

    try:
        path.write_text(json.dumps(sarif(reports), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"--sarif {path}: {error.strerror or error}") from None
