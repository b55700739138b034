"""Calls on composites: LLVM's intrinsics leaf by leaf, and copies of memory."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from pymetal.air.ir import Instruction
from pymetal.air.ir.instruction import BINARY, call
from pymetal.air.ir.types import VectorType, integer
from pymetal.air.ir.values import Value, as_integer, integer_constant
from pymetal.cpu.vectorise.leaves import Leaves, is_composite, is_matrix, is_matrix_call
from pymetal.cpu.vectorise.reasons import NotVectorised

_MAX_COPY_BYTES = 4096
_OVERFLOW = re.compile(r"llvm\.([us])(add|sub|mul)\.with\.overflow\.i(8|16|32|64)")


def call_on_leaves(leaves: Leaves, i: Instruction) -> None:
    """Write a call of anything as calls without composites; of matrices, with whole ones."""
    name = i.callee
    if name.startswith(("llvm.memcpy", "llvm.memmove", "llvm.memset")):
        _copy(leaves, i)
    elif name.startswith(("llvm.lifetime", "llvm.assume", "llvm.experimental.noalias")):
        return
    elif is_matrix_call(i):
        i.operands = [
            part
            for o in i.operands
            for part in ([leaves.matrix(o)] if is_matrix(o) else leaves.parts(o))
        ]
        assert i.call is not None
        i.call = replace(i.call, argument_attributes=[""] * len(i.operands))
        leaves.out.append(i)
    elif is_composite(i.type) or any(is_composite(o.type) for o in i.operands):
        _vector_call(leaves, i)
    else:
        leaves.out.append(i)


def _vector_call(leaves: Leaves, i: Instruction) -> None:
    name = i.callee
    if name.startswith("llvm.vector.reduce."):
        _reduce(leaves, i)
        return
    if overflow := _OVERFLOW.fullmatch(name):
        _check_overflow(leaves, i, *overflow.groups())
        return
    scalar, count = re.subn(r"\.v\d+(?=[fib])", ".", name)
    if not name.startswith("llvm.") or not count or not isinstance(i.type, VectorType):
        raise NotVectorised(f"'{name}' on vectors")
    columns = [leaves.parts(o) for o in i.operands]
    leaves.leaves[i.name] = []
    for k in range(i.type.count):
        operands = [c[k] if len(c) > 1 else c[0] for c in columns]
        part = call("", i.type.element, scalar, operands)
        part.flags = i.flags
        leaves.leaves[i.name].append(leaves.add(part))


def _reduce(leaves: Leaves, i: Instruction) -> None:
    operation = i.callee.removeprefix("llvm.vector.reduce.").rpartition(".")[0]
    parts = [p for o in i.operands for p in leaves.parts(o)]
    opcode = {"fadd": "fadd", "fmul": "fmul"}.get(operation, operation)
    current = parts[0]
    for part in parts[1:]:
        if opcode in BINARY:
            step = Instruction(opcode, "", i.type, [current, part], i.flags)
        else:
            intrinsic = {"fmax": "maxnum", "fmin": "minnum"}.get(opcode, opcode)
            suffix = {"float": "f32", "half": "f16", "bfloat": "bf16"}.get(i.type.text, i.type.text)
            step = call("", i.type, f"llvm.{intrinsic}.{suffix}", [current, part])
        current = leaves.add(step)
    leaves.rename(i, current)


def _check_overflow(leaves: Leaves, i: Instruction, sign: str, opcode: str, bits: str) -> None:
    """The result, and whether a wider one is another."""
    extend = "zext" if sign == "u" else "sext"
    narrow, wide = integer(int(bits)), integer(2 * int(bits))

    def widened(value: Value) -> Value:
        return leaves.add(Instruction(extend, "", wide, [value]))

    exact = leaves.add(Instruction(opcode, "", wide, [widened(o) for o in i.operands]))
    result = leaves.add(Instruction("trunc", "", narrow, [exact]))
    over = Instruction("icmp", "", integer(1), [exact, widened(result)], predicate="ne")
    leaves.leaves[i.name] = [result, leaves.add(over)]


def _copy(leaves: Leaves, i: Instruction) -> None:
    to, source = i.operands[:2]
    size = as_integer(i.operands[2])
    sets = i.callee.startswith("llvm.memset")
    if size is None or size > _MAX_COPY_BYTES:
        raise NotVectorised("copying memory of a length that only the run knows")
    assert i.call is not None
    aligns = [
        int(m[1])
        for text in i.call.argument_attributes[: 1 if sets else 2]
        if (m := re.search(r"align (\d+)", text))
    ]
    step = math.gcd(size, *(aligns if len(aligns) == (1 if sets else 2) else [1]), 4)
    type_ = integer(8 * step)
    offsets = range(0, size, step)
    if sets:
        byte = as_integer(source)
        if byte is None:
            raise NotVectorised("filling memory with bytes that only the run knows")
        pattern = int.from_bytes(bytes([byte % 256] * step), "little")
        values: list[Value] = [integer_constant(type_, pattern)] * len(offsets)
    else:
        values = [
            leaves.add(Instruction("load", "", type_, [leaves.address(source, at)], align=step))
            for at in offsets
        ]
    for at, value in zip(offsets, values, strict=True):
        leaves.out.append(
            Instruction("store", operands=[value, leaves.address(to, at)], align=step)
        )
