"""`pymetal.compare` and `pymetal compare`: two kernels on the same inputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import pymetal
from pymetal.comparing import NOT_COMPARABLE, ulp_distances
from pymetal.testing import Case

SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void twice(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) {
    out[i] = 2 * x[i];
}
kernel void twice_but_one(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                          uint i [[thread_position_in_grid]]) {
    out[i] = x[i] + x[i];
    if (i == 70) out[i] = nextafter(out[i], INFINITY);
}
kernel void in_place(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    x[i] *= 2;
}
"""


@pytest.fixture(scope="module")
def library() -> pymetal.Library:
    return pymetal.compile(SOURCE, device="cpu")


def case(n: int = 100) -> Case:
    x = np.linspace(1, 2, n, dtype=np.float32)
    return Case(pymetal.output(n), x, grid=n, threadgroup=32)


def test_equal_results_are_said_to_be_equal(library) -> None:
    result = pymetal.compare(library.twice, library.twice_but_one, [case(64), case(10)])
    assert result.ok
    assert "case 1: out: all 10 elements agree" in str(result)
    assert result.counts == {"0": 74}


def test_the_first_difference_names_its_threads_and_lines(library) -> None:
    result = pymetal.compare(library.twice, library.twice_but_one, [case()])
    assert not result.ok
    (difference,) = result.differences
    assert (difference.index, difference.differing, difference.largest_ulps) == ((70,), 1, 1)
    assert result.counts == {"0": 99, "1": 1}
    for writer, word in zip(difference.writers, ("out[i] = 2", "if (i == 70)"), strict=True):
        line = next(n for n, text in enumerate(SOURCE.split("\n"), 1) if word in text)
        assert "thread (70, 0, 0)" in writer
        assert writer.endswith(f":{line}")
    assert pymetal.compare(library.twice, library.twice_but_one, [case()], ulps=1).ok


def test_kernels_may_be_launched_differently(library) -> None:
    x = np.arange(100, dtype=np.float32)
    in_place = Case(x, grid=100, threadgroup=10)
    other = Case(pymetal.output(100), x, grid=100, threadgroup=64)
    assert pymetal.compare(library.in_place, library.twice, [(in_place, other)]).ok
    assert x[1] == 1  # what a case gives is copied


def test_engines_are_compared(monkeypatch) -> None:
    kernels = []
    for engine in ("reference", "vectorised"):
        monkeypatch.setenv("PYMETAL_ENGINE", engine)
        kernels.append(pymetal.compile(SOURCE, device="cpu").twice)
    result = pymetal.compare(*kernels, [case()])
    assert result.ok
    assert result.kernels == ("twice on cpu (reference)", "twice on cpu (vectorised)")


def test_what_cannot_be_compared_is_refused(library) -> None:
    with pytest.raises(pymetal.ArgumentError, match="nothing to compare"):
        pymetal.compare(library.twice, library.twice, [])
    pair = (case(100), case(99))
    with pytest.raises(pymetal.ArgumentError, match="do not correspond"):
        pymetal.compare(library.twice, library.twice, [pair])
    with pytest.raises(pymetal.ArgumentError, match="ulps"):
        pymetal.compare(library.twice, library.twice, [case()], ulps=-1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_distances_count_the_numbers_between(dtype) -> None:
    dtype = np.dtype(dtype)
    bits = np.dtype(f"u{dtype.itemsize}")
    one = np.ones(6, dtype)
    other = (one.view(bits) + np.arange(6, dtype=bits)).view(dtype)
    np.testing.assert_array_equal(ulp_distances(one, other), np.arange(6))
    smallest = np.array([1], bits).view(dtype)
    ends = np.array([0.0, -0.0, np.nan, np.nan, np.inf], dtype)
    others = np.array([-0.0, -smallest[0], np.nan, 1, np.inf], dtype)
    expected = [0, 1, 0, int(NOT_COMPARABLE), 0]
    np.testing.assert_array_equal(ulp_distances(ends, others), np.array(expected, np.uint64))


def test_integers_differ_by_their_difference() -> None:
    a = np.array([0, 2**63 - 1, -5], np.int64)
    np.testing.assert_array_equal(ulp_distances(a, a + np.array([3, -1, 0])), [3, 1, 0])
    largest = np.array([2**64 - 2], np.uint64)
    np.testing.assert_array_equal(ulp_distances(largest, largest * 0), largest)


def test_the_histogram_is_drawn(library, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    result = pymetal.compare(library.twice, library.twice_but_one, [case()])
    result.plot(tmp_path / "ulp.svg")
    assert "</svg>" in (tmp_path / "ulp.svg").read_text()
    with pytest.raises(pymetal.ArgumentError, match="cannot be saved"):
        result.plot(tmp_path / "ulp.nonsense")


def test_the_command_line_compares(tmp_path) -> None:
    path = tmp_path / "two.metal"
    path.write_text(SOURCE)
    command = [sys.executable, "-m", "pymetal", "compare", f"{path}:twice"]
    options = ["-i", "ones:100", "-o", "100", "--grid", "100", "--device", "cpu", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more, *options],
            cwd=Path(__file__).parent,
            env=environment,
            capture_output=True,
            text=True,
        )

    differs = run(f"{path}:twice_but_one")
    assert differs.returncode == 3, differs.stderr
    assert json.loads(differs.stdout)["differences"][0]["index"] == [70]
    engines = run("--engine", "reference", "--engine-b", "vectorised")
    assert engines.returncode == 0, engines.stderr
    assert json.loads(engines.stdout)["kernels"][1] == "twice on cpu (vectorised)"
