"""Launches saved to a file and run again: `save_on_fault=`, `run --save-replay`, `replay`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import pymetal

HEADER = "#define FACTOR 3\n"
SOURCE = """
#include <metal_stdlib>
#include "factor.h"
using namespace metal;

constant int shift [[function_constant(0)]];
struct Line { float slope; short start; };

kernel void line(device float* out [[buffer(0)]], device const bfloat* x [[buffer(1)]],
                 constant Line& l [[buffer(2)]], device uint* count [[buffer(3)]],
                 constant long& offset [[buffer(4)]], threadgroup float* room [[threadgroup(0)]],
                 uint i [[thread_position_in_grid]]) {
    room[0] = 0;
    out[offset + i] = FACTOR * SCALE * float(x[i]) * l.slope + l.start + shift;
    count[i] += i;
}
"""
FAR = 1 << 35


@pytest.fixture
def kernel(tmp_path) -> pymetal.Kernel:
    (tmp_path / "factor.h").write_text(HEADER)
    (tmp_path / "line.metal").write_text(SOURCE)
    library = pymetal.compile(tmp_path / "line.metal", macros={"SCALE": 2}, device="cpu")
    return library.kernel("line", {"shift": 7})


def values(count: np.ndarray, offset: int) -> list:
    x = np.arange(64, dtype=ml_dtypes.bfloat16)
    return [pymetal.output(64), x, {"slope": 0.5, "start": -1}, count, offset]


KEYWORDS = {"grid": 64, "threadgroup": 32, "threadgroup_memory": {0: 64}}


def test_a_launch_that_fails_is_saved_and_fails_again(kernel, tmp_path) -> None:
    file = tmp_path / "fault.replay"
    count = np.ones(64, np.uint32)
    with pytest.raises(pymetal.KernelFault, match="pymetal replay") as caught:
        kernel(*values(count, FAR), **KEYWORDS, save_on_fault=file)
    assert caught.value.replay == str(file)
    for source in tmp_path.glob("*.[hm]*"):  # all that it needs is in the file
        source.unlink()
    with pytest.raises(pymetal.KernelFault, match="write to address"):
        pymetal.replay(file)
    with pytest.raises(pymetal.KernelFault, match=f"element {FAR} of buffer") as caught:
        pymetal.replay(file, check=True)
    assert caught.value.reports[0].source_line.startswith("    out[offset + i]")
    assert caught.value.reports[0].file == str(tmp_path / "line.metal")


def test_a_replay_gives_the_results_of_the_launch(kernel, tmp_path) -> None:
    from pymetal.replaying import save

    file = tmp_path / "good.replay"
    count = np.full(64, 5, np.uint32)
    launch = kernel._prepared(values(count, 0), 64, 32, None, {0: 64})
    save(file, kernel, launch)
    out = kernel(*values(count, 0), **KEYWORDS)
    results = pymetal.replay(file)
    assert list(results) == ["out", "count"]
    np.testing.assert_array_equal(results["out"], out)
    np.testing.assert_array_equal(results["count"], 5 + np.arange(64))
    assert out[2] == 3 * 2 * 2 * 0.5 - 1 + 7


def test_nothing_is_saved_if_nothing_fails(kernel, tmp_path) -> None:
    kernel(*values(np.ones(64, np.uint32), 0), **KEYWORDS, save_on_fault=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_a_failed_launch_changed_is_saved_as_it_was(kernel, tmp_path) -> None:
    file = tmp_path / "fault.replay"
    count = np.full(64, 9, np.uint32)
    with pytest.raises(pymetal.KernelFault):
        kernel(*values(count, 32), **KEYWORDS, check=True, save_on_fault=file)
    with zipfile.ZipFile(file) as archive:
        saved = np.frombuffer(archive.read("arguments/3"), np.uint32)
        assert json.loads(archive.read("replay.json"))["check"] == "checks"
    np.testing.assert_array_equal(saved, 9)
    with pytest.raises(pymetal.KernelFault, match="element 64 of buffer"):  # checked, as it was
        pymetal.replay(file)


def test_a_kernel_of_a_metallib_is_saved_with_it(tmp_path) -> None:
    source = tmp_path / "fill.metal"
    source.write_text(
        "kernel void fill(device float* o, uint i [[thread_position_in_grid]])"
        "{ o[long(i) << 32] = 1; }"
    )
    done = run("build", str(source), "-o", str(tmp_path / "fill.metallib"))
    assert done.returncode == 0, done.stderr
    kernel = pymetal.load(tmp_path / "fill.metallib", device="cpu").fill
    with pytest.raises(pymetal.KernelFault):
        kernel(pymetal.output(64), grid=64, threadgroup=32, save_on_fault=tmp_path / "f")
    with pytest.raises(pymetal.KernelFault):
        pymetal.replay(tmp_path / "f")


@pytest.mark.parametrize(
    "damage",
    [
        lambda facts: facts.update(format=2),
        lambda facts: facts.update(arguments=[]),
        lambda facts: facts["arguments"][1].update(shape=[65]),
        lambda facts: facts["arguments"][1].update(shape=[-1]),
        lambda facts: facts["arguments"][1].update(dtype="object"),
        lambda facts: facts["arguments"][1].update(dtype="finfo"),
        lambda facts: facts["arguments"][1].update(file="../secret"),
        lambda facts: facts.update(grid="many"),
        lambda facts: facts.update(threadgroup=[0]),
        lambda facts: facts.pop("kernel"),
        lambda facts: facts.update(kernel="other"),
        lambda facts: facts.update(options=None),
    ],
)
def test_a_damaged_replay_is_refused(kernel, tmp_path, damage) -> None:
    from pymetal.replaying import save

    file, damaged = tmp_path / "good", tmp_path / "damaged"
    save(file, kernel, kernel._prepared(values(np.ones(64, np.uint32), 0), 64, 32, None, {0: 64}))
    with zipfile.ZipFile(file) as good, zipfile.ZipFile(damaged, "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            if name == "replay.json":
                facts = json.loads(data)
                damage(facts)
                data = json.dumps(facts).encode()
            bad.writestr(name, data)
    with pytest.raises(pymetal.Error):
        pymetal.replay(damaged)


def test_files_that_are_no_replays_are_refused(tmp_path) -> None:
    with pytest.raises(pymetal.ArgumentError, match="cannot be read"):
        pymetal.replay(tmp_path / "missing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(pymetal.ArgumentError, match="no replay"):
        pymetal.replay(tmp_path / "text")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymetal", *arguments],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
    )


def test_the_command_line_saves_and_replays(tmp_path) -> None:
    file = str(tmp_path / "add.replay")
    options = ["-i", "random:64", "-i", "random:64", "-i", "64", "-o", "64", "--grid", "64"]
    path = tmp_path / "add.metal"
    path.write_text(
        "kernel void add(device float* o, device const float* a, device const float* b,\n"
        "  constant uint& n, uint i [[thread_position_in_grid]]) { o[i + 1] = a[i] + b[i]; }"
    )
    saved = run("run", str(path), *options, "--device", "cpu", "--save-replay", file)
    assert saved.returncode == 0, saved.stderr
    again = run("replay", file, "--json")
    assert again.returncode == 0, again.stderr
    facts = json.loads(again.stdout)
    assert (facts["kernel"], facts["seed"], facts["grid"]) == ("add", 0, [64, 1, 1])
    checked = run("replay", file, "--check")
    assert checked.returncode == 1
    assert "write of element 64 of buffer(0) 'o'" in checked.stderr


def test_a_replay_names_the_file_that_the_source_came_from(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far.metal").write_text(
        "kernel void far(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
        "    out[i + 1] = 1;\n}\n"
    )
    kernel = pymetal.compile(Path("far.metal"), device="cpu").far
    shown = []
    with pytest.raises(pymetal.KernelFault) as caught:
        kernel(np.zeros(64, np.float32), grid=64, check=True, save_on_fault="far.replay")
    shown.append(caught.value.reports[0])
    with pytest.raises(pymetal.KernelFault) as caught:
        pymetal.replay("far.replay")
    shown.append(caught.value.reports[0])
    for report in shown:
        assert (report.file, report.line) == ("far.metal", 2)
        assert report.source_line == "    out[i + 1] = 1;"
