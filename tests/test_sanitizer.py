"""Checked runs: each planted bug is found at its line, and told as text, JSON and SARIF."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from planted import AFTER, FOLDER, PLANTED, marks, run

import pymetal
from pymetal import cli
from pymetal.sanitizer import sarif


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_each_planted_bug_is_reported_at_its_line(path: Path) -> None:
    reports = run(path)
    text = "\n".join(map(str, reports))
    found = {(r.kind, r.line): r for r in reports}
    for kind, line, thread in marks(path, "fault"):
        assert (kind, line) in found, text or "no report"
        report = found[kind, line]
        if thread is not None:
            there = [r.first.thread for r in reports if (r.kind, r.line) == (kind, line)]
            assert (thread, 0, 0) in there, text
        if line:
            assert report.source_line == path.read_text().split("\n")[line - 1]
            assert report.file == str(path)
    allowed = {m[:2] for m in [*marks(path, "fault"), *marks(path, "also")]}
    extra = {(kind, line) for kind, line in found if (kind, -1) not in allowed}
    assert extra <= allowed, text


def test_there_are_planted_bugs_of_every_kind() -> None:
    assert len(PLANTED) >= 60
    kinds = {kind for path in PLANTED for kind, _, _ in marks(path, "fault")}
    assert kinds == set(pymetal.sanitizer.KINDS) - {"order-dependent"}
    sources = {source for path in PLANTED for source in AFTER.findall(path.read_text())}
    assert len(sources) >= 10


def test_a_race_names_both_threads_and_lines() -> None:
    reports = run(FOLDER / "missing_barrier.metal")
    race = next(r for r in reports if r.kind == "race" and "read of" in r.message)
    assert race.second.access == "wrote it"
    assert race.second.line == next(
        n
        for n, line in enumerate((FOLDER / "missing_barrier.metal").read_text().split("\n"), 1)
        if "tile[t] =" in line
    )
    assert race.first.thread != race.second.thread
    assert race.element == 63 - race.first.thread[0] % 64
    assert race.element == race.second.thread[0] % 64


def test_reports_survive_as_text_json_and_sarif() -> None:
    reports = run(FOLDER / "difference_past_end.metal")
    (report,) = reports
    assert "error: read of element 256 of buffer(1) 'a', which has 256" in str(report)
    assert str(report).split("\n")[2].index("^") == report.column - 1
    log = json.loads(json.dumps(sarif(reports)))
    (result,) = log["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (result["ruleId"], region["startLine"]) == ("out-of-bounds", report.line)
    assert json.loads(json.dumps(report.as_json()))["element"] == 256


def test_a_fault_of_a_checked_run_pickles() -> None:
    import pickle

    kernel = pymetal.compile(FOLDER / "difference_past_end.metal", device="cpu")
    a = np.zeros(256, np.float32)
    with pytest.raises(pymetal.KernelFault) as caught:
        kernel.difference_past_end(pymetal.output(256), a, grid=256, threadgroup=64, check=True)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.reports == caught.value.reports


def test_the_environment_asks_for_checks(monkeypatch) -> None:
    monkeypatch.setenv("PYMETAL_CHECK", "1")
    path = FOLDER / "difference_past_end.metal"
    a = np.zeros(256, np.float32)
    with pytest.raises(pymetal.KernelFault, match="element 256"):
        pymetal.run_metal_kernel(str(path), [a], (256,), 256, 64, device="cpu")
    result = pymetal.run_metal_kernel(str(path), [a], (256,), 256, 64, device="cpu", check=False)
    assert result.shape == (256,)


@pytest.mark.parametrize("check", ["yes", 1, 0.5, ["nan"]])
def test_a_check_that_is_none_is_refused(check) -> None:
    kernel = pymetal.compile(FOLDER / "missing_barrier.metal", device="cpu").missing_barrier
    with pytest.raises(pymetal.ArgumentError, match="check is"):
        kernel(pymetal.output(64), np.zeros(64, np.float32), grid=64, threadgroup=64, check=check)


def test_a_checked_run_computes_the_same() -> None:
    x = np.random.default_rng(0).standard_normal((64, 96), np.float32)
    y = np.random.default_rng(1).standard_normal((96, 64), np.float32)
    arguments = ("matmul_tiled", [x, y, 96], (64, 64), (64, 64), (16, 16))
    try:
        plain = pymetal.run_metal_kernel(*arguments, device="cpu")
    except pymetal.ArgumentError:
        arguments = ("matmul", [x, y, 96], (64, 64), (64, 64), (16, 16))
        plain = pymetal.run_metal_kernel(*arguments, device="cpu")
    checked = pymetal.run_metal_kernel(*arguments, device="cpu", check=True)
    np.testing.assert_array_equal(plain, checked)


def test_the_command_line_prints_reports_for_machines(tmp_path, monkeypatch, capsys) -> None:
    source = (FOLDER / "missing_barrier.metal").read_text()
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "missing_barrier.metal").write_text(source)
    monkeypatch.chdir(tmp_path)
    options = ["--grid", "256", "--threadgroup", "64", "-i", "ones:256", "-o", "256", "--json"]
    path = str(tmp_path / "kernels" / "missing_barrier.metal")
    options += ["--sarif", "found.sarif", "--device", "cpu"]
    assert cli.main(["run", path, *options]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "KernelFault"
    first = error["reports"][0]
    assert (first["kind"], first["line"], first["second"]["line"]) == ("race", 13, 12)
    results = json.loads((tmp_path / "found.sarif").read_text())["runs"][0]["results"]
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "kernels/missing_barrier.metal"


def test_the_command_line_prints_and_writes_reports(tmp_path) -> None:
    path, log = FOLDER / "missing_barrier.metal", tmp_path / "found.sarif"
    options = ["--grid", "256", "--threadgroup", "64", "--input", "ones:256", "--output", "256"]
    done = subprocess.run(
        [sys.executable, "-m", "pymetal", "run", str(path), "--sarif", str(log), *options],
        cwd=Path(__file__).parent,  # where no checkout hides the installed package
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"{path}:13:14: error: read of element" in done.stderr
    assert "no barrier orders the two" in done.stderr
    results = json.loads(log.read_text())["runs"][0]["results"]
    assert {r["ruleId"] for r in results} == {"race", "uninitialised"}


ARGUMENT_BUFFER = """
#include <metal_stdlib>
using namespace metal;
struct Pointers { device float* values; device atomic_uint* count; constant float* scale; };
kernel void reached(constant Pointers& p [[buffer(0)]], device float* out [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {
    p.values[i / 2] = i;
    out[i] = p.scale[i];
    atomic_fetch_add_explicit(p.count, 1u, memory_order_relaxed);
}
"""


def reached(values: int, scales: int, check: bool | str) -> np.ndarray:
    """Launches that kernel; the count."""
    kernel = pymetal.compile(ARGUMENT_BUFFER, device="cpu").reached
    count = np.zeros(1, np.uint32)
    pointers = {
        "values": np.zeros(values, np.float32),
        "count": count,
        "scale": np.ones(scales, np.float32),
    }
    kernel(pointers, pymetal.output(64), grid=64, threadgroup=32, check=check)
    return count


def test_memory_behind_pointers_of_argument_buffers_is_checked_too() -> None:
    with pytest.raises(pymetal.KernelFault) as caught:
        reached(64, 60, True)
    race, bounds = caught.value.reports
    assert (race.kind, race.argument, race.element, race.line) == ("race", "p.values", 0, 7)
    assert {race.first.thread, race.second.thread} == {(0, 0, 0), (1, 0, 0)}
    assert bounds.message == "read of element 60 of 'p.scale', which has 60"


def test_schedules_put_back_what_pointers_of_argument_buffers_reach() -> None:
    with pytest.raises(pymetal.KernelFault) as caught:
        reached(64, 64, "schedules")
    (report,) = caught.value.reports  # of `values`; the count is 64 in any order
    assert (report.kind, report.argument) == ("order-dependent", "p.values")


def test_reports_name_members_of_structs_and_all_elements_of_an_access() -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Particle { packed_float3 position; float mass; };
    kernel void move(device Particle* p [[buffer(0)]], device const half* a [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
        p[i].mass = p[(i + 1) % 64].mass;
        half4 by = *(device const half4*)(a + 4 * i);
        p[i].position = float3(by.xyz);
    }
    """
    kernel = pymetal.compile(source, device="cpu").move
    particles = np.zeros(64, kernel.dtype("p"))
    with pytest.raises(pymetal.KernelFault) as caught:
        kernel(particles, np.ones(254, np.float16), grid=64, threadgroup=32, check=True)
    texts = [report.message for report in caught.value.reports]
    assert any("of member 'mass' of element" in text for text in texts)
    assert "read of elements 252 to 255 of buffer(1) 'a', which has 254" in texts


def test_elements_of_threadgroup_arrays_of_structs_are_structs() -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Node { uchar kind; half weight; uint next; };
    kernel void nodes(device float* out [[buffer(0)]], uint t [[thread_index_in_threadgroup]]) {
        threadgroup Node n[64];
        n[t].kind = t;
        n[t].weight = t;
        out[t] = n[(t + 32) % 64].weight;
    }
    """
    kernel = pymetal.compile(source, device="cpu").nodes
    with pytest.raises(pymetal.KernelFault) as caught:
        kernel(pymetal.output(64), grid=64, threadgroup=64, check=True)
    for report in caught.value.reports:
        first = report.first.thread[0]
        reads = report.message.startswith("read")
        assert report.element == ((first + 32) % 64 if reads else first)
