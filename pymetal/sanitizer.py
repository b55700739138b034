"""What a checked run found: reports as objects, as text and as SARIF."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pymetal.errors import ArgumentError, DeviceError

Severity = Literal["error", "warning"]
Position = tuple[int, int, int]

# Every kind of report: what it means, in a sentence.
KINDS = {
    "out-of-bounds": "An access outside the array that it was meant for.",
    "race": "Two threads access the same memory, one writes, and nothing orders them.",
    "uninitialised": "A read of memory that the kernel has not written.",
    "misaligned": "A vector access at an address that its type does not allow.",
    "divergent-barrier": "A barrier that only some threads reached.",
    "inactive-lane": "A simdgroup operation that reads a lane which does not take part.",
    "shift": "A shift by as many bits as the type has, or more.",
    "conversion": "A conversion to an integer type that cannot hold the value.",
    "missing-return": "The end of a function that was to return a value, or what else cannot be.",
    "not-finite": "A NaN or infinity made of finite values.",
    "never-written": "Output elements that no thread wrote.",
    "several-writers": "Output elements that one thread wrote, nobody read and another overwrote.",
    "order-dependent": "Results that depend on the order in which threads run.",
}


class CheckWarning(UserWarning):
    """A checked run found something that need not be wrong: `report`."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class Party:
    """A thread, and what it did there. Line 0: not known."""

    thread: Position
    threadgroup: Position
    simdgroup: int
    lane: int
    access: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"thread {self.thread}, simdgroup {self.simdgroup} lane {self.lane}"
        return f"{where}, threadgroup {self.threadgroup}"


@dataclass(frozen=True)
class Report:
    """One thing that was wrong, at one line. `count`: how often it happened there."""

    kind: str
    message: str
    severity: Severity = "error"
    kernel: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    source_line: str = ""
    argument: str = ""
    element: int | None = None
    first: Party | None = None
    second: Party | None = None
    value: float | int | None = None
    count: int = 1

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.kernel}: "
        lines = [f"{place}{self.severity}: {self.message}"]
        if self.source_line:
            lead = "".join("\t" if c == "\t" else " " for c in self.source_line[: self.column - 1])
            lines += [self.source_line, f"{lead}^"]
        if self.first is not None:
            lines.append(f"  by {self.first}")
        if self.second is not None:
            did = f" ({self.second.access}" if self.second.access else ""
            at = f", line {self.second.line})" if self.second.line and did else ")" if did else ""
            lines.append(f"  and {self.second}{did}{at}")
        if self.value is not None:
            lines.append(f"  value {self.value}")
        if self.count > 1:
            lines.append(f"  {self.count} times")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def sarif(reports: Iterable[Report]) -> dict[str, Any]:
    """The reports as a SARIF 2.1.0 log, which code-hosting sites show beside the lines."""
    from pymetal import __version__

    results = []
    for report in reports:
        text = str(report).partition(": ")[2] if report.line else str(report)
        result: dict[str, Any] = {
            "ruleId": report.kind,
            "level": report.severity,
            "message": {"text": text},
        }
        if report.line:
            result["locations"] = [_location(report.file, report.line, report.column)]
        if report.second is not None and report.second.line:
            related = _location(report.file, report.second.line, 1)
            result["relatedLocations"] = [{**related, "message": {"text": str(report.second)}}]
        results.append(result)
    rules = [{"id": kind, "shortDescription": {"text": text}} for kind, text in KINDS.items()]
    driver = {
        "name": "PyMetal",
        "version": __version__,
        "rules": rules,
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _location(file: str, line: int, column: int) -> dict[str, Any]:
    region = {"startLine": line, "startColumn": max(column, 1)}
    folder = os.getcwd() + os.sep  # sites show files of a repository, from where it starts
    artifact = {"uri": file.removeprefix(folder).replace(os.sep, "/")}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def wanted(check: Any) -> str:
    """What `check`, else `PYMETAL_CHECK`, asks for: "", "checks", "nan" or "schedules"."""
    if check is None:
        text = os.environ.get("PYMETAL_CHECK", "")
        known = {"": "", "0": "", "1": "checks", "nan": "nan", "schedules": "schedules"}
        if text not in known:
            raise DeviceError(f"PYMETAL_CHECK is {text!r}; it is 0, 1, nan or schedules")
        return known[text]
    if check is True or check is False:
        return "checks" if check else ""
    if check in ("nan", "schedules"):
        return str(check)
    raise ArgumentError(
        f"check is {check!r}; it is True, False, 'nan' or 'schedules'", argument="check"
    )
