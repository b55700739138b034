"""How the 32 lanes of a simdgroup lie in their threadgroup: what vectorised code is made for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from pymetal.devices import Size

LANES = 32
_GEOMETRIES = 256  # of launches that Python binds, remembered


@dataclass(frozen=True)
class LaneLayout:
    """`width` lanes lie in a row of x, the next ones in the next row of y.

    width    32, a power of two below it, or 0 for lanes that lie anyhow
    axis     0 or 1: lanes lie along x or y, and the launch picks the threadgroups. For kernels that
             do not see theirs; None leaves the choice to the engine
    regular  every simdgroup of a launch has the layout. Where a grid's edge cuts threadgroups off
             they may not, and run code that expects nothing.
    full     the code is for simdgroups that have all 32 lanes and the layout; else for any
    """

    width: int = LANES
    regular: bool = True
    axis: int | None = None
    full: bool = True


@lru_cache(_GEOMETRIES)
def lane_layout(grid: Size, threadgroup: Size) -> LaneLayout:
    """The layout of a launch; both in threads, (x, y, z)."""
    # A threadgroup larger than the grid is cut off to its size.
    x, y, z = (min(size, whole) for size, whole in zip(threadgroup, grid, strict=True))
    if y == z == 1:
        return LaneLayout()
    last_x, last_y = grid[0] % x or x, grid[1] % y or y
    if x % LANES == 0:
        return LaneLayout(LANES, last_x % LANES == 0)
    if x > LANES or LANES % x:
        return LaneLayout(0, False, full=False)
    rows = LANES // x
    fits = z == 1 or (y % rows == 0 and last_y % rows == 0)
    return LaneLayout(x, fits and last_x == x)


@lru_cache(_GEOMETRIES)
def copies(layout: LaneLayout, grid: Size, threadgroup: Size) -> tuple[LaneLayout, ...]:
    """What a launch takes: code for its full simdgroups, for the others, or both in that order."""
    some, all_ = _full(layout, grid, threadgroup)
    full, others = replace(layout, full=True), replace(layout, full=False)
    return (full,) if all_ else (full, others) if some else (others,)


def _full(layout: LaneLayout, grid: Size, threadgroup: Size) -> tuple[bool, bool]:
    """Whether there are simdgroups that code for full ones runs, and whether all are such."""
    if layout.axis is not None:
        return grid[layout.axis] >= LANES, grid[layout.axis] % LANES == 0
    if not layout.regular:
        return layout.width != 0, False
    x, y, z = (min(size, whole) for size, whole in zip(threadgroup, grid, strict=True))
    sizes = (x, grid[0] % x or x) if y == z == 1 else (x * y, x * (grid[1] % y or y))
    if layout.width == LANES and y * z != 1:
        return True, True  # rows of whole simdgroups
    return max(sizes) >= LANES, all(size % LANES == 0 for size in sizes)
