"""From canonical text to a function in the form that the vectoriser works on.

One exit, loops with a preheader and one latch, values leaving loops through phis, branches instead
of switches, no constant expressions, 64-bit indices: LLVM's own passes do most of it.
"""

from __future__ import annotations

from pymetal.air import ir
from pymetal.air.ir import Function, Instruction, Module
from pymetal.air.ir.types import I64, IntegerType
from pymetal.air.ir.values import Local, Value
from pymetal.air.llvm_module import run_passes
from pymetal.cpu import jit
from pymetal.cpu.vectorise.endless import give_ways_out
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.reasons import NotVectorised

_PASSES = (
    "lower_switch",
    "unify_function_exit_nodes",
    "loop_simplify",
    "lcssa",
    "instruction_namer",
)


def prepare(text: str, name: str) -> tuple[Module, Function]:
    """The module and its function `name`."""
    read = _normal(text)
    function = read.functions[name]
    if give_ways_out(function):
        read = _normal(str(read))
        function = read.functions[name]
    for other in read.functions.values():
        if other is not function and not other.is_declaration:
            raise NotVectorised(f"'{other.name}', which was not inlined")
    ir.expand_constant_expressions(function)
    _widen_indices(function)
    return read, function


def _normal(text: str) -> Module:
    with jit.lock:
        machine = jit.target_machine()
        module = jit.parse(text, machine)
        run_passes(module, machine, *_PASSES)
        return ir.read(str(module))


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


def merge_casts(function: Function, graph: Graph) -> None:
    """Casts of one value in one block become one, and phis between them go.

    LLVM leaves `zext nneg` beside `zext` of the same value, and a phi that chooses between the two
    would look as if lanes had different values.
    """
    instead: dict[str, Value] = {}

    def current(value: Value) -> Value:
        while isinstance(value, Local) and value.name in instead:
            value = instead[value.name]
        return value

    for block in function.blocks:
        seen: dict[tuple[str, str, str], Instruction] = {}
        for i in block.instructions:
            if i.opcode not in ("zext", "sext"):
                continue
            key = i.opcode, i.type.text, i.operands[0].text
            if key in seen:
                instead[i.name] = seen[key].result
                seen[key].flags = ()
            else:
                seen[key] = i
    if not instead:
        return
    home = {i.name: b.name for b in function.blocks for i in b.instructions}

    def loops(name: str) -> set[str]:
        return {header for header, body in graph.loops.items() if home[name] in body}

    for i in function.instructions:
        values = {current(v) for v in i.operands}
        if i.opcode == "phi" and len(values) == 1 and len(set(i.operands)) > 1:
            (value,) = values
            # Values leave loops through phis, which stay.
            if isinstance(value, Local) and loops(value.name) <= loops(i.name):
                instead[i.name] = value
    for block in function.blocks:
        block.instructions = [i for i in block.instructions if i.name not in instead]
        for i in block.instructions:
            i.operands = [current(v) for v in i.operands]
