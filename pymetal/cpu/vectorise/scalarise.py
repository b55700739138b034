"""Short vectors, structs and arrays as values, taken apart into scalars.

A thread's `float4` becomes four values, each of which the vectoriser then widens to 32 lanes. Every
value of a composite type stands for a list of leaves in memory order; instructions on composites
become instructions on leaves. Matrices stay whole (see matrix.py): a `<2 x T>` that comes from a
matrix operation is one value as long as only matrix operations, casts and phis use it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from pymetal.air.ir import Block, Function, Instruction
from pymetal.air.ir.instruction import BINARY, CASTS, call
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import (
    I1,
    I8,
    I32,
    I64,
    PTR,
    ArrayType,
    FloatType,
    IntegerType,
    StructType,
    Type,
    VectorType,
    integer,
)
from pymetal.air.ir.values import (
    Constant,
    Local,
    Value,
    as_integer,
    element_of,
    integer_constant,
)
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.reasons import NotVectorised

ELEMENTWISE = (BINARY | CASTS | {"icmp", "fcmp", "fneg", "freeze"}) - {"bitcast"}
MATRIX_CALL = re.compile(r"air\.simdgroup_matrix_8x8_(\w+?)\.")
FROM_LANES = "pymetal.matrix.from_lanes"  # (first, second) -> matrix
LANE_PART = "pymetal.matrix.part"  # (matrix, index) -> scalar
_MAX_COPY_BYTES = 4096


def is_matrix_call(i: Instruction) -> bool:
    return MATRIX_CALL.match(i.callee) is not None or i.callee == FROM_LANES


class Scalariser:
    """Rewrites one function in place. `matrices` are then the names of whole matrices."""

    def __init__(self, function: Function, graph: Graph, layout: Layout) -> None:
        self.function = function
        self.graph = graph
        self.layout = layout
        self.leaves: dict[str, list[Value]] = {}
        self.matrices = _matrix_values(function)
        self.out: list[Instruction] = []
        self.phis: list[tuple[Instruction, list[Instruction]]] = []

    def run(self) -> None:
        blocks = {b.name: b for b in self.function.blocks}
        for parameter in self.function.parameters:
            if _is_composite(parameter.type):
                self.leaves[parameter.name] = [
                    Local(t, f"{parameter.name}.{k}")
                    for k, (t, _) in enumerate(self.flat(parameter.type))
                ]
        for name in self.graph.order:
            block = blocks[name]
            self.out = []
            for instruction in block.instructions:
                self.rewrite(instruction)
            block.instructions = self.out
        self._finish_phis(blocks)
        self.function.blocks = [blocks[name] for name in self.graph.order]

    # Leaves

    def flat(self, type_: Type, offset: int = 0) -> list[tuple[Type, int]]:
        """The scalars of a type, each with its byte offset."""
        resolved = self.layout.resolve(type_)
        if isinstance(resolved, (VectorType, ArrayType)):
            if isinstance(resolved, VectorType) and self.layout.bits(resolved.element) % 8:
                if resolved.element is I1:
                    step = 0  # never in memory
                else:
                    raise NotVectorised(f"values of type {type_}")
            else:
                step = self.layout.size(resolved.element)
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
        if not _is_composite(value.type):
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

    def add(self, instruction: Instruction) -> Local:
        if not instruction.name:
            instruction.name = self.function.fresh("part")
        self.out.append(instruction)
        return instruction.result

    # Instructions

    def rewrite(self, i: Instruction) -> None:
        composite = _is_composite(i.type) or any(_is_composite(o.type) for o in i.operands)
        if i.opcode == "call":
            self._call(i)
        elif not composite or i.name in self.matrices:
            self._keep(i)
        elif i.opcode == "phi":
            self._phi(i)
        elif i.opcode in ELEMENTWISE or i.opcode == "select":
            self._elementwise(i)
        elif handler := _HANDLERS.get(i.opcode):
            handler(self, i)
        else:
            raise NotVectorised(f"'{i.opcode}' on {i.type}")

    def _keep(self, i: Instruction) -> None:
        if i.name in self.matrices and i.opcode != "phi":
            i.operands = [
                self.matrix(o) if isinstance(o.type, VectorType) else o for o in i.operands
            ]
        if i.name in self.matrices and i.opcode == "phi":
            self.phis.append((i, []))
        self.out.append(i)

    def matrix(self, value: Value) -> Value:
        """An operand as a whole matrix."""
        if isinstance(value, Local) and value.name in self.matrices:
            return value
        if isinstance(value, Constant):
            return value
        first, second = self.parts(value)
        result = self.add(call("", value.type, FROM_LANES, [first, second]))
        self.matrices.add(result.name)
        return result

    def _phi(self, i: Instruction) -> None:
        new = []
        for type_, _ in self.flat(i.type):
            phi = Instruction("phi", self.function.fresh(i.name), type_, labels=list(i.labels))
            new.append(phi)
            self.out.append(phi)
        self.leaves[i.name] = [p.result for p in new]
        self.phis.append((i, new))

    def _finish_phis(self, blocks: dict[str, Block]) -> None:
        for old, new in self.phis:
            for k, (value, source) in enumerate(old.incoming):
                # What taking a value apart needs stands at the end of the block it comes from.
                self.out = []
                if new:
                    for phi, part in zip(new, self.parts(value), strict=True):
                        phi.operands.append(part)
                else:
                    old.operands[k] = self.matrix(value)
                blocks[source].instructions[-1:-1] = self.out

    def _elementwise(self, i: Instruction) -> None:
        count = len(self.flat(i.type))
        columns = [
            parts if len(parts := self.parts(o)) == count else parts * count for o in i.operands
        ]
        types = [t for t, _ in self.flat(i.type)]
        self.leaves[i.name] = [
            self.add(replace(i, name="", type=t, operands=[c[k] for c in columns], metadata=[]))
            for k, t in enumerate(types)
        ]

    def _load(self, i: Instruction) -> None:
        self.leaves[i.name] = [
            self.add(replace(i, name="", type=t, operands=[self.address(i.operands[0], at)]))
            for t, at in self._in_memory(i.type)
        ]
        self._set_alignment(i, i.type)

    def _store(self, i: Instruction) -> None:
        value, pointer = i.operands
        for (_, at), part in zip(self._in_memory(value.type), self.parts(value), strict=True):
            self.out.append(replace(i, operands=[part, self.address(pointer, at)]))
        self._set_alignment(i, value.type)

    def _in_memory(self, type_: Type) -> list[tuple[Type, int]]:
        leaves = self.flat(type_)
        if any(t is I1 for t, _ in leaves):
            raise NotVectorised(f"{type_} in memory")
        return leaves

    def _set_alignment(self, i: Instruction, type_: Type) -> None:
        whole = i.align or self.layout.align(type_)
        offsets = [at for _, at in self.flat(type_)]
        made = [j for j in self.out if j.opcode == i.opcode][-len(offsets) :]
        for instruction, at in zip(made, offsets, strict=True):
            instruction.align = math.gcd(whole, at) if at else whole

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

    def _extractelement(self, i: Instruction) -> None:
        parts, index = self.parts(i.operands[0]), i.operands[1]
        known = as_integer(index)
        if known is not None:
            self._rename(i, parts[known] if known < len(parts) else Constant(i.type, "poison"))
            return
        current = parts[0]
        for k, part in enumerate(parts[1:], 1):
            current = self._select(index, k, part, current, i.name if part is parts[-1] else "")
        if current is parts[0]:
            self._rename(i, current)

    def _insertelement(self, i: Instruction) -> None:
        parts, (_, value, index) = self.parts(i.operands[0]), i.operands
        known = as_integer(index)
        if known is not None:
            self.leaves[i.name] = [value if k == known else p for k, p in enumerate(parts)]
        else:
            self.leaves[i.name] = [self._select(index, k, value, p) for k, p in enumerate(parts)]

    def _select(self, index: Value, k: int, then: Value, other: Value, name: str = "") -> Value:
        number = integer_constant(index.type, k)
        same = self.add(Instruction("icmp", "", I1, [index, number], predicate="eq"))
        return self.add(Instruction("select", name, then.type, [same, then, other]))

    def _rename(self, i: Instruction, value: Value) -> None:
        """`i` is but another name of a scalar."""
        self.out.append(Instruction("freeze", i.name, i.type, [value]))

    def _shufflevector(self, i: Instruction) -> None:
        parts = self.parts(i.operands[0]) + self.parts(i.operands[1])
        assert isinstance(i.type, VectorType)
        poison = Constant(i.type.element, "poison")
        picked = [as_integer(p) for p in self.parts(i.operands[2])]
        self.leaves[i.name] = [poison if k is None else parts[k] for k in picked]

    def _extractvalue(self, i: Instruction) -> None:
        aggregate = i.operands[0]
        if isinstance(aggregate, Local) and aggregate.name not in self.leaves:
            self.out.append(i)  # of a cmpxchg
            return
        start, count = self._range(aggregate.type, i.indices)
        parts = self.parts(aggregate)[start : start + count]
        if _is_composite(i.type):
            self.leaves[i.name] = parts
        else:
            self._rename(i, parts[0])

    def _insertvalue(self, i: Instruction) -> None:
        aggregate, value = i.operands
        if isinstance(aggregate, Local) and aggregate.name not in self.leaves:
            raise NotVectorised("a compare-and-swap result used as a struct")
        parts = list(self.parts(aggregate))
        start, count = self._range(aggregate.type, i.indices)
        parts[start : start + count] = self.parts(value)
        self.leaves[i.name] = parts

    def _range(self, type_: Type, indices: Sequence[int]) -> tuple[int, int]:
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

    def _bitcast(self, i: Instruction) -> None:
        source, targets = self.parts(i.operands[0]), [t for t, _ in self.flat(i.type)]
        from_bits, to_bits = self.layout.bits(source[0].type), self.layout.bits(targets[0])
        if isinstance(source[0].type, IntegerType) and source[0].type is I1:
            result = self._pack_bits(source, targets)
        elif targets[0] is I1:
            raise NotVectorised("an integer taken apart into booleans")
        elif from_bits == to_bits:
            result = [self._cast("bitcast", p, targets[0]) for p in source]
        else:
            result = self._regroup(source, from_bits, to_bits, targets)
        if _is_composite(i.type):
            self.leaves[i.name] = result
        else:
            self._rename(i, result[0])

    def _cast(self, opcode: str, value: Value, type_: Type) -> Value:
        if value.type is type_:
            return value
        return self.add(Instruction(opcode, "", type_, [value]))

    def _pack_bits(self, source: list[Value], targets: list[Type]) -> list[Value]:
        if len(targets) != 1 or not isinstance(targets[0], IntegerType):
            raise NotVectorised("booleans put together")
        return [self._join(source, 1, targets[0])]

    def _join(self, pieces: list[Value], bits: int, type_: Type) -> Value:
        """Integers of `bits` bits side by side, the first lowest."""
        whole: Value = self._cast("zext", pieces[0], type_)
        for k, piece in enumerate(pieces[1:], 1):
            wide = self._cast("zext", piece, type_)
            amount = integer_constant(type_, k * bits)
            shifted = self.add(Instruction("shl", "", type_, [wide, amount]))
            whole = self.add(Instruction("or", "", type_, [whole, shifted]))
        return whole

    def _regroup(
        self, source: list[Value], from_bits: int, to_bits: int, targets: list[Type]
    ) -> list[Value]:
        source = [self._cast("bitcast", p, integer(from_bits)) for p in source]
        wide = integer(to_bits)
        result = []
        for k, type_ in enumerate(targets):
            if to_bits > from_bits:
                per = to_bits // from_bits
                piece = self._join(source[k * per : (k + 1) * per], from_bits, wide)
            else:
                at = k * to_bits
                piece, shift = source[at // from_bits], at % from_bits
                if shift:
                    amount = integer_constant(piece.type, shift)
                    piece = self.add(Instruction("lshr", "", piece.type, [piece, amount]))
                piece = self.add(Instruction("trunc", "", wide, [piece]))
            result.append(self._cast("bitcast", piece, type_))
        return result

    # Calls

    def _call(self, i: Instruction) -> None:
        name = i.callee
        if name.startswith(("llvm.memcpy", "llvm.memmove", "llvm.memset")):
            self._copy(i)
        elif name.startswith(("llvm.lifetime", "llvm.assume", "llvm.experimental.noalias")):
            return
        elif is_matrix_call(i):
            i.operands = [
                part
                for o in i.operands
                for part in ([self.matrix(o)] if _is_matrix(o) else self.parts(o))
            ]
            assert i.call is not None
            i.call = replace(i.call, argument_attributes=[""] * len(i.operands))
            self.out.append(i)
        elif _is_composite(i.type) or any(_is_composite(o.type) for o in i.operands):
            self._vector_call(i)
        else:
            self.out.append(i)

    def _vector_call(self, i: Instruction) -> None:
        name = i.callee
        if name.startswith("llvm.vector.reduce."):
            self._reduce(i)
            return
        scalar, count = re.subn(r"\.v\d+(?=[fib])", ".", name)
        if not name.startswith("llvm.") or not count or not isinstance(i.type, VectorType):
            raise NotVectorised(f"'{name}' on vectors")
        columns = [self.parts(o) for o in i.operands]
        self.leaves[i.name] = []
        for k in range(i.type.count):
            operands = [c[k] if len(c) > 1 else c[0] for c in columns]
            part = call("", i.type.element, scalar, operands)
            part.flags = i.flags
            self.leaves[i.name].append(self.add(part))

    def _reduce(self, i: Instruction) -> None:
        operation = i.callee.removeprefix("llvm.vector.reduce.").rpartition(".")[0]
        parts = [p for o in i.operands for p in self.parts(o)]
        opcode = {"fadd": "fadd", "fmul": "fmul"}.get(operation, operation)
        current = parts[0]
        for part in parts[1:]:
            if opcode in BINARY:
                step = Instruction(opcode, "", i.type, [current, part], i.flags)
            else:
                intrinsic = {"fmax": "maxnum", "fmin": "minnum"}.get(opcode, opcode)
                suffix = {"float": "f32", "half": "f16", "bfloat": "bf16"}.get(
                    i.type.text, i.type.text
                )
                step = call("", i.type, f"llvm.{intrinsic}.{suffix}", [current, part])
            current = self.add(step)
        self._rename(i, current)

    def _copy(self, i: Instruction) -> None:
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
                self.add(Instruction("load", "", type_, [self.address(source, at)], align=step))
                for at in offsets
            ]
        for at, value in zip(offsets, values, strict=True):
            self.out.append(
                Instruction("store", operands=[value, self.address(to, at)], align=step)
            )


_Handler = Callable[[Scalariser, Instruction], None]
_HANDLERS: dict[str, _Handler] = {
    "load": Scalariser._load,
    "store": Scalariser._store,
    "extractelement": Scalariser._extractelement,
    "insertelement": Scalariser._insertelement,
    "shufflevector": Scalariser._shufflevector,
    "extractvalue": Scalariser._extractvalue,
    "insertvalue": Scalariser._insertvalue,
    "bitcast": Scalariser._bitcast,
    "cmpxchg": lambda s, i: s.out.append(i),
}


def _is_composite(type_: Type) -> bool:
    return isinstance(type_, (VectorType, ArrayType, StructType))


def _is_matrix(value: Value) -> bool:
    type_ = value.type
    return (
        isinstance(type_, VectorType) and type_.count == 2 and isinstance(type_.element, FloatType)
    )


def _matrix_values(function: Function) -> set[str]:
    """Names of `<2 x T>` values that stay whole matrices."""
    found = {
        i.name
        for i in function.instructions
        if is_matrix_call(i) and isinstance(i.type, VectorType)
    }
    candidates = [
        i
        for i in function.instructions
        if isinstance(i.type, VectorType)
        and i.type.count == 2
        and isinstance(i.type.element, FloatType)
        and (i.opcode in ("phi", "select", "fneg", "freeze", "fpext", "fptrunc"))
    ]
    changed = bool(found)
    while changed:
        changed = False
        for i in candidates:
            inputs = [o for o in i.operands if isinstance(o, Local) and _is_matrix(o)]
            if i.opcode == "select" and isinstance(i.operands[0].type, VectorType):
                continue
            if i.name not in found and any(o.name in found for o in inputs):
                found.add(i.name)
                changed = True
    return found
