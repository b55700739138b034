"""Where matrices live: in stack slots, which a chain of multiplications shares.

A matrix has as many elements as the processor has room for in its registers, so that each is kept
in memory. `sum = a * b + sum` writes over the sum it adds to, if nobody else needs that: the same
slot then serves a whole loop, and nothing is copied.
"""

from __future__ import annotations

from pymetal.air.ir import Function
from pymetal.air.ir.values import Local
from pymetal.cpu.intrinsics import Matrix, meaning
from pymetal.cpu.vectorise.graph import Graph


def homes(function: Function, graph: Graph, matrices: set[str]) -> dict[str, str]:
    """For each matrix the name of the one whose slot it shares, often its own."""
    uses: dict[str, int] = {}
    block_of = {}
    for block in function.blocks:
        for i in block.instructions:
            block_of[i.name] = block.name
            for operand in i.operands:
                if isinstance(operand, Local):
                    uses[operand.name] = uses.get(operand.name, 0) + 1

    def loops(name: str) -> set[str]:
        return {h for h, body in graph.loops.items() if block_of[name] in body}

    home = {name: name for name in matrices}
    for name in graph.order:
        for i in next(b for b in function.blocks if b.name == name).instructions:
            what = meaning(i.callee) if i.opcode == "call" else None
            if not isinstance(what, Matrix) or what.operation != "multiply_accumulate":
                continue
            added = i.operands[2]
            # In a deeper loop the sum that it starts from is needed again.
            if (
                isinstance(added, Local)
                and uses[added.name] == 1
                and loops(added.name) == loops(i.name)
            ):
                home[i.name] = home[added.name]
    return home
