"""Sites: the checks in a kernel's code, which the native side knows by number."""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.cpu.checks.locations import Place

# Numbers of `Space` in native/cpu/checks.h.
UNKNOWN, BUFFER, VARIABLE, ARGUMENT, STACK = range(5)


@dataclass(frozen=True)
class Site:
    """One check in the code. `what` is "load", "store", "atomic", "matrix", "shift", …

    `space`, `index` and `object_bytes` say what is accessed (see checks.h); `name` is its name in
    the source where the pass knows it. `unit` is the bytes of a scalar of the access.
    """

    what: str
    place: Place
    space: int = UNKNOWN
    index: int = 0
    object_bytes: int = 0
    size_bytes: int = 0
    align: int = 1
    reads: bool = False
    writes: bool = False
    atomic: bool = False
    name: str = ""
    unit: int = 1
    scalar: str = ""

    @property
    def native(self) -> tuple[int, int, int, int, int, bool, bool, bool]:
        """As `_native.Checks` takes it."""
        return (
            self.space,
            self.index,
            self.object_bytes,
            self.size_bytes,
            self.align,
            self.reads,
            self.writes,
            self.atomic,
        )
