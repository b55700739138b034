"""Modules as text that LLVM parses.

Unnamed values are numbered in LLVM's order as they are written, so that instructions may be added
and removed freely.
"""

from __future__ import annotations

from pymetal.air.ir.instruction import BINARY, CASTS, Instruction
from pymetal.air.ir.module import Function, GlobalVariable, Module, Parameter
from pymetal.air.ir.values import Local, Value

Names = dict[str, str]  # what an unnamed local is to be called


def module_text(module: Module) -> str:
    lines = []
    if module.source_filename:
        lines.append(f'source_filename = "{module.source_filename}"')
    if module.data_layout:
        lines.append(f'target datalayout = "{module.data_layout}"')
    if module.triple:
        lines.append(f'target triple = "{module.triple}"')
    lines += [f"module asm {text}" for text in module.assembly]
    lines += [f"%{n} = type {t or 'opaque'}" for n, t in module.types.items()]
    lines += [f"${n} = {text}" for n, text in module.comdats.items()]
    lines += [_global_text(g) for g in module.globals.values()]
    lines += [f"@{n} = {text}" for n, text in module.aliases.items()]
    lines += [function_text(f) for f in module.functions.values()]
    lines += [f"attributes {n} = {{ {text} }}" for n, text in module.attribute_groups.items()]
    lines += [f"{n} = {text}" for n, text in module.metadata.items()]
    return "\n".join([*lines, ""])


def _global_text(variable: GlobalVariable) -> str:
    kind = "constant" if variable.is_constant else "global"
    initializer = variable.initializer.text if variable.initializer else ""
    words = (f"@{variable.name} =", variable.qualifiers, kind, variable.value_type.text)
    return _join(*words, initializer) + variable.suffix


def function_text(function: Function) -> str:
    names: Names = {}
    if function.unread_body is None:
        names = _number(function)
    parameters = [_parameter_text(p, names) for p in function.parameters]
    if function.variadic:
        parameters.append("...")
    head = _join(
        "declare" if function.is_declaration else "define",
        function.qualifiers,
        function.result_attributes,
        function.result.text,
        f"@{function.name}({', '.join(parameters)})",
        function.suffix,
    )
    if function.is_declaration:
        return head
    if function.unread_body is not None:
        return f"{head} {{\n{function.unread_body[0]}}}"
    lines = [f"{head} {{"]
    for position, block in enumerate(function.blocks):
        name = names.get(block.name, block.name)
        # An unnamed entry has no label.
        if position or not name.isdigit():
            lines.append(f"{name}:")
        lines += [f"  {instruction_text(i, names)}" for i in block.instructions]
    return "\n".join([*lines, "}"])


def _number(function: Function) -> Names:
    """The numbers of all unnamed values and blocks, in LLVM's order."""
    names: Names = {}

    def visit(name: str) -> None:
        if name.isdigit():
            names[name] = str(len(names))

    for parameter in function.parameters:
        visit(parameter.name)
    for block in function.blocks:
        visit(block.name)
        for instruction in block.instructions:
            visit(instruction.name)
    return names


def _parameter_text(parameter: Parameter, names: Names) -> str:
    name = f"%{names.get(parameter.name, parameter.name)}" if parameter.name else ""
    return _join(parameter.type.text, parameter.attributes, name)


def _join(*words: str) -> str:
    return " ".join(w for w in words if w)


def instruction_text(i: Instruction, names: Names) -> str:
    """One instruction; its operands' names are looked up in `names` first."""
    text = _Body(names).text(i)
    if i.name:
        text = f"%{names.get(i.name, i.name)} = {text}"
    for key, node in i.metadata:
        text += f", {key} {node}"
    return text


class _Body:
    """What stands between an instruction's result and its metadata."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def value(self, v: Value) -> str:
        return f"%{self.names.get(v.name, v.name)}" if isinstance(v, Local) else v.text

    def typed(self, v: Value) -> str:
        return f"{v.type.text} {self.value(v)}"

    def label(self, name: str) -> str:
        return f"%{self.names.get(name, name)}"

    def text(self, i: Instruction) -> str:
        o = i.operands
        head = _join(i.opcode, *i.flags)
        listed = ", ".join(map(self.typed, o))
        after = (f" {i.ordering}" if i.ordering else "") + (f", align {i.align}" if i.align else "")
        match i.opcode:
            case "load":
                return f"{head} {i.type}, {listed}{after}"
            case "store" | "cmpxchg":
                return f"{head} {listed}{after}"
            case "atomicrmw":
                return f"{_join('atomicrmw', *i.flags, i.predicate)} {listed}{after}"
            case "fence":
                return f"fence{after}"
            case "getelementptr":
                return f"{head} {i.source_type}, {listed}"
            case "icmp" | "fcmp":
                return f"{head} {i.predicate} {self.typed(o[0])}, {self.value(o[1])}"
            case "phi":
                edges = (f"[ {self.value(v)}, {self.label(b)} ]" for v, b in i.incoming)
                return f"{head} {i.type} {', '.join(edges)}"
            case "br":
                targets = [f"label {self.label(b)}" for b in i.labels]
                return f"br {', '.join([*map(self.typed, o), *targets])}"
            case "switch":
                cases = zip(o[1:], i.labels[1:], strict=True)
                table = " ".join(f"{c.typed}, label {self.label(b)}" for c, b in cases)
                return f"switch {self.typed(o[0])}, label {self.label(i.labels[0])} [ {table} ]"
            case "ret":
                return f"ret {listed}" if o else "ret void"
            case "call":
                return self.call(i)
            case "alloca":
                count = f", {listed}" if o else ""
                space = i.type.text[len("ptr ") :]
                return f"{head} {i.source_type}{count}{after}" + (f", {space}" if space else "")
            case "extractvalue" | "insertvalue":
                return f"{head} {', '.join([listed, *map(str, i.indices)])}"
            case "select" | "extractelement" | "insertelement" | "shufflevector":
                return f"{head} {listed}"
            case "unreachable":
                return "unreachable"
            case "fneg" | "freeze":
                return f"{head} {listed}"
            case opcode if opcode in BINARY:
                return f"{head} {self.typed(o[0])}, {self.value(o[1])}"
            case opcode if opcode in CASTS:
                return f"{head} {listed} to {i.type}"
        raise AssertionError(f"no such instruction: {i.opcode}")

    def call(self, i: Instruction) -> str:
        details = i.call
        assert details is not None
        tail = [f for f in i.flags if f.endswith("tail")]
        fast = [f for f in i.flags if not f.endswith("tail")]
        arguments = [
            _join(operand.type.text, attributes, self.value(operand))
            for operand, attributes in zip(i.operands, details.argument_attributes, strict=True)
        ]
        result = details.variadic_type or i.type
        return _join(
            *tail,
            "call",
            *fast,
            details.result_attributes,
            f"{result} {details.callee.text}({', '.join(arguments)})",
            details.function_attributes,
        )
