"""The native pipelines of one kernel: code by lane layout, compiled when a launch needs it.

Code for full simdgroups is about half of what a kernel's launches may need, and most need no more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pymetal import _native
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.lanes import LANES, LaneLayout, copies, lane_layout
from pymetal.devices import Size


class Variants:
    """`compiled` gives the code for a layout.

    first   the first code that was needed: what it says of the kernel holds for all
    notes   of all code so far, each once
    """

    def __init__(self, compiled: Callable[[LaneLayout], Compiled]) -> None:
        self.first: Compiled | None = None
        self.notes: list[str] = []
        self._compiled = cache(compiled)
        self._pipelines: dict[tuple[LaneLayout, ...], _native.Pipeline] = {}

    def code(self, layout: LaneLayout) -> Compiled:
        """The code for a layout."""
        code = self._compiled(layout)
        self.first = self.first or code
        self.notes += [note for note in code.notes if note not in self.notes]
        return code

    def pipeline(self, grid: Size, threadgroup: Size) -> _native.Pipeline:
        """What launches that geometry."""
        layouts = self._layouts(grid, threadgroup)
        if layouts not in self._pipelines:
            self._pipelines[layouts] = self._loaded(layouts)
        return self._pipelines[layouts]

    def _layouts(self, grid: Size, threadgroup: Size) -> tuple[LaneLayout, ...]:
        layouts = copies(lane_layout(grid, threadgroup), grid, threadgroup)
        first = self.first or self.code(layouts[0])
        if first.granularity == "thread":
            return (LaneLayout(),)  # one code for all
        along = {"simdgroup along x": 0, "simdgroup along y": 1}.get(first.granularity)
        if along is None:
            return layouts
        # The engine chose an axis for the lanes; a grid too narrow for it takes the other.
        narrow = grid[along] < min(LANES // 2, grid[1 - along])
        axis = 1 - along if narrow else along
        return tuple(
            LaneLayout(axis=axis if narrow else None, full=copy.full)
            for copy in copies(LaneLayout(axis=axis), grid, threadgroup)
        )

    def _loaded(self, layouts: tuple[LaneLayout, ...]) -> _native.Pipeline:
        codes = [self.code(layout) for layout in layouts]
        by_thread = [code for code in codes if code.granularity == "thread"]
        if by_thread:  # another engine took over for some: it runs them all
            return by_thread[0].load()
        return codes[0].load(*codes[1:])
