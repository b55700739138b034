"""Programs that Apple's compiler refuses, or that would let a kernel out of its box.

Each file in msl/reject names its rule in the first line and marks the line that is wrong.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import pymetal
from pymetal.errors import CompileError, UnsupportedError
from pymetal.msl import compile_source
from pymetal.source import CompileOptions, Source

FOLDER = Path(__file__).parent / "msl" / "reject"
MARK = "// refused"
PROGRAMS = sorted(FOLDER.glob("*.metal"))


def test_there_are_at_least_sixty_programs() -> None:
    assert len(PROGRAMS) >= 60


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_it_is_refused_where_it_is_wrong(device: str, path: Path) -> None:
    text = path.read_text()
    first, *lines = text.splitlines()
    assert first.startswith("// "), "the first line names the rule"
    marked = [n for n, line in enumerate(lines, 2) if line.endswith(MARK)]
    assert len(marked) == 1, "one line is marked"
    with pytest.raises((CompileError, UnsupportedError)) as caught:
        compile_source(Source(text, path), CompileOptions())
    if device != "cpu":
        if isinstance(caught.value, UnsupportedError):
            pytest.skip("Metal has this; only the software device lacks it")
        with pytest.raises(CompileError) as caught:
            pymetal.compile(path, device=device)
    found = [d.line for d in caught.value.__dict__.get("diagnostics", ()) if d.severity == "error"]
    assert marked[0] in found, f"errors in lines {found}: {caught.value}"
