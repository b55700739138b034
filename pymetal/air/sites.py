"""Sites: numbers of the places where lanes act together, given before anything is optimised.

Lanes that wait at the same site act together, and of several groups that of the lowest site goes
first (docs/air.md, section 4). In program order that makes lanes meet again after every branch:
a block comes after those that lead to it, and what follows a loop after all of the loop. (The
order of the text is another: clang may write the end of a loop before its body.)
Loops need more: a lane that skips the rest of an iteration must not join, in its next one, those
that are still in this one. Where an iteration can end without passing the loop's last site, or that
is in an inner loop, which some lanes leave before others, lanes meet at its end:
`air.simdgroup.converge`, a site of its own, does that for lanes that run one by one; lanes that run
as a vector are together anyway.

The module is text here, and large: lines are looked at, not parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pymetal.air.vocabulary import CONVERGE, is_cross_lane
from pymetal.errors import LibraryError

_CALL = re.compile(
    r"(  (?:%\S+ = )?(?:(?:tail|notail|musttail) )?call [^@]*@(air\.[\w.]+)\(.*?\)(?: #\d+)?)"
    r"((?:, !\w+ !\d+)*)"
)
_PLACE = re.compile(
    r"air\.get_(thread_index_in_simdgroup|simdgroup_index_in_threadgroup)\.i(16|32|64)"
)
_FOR_ALL = re.compile(r"air\.(?:wg\.barrier|simdgroup_matrix_)")
_LABEL = re.compile(r'("[^"]*"|[-\w.$]+):')
_TARGET = re.compile(r'label %("[^"]*"|[-\w.$]+)')
_TERMINATORS = ("  br ", "  switch ", "  indirectbr ", "  ret ", "  unreachable")
DECLARATION = (
    f"\ndeclare void @{CONVERGE}(i32, i32) convergent nounwind willreturn "
    "memory(inaccessiblemem: readwrite)\n"
)


@dataclass
class _Block:
    """`label`, `terminator`, `end`: the lines of its name and of its last instruction's first and
    last words; -1 while they are not known."""

    name: str
    label: int
    terminator: int = -1
    end: int = -1
    successors: list[str] = field(default_factory=list)


@dataclass
class _Site:
    line: int
    block: str
    is_for_all: bool  # all lanes pass it together, or the kernel is at fault


def number_sites(text: str) -> tuple[str, int]:
    """Number what lanes do together, and pass the lane's own place on; returns how many."""
    lines = text.split("\n")
    blocks: list[_Block] = []
    sites: list[_Site] = []
    for i, line in enumerate(lines):
        if line.startswith("define "):
            blocks.append(_Block(f"\n{i}", i))  # the entry, which no branch names
        elif not blocks:
            continue
        elif line.startswith("  "):
            if "@air." in line:
                call = _CALL.fullmatch(line)
                if call is None:
                    raise LibraryError(f"cannot read LLVM IR: {line.strip()}")
                if place := _PLACE.fullmatch(call[2]):
                    lines[i] = f"{line[: line.index('=')]}= {_own(*place.groups())}"
                elif is_cross_lane(call[2]):
                    sites.append(_Site(i, blocks[-1].name, _FOR_ALL.match(call[2]) is not None))
            elif line.startswith(_TERMINATORS):
                blocks[-1].terminator = i
            if blocks[-1].terminator >= 0:  # a switch goes on for lines
                blocks[-1].end = i
                blocks[-1].successors += _TARGET.findall(line)
        elif label := _LABEL.match(line):
            blocks.append(_Block(label[1], i))

    loops = _Loops({block.name: block.successors for block in blocks})
    position = {name: n for n, name in enumerate(loops.program_order())}
    sites.sort(key=lambda site: position.get(site.block, len(position)))  # in a block as they stand
    converging = _converging(blocks, sites, loops)
    # A loop's own site comes after its last one, those of inner loops before those of outer.
    keys = sorted({(k, 0) for k in range(len(sites))} | set(converging.values()))
    numbers = {key: n for n, key in enumerate(keys)}
    for k, site in enumerate(sites):
        call = _CALL.fullmatch(lines[site.line])
        assert call is not None
        lines[site.line] = f"{call[1]} {_attribute(numbers[k, 0])}{call[3]}"
    by_name = {block.name: block for block in blocks}
    for (latch, header), key in converging.items():
        meet = f"  call void @{CONVERGE}(i32 0, i32 0) {_attribute(numbers[key])}\n"
        _put_on_edge(lines, meet, by_name[latch], by_name[header])
    declaration = DECLARATION if converging else ""
    return "\n".join(lines) + declaration, len(keys)


def _own(place: str, bits: str) -> str:
    """The instruction that gives a lane its own place in a type of `bits`."""
    value = "%lane" if place.startswith("thread") else "%simdgroup"
    if bits == "32":
        return f"add i32 {value}, 0"
    return f"{'trunc' if bits == '16' else 'zext'} i32 {value} to i{bits}"


def _attribute(number: int) -> str:
    return f'"pymetal.site"="{number}"'


