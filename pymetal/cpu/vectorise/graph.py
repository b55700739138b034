"""The control-flow graph: orders, dominators, post-dominators and loops.

Blocks are names. Dominators are found as in Cooper, Harvey and Kennedy, "A Simple, Fast Dominance
Algorithm" (2001).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pymetal.air.ir import Function
from pymetal.cpu.vectorise.reasons import NotVectorised

EXIT = ""  # a virtual block after every return


class Graph:
    """Of a function whose blocks are all reachable."""

    def __init__(self, function: Function) -> None:
        self.entry = function.blocks[0].name
        self.successors = {b.name: b.terminator.successors for b in function.blocks}
        self.predecessors: dict[str, list[str]] = {name: [] for name in self.successors}
        for name, targets in self.successors.items():
            for target in targets:
                self.predecessors[target].append(name)
        self.order = reverse_postorder(self.entry, self.successors)
        self.position = {name: k for k, name in enumerate(self.order)}
        self.dominator = _dominators(self.order, self.predecessors)
        self.post_dominator = self._post_dominators()
        self._depth = _depths(self.order, self.dominator)
        self.loops = self._loops()

    def dominates(self, a: str, b: str) -> bool:
        """Whether every path from the entry to `b` passes `a`."""
        while self._depth[b] > self._depth[a]:
            b = self.dominator[b]
        return a == b

    def between(self, starts: Iterable[str], stop: str) -> set[str]:
        """The blocks reachable from `starts` without passing `stop`."""
        seen: set[str] = set()
        pending = [s for s in starts if s != stop]
        while pending:
            block = pending.pop()
            if block not in seen:
                seen.add(block)
                pending += [s for s in self.successors[block] if s != stop]
        return seen

    def _post_dominators(self) -> dict[str, str]:
        backwards = {name: list(p) for name, p in self.predecessors.items()}
        backwards[EXIT] = [name for name, targets in self.successors.items() if not targets]
        forwards = {name: targets or [EXIT] for name, targets in self.successors.items()}
        order = reverse_postorder(EXIT, backwards)
        if len(order) != len(self.order) + 1:
            raise NotVectorised("a loop that never ends")
        return _dominators(order, forwards)

    def _loops(self) -> dict[str, set[str]]:
        """The blocks of each loop by its header."""
        loops: dict[str, set[str]] = {}
        for block in self.order:
            for target in self.successors[block]:
                if self.position[target] > self.position[block]:
                    continue
                if not self.dominates(target, block):
                    raise NotVectorised("control flow that is not made of loops and branches")
                body = loops.setdefault(target, {target})
                pending = [block]
                while pending:
                    inner = pending.pop()
                    if inner not in body:
                        body.add(inner)
                        pending += self.predecessors[inner]
        return loops


def reverse_postorder(entry: str, successors: Mapping[str, list[str]]) -> list[str]:
    """Every block after the blocks before it, back edges aside."""
    seen = {entry}
    order: list[str] = []
    stack = [(entry, iter(successors[entry]))]
    while stack:
        block, rest = stack[-1]
        for target in rest:
            if target not in seen:
                seen.add(target)
                stack.append((target, iter(successors[target])))
                break
        else:
            stack.pop()
            order.append(block)
    return order[::-1]


def _dominators(order: list[str], predecessors: Mapping[str, list[str]]) -> dict[str, str]:
    position = {name: k for k, name in enumerate(order)}
    found = {order[0]: order[0]}

    def meet(a: str, b: str) -> str:
        while a != b:
            while position[a] > position[b]:
                a = found[a]
            while position[b] > position[a]:
                b = found[b]
        return a

    changed = True
    while changed:
        changed = False
        for block in order[1:]:
            known = [p for p in predecessors[block] if p in found]
            new = known[0]
            for other in known[1:]:
                new = meet(new, other)
            if found.get(block) != new:
                found[block] = new
                changed = True
    return found


def _depths(order: list[str], dominator: Mapping[str, str]) -> dict[str, int]:
    depth = {order[0]: 0}
    for block in order[1:]:
        depth[block] = depth[dominator[block]] + 1
    return depth
