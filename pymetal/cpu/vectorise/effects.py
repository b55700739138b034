"""Which instructions memory may be another after, as one simdgroup sees it.

Simdgroups of a threadgroup run one at a time up to a threadgroup barrier.
"""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.cpu.intrinsics import Barrier, CrossLane, Mathematics, Matrix, Position, meaning
from pymetal.cpu.vectorise.leaves import FROM_LANES, LANE_PART

_OF_MEMORY = ("llvm.mem", "llvm.masked.", "llvm.lifetime.")


def may_write(i: Instruction) -> bool:
    if i.opcode != "call":
        return i.opcode in ("store", "atomicrmw", "cmpxchg", "fence")
    what = meaning(i.callee)
    if isinstance(what, Matrix):
        return what.operation == "store"
    if isinstance(what, Barrier):
        return what.scope == "threadgroup"
    if i.callee.startswith("llvm."):
        return i.callee.startswith(_OF_MEMORY)
    return not (
        isinstance(what, Mathematics | Position | CrossLane) or i.callee in (FROM_LANES, LANE_PART)
    )


def may_read(i: Instruction) -> bool:
    if i.opcode == "load":
        return True
    what = meaning(i.callee) if i.opcode == "call" else None
    if isinstance(what, Matrix):
        return what.operation == "load"
    return may_write(i)
