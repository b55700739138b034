"""One instruction of the canonical function as instructions on 32 lanes: who writes what."""

from __future__ import annotations

from pymetal import _native
from pymetal.air.ir import Instruction
from pymetal.air.ir.values import Constant
from pymetal.cpu.intrinsics import Barrier, CrossLane, Mathematics, Matrix, Position, meaning
from pymetal.cpu.vectorise import agreement, atomics, crosslane, mathematics, matrix, memory
from pymetal.cpu.vectorise.emitter import MASK, Emitter, wide
from pymetal.cpu.vectorise.leaves import FROM_LANES, LANE_PART
from pymetal.cpu.vectorise.reasons import NotVectorised

_DIVISIONS = frozenset(["udiv", "sdiv", "urem", "srem"])
_NARROW = frozenset(["half", "bfloat"])


def lower(e: Emitter, i: Instruction) -> None:
    """Write one instruction."""
    if i.name and i.name in e.done:
        e.done.remove(i.name)  # there already; where the block is written again, it is not
        return
    if i.name in e.shapes.matrices and i.opcode != "call":
        matrix.elementwise(e, i)
    elif i.opcode == "load":
        memory.load(e, i)
    elif i.opcode == "store":
        memory.store(e, i)
    elif i.opcode == "alloca":
        memory.allocate(e, i)
    elif i.opcode == "call":
        call(e, i)
    elif i.opcode in ("atomicrmw", "cmpxchg"):
        atomics.lower(e, i)
    elif i.opcode == "extractvalue":
        atomics.extract(e, i)
    elif i.opcode == "fence":
        e.do("fence seq_cst")
    else:
        compute(e, i)


def compute(e: Emitter, i: Instruction) -> None:
    """Arithmetic, comparisons, casts, addresses."""
    shape = e.shapes.shapes[i.name]
    if shape is None:
        if i.opcode in _DIVISIONS:
            e.define(i, _division(e, i))
        elif any(o.type.text in _NARROW for o in i.operands) or i.type.text in _NARROW:
            e.define(i, mathematics.narrow(e, i))
        elif i.opcode == "frem":
            e.define(i, mathematics.by_vector(e, "fmod", [e.vector(o) for o in i.operands]))
        else:
            e.define(i, e.vector_of(i))
            agreement.note(e, i)
    elif shape.late:
        return
    elif i.opcode in ("zext", "sext"):
        e.define(i, e.extended(i))
    else:
        e.define(i, e.scalar_of(i))


def _division(e: Emitter, i: Instruction) -> str:
    """Lanes that are not active must not divide by zero: theirs is whatever lies there."""
    left, right = (e.vector(o) for o in i.operands)
    type_ = i.type.text
    if e.mask is not None:
        right = e.let(
            f"select {MASK} {e.mask}, {wide(type_)} {right}, {wide(type_)} splat ({type_} 1)"
        )
    if isinstance(i.operands[1], Constant):
        return e.let(f"{i.opcode} {wide(type_)} {left}, {right}")  # multiplication, to LLVM
    return mathematics.divide(e, i.opcode, type_, left, right)


def call(e: Emitter, i: Instruction) -> None:
    if i.callee == FROM_LANES:
        matrix.from_lanes(e, i)
        return
    if i.callee == LANE_PART:
        matrix.part(e, i)
        return
    what = meaning(i.callee)
    if isinstance(what, Barrier):
        if what.scope == "threadgroup":
            site = e.site(i)
            if i.operands[0].text == "0":  # no memory flags: finished threads are not waited for
                site |= _native.LOOSE_BARRIER
            e.do(f"call void @pymetal_barrier(i32 {site}, i32 {e.mask_bits()})")
            e.helpers.declarations["pymetal_barrier"] = (
                "declare void @pymetal_barrier(i32, i32) convergent nounwind"
            )
    elif isinstance(what, CrossLane):
        crosslane.lower(e, i, what)
    elif isinstance(what, Matrix):
        matrix.lower(e, i, what)
    elif isinstance(what, Position):
        _position(e, i)
    elif isinstance(what, Mathematics) or i.callee.startswith("llvm."):
        mathematics.call(e, i, what if isinstance(what, Mathematics) else None)
    else:
        raise NotVectorised(f"'{i.callee}'")


def _position(e: Emitter, i: Instruction) -> None:
    if i.callee.startswith("air.get_thread_index_in_quadgroup"):
        e.define(i, "0")
        return
    e.define(i, e.let("mul i32 %p.simdgroup, 8"))
