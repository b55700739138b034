"""How the 32 lanes of a simdgroup lie in their threadgroup: what vectorised code is made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LANES = 32


@dataclass(frozen=True)
class LaneLayout:
    """`width` lanes lie in a row of x, the next ones in the next row of y.

    width    32, a power of two below it, or 0 for lanes that lie anyhow
    axis     0 or 1: lanes lie along x or y, and the launch picks the threadgroups. For kernels that
             do not see theirs; None leaves the choice to the engine
    regular  every simdgroup of a launch has the layout. Where a grid's edge cuts threadgroups off
             they may not, and run code that expects nothing.
    """

    width: int = LANES
    regular: bool = True
    axis: int | None = None


def lane_layout(grid: Sequence[int], threadgroup: Sequence[int]) -> LaneLayout:
    """The layout of a launch; both in threads, (x, y, z)."""
    # A threadgroup larger than the grid is cut off to its size.
    x, y, z = (min(size, whole) for size, whole in zip(threadgroup, grid, strict=True))
    if y == z == 1:
        return LaneLayout()
    last_x, last_y = grid[0] % x or x, grid[1] % y or y
    if x % LANES == 0:
        return LaneLayout(LANES, last_x % LANES == 0)
    if x > LANES or LANES % x:
        return LaneLayout(0, False)
    rows = LANES // x
    fits = z == 1 or (y % rows == 0 and last_y % rows == 0)
    return LaneLayout(x, fits and last_x == x)
