"""Which buffers addresses lie in, and which of these a kernel writes and never reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymetal.air.canonical import CanonicalFunction
from pymetal.air.ir import Function, Instruction
from pymetal.air.ir.values import Local, Value

# What an address comes through.
_TRANSPARENT = frozenset(["getelementptr", "phi", "select", "freeze", "bitcast", "addrspacecast"])
_SYNCHRONISING = frozenset(["atomicrmw", "cmpxchg", "fence"])


# Each store that may go past the caches is written twice, with a branch.
_MOST_STORES = 8


class Buffers:
    """A function's.

    outputs   those that it only writes, if nobody else may wait for what is in them: parameter ->
              which of the launch's buffers it is
    """

    def __init__(self, function: Function, canonical: CanonicalFunction) -> None:
        self.outputs: dict[str, int] = {}
        self._roots: dict[str, frozenset[str]] = {}
        instructions = list(function.instructions)
        buffers = [p.name for p in canonical.parameters if p.role == "buffer"]
        self._follow(instructions, buffers)
        if any(i.opcode in _SYNCHRONISING or i.ordering for i in instructions):
            return
        stores: list[frozenset[str]] = []
        read: set[str] = set()
        for i in instructions:
            if i.opcode == "store":
                stores.append(self._of(i.operands[1:]))
                read |= self._of(i.operands[:1])
            elif i.opcode not in _TRANSPARENT:
                read |= self._of(i.operands)
        stores = [roots for roots in stores if roots and not roots & read]
        if len(stores) <= _MOST_STORES:
            names = sorted(set().union(*stores))
            self.outputs = {name: buffers.index(name) for name in names}

    def output(self, address: Value) -> str:
        """Which output an address lies in; "" if in none, or nobody knows."""
        roots = self._of([address])
        return next(iter(roots)) if len(roots) == 1 and roots <= self.outputs.keys() else ""

    def hold(self, address: Value) -> bool:
        """Whether an address lies in any."""
        return bool(self._of([address]))

    def _follow(self, instructions: Sequence[Instruction], buffers: Iterable[str]) -> None:
        """What addresses are made of; phis go round, so until nothing changes."""
        self._roots = {name: frozenset([name]) for name in buffers}
        changed = True
        while changed:
            changed = False
            for i in instructions:
                if i.opcode in _TRANSPARENT:
                    roots = self._of(i.operands)
                    if roots != self._roots.get(i.name, frozenset()):
                        self._roots[i.name] = roots
                        changed = True

    def _of(self, values: Iterable[Value]) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        for value in values:
            if isinstance(value, Local):
                found |= self._roots.get(value.name, frozenset())
        return found