def _converging(
    blocks: list[_Block], sites: list[_Site], loops: _Loops
) -> dict[tuple[str, str], tuple[int, int]]:
    """Edges (latch, header) on which lanes meet -> (the site after which that counts, rank)."""
    if all(site.is_for_all for site in sites):
        return {}
    found = {}
    for header, latches in loops.latches.items():
        body = loops.body(header)
        inside = [k for k, s in enumerate(sites) if s.block in body and not s.is_for_all]
        if not inside:
            continue
        last = sites[inside[-1]].block
        own = loops.innermost(last) == header
        if own and all(loops.dominates(last, latch) for latch in latches):
            continue
        rank = 1 + len(loops.latches) - loops.depth(header)
        for latch in latches:
            found[latch, header] = (inside[-1], rank)
    return found


def _put_on_edge(lines: list[str], instruction: str, source: _Block, target: _Block) -> None:
    """Have `instruction` run from `source` to `target`, and on no other way."""
    if source.successors == [target.name]:
        lines[source.terminator] = instruction + lines[source.terminator]
        return
    name = f"meet.{source.end}.{target.label}"
    old, new = (re.escape(f"%{block.name}") for block in (target, source))
    for i in range(source.terminator, source.end + 1):
        lines[i] = re.sub(rf"label {old}(?![-\w.$])", f"label %{name}", lines[i])
    for i in range(target.label + 1, target.terminator):
        if " = phi " in lines[i]:
            # A phi names the way in once for each case of a switch; one is left.
            once = re.sub(rf"{new} \]", f"%{name} ]", lines[i], count=1)
            lines[i] = re.sub(rf", \[ [^\[\]]*, {new} \]", "", once)
    lines[source.end] += f"\n\n{name}:\n{instruction}  br label %{target.name}"


class _Loops:
    """The natural loops of a control-flow graph, by header. Unreachable blocks are left out."""

    def __init__(self, successors: Mapping[str, list[str]]) -> None:
        reached: dict[str, int] = {}
        order: list[str] = []
        for entry in (name for name in successors if name.startswith("\n")):
            order = _reverse_postorder(entry, successors, reached) + order
        self._position = {name: i for i, name in enumerate(order)}
        self._predecessors: dict[str, list[str]] = {name: [] for name in order}
        for name in order:
            for target in successors[name]:
                self._predecessors[target].append(name)
        self._dominator: dict[str, str] = {}
        self._find_dominators(order)
        self.latches: dict[str, list[str]] = {}
        for name in order:
            for target in successors[name]:
                back = self._position[target] <= self._position[name]
                latches = self.latches.get(target, [])
                if back and name not in latches and self.dominates(target, name):
                    self.latches[target] = [*latches, name]
        self._bodies: dict[str, set[str]] = {}

    def program_order(self) -> list[str]:
        """The blocks, each after those that lead to it, and those of a loop side by side."""
        order = list(self._position)  # in reverse postorder
        for header in sorted(self.latches, key=self.depth, reverse=True):
            start, body = order.index(header), self.body(header)
            rest = order[start:]
            # Only its header leads into a loop, so that its other blocks may come forward.
            inside = [name for name in rest if name in body]
            order[start:] = inside + [name for name in rest if name not in body]
        return order

    def dominates(self, a: str, b: str) -> bool:
        """Whether every path to `b` passes `a`."""
        while self._position[b] > self._position[a]:
            b = self._dominator[b]
        return a == b

    def body(self, header: str) -> set[str]:
        """The blocks of a loop."""
        if header not in self._bodies:
            body = {header}
            pending = list(self.latches[header])
            while pending:
                name = pending.pop()
                if name not in body:
                    body.add(name)
                    pending += self._predecessors[name]
            self._bodies[header] = body
        return self._bodies[header]

    def innermost(self, block: str) -> str:
        """The header of the innermost loop that a block is in; "" if it is in none."""
        around = [header for header in self.latches if block in self.body(header)]
        return max(around, key=self.depth, default="")

    def depth(self, header: str) -> int:
        """How many loops a loop is in, itself included."""
        return sum(header in self.body(other) for other in self.latches)

    def _find_dominators(self, order: list[str]) -> None:
        """Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001)."""
        dominator, position = self._dominator, self._position
        changed = True
        while changed:
            changed = False
            for name in order:
                known = [p for p in self._predecessors[name] if p in dominator]
                best = known[0] if known else name
                for other in known[1:]:
                    while best != other:
                        while position[best] > position[other]:
                            best = dominator[best]
                        while position[other] > position[best]:
                            other = dominator[other]
                if dominator.get(name) != best:
                    dominator[name] = best
                    changed = True


def _reverse_postorder(
    entry: str, successors: Mapping[str, list[str]], reached: dict[str, int]
) -> list[str]:
    """The blocks reachable from `entry`, each after those before it, back edges aside."""
    order: list[str] = []
    reached[entry] = 0  # how many of its successors were followed
    stack = [entry]
    while stack:
        name = stack[-1]
        if reached[name] < len(successors[name]):
            # Backwards: what is followed last comes first, so that `then` stands before `else`.
            target = successors[name][-1 - reached[name]]
            reached[name] += 1
            if target not in reached:
                reached[target] = 0
                stack.append(target)
        else:
            order.append(stack.pop())
    return order[::-1]
