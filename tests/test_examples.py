"""The programs in examples/ run as they stand there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# What each is run with, so that it takes seconds; all that there are must be here.
ARGUMENTS = {
    "quickstart.py": [],
    "roofline.py": ["--sizes", "16,40", "--seconds", "0.01"],
}

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="there is no source checkout around these tests"
)


def run(name: str, *arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *ARGUMENTS[name], *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ARGUMENTS)


def test_quickstart_finds_every_result_right(tmp_path):
    printed = run("quickstart.py", folder=tmp_path)
    assert printed.count("  ok\n") == 3


def test_roofline_prints_a_row_for_each_size_and_draws(tmp_path):
    has_matplotlib = importlib.util.find_spec("matplotlib") is not None
    save = ["--save", "picture.png"] if has_matplotlib else []
    printed = run("roofline.py", *save, folder=tmp_path)
    assert printed.count("simdgroup matrices") == 2
    assert "peak of" in printed
    assert (tmp_path / "picture.png").is_file() == has_matplotlib
