"""Stores past the caches, for outputs that are larger than these.

Before a processor writes part of a cache line it reads the line, so that a large output passes
memory twice. Whole lines that are stored past the caches ("non-temporal") are not read, and drive
nothing else out; but who reads them soon waits for memory. So only stores to buffers that the
kernel never reads are written both ways, and each launch says whose outputs are large
(native/cpu/streaming.h).

Such stores reach other processors in any order, up to a fence at the end of each worker's part.
Kernels whose threadgroups may tell each other something store as usual (see buffers.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymetal.air.ir.values import Value
from pymetal.cpu.vectorise.emitter import Emitter

LINE = 64  # bytes of x86's cache lines
_NON_TEMPORAL = "!0 = !{i32 1}"


def store(
    e: Emitter, pointer: Value, parts: Sequence[tuple[str, str]], size: int, align: int
) -> None:
    """Store vectors, each given with its type and its address. They lie one behind another, `size`
    bytes in all, in `pointer`'s buffer."""
    may = e.full and e.target.non_temporal and size % LINE == 0
    buffer = e.buffers.output(pointer) if may else ""
    if not buffer:
        for vector, place in parts:
            e.do(f"store {vector}, ptr {place}, align {align}")
        return
    e.streams.add(buffer)
    e.helpers.definitions["non-temporal"] = _NON_TEMPORAL
    past, through, onwards = (e.fresh_label(name) for name in ("past", "through", "stored"))
    bits = e.let(f"ptrtoint ptr {parts[0][1]} to i64")
    against = e.let(f"and i64 {bits}, %past.{buffer}")
    e.do(f"br i1 {e.let(f'icmp eq i64 {against}, 0')}, label %{past}, label %{through}")
    e.label(past)
    for vector, place in parts:
        e.do(f"store {vector}, ptr {place}, align {min(LINE, size // len(parts))}, !nontemporal !0")
    e.do(f"br label %{onwards}")
    e.label(through)
    for vector, place in parts:
        e.do(f"store {vector}, ptr {place}, align {align}")
    e.do(f"br label %{onwards}")
    e.label(onwards)


def parameters(buffers: Iterable[str]) -> str:
    """Parameters of a copy, behind its others: for each of these buffers the bits that an address
    must not have for its line to go past the caches. All, where a launch wants none to."""
    return "".join(f", i64 %past.{name}" for name in buffers)
