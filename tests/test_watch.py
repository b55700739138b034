"""`pymetal watch`, driven in a pseudo-terminal; and how it notices changes."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from pymetal.watch import changes

pty = pytest.importorskip("pty", reason="pseudo-terminals are a thing of POSIX")

SOURCE = """#include <metal_stdlib>
using namespace metal;
kernel void scale(device float* out [[buffer(0)]], constant float& x [[buffer(1)]],
    uint i [[thread_position_in_grid]])
{
    out[i] = x * 2;
}
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PATIENCE_SECONDS = 120  # not a claim about speed: machines that run tests may be busy


class Terminal:
    """A program in a pseudo-terminal, read up to what is waited for."""

    def __init__(self, *arguments: str) -> None:
        self.end, other = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pymetal", *arguments],
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment,
        )
        os.close(other)
        self.raw = self._left = ""

    def until(self, pattern: str) -> str:
        """What is shown up to the pattern, without colours."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, COLOUR.sub("", self._left))):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self._left}"
            if select.select([self.end], [], [], 0.1)[0]:
                read = os.read(self.end, 1 << 16).decode().replace("\r", "")
                self.raw += read
                self._left += read
        plain = COLOUR.sub("", self._left)
        self._left = plain[found.end() :]
        return plain[: found.end()]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.end)


@pytest.fixture
def watch(kernels):
    """`pymetal watch` on kernels/scale.metal."""
    (kernels / "scale.metal").write_text(SOURCE)
    terminals: list[Terminal] = []

    def start(*options: str) -> Terminal:
        call = ("-i", "1.5", "-o", "4", "--grid", "4", "--threadgroup", "4", "--device", "cpu")
        terminals.append(Terminal("watch", "scale", *call, *options))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def save(path, text: str) -> None:
    """As editors do: a new file takes the place of the old one."""
    temporary = path.with_suffix(".swap")
    temporary.write_text(text)
    os.replace(temporary, path)


def test_each_save_shows_the_result_and_its_difference_to_the_last(watch, kernels):
    terminal = watch()
    first = terminal.until("in all")
    assert "[3. 3. 3. 3.]" in first
    assert "\x1b[" in terminal.raw  # a terminal gets colours
    save(kernels / "scale.metal", SOURCE.replace("* 2", "* (i + 2)"))
    second = terminal.until("in all")
    assert "[3.  4.5 6.  7.5]" in second
    assert "out: 3 of 4 elements differ from the last run, by 4.5 at most" in second
    save(kernels / "scale.metal", "// the same\n" + SOURCE.replace("* 2", "* (2 + i)"))
    assert "out: same as in the last run, bit for bit" in terminal.until("in all")


def test_errors_are_shown_and_the_next_save_is_run(watch, kernels):
    terminal = watch("--against", "full(4, x * 2)")
    assert "out: matches" in terminal.until("in all")
    save(kernels / "scale.metal", SOURCE.replace("x * 2", "y * 2"))
    shown = terminal.until("waiting for a change")
    assert "scale.metal:6:14: error: use of undeclared identifier 'y'\n" in shown
    assert "    out[i] = y * 2;\n             ^\n" in shown
    save(kernels / "scale.metal", SOURCE.replace("x * 2", "x * 3"))
    assert "out: 4 of 4 elements differ; worst at [0]: 4.5, expected 3" in terminal.until("in all")


def test_a_deleted_source_and_a_missing_header_are_waited_for(watch, kernels):
    terminal = watch()
    terminal.until("in all")
    (kernels / "scale.metal").unlink()
    assert "there is no file" in terminal.until("waiting for a change")
    save(kernels / "scale.metal", '#include "two.h"\n' + SOURCE.replace("* 2", "* TWO"))
    assert "two.h" in terminal.until("waiting for a change")
    save(kernels / "two.h", "#define TWO 20\n")
    assert "[30. 30. 30. 30.]" in terminal.until("in all")
    save(kernels / "two.h", "#define TWO 40\n")
    assert "[60. 60. 60. 60.]" in terminal.until("in all")


def test_machines_get_a_line_a_run_and_an_interrupt_is_a_clean_end(watch, kernels):
    terminal = watch("--json")
    (first,) = terminal.until("}\n").splitlines()
    save(kernels / "scale.metal", SOURCE.replace("x * 2", "y * 2"))
    (second,) = terminal.until("}\n").splitlines()
    assert json.loads(first)["results"][0]["max"] == 3.0
    assert json.loads(second)["error"]["type"] == "CompileError"
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(PATIENCE_SECONDS) == 0


def test_changes_that_come_during_a_turn_make_the_next_turn(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    turns = changes(lambda: [file, other], poll_seconds=0.001)
    next(turns)
    file.write_text("1")
    next(turns)
    other.write_text("2")
    next(turns)
    file.unlink()
    next(turns)
