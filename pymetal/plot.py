"""Pictures: a performance report's throughput over size, and its roofline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pymetal.errors import ArgumentError, ToolchainError
from pymetal.timing import Timing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pymetal.report import PerfReport

MARKERS = "os^Dv<>Pp*X"
GREY = "0.35"


def draw(report: PerfReport, path: str | os.PathLike[str] | None) -> Figure:
    """See `PerfReport.plot`."""
    counts = any(t.flops is not None for points in report.timings.values() for t in points.values())
    has_roof = counts and bool(report.peaks)
    figure = new_figure(12 if has_roof else 6.5, 4.8)
    figure.suptitle(report.title)
    panels: Any = figure.subplots(1, 2 if has_roof else 1, squeeze=False)[0]
    _throughput(panels[0], report, counts)
    if has_roof:
        _roofline(panels[1], report)
    save(figure, path)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """An empty picture, in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ToolchainError(
            f"pictures need matplotlib: pip install 'pymetal[plot]' ({error})"
        ) from None
    # Not through pyplot, which keeps figures and may want a screen.
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: str | os.PathLike[str] | None) -> None:
    """Write a picture, where there is a path."""
    if path is None:
        return
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"the picture cannot be saved as {path}: {error}") from None


def _throughput(axes: Any, report: PerfReport, counts: bool) -> None:
    """Median, 20% and 80% quantiles, for each size."""

    def rate(timing: Timing, seconds: float) -> float:
        amount = timing.flops if counts else timing.size_bytes
        return (amount or float("nan")) / seconds / 1e9

    for i, (name, points) in enumerate(report.timings.items()):
        sizes, timings = list(points), list(points.values())
        (line,) = axes.plot(
            sizes,
            [rate(t, t.median) for t in timings],
            marker=MARKERS[i % len(MARKERS)],
            label=name,
        )
        slow = [rate(t, t.quantile(0.8)) for t in timings]
        fast = [rate(t, t.quantile(0.2)) for t in timings]
        axes.fill_between(sizes, slow, fast, color=line.get_color(), alpha=0.2, linewidth=0)
    for peak in report.peaks:
        top = peak.gflop_per_second if counts else peak.gb_per_second
        axes.axhline(top, color=GREY, linestyle="--", linewidth=1)
        axes.annotate(
            f"peak of {peak.device}",
            (0, top),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            color=GREY,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted({size for points in report.timings.values() for size in points})
    if len(sizes) <= 12:
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
    _plain_numbers(axes.yaxis)
    axes.set_xlabel(report.size_name)
    axes.set_ylabel("GFLOP/s" if counts else "GB/s")
    axes.grid(alpha=0.3)
    axes.legend()


def _roofline(axes: Any, report: PerfReport) -> None:
    """Operations a second over operations a byte, below what the devices' peaks allow."""
    points = {
        name: [
            (size, t.flops / t.size_bytes, t.gflop_per_second or 0.0)
            for size, t in timings.items()
            if t.flops is not None
        ]
        for name, timings in report.timings.items()
    }
    at = [x for each in points.values() for _, x, _ in each]
    at += [peak.gflop_per_second / peak.gb_per_second for peak in report.peaks]  # the ridges
    low, high = min(at) / 2, max(at) * 2
    for peak in report.peaks:
        ridge = peak.gflop_per_second / peak.gb_per_second
        axes.plot(
            [low, ridge, high], [peak.roof(x) for x in (low, ridge, high)], color=GREY, linewidth=2
        )
        axes.annotate(
            f"{peak.device}: {peak.gflop_per_second:.3g} GFLOP/s",
            (high, peak.gflop_per_second),
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            color=GREY,
        )
        axes.annotate(
            f"{peak.gb_per_second:.3g} GB/s",
            (low, peak.roof(low)),
            xytext=(14, 2),
            textcoords="offset points",
            va="top",
            color=GREY,
        )
    for i, (name, each) in enumerate(points.items()):
        if not each:
            continue
        (line,) = axes.plot(
            [x for _, x, _ in each],
            [y for _, _, y in each],
            marker=MARKERS[i % len(MARKERS)],
            linestyle=":",
            label=name,
        )
        for size, x, y in (each[0], each[-1]):
            axes.annotate(
                str(size),
                (x, y),
                xytext=(6, -10),
                textcoords="offset points",
                fontsize=8,
                color=line.get_color(),
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    axes.margins(y=0.1)
    axes.set_xlabel("operations a byte (FLOP/B)")
    axes.set_ylabel("GFLOP/s")
    axes.set_title("roofline")
    axes.grid(alpha=0.3)
    axes.legend()


def _plain_numbers(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 2, 5, 10, …, written as such."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
