"""The line at which an unchecked launch went wrong: the fast engine's code has no lines.

The launch is run again, on copies of its arrays, by the reference engine under checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pymetal.cpu.checks.pipeline import CheckedPipeline
from pymetal.devices import Binding, Size
from pymetal.errors import Error, KernelFault
from pymetal.sanitizer import Report

# How long it may take; what was found until then counts.
SECONDS = 2.0
KINDS = {
    "memory": "out-of-bounds",
    "stack": "out-of-bounds",
    "trap": "missing-return",
    "barrier": "divergent-barrier",
}


def name_line(
    error: KernelFault,
    checked: Callable[[], CheckedPipeline],
    bindings: Sequence[Binding],
    threadgroup_memory: Mapping[int, int],
    grid: Size,
    threadgroup: Size,
) -> KernelFault:
    """Add file, line and column to the error, and the line to its text, if they can be found."""
    facts = error.__dict__
    if facts.get("kind") not in KINDS or any(binding.reached for binding in bindings):
        return error
    try:
        found = checked().look(bindings, threadgroup_memory, grid, threadgroup, SECONDS)
    except (Error, MemoryError):
        return error  # what it fails with is not what the user wants to know
    report = _best(found, facts["kind"], facts.get("argument", ""))
    if report is not None:
        error.__dict__.update(file=report.file, line=report.line, column=report.column)
        hint = "\n  run it with check=True to see the line"
        text = str(report).partition(f": {report.severity}: ")
        where, what = text[0], text[2].partition("\n  by ")[0]
        error.message = error.message.replace(hint, "") + f"\n{where}: {what}"
        error.args = (error.message,)
    return error


def _best(found: Sequence[Report], kind: str, argument: str) -> Report | None:
    """The report that explains the fault best: of the argument that the address was near."""
    fitting = [report for report in found if report.kind == KINDS[kind] and report.line]
    fitting.sort(key=lambda report: report.argument != argument)
    return fitting[0] if fitting else None
