"""The build step for macOS, against an `xcrun` that notes what it is asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "kernels" / "precompile_xcrun.py"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="needs the source checkout")

# Writes its arguments to a log, and a file of SIZE bytes where -o says; fails with FAIL.
XCRUN = """#!/bin/sh
echo "$@" >> "$LOG"
if [ -n "$FAIL" ]; then echo "$FAIL" >&2; exit 1; fi
while [ "$1" != -o ]; do shift; done
head -c "$SIZE" /dev/zero > "$2"
"""


@pytest.fixture
def xcrun(tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "xcrun"
    tool.parent.mkdir()
    tool.write_text(XCRUN)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("SIZE", "1000")
    monkeypatch.delenv("MACOSX_DEPLOYMENT_TARGET", raising=False)
    return tmp_path / "log"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, "--std", "metal3.1", *arguments], capture_output=True, text=True
    )


def test_kernels_are_compiled_linked_and_noted(xcrun, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.metal").write_text(f"// {name}\n")
    done = run("--output-dir", tmp_path, tmp_path / "a.metal", tmp_path / "b.metal")
    assert done.returncode == 0, done.stderr
    compile_a, compile_b, link = xcrun.read_text().splitlines()
    flags = "-std=metal3.1 -mmacosx-version-min=14.0 -O2 -fno-fast-math -Wall"
    for command, name in ((compile_a, "a"), (compile_b, "b")):
        assert command.startswith(f"-sdk macosx metal {flags} -c {tmp_path}/{name}.metal -o ")
        assert command.endswith(f"/{name}.air")
    assert link.startswith("-sdk macosx metal -mmacosx-version-min=14.0 ")
    assert link.endswith(f"/a.air {link.split()[-3]} -o {tmp_path}/kernels.metallib")
    assert [line.split()[1] for line in (tmp_path / "kernels.sha256").read_text().splitlines()] == [
        "a.metal",
        "b.metal",
    ]


@pytest.mark.parametrize(
    ("target", "used"),
    # Builders of wheels like to set 11.0, where there is no metal3.1.
    [("15.2", "15.2"), ("14", "14"), ("11.0", "14.0"), ("", "14.0")],
)
def test_the_deployment_target_reaches_the_compiler(xcrun, monkeypatch, target, used):
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", target)
    assert run("--probe").returncode == 0
    assert xcrun.read_text().count(f"-mmacosx-version-min={used} ") == 2


def test_a_compiler_that_does_not_run_is_told_with_its_remedy(xcrun, monkeypatch):
    monkeypatch.setenv("FAIL", "error: cannot execute tool 'metal' due to missing Metal Toolchain")
    done = run("--probe")
    assert done.returncode == 1
    assert "xcodebuild -downloadComponent MetalToolchain" in done.stderr
    assert "missing Metal Toolchain" in done.stderr


def test_no_xcrun_at_all_is_told_the_same_way(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("--probe")
    assert done.returncode == 1
    assert "install Xcode" in done.stderr


def test_an_empty_library_fails_the_build(xcrun, monkeypatch, tmp_path):
    monkeypatch.setenv("SIZE", "118")
    (tmp_path / "a.metal").write_text("")
    done = run("--output-dir", tmp_path, tmp_path / "a.metal")
    assert done.returncode == 1
    assert "came out empty" in done.stderr
    assert not (tmp_path / "kernels.sha256").exists()
