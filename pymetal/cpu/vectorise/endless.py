"""Loops without an end: each gets a way out that is never taken.

Lanes meet where a branch's ways come together again, at the latest where the function returns, so
every block needs a way there. LLVM leaves loops without one where it found that what ends them
cannot happen, or could not tell that nothing comes there.
"""

from __future__ import annotations

from pymetal.air.ir import Block, Function, Instruction
from pymetal.air.ir.types import I1
from pymetal.air.ir.values import integer_constant
from pymetal.cpu.vectorise.graph import reverse_postorder


def give_ways_out(function: Function) -> bool:
    """Whether there were such loops. Blocks are as LLVM writes them: all can be reached."""
    blocks = {block.name: block for block in function.blocks}
    successors = {name: block.terminator.successors for name, block in blocks.items()}
    stuck = _without_exit(successors)
    if not stuck:
        return False
    order = reverse_postorder(function.blocks[0].name, successors)
    position = {name: k for k, name in enumerate(order)}
    out = Block(function.fresh("never"), [Instruction("ret")])
    for name in order:
        for target in successors[name]:
            if name in stuck and position[target] <= position[name]:
                _split(function, blocks[name], blocks[target], out.name)
    function.blocks.append(out)
    return True


def _without_exit(successors: dict[str, list[str]]) -> set[str]:
    """The blocks that no way leads from to one without successors."""
    predecessors: dict[str, list[str]] = {name: [] for name in successors}
    for name, targets in successors.items():
        for target in targets:
            predecessors[target].append(name)
    leaves: set[str] = set()
    pending = [name for name, targets in successors.items() if not targets]
    while pending:
        name = pending.pop()
        if name not in leaves:
            leaves.add(name)
            pending += predecessors[name]
    return set(successors) - leaves


def _split(function: Function, source: Block, target: Block, out: str) -> None:
    """Put a block on the edge between two that might go to `out`."""
    way = Block(function.fresh("endless"))
    true = integer_constant(I1, 1)
    way.instructions = [Instruction("br", operands=[true], labels=[target.name, out])]
    function.blocks.append(way)
    source.terminator.labels = [
        way.name if label == target.name else label for label in source.terminator.labels
    ]
    for phi in target.phis:
        phi.labels = [way.name if label == source.name else label for label in phi.labels]
