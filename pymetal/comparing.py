"""`compare`: two kernels on the same inputs, element by element.

Two versions of a kernel, the same one on two devices or on two engines: what differs first, which
thread wrote it, and how far results are apart in units in the last place (ULP).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pymetal.air.function import Argument
from pymetal.errors import ArgumentError
from pymetal.kernel import Kernel
from pymetal.testing import Case, Run
from pymetal.tolerance import is_floating

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

BAR = 40  # characters of the longest bar of a histogram in text
NOT_COMPARABLE = np.uint64(2**64 - 1)  # a NaN beside a number, structs that differ


@dataclass(frozen=True)
class Difference:
    """One result of two kernels. `index` is that of the first element that differs too much."""

    case: str
    argument: str
    size: int
    differing: int
    largest_ulps: int | None
    counts: dict[str, int]  # elements by distance in ULP
    index: tuple[int, ...] = ()
    values: tuple[str, str] = ("", "")
    writers: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        if not self.differing:
            apart = f", at most {self.largest_ulps} ULP apart" if self.largest_ulps else ""
            return f"{self.case}: {self.argument}: all {self.size} elements agree{apart}"
        far = f"up to {self.largest_ulps} ULP" if self.largest_ulps is not None else "NaN or not"
        at = ", ".join(map(str, self.index))
        lines = [
            f"{self.case}: {self.argument}: {self.differing} of {self.size} elements differ, {far}",
            f"  first at [{at}]: {self.values[0]} and {self.values[1]}",
        ]
        lines += [
            f"  {which}: {text}"
            for which, text in zip(("a", "b"), self.writers, strict=True)
            if text
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """What two kernels made of the same cases."""

    kernels: tuple[str, str]
    allowed_ulps: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether no element is further apart than allowed."""
        return not any(d.differing for d in self.differences)

    @property
    def counts(self) -> dict[str, int]:
        """How many elements are how many ULP apart, over all cases, near ones first."""
        total: dict[str, int] = {}
        for difference in self.differences:
            for label, count in difference.counts.items():
                total[label] = total.get(label, 0) + count
        return dict(sorted(total.items(), key=lambda item: _order(item[0])))

    def __str__(self) -> str:
        lines = [f"a: {self.kernels[0]}", f"b: {self.kernels[1]}", *map(str, self.differences)]
        counts = self.counts
        if set(counts) - {"0"}:
            most, width = max(counts.values()), max(map(len, counts))
            lines.append(f"{'ULP':>{width}}  elements")
            for label, count in counts.items():
                bar = "█" * max(1, round(BAR * count / most))
                lines.append(f"{label:>{width}}  {count:>8}  {bar}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"ok": self.ok, **asdict(self), "counts": self.counts}

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """The ULP histogram as a picture, saved at `path` (.svg, .png, .pdf).

        Raises
        ------
        ToolchainError
            matplotlib is missing: `pip install 'pymetal[plot]'`.
        ArgumentError
            The picture cannot be saved there.
        """
        from pymetal.plot import new_figure, save

        counts = self.counts
        figure = new_figure(6.5, 4)
        axes: Any = figure.subplots()
        axes.bar(list(counts), list(counts.values()))
        axes.set_yscale("log")
        axes.set_xlabel("distance in ULP")
        axes.set_ylabel("elements")
        axes.set_title("\n".join(self.kernels), fontsize="medium")
        save(figure, path)
        return figure


def compare(
    kernel_a: Kernel,
    kernel_b: Kernel,
    cases: Iterable[Case | tuple[Case, Case]],
    *,
    ulps: int = 0,
) -> Comparison:
    """Run two kernels on the same cases and compare their results.

    Parameters
    ----------
    kernel_a, kernel_b
        Kernels whose results have the same shapes and dtypes, in the same order. They may be one
        kernel on two devices, or on two engines (`PYMETAL_ENGINE` when each was compiled).
    cases
        `pymetal.testing.Case`: values and sizes of a call. A pair of them where the two kernels
        are launched differently.
    ulps
        How many units in the last place floats may be apart; integers by that much. Two NaNs are
        equal, whatever their bits, and so are zeros of either sign.

    Raises
    ------
    ArgumentError
        There are no cases, or results do not correspond.
    """
    if isinstance(ulps, bool) or not isinstance(ulps, int) or ulps < 0:
        raise ArgumentError(f"ulps is {ulps!r}; it is 0 or a positive number", argument="ulps")
    differences: list[Difference] = []
    for number, case in enumerate(cases):
        pair = case if isinstance(case, tuple) else (case, case)
        runs = [
            Run(kernel, part, f"case {number}")
            for kernel, part in zip((kernel_a, kernel_b), pair, strict=True)
        ]
        differences += _differences(runs[0], runs[1], ulps)
    if not differences:
        raise ArgumentError(f"{kernel_a.name} and {kernel_b.name}: there is nothing to compare")
    return Comparison((_title(kernel_a), _title(kernel_b)), ulps, tuple(differences))


def _title(kernel: Kernel) -> str:
    return f"{kernel.name} on {kernel.device.name} ({kernel.report.engine})"


def _differences(a: Run, b: Run, allowed: int) -> list[Difference]:
    results_a, results_b = a.results(), b.results()
    shapes = [
        [f"{array.dtype}{list(array.shape)}" for array in results.values()]
        for results in (results_a, results_b)
    ]
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            f"{a.name}: results do not correspond: {a.kernel.name} gives "
            f"{', '.join(shapes[0]) or 'none'}, {b.kernel.name} {', '.join(shapes[1]) or 'none'}"
        )
    return [
        _difference(a, b, arguments, arrays, allowed)
        for arguments, arrays in zip(
            zip(results_a, results_b, strict=True),
            zip(results_a.values(), results_b.values(), strict=True),
            strict=True,
        )
    ]


