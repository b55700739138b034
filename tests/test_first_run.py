"""scripts/first_run_on_mac.sh goes through all its sections, whatever fails, and writes its report.

The tools of a Mac, Python's environment and the suite are stand-ins that say how they were called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "first_run_on_mac.sh"

pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file() or not shutil.which("bash") or not shutil.which("perl"),
    reason="needs a checkout of the sources, bash and perl",
)
ECHO = '#!/bin/sh\necho "stand-in $(basename $0) $*"\n'
# `python3 -m venv FOLDER` makes an environment of stand-ins.
PYTHON = """#!/bin/sh
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"
    for name in pip python pytest pymetal; do cp "$STAND_IN" "$3/bin/$name"; done
    echo "PATH=$3/bin:\\$PATH" >"$3/bin/activate" ;;
  -c*) ;;
  *) echo Python 3.12.1 ;;
esac
"""


def run(tmp_path, failing=""):
    folder = tmp_path / "bin"
    folder.mkdir()
    texts = dict.fromkeys(["sw_vers", "sysctl", "xcode-select", "stand-in"], ECHO)
    texts |= {"xcrun": "#!/bin/sh\necho no metal here >&2\nexit 72\n", "python3": PYTHON}
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    if failing:
        (folder / "stand-in").write_text(
            f"{ECHO}case $(basename $0) in {failing}) exit 3 ;; esac\n"
        )
    report = tmp_path / "report.txt"
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STAND_IN": str(folder / "stand-in"),
    }
    done = subprocess.run(
        ["bash", SCRIPT, report], env=environment, capture_output=True, text=True, timeout=100
    )
    return done, report.read_text()


def test_a_missing_compiler_and_failing_tests_are_in_the_report(tmp_path):
    done, report = run(tmp_path, failing="pytest")
    assert done.returncode == 0, done.stderr
    assert "== Metal compiler (exit code 72)\n" in report
    assert "no metal here" in report
    assert "== tests on the GPU (exit code 3)\n" in report
    for words in (
        "pymetal doctor",
        "pymetal info",
        "pytest -q --device metal",
        "pytest -q --device cpu",
        "pymetal bench matrix_add --device metal",
    ):
        assert f"stand-in {words}" in report, words
    assert done.stdout.splitlines()[-1] == f"Report: {tmp_path / 'report.txt'}"


def test_what_cannot_be_installed_ends_it(tmp_path):
    done, report = run(tmp_path, failing="pip")
    assert done.returncode == 1
    assert "PyMetal cannot be installed here" in done.stdout
    assert "== install (exit code 3)" in report
    assert "doctor" not in report
