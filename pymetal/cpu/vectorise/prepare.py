"""From canonical text to a function in the form that the vectoriser works on.

One exit, loops with a preheader and one latch, values leaving loops through phis, branches instead
of switches, no constant expressions, 64-bit indices: LLVM's own passes do most of it.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm

from pymetal.air import ir
from pymetal.air.ir import Function, Instruction, Module
from pymetal.air.ir.types import I64, IntegerType
from pymetal.cpu import jit
from pymetal.cpu.vectorise.reasons import NotVectorised

_PASSES = ("lower_switch", "unify_function_exit_nodes", "loop_simplify", "lcssa")


def prepare(text: str, name: str) -> tuple[Module, Function]:
    """The module and its function `name`."""
    with jit.lock:
        machine = jit.target_machine()
        module = jit.parse(text, machine)
        _run(module, machine)
        normal = str(module)
    read = ir.read(normal)
    function = read.functions[name]
    for other in read.functions.values():
        if other is not function and not other.is_declaration:
            raise NotVectorised(f"'{other.name}', which was not inlined")
    ir.expand_constant_expressions(function)
    _widen_indices(function)
    return read, function


def _run(module: Any, machine: Any) -> None:
    manager = llvm.create_new_module_pass_manager()
    for name in (*_PASSES, "instruction_namer"):
        getattr(manager, f"add_{name}_pass")()
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    manager.run(module, llvm.create_pass_builder(machine, options))


def _widen_indices(function: Function) -> None:
    """Indices of getelementptr are sign-extended to 64 bits; say so."""
    for block in function.blocks:
        out: list[Instruction] = []
        for i in block.instructions:
            if i.opcode == "getelementptr":
                for k, index in enumerate(i.operands[1:], 1):
                    type_ = index.type
                    if not isinstance(type_, IntegerType):
                        raise NotVectorised("vectors of pointers")
                    if type_.bits < 64 and not index.text.lstrip("-").isdigit():
                        wider = Instruction("sext", function.fresh("index"), I64, [index])
                        out.append(wider)
                        i.operands[k] = wider.result
            out.append(i)
        block.instructions = out
