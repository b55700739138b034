"""How long LLVM will take for a function, told from its text.

LLVM cannot be interrupted, and a kernel shall not compile for longer than a user waits: whoever has
code that would take longer asks for less. Instruction selection takes half of the time, register
allocation a quarter. What they take longest for are masks (each i1 becomes a byte, or a lane of
whatever it chooses between), values that go from block to block, and calls. The weights are fitted
to kernels of MLX's and the shipped ones on the slowest machine that we have (AVX2, several jobs a
core): half of them take less than 0.72 of what is predicted, one in twenty more than 1.35.
"""

from __future__ import annotations

import re
from itertools import groupby

from pymetal.cpu.lanes import LANES

# A kernel's whole compilation takes SECONDS at most; code generation is most of it.
SECONDS = 5.0
CODE_GENERATION_SECONDS = 3.5

# Seconds of code generation for a line, by what it has
_SCALAR = 5e-5
_VECTOR = 8e-5
_REGISTER = 2.5e-5  # of 32 bytes, that a vector fills
_MASK = 3e-4
_PHI_REGISTER = 1e-4
_CALL = 9e-4
_PAIR = 1e-7  # of lines of a block
_OPTIMISATION = 1.2e-4  # a line of what goes in

_VECTOR_TYPE = re.compile(r"<(\d+) x ([a-z]+)(\d*)>")
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "ptr": 64}
_REGISTER_BITS = 256


def optimisation(text: str) -> float:
    """Seconds that LLVM's passes may take for a module without vectors."""
    return _OPTIMISATION * text.count("\n")


def code_generation(text: str) -> float:
    """Seconds from an optimised module to object code."""
    seconds = 0.0
    for starts_block, lines in groupby(text.split("\n"), key=_starts_block):
        if not starts_block:
            block = [line for line in lines if line.startswith("  ")]
            seconds += sum(map(_line, block)) + _PAIR * len(block) ** 2
    return seconds


def _line(line: str) -> float:
    seconds = _CALL if " call " in line else 0.0
    vectors = _VECTOR_TYPE.findall(line) if " x " in line else []
    if not vectors:
        return seconds + _SCALAR
    registers = max(map(_registers, vectors))
    if f"<{LANES} x i1>" in line:
        seconds += _MASK
    if " = phi <" in line:
        seconds += _PHI_REGISTER * registers
    return seconds + _VECTOR + _REGISTER * registers


def _registers(vector: tuple[str, str, str]) -> float:
    """How many registers a vector type fills; an i1 takes a byte."""
    count, kind, bits = vector
    width = max(int(bits), 8) if kind == "i" and bits else _BITS.get(kind, 32)
    return int(count) * width / _REGISTER_BITS


def _starts_block(line: str) -> bool:
    """Whether the line is a label or a function's head."""
    return not line.startswith(" ")
