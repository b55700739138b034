"""Performance reports: kernels over a range of sizes, as a table, as JSON and as a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pymetal.errors import ArgumentError
from pymetal.peak import Peak, measured_peak
from pymetal.timing import Timing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PerfReport:
    """What `perf_report` measured.

    Attributes
    ----------
    timings
        For each series, a `Timing` for each size.
    peaks
        What the devices of the timings can do at most; empty if that was not asked for.
    title, size_name
        For the picture.
    """

    timings: Mapping[str, Mapping[int, Timing]]
    peaks: tuple[Peak, ...] = ()
    title: str = ""
    size_name: str = "size"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "title": self.title,
            "size_name": self.size_name,
            "series": {
                name: [{"size": size, **timing.as_json()} for size, timing in points.items()]
                for name, points in self.timings.items()
            },
            "peaks": [asdict(peak) for peak in self.peaks],
        }

    def part_of_roof(self, timing: Timing) -> float | None:
        """What part of its roof a timing reaches, 1 being all; None where nobody can tell.

        Without `flops` the roof is the device's memory alone. A kernel whose arrays fit into a
        cache may reach more than that.
        """
        for peak in self.peaks:
            if peak.device == timing.device:
                if timing.flops is None or timing.gflop_per_second is None:
                    return timing.gb_per_second / peak.gb_per_second
                return timing.gflop_per_second / peak.roof(timing.flops / timing.size_bytes)
        return None

    def __str__(self) -> str:
        header = ("series", self.size_name, "median", "GB/s", "GFLOP/s", "of roof")
        rows = [header]
        for name, points in self.timings.items():
            for size, timing in points.items():
                rate, part = timing.gflop_per_second, self.part_of_roof(timing)
                rows.append(
                    (
                        name,
                        str(size),
                        f"{timing.median * 1e6:.4g} µs",
                        f"{timing.gb_per_second:.3g}",
                        "" if rate is None else f"{rate:.3g}",
                        "" if part is None else f"{part:.1%}",
                    )
                )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *(f"peak of {peak}" for peak in self.peaks)])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw throughput over size and, where peaks and `flops` are known, the roofline.

        Parameters
        ----------
        path
            Where to save it; its suffix is the format: .png, .svg, .pdf. None: nowhere.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ToolchainError
            matplotlib is missing.
        """
        from pymetal.plot import draw

        return draw(self, path)


def perf_report(
    series: Mapping[str, Callable[[int], Timing]],
    sizes: Iterable[int],
    *,
    title: str = "",
    size_name: str = "size",
    peak: bool = True,
    path: str | os.PathLike[str] | None = None,
    on_point: Callable[[float], None] | None = None,
) -> PerfReport:
    """Measure kernels over a range of sizes.

    Parameters
    ----------
    series
        By name, what measures one size: mostly `lambda n: pymetal.bench(kernel, …, flops=…)`.
    sizes
        Positive ints, each measured for every series.
    title, size_name
        For the picture and the table.
    peak
        Measure also what the devices can do at most, for the roofline: a few seconds each.
    path
        Where to save the picture; it needs matplotlib.
    on_point
        Called after each measurement with the part that is done, up to 1.

    Returns
    -------
    PerfReport

    Raises
    ------
    ArgumentError
        There are no series or sizes, a size is not a positive int, or a series gives no `Timing`.
    """
    wanted = _sizes(sizes)
    if not isinstance(series, Mapping) or not series:
        raise ArgumentError("series is a dict with at least one name and function")
    timings: dict[str, dict[int, Timing]] = {name: {} for name in series}
    for done, size in enumerate(wanted):
        for turn, (name, measure) in enumerate(series.items(), 1):
            timing = measure(size)
            if not isinstance(timing, Timing):
                raise ArgumentError(
                    f"series '{name}' gave {type(timing).__name__}, not a Timing: return what "
                    "pymetal.bench returns"
                )
            timings[name][size] = timing
            if on_point is not None:
                on_point((done + turn / len(series)) / len(wanted))
    devices = dict.fromkeys(t.device for points in timings.values() for t in points.values())
    peaks = tuple(measured_peak(name) for name in devices) if peak else ()
    report = PerfReport(timings, peaks, title, size_name)
    if path is not None:
        report.plot(path)
    return report


def _sizes(sizes: Iterable[int]) -> Sequence[int]:
    wanted = list(sizes)
    if not wanted:
        raise ArgumentError("there are no sizes to measure")
    for size in wanted:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ArgumentError(f"size {size!r} is not a positive int")
    return list(dict.fromkeys(wanted))
