"""Vectorised code of many kernels as one module.

LLVM's code generation is most of what a seed costs, and most of that are the functions which
kernels share: loads and stores an address a lane, division, conversions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from pymetal import _native
from pymetal.air.canonical import CanonicalFunction
from pymetal.cpu import engines, jit
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.jit import NativeCode
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.vectorise import vectorise

_FUNCTION = re.compile(r"^define .*?^}\n", re.M | re.S)
_NAME = re.compile(r"@([-\w.$]+)\(")
# Not those of helpers (vectorise/each.py), which are as alike as their names.
_GLOBAL = re.compile(r"^@(?!pattern\.)([-\w.$]+) = ", re.M)
_SPILLED = 256 << 10
_OWN = ("kernel", "entry")  # functions that each kernel has


class Loaded(Compiled):
    """One of many kernels whose code is loaded once."""

    def _linked(self) -> _native.Code:
        return _loaded(self.code)


@lru_cache(2)
def _loaded(code: bytes) -> _native.Code:
    return _native.Code(code)


def compiled(
    functions: Sequence[CanonicalFunction],
    layout: LaneLayout,
    optimise: Callable[[Any], None],
) -> list[Compiled]:
    """The code of each kernel for a layout, generated with no trouble taken."""
    lowered = [vectorise(function, layout) for function in functions]
    text = _merged([one.ir for one in lowered])
    module = jit.parse(text, jit.target_machine())
    module.verify()
    optimise(module)
    # Enough for each: entries have no arrays. Code made without trouble keeps much on the stack.
    private = jit._private_bytes(module, "entry.0") + _SPILLED
    code = bytes(jit.target_machine(0).emit_object(module))
    return [
        Loaded(
            **vars(
                engines._compiled(
                    function,
                    NativeCode(code, private),
                    engine="vectorised",
                    entry=f"entry.{k}",
                    granularity=engines._GRANULARITY[one.axis],
                    full=one.full,
                    suspends=one.suspends,
                    streams=one.streams,
                )
            )
        )
        for k, (function, one) in enumerate(zip(functions, lowered, strict=True))
    ]


def _merged(texts: Sequence[str]) -> str:
    """One text of many, in which what is a kernel's own has the kernel's number."""
    functions: dict[str, str] = {}
    heads: dict[str, None] = {}
    for k, text in enumerate(texts):
        names = [*_OWN, *_GLOBAL.findall(text)]
        while names:
            text = re.sub(rf"@({'|'.join(map(re.escape, names))})(?![-\w.$])", rf"@\1.{k}", text)
            own = {_NAME.search(f)[1]: f for f in _FUNCTION.findall(text)}
            # A helper of another kernel may have the name of this one's.
            names = [name for name, f in own.items() if functions.get(name, f) != f]
        functions |= own
        # Globals, declarations and types stand on lines of their own.
        heads |= dict.fromkeys(line for line in _FUNCTION.sub("", text).splitlines() if line)
    declared = {_NAME.search(h)[1]: h for h in heads if h.startswith("declare")}
    others = [h for h in heads if not h.startswith("declare")]
    return "\n".join([*others, *declared.values(), *functions.values()])
