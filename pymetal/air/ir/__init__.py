"""A small, strict reader and writer of textual LLVM IR as llvmlite prints it.

`read(text)` gives a `Module` of functions, blocks and instruction objects; `str(module)` writes it
back. What it does not know it refuses with the offending line, so nothing is misread silently.
"""

from pymetal.air.ir.expand import expand_constant_expressions
from pymetal.air.ir.instruction import Instruction
from pymetal.air.ir.module import Block, Function, GlobalVariable, Module, Parameter
from pymetal.air.ir.read import read

__all__ = [
    "Block",
    "Function",
    "GlobalVariable",
    "Instruction",
    "Module",
    "Parameter",
    "expand_constant_expressions",
    "read",
]
