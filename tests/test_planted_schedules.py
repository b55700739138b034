"""Each planted bug is found with the right threads in whatever order threads and threadgroups run.

Backwards, and in orders of some seeds; `PYMETAL_TEST_SCHEDULES=100` runs that many.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from planted import PLANTED, marks, run
from planted_parties import PARTIES

from pymetal.cpu.checks.pipeline import CheckedPipeline
from pymetal.sanitizer import Party, Report

SCHEDULES = range(1, 1 + int(os.environ.get("PYMETAL_TEST_SCHEDULES", "5")))


def names(party: Party, report: Report, other: Party | None) -> dict[str, int | None]:
    """What the conditions of planted_parties.py speak of."""
    return {
        "i": party.thread[0],
        "y": party.thread[1],
        "t": 32 * party.simdgroup + party.lane,
        "s": party.simdgroup,
        "lane": party.lane,
        "g": party.threadgroup[0],
        "e": report.element,
        "o": 32 * other.simdgroup + other.lane if other is not None else None,
    }


def is_right(report: Report, lines: list[str], rules: dict[str, str]) -> bool:
    """Whether both threads do at their lines what is reported."""
    for party, other, line in (
        (report.first, report.second, report.line),
        (report.second, report.first, report.second.line if report.second else 0),
    ):
        if party is None:
            continue
        if party is report.second and "other" in rules:
            fitting = [rules["other"]]
        else:
            text = lines[line - 1] if line else ""
            fitting = [r for part, r in rules.items() if part in text or not line]
        facts = names(party, report, other)
        if not any(eval(rule, {}, facts) for rule in fitting):
            return False
    first, second = report.first, report.second
    return first is None or second is None or first.thread != second.thread


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_planted_bugs_are_found_in_whatever_order_threads_run(monkeypatch, path: Path) -> None:
    lines = path.read_text().split("\n")
    marked = [*marks(path, "fault"), *marks(path, "also")]
    places = {(kind, line) for kind, line, _ in marked}
    anywhere = {kind for kind, line, _ in marked if line == -1}
    in_order = CheckedPipeline._run
    for schedule in SCHEDULES:

        def out_of_order(self, *arguments, schedule=schedule, **named):
            return in_order(self, *arguments, **{**named, "schedule": schedule})

        monkeypatch.setattr(CheckedPipeline, "_run", out_of_order)
        reports = run(path)
        text = f"schedule {schedule}\n" + "\n".join(map(str, reports))
        right = {r.kind for r in reports if (r.kind, r.line) in places or r.kind in anywhere}
        assert {kind for kind, _, _ in marks(path, "fault")} <= right, text
        for report in reports:
            assert (report.kind, report.line) in places or report.kind in anywhere, text
            if report.kind not in anywhere or report.kind == "race":
                assert is_right(report, lines, PARTIES[path.stem]), f"{report}\n\n{text}"


def test_of_every_planted_bug_it_is_known_who_may_be_named() -> None:
    assert set(PARTIES) == {path.stem for path in PLANTED}
