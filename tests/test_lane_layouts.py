"""Which simdgroups of a launch are full: told from its geometry, counted here one by one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from two_engines import Engine, canonical, with_positions

from pymetal.cpu.compiled import Compiled
from pymetal.cpu.lanes import LaneLayout, copies, lane_layout

Size = tuple[int, int, int]
SIZES = [1, 2, 3, 7, 8, 16, 31, 32, 33, 48, 64, 96, 100]


def simdgroups(grid: Size, threadgroup: Size, layout: LaneLayout) -> set[bool]:
    """Whether each simdgroup that a launch has is one that code for full ones may run."""
    found = set()
    for group in np.ndindex(*(-(-g // t) for g, t in zip(grid, threadgroup, strict=True))):
        x, y, z = (min(t, g - t * at) for g, t, at in zip(grid, threadgroup, group, strict=True))
        for first in range(0, x * y * z, 32):
            threads = np.arange(first, first + 32)
            lies = (threads % x, threads // x % y)
            width = layout.width or 1
            expected = (lies[0][0] + np.arange(32) % width, lies[1][0] + np.arange(32) // width)
            found.add(
                first + 32 <= x * y * z
                and layout.width != 0
                and all(np.array_equal(a, b) for a, b in zip(lies, expected, strict=True))
            )
    return found


@pytest.mark.parametrize("z", [1, 2, 3])
def test_a_launch_gets_code_for_each_simdgroup_that_it_has(z: int) -> None:
    for x in SIZES:
        for y in (1, 2, 3, 4, 6, 8):
            for grid in ((x, y, z), (2 * x, 2 * y, z), (2 * x + 3, y, z), (x, 2 * y + 1, z + 1)):
                if x * y * z > 1024:
                    continue
                threadgroup = (x, y, z)
                layout = lane_layout(grid, threadgroup)
                there = {copy.full for copy in copies(layout, grid, threadgroup)}
                needed = simdgroups(grid, threadgroup, layout)
                # Code for any runs full ones, too.
                assert needed <= there or there == {False}, (grid, threadgroup, layout)
                if layout.regular:
                    assert needed == there, (grid, threadgroup, layout)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 255, 256, 257])
def test_lanes_along_an_axis_need_code_for_the_end_of_a_row(n: int) -> None:
    expected = {full for full in (True, False) if (n >= 32 if full else n % 32)}
    for axis in (0, 1):
        grid = (n, 5, 2) if axis == 0 else (5, n, 2)
        layouts = copies(LaneLayout(axis=axis), grid, (1, 1, 1))
        assert {layout.full for layout in layouts} == expected


def test_code_for_partial_simdgroups_is_made_when_a_launch_has_some() -> None:
    (function,) = canonical(with_positions("r = i * 3 + simd_sum(a[i & 511]);"), "k")
    made = []

    class Noting(Engine):
        def compiled(self, layout: LaneLayout) -> Compiled:
            made.append(layout.full)
            return super().compiled(layout)

    engine = Noting(function, "vectorised")
    a, tally = np.arange(512, dtype=np.uint32), np.zeros(4, np.uint32)
    for threads, expected in ((64, [True]), (100, [False]), (96, [])):
        made.clear()
        out = np.zeros(threads, np.uint32)
        engine(out, a, tally, grid=(threads,), threadgroup=(64,))
        sums = np.add.reduceat(a[:threads], np.arange(0, threads, 32)).repeat(32)[:threads]
        assert np.array_equal(out, np.arange(threads) * 3 + sums)
        assert made == expected
