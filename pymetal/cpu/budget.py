"""How long LLVM will take for a function, told from its text.

LLVM cannot be interrupted, and a kernel shall not compile for longer than a user waits: whoever has
code that would take longer asks for less. The figures are seconds measured on the slowest machine
that we have (AVX2, several jobs a core): instruction selection and register allocation take most,
vectors of 32 lanes are several registers each, and selection looks at pairs within a block.
"""

from __future__ import annotations

from itertools import groupby

# A kernel's whole compilation takes SECONDS at most; code generation is most of it.
SECONDS = 5.0
CODE_GENERATION_SECONDS = 3.5

_SCALAR = 1.1e-4
_VECTOR = 3.6e-4
_PAIR = 1.0e-7
_OPTIMISATION = 1.2e-4  # a line of what goes in


def optimisation(text: str) -> float:
    """Seconds that LLVM's passes may take for a module without vectors."""
    return _OPTIMISATION * text.count("\n")


def code_generation(text: str) -> float:
    """Seconds from an optimised module to object code."""
    seconds = 0.0
    for starts_block, lines in groupby(text.split("\n"), key=_starts_block):
        if starts_block:
            continue
        block = [line for line in lines if line.startswith("  ")]
        vectors = sum(" x " in line for line in block)
        seconds += _VECTOR * vectors + _SCALAR * (len(block) - vectors) + _PAIR * len(block) ** 2
    return seconds


def _starts_block(line: str) -> bool:
    """Whether the line is a label or a function's head."""
    return not line.startswith(" ")
