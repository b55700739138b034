"""Runs canonical functions on the reference engine, straight from `pymetal.air`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymetal import _native
from pymetal.air.canonical import CanonicalFunction
from pymetal.cpu import jit, reference

Array = np.ndarray[Any, Any]


def launch(
    function: CanonicalFunction,
    buffers: Mapping[int, Array] | Sequence[Array],
    grid: Sequence[int] = (1,),
    threadgroup: Sequence[int] = (1,),
    threadgroup_memory: Mapping[int, int] | None = None,
) -> None:
    """Run a grid of threads over `buffers` by index; a fault is an AssertionError."""
    by_index = buffers if isinstance(buffers, Mapping) else dict(enumerate(buffers))
    lists: dict[str, list[int]] = {"buffer": [], "threadgroup": []}
    roles = []
    for parameter in function.parameters:
        if parameter.role in lists:
            roles.append(f"{parameter.role}:{len(lists[parameter.role])}")
            lists[parameter.role].append(parameter.index)
        else:
            roles.append(parameter.role)
    lowered = reference.lower(function.ir, roles, [p.type for p in function.parameters])
    code = jit.load(jit.compile_ir(lowered.modules, lowered.entry, kernel="test"), kernel="test")
    pipeline = _native.Pipeline(
        code, lowered.entry, "thread", lowered.suspends, function.threadgroup_bytes
    )
    fault = pipeline.launch(
        [by_index[i].ctypes.data for i in lists["buffer"]],
        [(threadgroup_memory or {})[i] for i in lists["threadgroup"]],
        tuple(grid) + (1,) * (3 - len(grid)),
        tuple(threadgroup) + (1,) * (3 - len(threadgroup)),
    )
    assert fault is None, f"site {fault.site}: threads {fault.waiting} wait, {fault.absent} do not"
