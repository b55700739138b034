"""`--check` and `--sarif`: a run with the sanitizer, its reports written for other tools."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

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
        help="Where to write what --check finds, as SARIF (implies --check).",
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
    from pymetal.sanitizer import CheckWarning, Report
    from pymetal.sanitizer import sarif as as_sarif

    reports: list[Report] = []
    before = os.environ.get("PYMETAL_CHECK")
    os.environ["PYMETAL_CHECK"] = before or "1"
    try:
        with warnings.catch_warnings(record=True) as caught:
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
        if before is None:
            del os.environ["PYMETAL_CHECK"]
        else:
            os.environ["PYMETAL_CHECK"] = before
        if sarif is not None:
            sarif.write_text(json.dumps(as_sarif(reports), indent=2) + "\n", encoding="utf-8")
