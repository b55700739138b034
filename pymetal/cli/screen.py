"""What commands print: text with colours on terminals, JSON for machines, errors, progress."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from pymetal.errors import CompileError, Diagnostic, Error

SEVERITY_STYLES = {"error": "bold red", "warning": "bold magenta", "note": "bold cyan"}


def out() -> Console:
    """Standard output. Lines are never wrapped: others may read them."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def print_json(facts: Any, *, indent: int | None = 2) -> None:
    """Facts as strict JSON: numbers that it does not have are strings, such as "nan"."""
    print(json.dumps(_finite(facts), indent=indent, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def error_facts(error: Error) -> dict[str, Any]:
    """An error as `--json` prints it."""
    facts: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, CompileError):
        facts["diagnostics"] = [vars(diagnostic) for diagnostic in error.diagnostics]
    reports = error.__dict__.get("reports")  # of a checked run
    if reports is not None:
        facts["reports"] = [report.as_json() for report in reports]
    return facts


def show_error(error: Error, *, as_json: bool = False) -> None:
    """The message on standard error and, for machines, an object on standard output."""
    err().print(error_text(error))
    if as_json:
        print_json({"ok": False, "error": error_facts(error)})


def error_text(error: Error) -> Text:
    """The message with its diagnostics in colours."""
    if isinstance(error, CompileError) and error.diagnostics:
        return Text("\n").join(map(diagnostic_text, error.diagnostics))
    return Text.assemble(("error:", SEVERITY_STYLES["error"]), f" {error}")


def diagnostic_text(diagnostic: Diagnostic) -> Text:
    """One diagnostic: where in bold, severity and caret in its colour."""
    style = SEVERITY_STYLES[diagnostic.severity]
    first, *rest = str(diagnostic).split("\n")
    where, severity, message = first.partition(f"{diagnostic.severity}: ")
    text = Text.assemble((where, "bold"), (severity, style), (message, "bold"))
    for line in rest:
        text.append(f"\n{line}", style if not line.strip(" \t^") else "")
    return text


def table(rows: Sequence[tuple[str, object]]) -> str:
    """Names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def seconds(value: float) -> str:
    """A time in the unit that suits it."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def progress(items: Sequence[Any], doing: str) -> Iterator[Any]:
    """The items, with a bar on standard error while they last if that is a terminal."""
    console = err()
    if not console.is_terminal or len(items) < 2:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing, total=len(items))
        for item in items:
            bar.update(task, description=f"{doing} {item}")
            yield item
            bar.advance(task)


@contextmanager
def bar(doing: str) -> Iterator[Callable[[float], None] | None]:
    """A bar on standard error if that is a terminal: call the function with the part done."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    with Progress(TextColumn(doing), BarColumn(), console=console, transient=True) as shown:
        task = shown.add_task(doing, total=1.0)
        yield lambda done: shown.update(task, completed=done)
