"""Kernels that do not see their threadgroup: their lanes may lie along any axis of the grid.

A kernel that uses its position in the grid and nothing else of its place (no barrier, no simdgroup
operation, no threadgroup memory) gives the same result whatever the threadgroups are. Lanes then go
along the axis for which more of its accesses are to neighbouring elements: a naive matrix product
whose x walks down a column runs as fast as one whose x walks along a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pymetal.air.canonical import CanonicalFunction
from pymetal.air.ir import Function
from pymetal.air.ir.values import Local
from pymetal.cpu.intrinsics import Mathematics, meaning
from pymetal.cpu.lanes import LANES, LaneLayout
from pymetal.cpu.vectorise.entry import IN_GRID, parameter_shapes
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.shapes import Shape, Shapes

_SEEN = ("buffer", IN_GRID, "threads_per_grid")
_IN_LOOP = 8  # what an access in a loop counts, for each level


def choose(
    function: Function,
    graph: Graph,
    canonical: CanonicalFunction,
    layout: LaneLayout,
    solve: Callable[[dict[str, Shape | None]], Shapes],
) -> LaneLayout:
    """The layout to compile for; with an axis if the kernel does not see its threadgroup."""
    used = {o.name for i in function.instructions for o in i.operands if isinstance(o, Local)}
    if not _is_independent(function, canonical, used):
        return replace(layout, axis=None)
    full = layout.full
    if layout.axis is not None:
        return LaneLayout(axis=layout.axis, full=full)
    positions = [p.name for p in canonical.parameters if p.role == IN_GRID]
    if not any(f"{name}.1" in used for name in positions):
        return LaneLayout(axis=0, full=full)
    costs = [
        _cost(solve(parameter_shapes(canonical, LaneLayout(axis=axis))), graph) for axis in (0, 1)
    ]
    return LaneLayout(axis=0 if costs[0] <= costs[1] else 1, full=full)


def _is_independent(function: Function, canonical: CanonicalFunction, used: set[str]) -> bool:
    for p in canonical.parameters:
        leaves = [p.name, *(f"{p.name}.{k}" for k in range(3))]
        if p.role not in _SEEN and any(name in used for name in leaves):
            return False
    calls = (i.callee for i in function.instructions if i.opcode == "call")
    return all(isinstance(meaning(c), Mathematics) for c in calls if not c.startswith("llvm."))


def _cost(shapes: Shapes, graph: Graph) -> int:
    """What loads and stores cost, about: one by one, as vectors, or once for all lanes."""
    total = 0
    for block in shapes.function.blocks:
        weight = _IN_LOOP ** sum(block.name in body for body in graph.loops.values())
        for i in block.instructions:
            if i.opcode in ("load", "store"):
                shape = shapes.of(i.operands[-1])
                spread = LANES * 2 if shape is None else 1 if shape.uniform else 4
                total += weight * spread
    return total
