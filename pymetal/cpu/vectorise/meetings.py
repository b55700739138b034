"""Where lanes of one iteration would meet those of the next.

Of lanes that act together at several places, those of the lowest site go first (air/sites.py),
which keeps lanes in an iteration before those that went on to the next. In a loop they are, because
all wait at its header. But where LLVM finds that the second iteration is the last, it may lead both
to one block, and nothing is left to wait at.
"""

from __future__ import annotations

from collections.abc import Mapping

from pymetal.air.ir import Function, Instruction
from pymetal.air.vocabulary import CONVERGE
from pymetal.cpu.intrinsics import CrossLane, meaning
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.reasons import NotVectorised

REASON = "iterations that LLVM leads to one place where lanes meet"


def check(function: Function, graph: Graph, sites: Mapping[Instruction, int]) -> None:
    """Refuse a function where lanes may come to a site with a higher one behind them, and without,
    not going around a loop."""
    passed = {
        b.name: [sites[i] for i in b.instructions if i in sites and _acts_together(i)]
        for b in function.blocks
    }
    for number in sorted({n for numbers in passed.values() for n in numbers}):
        higher = {name for name, numbers in passed.items() if max(numbers, default=-1) > number}
        late = _forward(graph, {t for name in higher for t in _onwards(graph, name)}, set())
        soon = _forward(graph, {graph.entry}, higher)
        directly = {target for name in soon for target in _onwards(graph, name)}
        for name in late & directly:
            numbers = passed[name]
            if number in numbers and max(numbers[: numbers.index(number)], default=-1) < number:
                raise NotVectorised(REASON)


def _acts_together(i: Instruction) -> bool:
    """Whether some lanes may do it without others."""
    return i.callee == CONVERGE or isinstance(meaning(i.callee), CrossLane)


def _forward(graph: Graph, starts: set[str], without: set[str]) -> set[str]:
    """The blocks reached without going back in a loop, or through those in `without`."""
    seen: set[str] = set()
    pending = list(starts - without)
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += [t for t in _onwards(graph, name) if t not in without]
    return seen


def _onwards(graph: Graph, name: str) -> list[str]:
    return [t for t in graph.successors[name] if graph.position[t] > graph.position[name]]
