"""Private arrays: every lane has its own, laid out so that neighbouring lanes lie side by side.

An array whose elements are all accessed whole, with one size, is interleaved: element 0 of all 32
lanes, then element 1 of all lanes… An access at an index that all lanes share is then one vector
load. Its addresses are computed with steps 32 times as large. An array used in other ways (mixed
element sizes, its address stored) is kept whole, one lane's after another's.
"""

from __future__ import annotations

from pymetal.air.ir import Function, Instruction
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.values import Local
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise.addresses import gep_terms
from pymetal.cpu.vectorise.reasons import NotVectorised

_MAX_BYTES = 16 * 1024  # a lane


class PrivateArrays:
    """The layout of a function's allocas."""

    def __init__(self, function: Function, layout: Layout) -> None:
        self.sizes: dict[str, int] = {}
        self._element: dict[str, int] = {}  # of interleaved arrays
        self._array_of: dict[str, str] = {}  # pointers into interleaved arrays
        for i in function.instructions:
            if i.opcode == "alloca":
                if i.operands or i.source_type is None:
                    raise NotVectorised("a private array of a length that only the run knows")
                self.sizes[i.name] = layout.size(i.source_type)
        total = sum(self.sizes.values())
        if total > _MAX_BYTES:
            raise NotVectorised(f"{total} bytes of private arrays a thread")
        if self.sizes:
            self._interleave(function, layout)

    def lane_stride(self, name: str) -> int:
        """Bytes from one lane's array to the next lane's."""
        return self._element.get(name, self.sizes[name])

    def scale(self, pointer: str) -> int:
        """What steps of address arithmetic with this result are multiplied by."""
        return LANES if pointer in self._array_of else 1

    def _interleave(self, function: Function, layout: Layout) -> None:
        users: dict[str, list[Instruction]] = {}
        for i in function.instructions:
            for operand in i.operands:
                if isinstance(operand, Local):
                    users.setdefault(operand.name, []).append(i)
        for name in self.sizes:
            pointers = {name}
            sizes: set[int] = set()
            pending = [name]
            while pending and sizes is not None:
                pointer = pending.pop()
                for user in users.get(pointer, ()):
                    if not self._regular(user, pointer, sizes, layout):
                        sizes = {0, 1}  # two sizes: not interleaved
                    elif user.opcode == "getelementptr" and user.name not in pointers:
                        pointers.add(user.name)
                        pending.append(user.name)
            if len(sizes) == 1:
                (element,) = sizes
                if self._divides(function, pointers, element, layout):
                    self._element[name] = element
                    self._array_of |= dict.fromkeys(pointers, name)

    @staticmethod
    def _regular(user: Instruction, pointer: str, sizes: set[int], layout: Layout) -> bool:
        if user.opcode == "load":
            sizes.add(layout.size(user.type))
            return True
        if user.opcode == "store":
            value = user.operands[0]
            sizes.add(layout.size(value.type))
            return not (isinstance(value, Local) and value.name == pointer)
        return user.opcode == "getelementptr"

    @staticmethod
    def _divides(function: Function, pointers: set[str], element: int, layout: Layout) -> bool:
        for i in function.instructions:
            if i.opcode == "getelementptr" and i.name in pointers:
                terms = gep_terms(i, layout)
                steps = (terms.bytes, *(step for _, step in terms.scaled))
                if any(step % element for step in steps):
                    return False
        return True
