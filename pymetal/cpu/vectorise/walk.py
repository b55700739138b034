"""Control flow: regions and their components written out (see regions.py).

A main block's branch stays a branch. A divergent branch leaves each of its targets the lanes that
take it, as pending masks, and control goes down the component's line of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pymetal.air.ir import Block, Instruction
from pymetal.air.ir.values import Constant, Local, Value
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import agreement
from pymetal.cpu.vectorise.emitter import ALL, MASK, Emitter
from pymetal.cpu.vectorise.graph import EXIT
from pymetal.cpu.vectorise.matrix import mask_of_elements
from pymetal.cpu.vectorise.regions import Component, Node, Region

# Instructions up to which blocks that some lanes run are also written for all of them at once.
_MAX_TWICE = 600


class Walker:
    """Writes a whole function; `lower` writes one instruction."""

    def __init__(self, emitter: Emitter, lower: Callable[[Emitter, Instruction], None]) -> None:
        self.e = emitter
        self.lower = lower
        self.blocks = {b.name: b for b in emitter.function.blocks}
        self.labels: dict[str, str] = {}  # of blocks, where they are being written now
        self.regions = emitter.shapes.regions
        self.pending: dict[Node, str] = {}
        self.node_labels: dict[Node, str] = {}
        size = sum(len(b.instructions) for b in emitter.function.blocks)
        self.twice = size <= _MAX_TWICE
        self.rank = {name: k for k, name in enumerate(_in_line(self.regions.top))}

    def run(self) -> None:
        top = self.regions.top
        self.region(top, None if self.e.full else "%mask")

    def region(self, region: Region, mask: str | None) -> None:
        """Write a region, entered from here."""
        e = self.e
        for name in region.main:
            self.labels[name] = e.fresh_label("b")
        for component in region.components:
            for node in component.nodes:
                self.node_labels[node] = e.fresh_label("n")
        e.do(f"br label %{self.labels[region.entry]}")
        for name in region.main:
            self.block(self.blocks[name], region, mask)
        for component in region.components:
            self.component(component, mask)

    def component(self, component: Component, outer: str | None) -> None:
        e = self.e
        for k, node in enumerate(component.nodes):
            label = self.label(node)
            slot = self.mask_slot(node)
            e.label(label)
            mask = e.let(f"load {MASK}, ptr {slot}")
            e.do(f"store {MASK} zeroinitializer, ptr {slot}")
            if outer is None and self.twice:
                self.branch_if_all(mask, f"{label}.all", f"{label}.some")
                e.label(f"{label}.all")
                self.region(node.region, None)
                e.label(f"{label}.some")
            self.branch_if_any(mask, f"{label}.run", f"{label}.end")
            e.label(f"{label}.run")
            self.region(node.region, mask)
            e.label(f"{label}.end")
            for header in node.repeats:
                waiting = e.let(f"load {MASK}, ptr {self.mask_slot(header)}")
                onwards = e.fresh_label("on")
                self.branch_if_any(waiting, self.label(header), onwards)
                e.label(onwards)
            if k + 1 < len(component.nodes):
                e.do(f"br label %{self.label(component.nodes[k + 1])}")
            elif component.exit in component.parent.main:
                e.do(f"br label %{self.labels[component.exit]}")
            else:
                self.leave(component.parent, component.exit, outer)

    def branch_if_all(self, mask: str, then: str, otherwise: str) -> None:
        e = self.e
        bits = e.let(f"bitcast {MASK} {mask} to i{LANES}")
        e.do(f"br i1 {e.let(f'icmp eq i{LANES} {bits}, -1')}, label %{then}, label %{otherwise}")

    def branch_if_any(self, mask: str, then: str, otherwise: str) -> None:
        e = self.e
        bits = e.let(f"bitcast {MASK} {mask} to i{LANES}")
        some = e.let(f"icmp ne i{LANES} {bits}, 0")
        e.do(f"br i1 {some}, label %{then}, label %{otherwise}")

    def label(self, node: Node) -> str:
        return self.node_labels[node]

    def mask_slot(self, node: Node) -> str:
        if node not in self.pending:
            slot = self.e.stack(MASK)
            self.e.head.append(f"  store {MASK} zeroinitializer, ptr {slot}")
            self.pending[node] = slot
        return self.pending[node]

    # Blocks

    def block(self, block: Block, region: Region, mask: str | None) -> None:
        e = self.e
        e.label(self.labels[block.name])
        e.begin(block.name, mask)
        for phi in block.phis:
            if phi.name in e.shapes.matrices:
                continue  # its slot is where the edges put it
            type_ = e.stored_type(phi.name, phi.type)
            e.define(phi, e.take(type_, e.slot(phi.name, "phi")))
        for instruction in block.instructions[:-1]:
            if instruction.opcode != "phi":
                self.lower(e, instruction)
        self.terminator(block, region)

    def terminator(self, block: Block, region: Region) -> None:
        e = self.e
        targets = block.terminator.successors
        if not targets:
            self.leave(region, EXIT, e.mask)
        elif len(targets) == 1:
            self.edge(block, targets[0], region)
        elif block.name in self.regions.divergent:
            self.divergent(block, region)
        else:
            condition = e.scalar(block.terminator.operands[0])
            labels = [e.fresh_label("edge") for _ in targets]
            e.do(f"br i1 {condition}, label %{labels[0]}, label %{labels[1]}")
            here = dict(e.known), dict(e.vectors), dict(e._masks)
            for label, target in zip(labels, targets, strict=True):
                e.label(label)
                e.known, e.vectors, e._masks = (dict(d) for d in here)
                self.edge(block, target, region)

    def edge(self, block: Block, target: str, region: Region) -> None:
        """All lanes go to `target`."""
        inside = region.exit is not None and target in region.blocks
        self.set_phis(block, target, None if inside else self.e.mask)
        self.go(region, target)

    def go(self, region: Region, target: str) -> None:
        e = self.e
        if region.exit is not None and target in region.blocks:
            component = region.component_of(target)
            if component is None:
                e.do(f"br label %{self.labels[target]}")
            else:
                self.pend(component.node_of(target), e.mask_text())
                e.do(f"br label %{self.label(component.nodes[0])}")
        else:
            self.leave(region, target, e.mask)

    def leave(self, region: Region, target: str, mask: str | None) -> None:
        """All lanes of a region go on outside."""
        e = self.e
        if region.node is None:
            e.do("ret void")
            return
        component = region.node.component
        if target in component.blocks:
            self.pend(component.node_of(target), mask or ALL)
        e.do(f"br label %{self.label(region.node)}.end")

    def divergent(self, block: Block, region: Region) -> None:
        e = self.e
        self.together(block, region)
        condition = e.vector(block.terminator.operands[0])
        no = e.let(f"xor {MASK} {condition}, {ALL}")
        masks = [condition, no]
        if e.mask is not None:
            masks = [e.among(e.mask, m) for m in masks]
        home: Component | None = None
        for target, mask in zip(block.terminator.successors, masks, strict=True):
            self.set_phis(block, target, mask)
            if region.exit is None:
                assert region.node is not None
                component = region.node.component
                waits = target in component.blocks
            else:
                found = region.component_of(target)
                waits = found is not None
                if found is not None:
                    home = component = found
            if waits:
                self.pend(component.node_of(target), mask)
        if region.exit is None:
            assert region.node is not None
            e.do(f"br label %{self.label(region.node)}.end")
        else:
            assert home is not None
            e.do(f"br label %{self.label(home.nodes[0])}")

    def together(self, block: Block, region: Region) -> None:
        """A short way where all lanes take the same branch; otherwise control goes on here."""
        e = self.e
        if e.mask is not None or not self.twice:
            return
        for target, wanted in zip(block.terminator.successors, (True, False), strict=True):
            agreed = agreement.holds(e, block.terminator.operands[0], wanted)
            if not agreed:
                continue
            label, onwards = e.fresh_label("together"), e.fresh_label("apart")
            e.do(f"br i1 {agreed}, label %{label}, label %{onwards}")
            e.label(label)
            here = dict(e.known), dict(e.vectors), dict(e._masks)
            self.set_phis(block, target, None)
            self.go_together(region, target)
            e.label(onwards)
            e.known, e.vectors, e._masks = here

    def go_together(self, region: Region, target: str) -> None:
        """All 32 lanes go to `target` from the end of a divergent block: none waits elsewhere."""
        component = region.component_of(target) if region.exit is not None else None
        if region.exit is None:
            assert region.node is not None
            component = region.node.component
        if component is not None and target in component.blocks:
            self.e.do(f"br label %{self.label(component.node_of(target))}.all")
            return
        if region.exit is None and component is not None:
            region = component.parent
        if target in region.main:
            self.e.do(f"br label %{self.labels[target]}")
        else:
            self.leave(region, target, None)

    def pend(self, node: Node, mask: str) -> None:
        """These lanes wait for a node."""
        e = self.e
        slot = self.mask_slot(node)
        old = e.let(f"load {MASK}, ptr {slot}")
        e.do(f"store {MASK} {e.let(f'or {MASK} {old}, {mask}')}, ptr {slot}")

    # Phis

    def set_phis(self, block: Block, target: str, mask: str | None) -> None:
        """Give the phis of `target` the values they have when coming from `block`, in the lanes
        of `mask`; None: nobody else's value is there yet, all lanes may be overwritten."""
        e = self.e
        if mask is not None and self.comes_first(block.name, target):
            mask = None
        stores = []
        for phi in self.blocks[target].phis:
            value = next(v for v, source in phi.incoming if source == block.name)
            if isinstance(value, Constant) and value.literal in ("poison", "undef"):
                continue
            type_ = e.stored_type(phi.name, phi.type)
            slot = e.slot(phi.name, "phi")
            if isinstance(value, Local) and e.shares_slot(value.name, slot):
                continue
            type_, text = e.as_integers(type_, self.phi_value(phi, value))
            if mask is not None and e.shapes.shapes[phi.name] is None:
                old = e.let(f"load {type_}, ptr {slot}")
                chosen, lanes = mask, MASK
                if phi.name in e.shapes.matrices:
                    chosen, lanes = mask_of_elements(e, mask), "<64 x i1>"
                text = e.let(f"select {lanes} {chosen}, {type_} {text}, {type_} {old}")
            stores.append(f"store {type_} {text}, ptr {slot}")
        for store in stores:
            e.do(store)

    def comes_first(self, block: str, target: str) -> bool:
        """Whether no lanes that come by other edges wait for `target` when some come from `block`.

        Lanes that wait go on before any loop starts over that leads through both. So those of a
        loop without `target` may wait for others of it; else the first of the edges in the line is
        the first, be it of those into a loop or of those back to its header.
        """
        graph = self.e.shapes.graph
        if any(block in body and target not in body for body in graph.loops.values()):
            return False
        loop = graph.loops.get(target, {target})
        others = [p for p in graph.predecessors[target] if (p in loop) == (block in loop)]
        return all(self.rank[block] <= self.rank[other] for other in others)

    def phi_value(self, phi: Instruction, value: Value) -> str:
        e = self.e
        if phi.name in e.shapes.matrices:
            if isinstance(value, Local):
                return e._fetch(value.name, value.type)
            return value.text
        return e.vector(value) if e.shapes.shapes[phi.name] is None else e.scalar(value)


def _in_line(region: Region) -> Iterator[str]:
    """The blocks in the order in which they are written: nodes of a component in its order."""
    yield from region.main
    for component in region.components:
        for node in component.nodes:
            yield from _in_line(node.region)
