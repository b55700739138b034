"""Grids, threadgroups and threadgroup memory: checked before anything is launched.

Sizes are (x, y, z) in threads. Nothing is clamped: what the pipeline does not allow is refused,
with a size that it does allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pymetal.devices import Limits, Pipeline, Size
from pymetal.errors import LaunchError
from pymetal.scalars import whole_number
from pymetal.shown import shown

# Positions in the grid are 32-bit in MSL; total counts are 64-bit in both devices.
MAX_DIMENSION = 2**32 - 1
MAX_THREADS = 2**62 - 1
# Metal's own rule for setThreadgroupMemoryLength.
THREADGROUP_MEMORY_MULTIPLE = 16
# What `threadgroup=None` aims at.
PICKED_THREADS = 256
_OF = {"grid": " of threads", "threadgroup": " of threads", "threadgroups": ""}


def size(value: Any, what: str) -> Size:
    """One to three positive ints as (x, y, z)."""
    if value is None:
        raise LaunchError(f"{what} is missing: give 1 to 3 numbers{_OF[what]}")
    several = isinstance(value, (tuple, list)) or (
        isinstance(value, np.ndarray) and value.ndim == 1
    )
    parts = tuple(value) if several else (value,)
    if not 1 <= len(parts) <= 3:
        raise LaunchError(f"{what} {shown(value)} has {len(parts)} dimensions; Metal has 1 to 3")
    sizes: list[int] = []
    for part in parts:
        try:
            sizes.append(whole_number(part))
        except TypeError:
            raise LaunchError(
                f"{what} {shown(value)}: {shown(part)} is {type(part).__name__}, not an int"
            ) from None
    if min(sizes) < 1:
        raise LaunchError(f"{what} {shown(value)}: each dimension must be at least 1")
    if max(sizes) > MAX_DIMENSION:
        raise LaunchError(f"{what} {shown(value)}: a dimension may be at most {MAX_DIMENSION}")
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z


def check_grid(grid: Size) -> None:
    """Refuse grids of more threads than can be counted."""
    if math.prod(grid) > MAX_THREADS:
        raise LaunchError(
            f"grid {grid} is {math.prod(grid)} threads; at most {MAX_THREADS} can run"
        )


def check_threadgroup(threadgroup: Size, pipeline: Pipeline, limits: Limits) -> None:
    """Refuse threadgroups that the pipeline cannot run, and suggest one that it can."""
    name = pipeline.function.name
    most = pipeline.max_total_threads_per_threadgroup
    threads = math.prod(threadgroup)
    fitting = _fit(threadgroup, most, limits.max_threadgroup_size)
    if threads > most:
        raise LaunchError(
            f"threadgroup {threadgroup} is {threads} threads; pipeline '{name}' allows {most}. "
            f"Try {fitting}."
        )
    if fitting != threadgroup:
        raise LaunchError(
            f"threadgroup {threadgroup} is larger than {limits.max_threadgroup_size}, the most "
            f"that the device allows in each dimension. Try {fitting}."
        )


def pick_threadgroup(grid: Size, pipeline: Pipeline, limits: Limits) -> Size:
    """A good threadgroup for kernels that work with any: whole simdgroups, x longest.

    About 256 threads keep every simdgroup's lanes and a GPU's cores busy without using up its
    registers. Rows of a grid are cut in simdgroups, their threads' memory being contiguous.
    """
    most = min(PICKED_THREADS, pipeline.max_total_threads_per_threadgroup)
    most = 1 << (most.bit_length() - 1)
    lanes = limits.threads_per_simdgroup
    is_line = grid[1] == grid[2] == 1
    x = min(_power_of_two(grid[0]), most, most if is_line else lanes)
    y = min(_power_of_two(grid[1]), most // x)
    z = min(_power_of_two(grid[2]), most // (x * y))
    x = min(_power_of_two(grid[0]), most // (y * z))
    return _fit((max(x, 1), y, z), most, limits.max_threadgroup_size)


def _power_of_two(size: int) -> int:
    """The smallest that is not less than `size`."""
    return 1 << (size - 1).bit_length()


def whole_grid(threadgroups: Size, threadgroup: Size) -> Size:
    """The grid, in threads, of that many threadgroups."""
    x, y, z = (count * size for count, size in zip(threadgroups, threadgroup, strict=True))
    if max(x, y, z) > MAX_DIMENSION:
        raise LaunchError(
            f"threadgroups {threadgroups} of {threadgroup} threads make a grid of {(x, y, z)}; a "
            f"dimension may be at most {MAX_DIMENSION} threads"
        )
    return x, y, z


def _fit(threadgroup: Size, most: int, largest: Size) -> Size:
    """The threadgroup cut to the limits, x kept longest because its threads share simdgroups."""
    x = min(threadgroup[0], largest[0], most)
    y = min(threadgroup[1], largest[1], most // x)
    z = min(threadgroup[2], largest[2], most // (x * y))
    return x, y, z


def threadgroup_memory(
    lengths: Mapping[int, int] | None, pipeline: Pipeline, limits: Limits
) -> dict[int, int]:
    """The bytes of each `[[threadgroup(n)]]` argument, all of them given and allowed."""
    function = pipeline.function
    declared = {a.index: a for a in function.arguments if a.kind == "threadgroup"}
    if lengths is not None and not isinstance(lengths, Mapping):
        raise LaunchError(
            f"{function.name}: threadgroup_memory is {type(lengths).__name__}, not a dict of "
            "{threadgroup index: bytes}"
        )
    lengths = dict(lengths or {})
    for index, argument in declared.items():
        if index not in lengths:
            raise LaunchError(
                f"{function.name}: `{argument}` needs a length: "
                f"pass threadgroup_memory={{{index}: bytes}}"
            )
    for index, length in lengths.items():
        if index not in declared:
            has = ", ".join(map(str, declared)) or "none"
            raise LaunchError(
                f"{function.name} has no [[threadgroup({index})]] argument; it has {has}"
            )
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
            raise LaunchError(
                f"{function.name}: threadgroup_memory[{index}] is {shown(length)}, "
                "not a number of bytes"
            )
        if length > limits.max_threadgroup_memory_bytes:
            raise LaunchError(
                f"{function.name}: threadgroup_memory[{index}] is {shown(length)} bytes of "
                f"threadgroup memory; the device has {limits.max_threadgroup_memory_bytes}"
            )
        if length < 1 or length % THREADGROUP_MEMORY_MULTIPLE:
            up = max(1, -(-int(length) // THREADGROUP_MEMORY_MULTIPLE))
            raise LaunchError(
                f"{function.name}: threadgroup_memory[{index}] is {shown(length)} bytes; Metal "
                f"takes positive multiples of {THREADGROUP_MEMORY_MULTIPLE}. "
                f"Try {up * THREADGROUP_MEMORY_MULTIPLE}."
            )
    static = pipeline.static_threadgroup_memory_bytes
    total = static + sum(lengths.values())
    if total > limits.max_threadgroup_memory_bytes:
        raise LaunchError(
            f"{function.name} needs {total} bytes of threadgroup memory ({static} declared in the "
            f"kernel, {total - static} by threadgroup_memory); the device has "
            f"{limits.max_threadgroup_memory_bytes}"
        )
    return {index: int(length) for index, length in lengths.items()}
