"""`pymetal.perf_report`: sweeps, rooflines and their picture. Durations are not tested."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import pymetal
from pymetal import ArgumentError, Peak, PerfReport, Timing, output

PEAK = Peak("cpu", "reference", gb_per_second=10.0, gflop_per_second=100.0)


def timing(seconds: float, size_bytes: float, flops: float | None = None) -> Timing:
    return Timing("k", "cpu", "reference", (seconds, seconds, 2 * seconds), size_bytes, flops)


@pytest.fixture
def report() -> PerfReport:
    """Two kernels at 1 and 16 operations a byte; the ridge of the roof is at 10."""
    return PerfReport(
        {
            "low": {16: timing(1.0, 1e9, 1e9), 32: timing(1.0, 2e9, 2e9)},
            "high": {16: timing(1.0, 1e9, 16e9)},
        },
        (PEAK,),
        title="kernels",
        size_name="n",
    )


def test_a_sweep_measures_every_series_at_every_size(device):
    kernel = pymetal.compile(
        "kernel void twice(device float* out, device const float* x, "
        "uint i [[thread_position_in_grid]]) { out[i] = 2 * x[i]; }",
        device=device,
    ).twice
    done: list[float] = []

    def measure(n: int) -> Timing:
        x = np.ones(n, np.float32)
        return pymetal.bench(kernel, output(n), x, grid=n, threadgroup=32, seconds=0, flops=n)

    report = pymetal.perf_report(
        {"first": measure, "second": measure}, [8, 64, 8], peak=False, on_point=done.append
    )
    assert [list(points) for points in report.timings.values()] == [[8, 64], [8, 64]]
    assert report.timings["first"][64].flops == 64
    assert done == [0.25, 0.5, 0.75, 1.0]
    facts = report.as_json()
    assert [point["size"] for point in facts["series"]["second"]] == [8, 64]
    assert facts["series"]["second"][1]["size_bytes"] == 512
    assert report.part_of_roof(report.timings["first"][8]) is None


def test_the_peak_is_measured_once(device):
    peak = pymetal.measured_peak(device, seconds=0.01)
    assert peak.device == device
    assert peak.gb_per_second > 0
    assert peak.gflop_per_second > 0
    assert pymetal.measured_peak(device, seconds=0.01) is peak


def test_the_roof_is_memory_first_and_arithmetic_then(report):
    assert [PEAK.roof(x) for x in (1, 10, 100)] == [10, 100, 100]
    low, high = report.timings["low"][32], report.timings["high"][16]
    assert report.part_of_roof(low) == pytest.approx(0.2)  # 2 of 10 GFLOP/s
    assert report.part_of_roof(high) == pytest.approx(0.16)  # 16 of 100 GFLOP/s
    assert report.part_of_roof(timing(1.0, 5e9)) == pytest.approx(0.5)  # 5 of 10 GB/s


def test_the_table_has_a_row_for_each_size(report):
    lines = str(report).splitlines()
    assert lines[0].split() == ["series", "n", "median", "GB/s", "GFLOP/s", "of", "roof"]
    assert lines[2].split()[:2] == ["low", "32"]
    assert lines[2].endswith("20.0%")
    assert lines[-1] == "peak of cpu (reference): 10 GB/s, 100 GFLOP/s"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_shows_series_peak_and_roof(report, tmp_path, suffix):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / f"report.{suffix}"
    figure = report.plot(path)
    assert path.stat().st_size > 1000
    throughput, roofline = figure.axes
    assert figure.get_suptitle() == "kernels"
    assert throughput.get_xlabel() == "n"
    assert [text.get_text() for text in throughput.get_legend().get_texts()] == ["low", "high"]
    np.testing.assert_allclose(throughput.lines[0].get_ydata(), [1, 2])
    np.testing.assert_allclose(throughput.lines[-1].get_ydata(), [100, 100])  # the peak
    roof = dict(zip(*roofline.lines[0].get_data(), strict=True))
    assert roof[10.0] == 100  # the ridge
    assert roof[max(roof)] == 100
    np.testing.assert_allclose(roofline.lines[2].get_data(), [[16], [16]])


def test_without_operations_the_picture_is_of_bytes(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    report = PerfReport({"copy": {8: timing(1.0, 1e9)}}, (PEAK,))
    (axes,) = report.plot(tmp_path / "copy.pdf").axes
    assert axes.get_ylabel() == "GB/s"
    assert axes.lines[-1].get_ydata()[0] == 10


def test_a_report_is_saved_where_asked(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "report.png"
    pymetal.perf_report({"one": lambda n: timing(1.0, n)}, [4], peak=False, path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    for wrong in (tmp_path / "no" / "report.png", tmp_path / "report.nothing"):
        with pytest.raises(ArgumentError, match="cannot be saved as"):
            pymetal.perf_report({"one": lambda n: timing(1.0, n)}, [4], peak=False, path=wrong)


def test_without_matplotlib_the_error_says_how_to_get_it(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(pymetal.ToolchainError, match=r"pip install 'pymetal\[plot\]'"):
        report.plot()


@pytest.mark.parametrize(
    ("series", "sizes", "words"),
    [
        ({}, [1], "at least one"),
        ([], [1], "is a dict"),
        ({"a": lambda n: timing(1, 1)}, [], "no sizes"),
        ({"a": lambda n: timing(1, 1)}, [0], "size 0 is not a positive int"),
        ({"a": lambda n: timing(1, 1)}, [1.5], "not a positive int"),
        ({"a": lambda n: 1.0}, [1], "series 'a' gave float, not a Timing"),
    ],
)
def test_what_measures_nothing_is_refused(series, sizes, words):
    with pytest.raises(ArgumentError, match=words):
        pymetal.perf_report(series, sizes, peak=False)
