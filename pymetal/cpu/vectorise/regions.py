"""Where lanes may part: divergent regions and their layout.

A *region* is a piece of the graph with one way in and one way out that a set of lanes, its mask,
runs together. Its *main* blocks are run by the whole mask, so that their branches stay branches.
Between a divergent branch and its post-dominator lie blocks that only some of the lanes run: the
*components* of the region. A component is laid out in a line of *nodes*, each with a mask of the
lanes that wait for it, and skipped while there are none. A node is again a region: the lanes that
came to it run on together as long as nothing parts them, which keeps a loop inside an `if` a loop.

    region         main:  a ──────────────► d          component of the branch in a:
                           \\ divergent     /             node b (region: main b, c)
                            b ──► c ──────►              exit  d

Loops among nodes stand in one piece, with the header first: at the end, if lanes wait for the
header again, the line starts over there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from pymetal.cpu.vectorise.graph import EXIT, Graph
from pymetal.cpu.vectorise.reasons import NotVectorised


@dataclass(eq=False)
class Region:
    """`exit`: where all its lanes go on; None for a lone block whose lanes may go many ways."""

    entry: str
    blocks: frozenset[str]
    exit: str | None
    main: list[str] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    node: Node | None = None  # where it stands in its parent; None for the whole function

    def component_of(self, block: str) -> Component | None:
        return next((c for c in self.components if block in c.blocks), None)


@dataclass(eq=False)
class Component:
    """A line of nodes. When it is done, the parent's mask goes on at `exit`."""

    parent: Region
    blocks: frozenset[str]
    exit: str
    nodes: list[Node] = field(default_factory=list)

    def node_of(self, block: str) -> Node:
        return next(n for n in self.nodes if block in n.region.blocks)


@dataclass(eq=False)
class Node:
    """`repeats`: headers of the loops whose last node this is, innermost first."""

    component: Component
    region: Region
    name: str
    repeats: list[Node] = field(default_factory=list)


