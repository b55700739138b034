"""Short vectors, structs and arrays as values, taken apart into scalars.

A thread's `float4` becomes four values, each of which the vectoriser then widens to 32 lanes. Every
value of a composite type stands for a list of leaves in memory order; instructions on composites
become instructions on leaves. Matrices stay whole (see matrix.py): a `<2 x T>` that comes from a
matrix operation is one value as long as only matrix operations, casts and phis use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from pymetal.air.ir import Block, Function, Instruction
from pymetal.air.ir.instruction import BINARY, CASTS
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.types import I1, FloatType, Type, VectorType
from pymetal.air.ir.values import Constant, Local, Value, as_integer, integer_constant
from pymetal.cpu.vectorise.composite_calls import call_on_leaves
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.leaves import Leaves, is_composite, is_matrix, is_matrix_call
from pymetal.cpu.vectorise.reasons import NotVectorised
from pymetal.cpu.vectorise.regroup import bitcast

ELEMENTWISE = (BINARY | CASTS | {"icmp", "fcmp", "fneg", "freeze"}) - {"bitcast"}


class Scalariser(Leaves):
    """Rewrites one function in place. `matrices` are then the names of whole matrices."""

    def __init__(self, function: Function, graph: Graph, layout: Layout) -> None:
        super().__init__(function, layout, _matrix_values(function))
        self.graph = graph
        self.phis: list[tuple[Instruction, list[Instruction]]] = []

    def run(self) -> None:
        blocks = {b.name: b for b in self.function.blocks}
        for parameter in self.function.parameters:
            if is_composite(parameter.type):
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

    # Instructions

    def rewrite(self, i: Instruction) -> None:
        composite = is_composite(i.type) or any(is_composite(o.type) for o in i.operands)
        if i.opcode == "call":
            call_on_leaves(self, i)
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
            for t, at in self.in_memory(i.type)
        ]
        self._set_alignment(i, i.type)

    def _store(self, i: Instruction) -> None:
        value, pointer = i.operands
        for (_, at), part in zip(self.in_memory(value.type), self.parts(value), strict=True):
            self.out.append(replace(i, operands=[part, self.address(pointer, at)]))
        self._set_alignment(i, value.type)

    def _set_alignment(self, i: Instruction, type_: Type) -> None:
        whole = i.align or self.layout.align(type_)
        offsets = [at for _, at in self.flat(type_)]
        made = [j for j in self.out if j.opcode == i.opcode][-len(offsets) :]
        for instruction, at in zip(made, offsets, strict=True):
            instruction.align = math.gcd(whole, at) if at else whole

    def _extractelement(self, i: Instruction) -> None:
        parts, index = self.parts(i.operands[0]), i.operands[1]
        known = as_integer(index)
        if known is not None:
            self.rename(i, parts[known] if known < len(parts) else Constant(i.type, "poison"))
            return
        current = parts[0]
        for k, part in enumerate(parts[1:], 1):
            current = self._select(index, k, part, current, i.name if part is parts[-1] else "")
        if current is parts[0]:
            self.rename(i, current)

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
        start, count = self.range_of(aggregate.type, i.indices)
        parts = self.parts(aggregate)[start : start + count]
        if is_composite(i.type):
            self.leaves[i.name] = parts
        else:
            self.rename(i, parts[0])

    def _insertvalue(self, i: Instruction) -> None:
        aggregate, value = i.operands
        if isinstance(aggregate, Local) and aggregate.name not in self.leaves:
            raise NotVectorised("a compare-and-swap result used as a struct")
        parts = list(self.parts(aggregate))
        start, count = self.range_of(aggregate.type, i.indices)
        parts[start : start + count] = self.parts(value)
        self.leaves[i.name] = parts


_Handler = Callable[[Scalariser, Instruction], None]
_HANDLERS: dict[str, _Handler] = {
    "load": Scalariser._load,
    "store": Scalariser._store,
    "extractelement": Scalariser._extractelement,
    "insertelement": Scalariser._insertelement,
    "shufflevector": Scalariser._shufflevector,
    "extractvalue": Scalariser._extractvalue,
    "insertvalue": Scalariser._insertvalue,
    "bitcast": bitcast,
    "cmpxchg": lambda s, i: s.out.append(i),
}


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
            inputs = [o for o in i.operands if isinstance(o, Local) and is_matrix(o)]
            if i.opcode == "select" and isinstance(i.operands[0].type, VectorType):
                continue
            if i.name not in found and any(o.name in found for o in inputs):
                found.add(i.name)
                changed = True
    return found
