"""Values as messages show them: short, whatever they are."""

from __future__ import annotations

import reprlib


class _Shown(reprlib.Repr):
    """Python refuses to print ints of thousands of digits; an error about one must not fail."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 128 else f"<int of {x.bit_length()} bits>"


shown = _Shown().repr


def counted(number: int, noun: str) -> str:
    """`1 kernel`, `2 kernels`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
