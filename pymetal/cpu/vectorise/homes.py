"""Where matrices live: in stack slots that those share which follow one another, or where they
were loaded from.

A matrix has as many elements as the processor has room for in its registers, so that each is kept
in memory. `sum = a * b + sum` writes over the sum it adds to, if nobody else needs that; a sum that
goes round nested loops keeps one slot in all of them, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterable

from pymetal.air.ir import Function, Instruction
from pymetal.air.ir.values import Local, Value, as_integer
from pymetal.cpu.intrinsics import Matrix, meaning
from pymetal.cpu.vectorise.effects import may_write
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.regions import Regions

# Elements from one row to the next up to which a matrix is read where it lies: rows much further
# apart fall into few sets of a cache, whose lines would be gone before they are read again.
_NEAR = 128


def is_product(i: Instruction) -> bool:
    what = meaning(i.callee) if i.opcode == "call" else None
    return isinstance(what, Matrix) and what.operation == "multiply_accumulate"


def read_in_place(function: Function) -> set[str]:
    """Matrices that are loaded to be multiplied before anything is written: they need no slot."""
    found: set[str] = set()
    uses: dict[str, list[tuple[str, Instruction]]] = {}
    for block in function.blocks:
        for i in block.instructions:
            for operand in i.operands:
                if isinstance(operand, Local):
                    uses.setdefault(operand.name, []).append((block.name, i))
    for block in function.blocks:
        fresh: set[str] = set()  # loaded, and nothing was written since
        seen: dict[str, int] = {}  # how many of their uses
        for i in block.instructions:
            for operand in i.operands:
                if isinstance(operand, Local) and operand.name in fresh:
                    seen[operand.name] = seen.get(operand.name, 0) + 1
            if _loads_near(i) and all(
                b == block.name and is_product(user) and i.name not in _names(user.operands[2:])
                for b, user in uses.get(i.name, [])
            ):
                fresh.add(i.name)
            elif may_write(i):
                found |= {name for name in fresh if seen.get(name, 0) == len(uses.get(name, []))}
                fresh = set()
        found |= fresh
    return found


def _loads_near(i: Instruction) -> bool:
    what = meaning(i.callee) if i.opcode == "call" else None
    if not isinstance(what, Matrix) or (what.operation, what.llvm_type) != ("load", "float"):
        return False
    stride, transposed = as_integer(i.operands[1]), as_integer(i.operands[4])
    return stride is not None and 0 < stride <= _NEAR and transposed == 0


def homes(function: Function, graph: Graph, regions: Regions, matrices: set[str]) -> dict[str, str]:
    """For each matrix the name of the one whose slot it shares, often its own."""
    touched = {
        b.name
        for b in function.blocks
        for i in b.instructions
        if i.name in matrices or matrices & set(_names(i.operands))
    }
    if touched <= set(regions.top.main):
        return _shared(function, graph, matrices)
    return _sums(function, graph, matrices)


def _sums(function: Function, graph: Graph, matrices: set[str]) -> dict[str, str]:
    """Where lanes part: only products share, with a sum that nobody else needs."""
    uses: dict[str, int] = {}
    block_of = {}
    for block in function.blocks:
        for i in block.instructions:
            block_of[i.name] = block.name
            for name in _names(i.operands):
                uses[name] = uses.get(name, 0) + 1

    def loops(name: str) -> set[str]:
        return {h for h, body in graph.loops.items() if block_of[name] in body}

    home = {name: name for name in matrices}
    blocks = {b.name: b for b in function.blocks}
    for name in graph.order:
        for i in blocks[name].instructions:
            # In a deeper loop the sum that it starts from is needed again.
            if is_product(i):
                for added in _names(i.operands[2:]):
                    if uses[added] == 1 and loops(added) == loops(i.name):
                        home[i.name] = home[added]
    return home


def _shared(function: Function, graph: Graph, matrices: set[str]) -> dict[str, str]:
    """Where all lanes go one way: matrices share that are copied to one another and never needed
    at one time."""
    apart = _needed_together(function, graph, matrices)
    groups = {name: {name} for name in matrices}
    blocks = {b.name: b for b in function.blocks}
    for name in graph.order:
        for i in blocks[name].instructions:
            if is_product(i):
                sources: Iterable[Value] = i.operands[2:]
            elif i.opcode == "phi" and i.name in matrices:
                sources = i.operands
            else:
                continue
            for source in _names(sources):
                one, other = groups[i.name], groups[source]
                if one is not other and not any(apart[m] & other for m in one):
                    one |= other
                    groups.update(dict.fromkeys(other, one))
    return {name: min(group) for name, group in groups.items()}


def _needed_together(function: Function, graph: Graph, matrices: set[str]) -> dict[str, set[str]]:
    """For each matrix those whose values are still needed when it is written, and the other way
    round."""
    blocks = {b.name: b for b in function.blocks}
    at_end: dict[str, set[str]] = {name: set() for name in blocks}
    apart: dict[str, set[str]] = {name: set() for name in matrices}

    def part(name: str, others: set[str]) -> None:
        for other in others - {name}:
            apart[name].add(other)
            apart[other].add(name)

    def before(name: str) -> set[str]:
        """What is needed at the start of a block."""
        needed = set(at_end[name])
        for i in reversed(blocks[name].instructions):
            if i.opcode == "phi":
                continue
            if i.name in matrices:
                part(i.name, needed)
                needed.discard(i.name)
            operands = set(_names(i.operands)) & matrices
            if is_product(i):  # its factors are read while it is written
                part(i.name, operands & set(_names(i.operands[:2])))
            needed |= operands
        phis = {p.name for p in blocks[name].phis} & matrices
        for phi in phis:
            part(phi, needed | phis)
        return needed - phis

    changed = True
    while changed:
        changed = False
        for name in reversed(graph.order):
            needed = before(name)
            for source in graph.predecessors[name]:
                wanted = needed | {
                    v.name
                    for phi in blocks[name].phis
                    for v, label in phi.incoming
                    if label == source and isinstance(v, Local) and phi.name in matrices
                }
                if not wanted <= at_end[source]:
                    at_end[source] |= wanted
                    changed = True
    return apart


def _names(values: Iterable[Value]) -> list[str]:
    return [v.name for v in values if isinstance(v, Local)]
