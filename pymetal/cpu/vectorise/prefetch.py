"""Fetching ahead what lies behind a load.

A processor waits for many lines of memory at a time, as far as it looks ahead. Where a threadgroup
copies a tile whose rows lie apart, its simdgroups take turns at barriers, and between two of them
are more instructions than it looks ahead. What comes next, to the next round of a loop or the next
threadgroup, mostly lies behind each row: it is fetched while the tile is computed with.
"""

from __future__ import annotations

from pymetal.air.ir.values import Value
from pymetal.cpu.vectorise.emitter import Emitter
from pymetal.cpu.vectorise.streaming import LINE

_MOST_BYTES = 2 * LINE


def behind(e: Emitter, pointer: Value, address: str, size: int) -> None:
    """Fetch as many bytes behind a vector load as it has, if it is from a buffer."""
    if not e.fetches or size % LINE or size > _MOST_BYTES or not e.buffers.hold(pointer):
        return
    e.fetches -= 1
    e.helpers.declarations.setdefault(
        "llvm.prefetch.p0", "declare void @llvm.prefetch.p0(ptr, i32, i32, i32) nounwind"
    )
    for offset in range(size, 2 * size, LINE):
        line = e.let(f"getelementptr i8, ptr {address}, i64 {offset}")
        e.do(f"call void @llvm.prefetch.p0(ptr {line}, i32 0, i32 3, i32 1)")