class Regions:
    """The regions of a function, given the blocks that end in divergent branches."""

    def __init__(self, graph: Graph, divergent: set[str]) -> None:
        self.graph = graph
        self.divergent = divergent
        self.region_of: dict[str, Region] = {}  # the region of which a block is main
        self.top = self._region(graph.entry, frozenset(graph.order), EXIT)

    def _region(self, entry: str, blocks: frozenset[str], exit_: str | None) -> Region:
        region = Region(entry, blocks, exit_)
        apart: set[str] = set()
        if exit_ is not None:
            apart = self._apart(blocks)
        region.main = [b for b in self.graph.order if b in blocks and b not in apart]
        for block in region.main:
            self.region_of[block] = region
        for members in self._connected(region, apart):
            region.components.append(self._component(region, frozenset(members)))
        return region

    def _apart(self, blocks: frozenset[str]) -> set[str]:
        """The blocks of a region that only some lanes run at a time."""
        apart: set[str] = set()
        for block in blocks & self.divergent:
            stop = self.graph.post_dominator[block]
            apart |= self.graph.between(self.graph.successors[block], stop)
        return apart

    def _connected(self, region: Region, apart: set[str]) -> list[set[str]]:
        parent = {b: b for b in apart}

        def find(b: str) -> str:
            while parent[b] != b:
                b = parent[b]
            return b

        for block in region.blocks:
            targets = [t for t in self.graph.successors[block] if t in apart]
            if block in apart:
                targets.append(block)
            elif block not in self.divergent:
                continue  # a uniform branch goes one way only
            for a, b in pairwise(targets):
                parent[find(a)] = find(b)
        groups: dict[str, set[str]] = {}
        for block in sorted(apart, key=self.graph.position.__getitem__):
            groups.setdefault(find(block), set()).add(block)
        return list(groups.values())

    def _component(self, parent: Region, blocks: frozenset[str]) -> Component:
        graph = self.graph
        targets = {t for b in blocks for t in graph.successors[b] or [EXIT]} - blocks
        if len(targets) != 1:
            raise NotVectorised("a branch whose ways never meet again")
        component = Component(parent, blocks, targets.pop())
        regions: list[Region] = []
        covered: set[str] = set()
        for block in graph.order:
            if block not in blocks or block in covered:
                continue
            region = self._largest(block, blocks)
            if region is None:
                region = self._region(block, frozenset({block}), None)
            covered |= region.blocks
            regions.append(region)
        self._lay_out(component, regions)
        return component

    def _largest(self, entry: str, within: frozenset[str]) -> Region | None:
        """The largest region with this entry: all its lanes run together from there."""
        graph = self.graph
        best: tuple[frozenset[str], str] | None = None
        stop = graph.post_dominator[entry]
        while stop != EXIT or best is None:
            blocks = graph.between([entry], stop)
            if not blocks <= within or not all(graph.dominates(entry, b) for b in blocks):
                break
            frozen = frozenset(blocks)
            ways_in = {p for b in blocks if b != entry for p in graph.predecessors[b]} - blocks
            if not ways_in and entry not in self._apart(frozen):
                best = frozen, stop
            if stop == EXIT or stop not in within:
                break
            stop = graph.post_dominator[stop]
        return self._region(entry, *best) if best else None

    def _lay_out(self, component: Component, regions: list[Region]) -> None:
        graph = self.graph
        owner = {b: r for r in regions for b in r.blocks}
        next_: dict[str, list[str]] = {}  # between regions, by their entries
        for region in regions:
            targets = [t for b in region.blocks for t in graph.successors[b] if t in owner]
            entries = (owner[t].entry for t in targets if t not in region.blocks)
            next_[region.entry] = list(dict.fromkeys(entries))
        # Loops that run through more than one region, or around a lone block.
        loops: dict[str, set[str]] = {}
        for header, blocks in graph.loops.items():
            if header not in owner or owner[header].entry != header:
                continue
            members = {owner[b].entry for b in blocks if b in owner}
            around = any(header in next_[m] for m in members if m != header)
            lone = owner[header].exit is None and header in graph.successors[header]
            # A loop may also lead through blocks where lanes meet, outside of the component.
            if (around or lone) and blocks <= component.blocks:
                loops[header] = members
        order, ends = _line(list(next_), next_, loops)
        nodes = {r.entry: Node(component, r, f"n.{r.entry}") for r in regions}
        for region in regions:
            region.node = nodes[region.entry]
        component.nodes = [nodes[name] for name in order]
        for name, headers in ends.items():
            nodes[name].repeats = [nodes[h] for h in headers]


def _line(
    names: list[str], successors: dict[str, list[str]], loops: dict[str, set[str]]
) -> tuple[list[str], dict[str, list[str]]]:
    """Names in topological order with each loop in one piece, header first; and for the last name
    of each loop the headers, innermost first."""
    ends: dict[str, list[str]] = {}

    def arrange(members: set[str], header: str | None) -> list[str]:
        inner = [h for h in loops if h in members and h != header]
        # Only the outermost of the inner loops; each stands for its members.
        outer = [h for h in inner if not any(h in loops[o] and o != h for o in inner)]
        stands_for = {m: h for h in outer for m in loops[h]}

        def representative(name: str) -> str:
            return stands_for.get(name, name)

        edges: dict[str, list[str]] = {}
        for name in (n for n in names if n in members):  # not the set: the same code every time
            targets = (representative(t) for t in successors[name] if t in members and t != header)
            mine = representative(name)
            edges.setdefault(mine, []).extend(t for t in targets if t != mine)
        ordered: list[str] = []
        for name in _topological([representative(n) for n in names if n in members], edges):
            ordered += arrange(loops[name], name) if name in outer else [name]
        if header is not None:
            ends.setdefault(ordered[-1], []).append(header)
        return ordered

    return arrange(set(names), None), ends


def _topological(names: list[str], edges: dict[str, list[str]]) -> list[str]:
    waiting = dict.fromkeys(names, 0)
    for name in waiting:
        for target in set(edges.get(name, ())):
            waiting[target] += 1
    ready = [n for n, count in waiting.items() if not count]
    order: list[str] = []
    while ready:
        name = ready.pop(0)
        order.append(name)
        for target in dict.fromkeys(edges.get(name, ())):
            waiting[target] -= 1
            if not waiting[target]:
                ready.insert(0, target)
    if len(order) != len(waiting):
        raise NotVectorised("a loop with several ways in")
    return order
