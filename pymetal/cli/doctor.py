"""`pymetal doctor`: does everything that PyMetal needs work here?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from pymetal.cli import options, screen

STYLES = {"works": "green", "missing": "bold red", "broken": "bold red", "note": "yellow"}


def doctor(as_json: options.Json = False) -> None:
    """Check what PyMetal needs, by compiling and running a kernel on each device."""
    from pymetal.doctor import examine

    findings = []
    console = screen.out()
    for finding in examine():
        findings.append(finding)
        if not as_json:
            console.print(f"{finding.state:8}", style=STYLES[finding.state], end="")
            console.print(f"{finding.subject}: {finding.text}")
            if finding.remedy:
                console.print(f"        -> {finding.remedy}")
    failures = [f for f in findings if f.is_failure]
    if as_json:
        screen.print_json({"ok": not failures, "findings": [asdict(f) for f in findings]})
    else:
        names = ", ".join(f.subject for f in failures)
        console.print(f"To be mended: {names}." if failures else "All that is needed works.")
    raise typer.Exit(1 if failures else 0)
