"""Runs canonical functions on the software device, straight from `pymetal.air`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymetal.air.canonical import CanonicalFunction
from pymetal.cpu.engines import compile_kernel
from pymetal.cpu.variants import Variants

Array = np.ndarray[Any, Any]


def launch(
    function: CanonicalFunction,
    buffers: Mapping[int, Array] | Sequence[Array],
    grid: Sequence[int] = (1,),
    threadgroup: Sequence[int] = (1,),
    threadgroup_memory: Mapping[int, int] | None = None,
    engine: str = "reference",
) -> None:
    """Run a grid of threads over `buffers` by index; a fault is an AssertionError."""
    by_index = buffers if isinstance(buffers, Mapping) else dict(enumerate(buffers))
    grid = (*grid, *[1] * (3 - len(grid)))
    threadgroup = (*threadgroup, *[1] * (3 - len(threadgroup)))
    variants = Variants(lambda layout: compile_kernel(function, engine, layout))
    pipeline = variants.pipeline(grid, threadgroup)
    compiled = variants.first
    assert compiled is not None
    fault = pipeline.launch(
        [by_index[i].ctypes.data for i in compiled.buffers],
        [(threadgroup_memory or {})[i] for i in compiled.threadgroup_arguments],
        grid,
        threadgroup,
    )
    assert fault is None, (
        f"{fault.kind} {fault.access} {fault.address:#x} at {fault.thread_position_in_grid}; "
        f"site {fault.site}: threads {fault.waiting} wait, {fault.absent} do not"
    )