def _difference(
    a: Run, b: Run, arguments: tuple[Argument, Argument], arrays: tuple[Array, Array], allowed: int
) -> Difference:
    distances = ulp_distances(*arrays)
    wrong = distances > allowed
    known = distances[distances != NOT_COMPARABLE]
    facts: dict[str, Any] = {
        "case": a.name,
        "argument": arguments[0].name,
        "size": int(distances.size),
        "differing": int(np.count_nonzero(wrong)),
        "largest_ulps": int(known.max()) if known.size else None,
        "counts": _histogram(distances),
    }
    if not wrong.any():
        return Difference(**facts)
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = int(np.ravel_multi_index(index, distances.shape)) if index else 0
    offset = place * arrays[0].dtype.itemsize
    return Difference(
        **facts,
        index=index,
        values=(str(arrays[0][index]), str(arrays[1][index])),
        writers=(a.writer(arguments[0], offset), b.writer(arguments[1], offset)),
    )


def ulp_distances(a: Array, b: Array) -> Array:
    """How many numbers of their type lie from each element of `a` to that of `b`, as uint64.

    Integers and booleans: their difference. NOT_COMPARABLE where one is NaN and the other not,
    and for structs that differ.
    """
    if a.dtype.names is not None:
        size = a.dtype.itemsize
        left, right = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
        same = (left.reshape(-1, size) == right.reshape(-1, size)).all(axis=1).reshape(a.shape)
        return np.asarray(np.where(same, np.uint64(0), NOT_COMPARABLE))
    if not is_floating(a.dtype):
        wide = np.int64 if a.dtype.kind in "ib" else np.uint64
        left, right = a.astype(wide), b.astype(wide)
        apart: Array = np.where(left > right, left - right, right - left).astype(np.uint64)
        return apart
    signed = np.dtype(f"i{a.dtype.itemsize}")

    def place(x: Array) -> Array:
        bits = np.ascontiguousarray(x).view(signed).astype(np.int64).reshape(x.shape)
        return np.asarray(np.where(bits < 0, np.iinfo(signed).min - bits, bits))

    left, right = place(a), place(b)
    distances: Array = np.asarray(
        np.where(left > right, left - right, right - left).astype(np.uint64)
    )
    nan_a, nan_b = (np.isnan(x.astype(np.float64)) for x in (a, b))
    distances[nan_a & nan_b] = 0
    distances[nan_a ^ nan_b] = NOT_COMPARABLE
    return distances


def _histogram(distances: Array) -> dict[str, int]:
    """Elements by distance: 0, 1, 2, 3-4, 5-8 and so on in powers of two."""
    counts: dict[str, int] = {}
    values, numbers = np.unique(distances, return_counts=True)
    for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
        label = _label(value)
        counts[label] = counts.get(label, 0) + number
    return counts


def _label(distance: int) -> str:
    if distance == int(NOT_COMPARABLE):
        return "NaN"
    if distance < 3:
        return str(distance)
    high = 1 << (distance - 1).bit_length()
    return f"{high // 2 + 1}-{high}"


def _order(label: str) -> float:
    return float("inf") if label == "NaN" else float(label.partition("-")[0])
