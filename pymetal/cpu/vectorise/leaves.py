"""What values of composite types consist of: leaves, the scalars in memory order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pymetal.air.ir import Function, Instruction
from pymetal.air.ir.instruction import call
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import (
    I1,
    I8,
    I32,
    I64,
    PTR,
    ArrayType,
    FloatType,
    StructType,
    Type,
    VectorType,
)
from pymetal.air.ir.values import Constant, Local, Value, element_of, integer_constant
from pymetal.cpu.vectorise.reasons import NotVectorised

FROM_LANES = "pymetal.matrix.from_lanes"  # (first, second) -> matrix
LANE_PART = "pymetal.matrix.part"  # (matrix, index) -> scalar
_MATRIX_CALL = re.compile(r"air\.simdgroup_matrix_8x8_(\w+?)\.")


class Leaves:
    """Of one function's values, while its instructions are rewritten into `out`.

    `matrices` are the names of values that stay whole.
    """

    def __init__(self, function: Function, layout: Layout, matrices: set[str]) -> None:
        self.function = function
        self.layout = layout
        self.matrices = matrices
        self.leaves: dict[str, list[Value]] = {}
        self.out: list[Instruction] = []

    def flat(self, type_: Type, offset: int = 0) -> list[tuple[Type, int]]:
        """The scalars of a type, each with its byte offset."""
        resolved = self.layout.resolve(type_)
        if isinstance(resolved, (VectorType, ArrayType)):
            # What is no whole bytes is never in memory (memory.py).
            bits = self.layout.bits(resolved.element) if isinstance(resolved, VectorType) else 8
            step = 0 if bits % 8 else self.layout.size(resolved.element)
            return [
                leaf
                for k in range(resolved.count)
                for leaf in self.flat(resolved.element, offset + k * step)
            ]
        if isinstance(resolved, StructType):
            return [
                leaf
                for k, member in enumerate(resolved.fields)
                for leaf in self.flat(member, offset + self.layout.offset(resolved, k))
            ]
        return [(resolved, offset)]

    def parts(self, value: Value) -> list[Value]:
        """The leaves of an operand."""
        if not is_composite(value.type):
            return [value]
        if isinstance(value, Local):
            if value.name in self.matrices:
                return self._matrix_parts(value)
            return self.leaves[value.name]
        found: list[Value] = []
        resolved = self.layout.resolve(value.type)
        count = (
            len(resolved.fields) if isinstance(resolved, StructType) else resolved.count  # type: ignore[attr-defined]
        )
        for k in range(count):
            element = element_of(value, k)
            assert element is not None, value
            found += self.parts(element)
        return found

    def _matrix_parts(self, matrix: Local) -> list[Value]:
        assert isinstance(matrix.type, VectorType)
        element = matrix.type.element
        return [
            self.add(call("", element, LANE_PART, [matrix, integer_constant(I32, k)]))
            for k in range(2)
        ]

    def matrix(self, value: Value) -> Value:
        """An operand as a whole matrix."""
        if isinstance(value, Local) and value.name in self.matrices:
            return value
        if isinstance(value, Constant):
            return value
        operands = self.parts(value)
        for made in self.out:  # in this block
            if made.callee == FROM_LANES and made.operands == operands:
                return made.result
        result = self.add(call("", value.type, FROM_LANES, operands))
        self.matrices.add(result.name)
        return result

    def add(self, instruction: Instruction) -> Local:
        if not instruction.name:
            instruction.name = self.function.fresh("part")
        self.out.append(instruction)
        return instruction.result

    def in_memory(self, type_: Type) -> list[tuple[Type, int]]:
        leaves = self.flat(type_)
        if any(t is I1 for t, _ in leaves):
            raise NotVectorised(f"{type_} in memory")
        return leaves

    def range_of(self, type_: Type, indices: Sequence[int]) -> tuple[int, int]:
        """Which leaves `indices` stand for."""
        start = 0
        for index in indices:
            type_ = self.layout.resolve(type_)
            members: Sequence[Type] = (
                type_.fields if isinstance(type_, StructType) else [type_.element] * type_.count  # type: ignore[attr-defined]
            )
            start += sum(len(self.flat(t)) for t in members[:index])
            type_ = members[index]
        return start, len(self.flat(type_))

    def rename(self, i: Instruction, value: Value) -> None:
        """`i` is but another name of a scalar."""
        self.out.append(Instruction("freeze", i.name, i.type, [value]))

    def address(self, pointer: Value, offset: int) -> Value:
        """`offset` bytes on."""
        if not offset:
            return pointer
        return self.add(
            Instruction(
                "getelementptr",
                "",
                PTR,
                [pointer, integer_constant(I64, offset)],
                ("inbounds",),
                source_type=I8,
            )
        )


def is_composite(type_: Type) -> bool:
    return isinstance(type_, (VectorType, ArrayType, StructType))


def is_matrix(value: Value) -> bool:
    type_ = value.type
    return (
        isinstance(type_, VectorType) and type_.count == 2 and isinstance(type_.element, FloatType)
    )


def is_matrix_call(i: Instruction) -> bool:
    """Whether an instruction makes or takes whole matrices."""
    return _MATRIX_CALL.match(i.callee) is not None or i.callee == FROM_LANES
