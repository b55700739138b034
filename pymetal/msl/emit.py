"""clang's LLVM IR to AIR: annotations become `!air.kernel` metadata, and only kernels stay public.

Works on the text of the module, which clang prints and LLVM parses again; metadata has no other
way in through llvmlite. The order of an annotation's values is that of rewrite/parameters.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import llvmlite.binding as llvm

from pymetal.air.container import Entry
from pymetal.errors import ToolchainError
from pymetal.msl.annotations import Annotation, Value, read_annotations
from pymetal.msl.diagnostics import Reporter
from pymetal.msl.metadata import MetadataWriter, quoted
from pymetal.msl.metal_names import metal_type
from pymetal.msl.rewrite import Kernel, Program
from pymetal.msl.rewrite.parameters import (
    BUILTINS,
    MAX_BUFFER_INDEX,
    FieldQuery,
    Parameter,
)
from pymetal.msl.rewrite.threadgroup import SECTION

_SPACES = {"device": 1, "constant": 2, "threadgroup": 3}
_PRODUCER = "PyMetal metal version {major}.{minor} ({clang})"
_IDENT = re.compile(r"^!llvm\.ident = !\{(!\d+)\}$", re.M)
_GLOBAL = re.compile(
    r'^@(?P<name>"[^"]*"|[-\w.$]+) = (?P<how>[^\n]*?)\bglobal (?P<rest>[^\n]*)$', re.M
)


@dataclass
class _Function:
    """One function of the module that is a kernel: an instance, if `kernel` is a template."""

    symbol: str
    kernel: Kernel
    values: list[Value]
    host_names: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return self.host_names or [self.kernel.name]


def emit(
    text: str, program: Program, reporter: Reporter, language_version: tuple[int, int]
) -> list[Entry]:
    """The container's entries for every kernel in clang's module `text`."""
    annotations, text = read_annotations(text)
    functions = _functions(annotations, program)
    _refuse_variables(text, program, reporter)
    writer = MetadataWriter(text)
    taken: set[str] = set()
    entries: list[tuple[str, str]] = []
    kernels = []
    for function in functions.values():
        symbol = function.names[0] if function.names[0] not in taken else function.symbol
        taken.update(function.names)
        entries += [(name, symbol) for name in function.names]
        text = _rename(text, function.symbol, symbol)
        kernels.append(_kernel_node(writer, function, symbol, program, reporter))
    constants = _constant_nodes(writer, annotations, program)
    reporter.raise_errors()
    writer.named("air.kernel", kernels)
    if constants:
        writer.named("air.function_constants", constants)
    writer.named("air.version", [writer.node("i32 2", "i32 6", "i32 0")])
    version = [f"i32 {number}" for number in (*language_version, 0)]
    writer.named("air.language_version", [writer.node(quoted("Metal"), *version)])
    text = _mark(text, writer, language_version)
    bitcode = _assemble(text + writer.text(), {symbol for _, symbol in entries})
    return [Entry(name, symbol, bitcode) for name, symbol in entries]


def _functions(annotations: list[Annotation], program: Program) -> dict[str, _Function]:
    found: dict[str, _Function] = {}
    for annotation in annotations:
        if annotation.kind == "air.kernel":
            number = annotation.values[0]
            assert isinstance(number, int)
            kernel = program.kernels[number]
            found[annotation.symbol] = _Function(
                annotation.symbol, kernel, annotation.values[1:], []
            )
    for annotation in annotations:
        if annotation.kind == "air.host_name" and annotation.symbol in found:
            found[annotation.symbol].host_names.append(str(annotation.values[0]))
    for function in found.values():
        if not function.kernel.is_template:
            function.host_names += function.kernel.host_names
    return found


def _refuse_variables(text: str, program: Program, reporter: Reporter) -> None:
    """Variables that are neither constant nor in threadgroup memory do not exist in Metal."""
    initialised = set(re.findall(r"store [^\n]*, ptr @([-\w.$]+)", _initialisers(text)))
    for match in _GLOBAL.finditer(text):
        name = match["name"]
        if name.startswith("llvm.") or f'section "{SECTION}"' in match["rest"]:
            continue
        if name in initialised or "section" in match["rest"]:
            continue
        tokens = program.tokens
        plain = _plain_name(name)
        at = next((i for i in range(tokens.count) if tokens.text[i] == plain), 0)
        reporter.add(
            at,
            program,
            f"variable '{plain}' outlives a thread: it must be in the constant or threadgroup "
            "address space",
        )


def _initialisers(text: str) -> str:
    """The bodies of functions that initialise variables from function constants."""
    bodies = re.findall(r"^define internal void @__cxx_global_var_init.*?^}", text, re.M | re.S)
    return "\n".join(bodies)


def _plain_name(symbol: str) -> str:
    """The last name in a mangled symbol; the symbol itself if it is not mangled."""
    end = re.sub(r"(?:_\d*|\.\d+)?$", "", symbol).removesuffix("E")
    for length in re.finditer(r"\d+", end):
        for start in range(length.start(), length.end()):  # Dv4_j1s: 4 counts lanes, 1 letters
            name = end[length.end() :]
            if int(end[start : length.end()]) == len(name):
                return name
    return symbol


def _rename(text: str, symbol: str, name: str) -> str:
    if symbol == name:
        return text
    old = re.escape(symbol)
    new = name if re.fullmatch(r"[-\w.$]+", name) else f'"{name}"'
    return re.sub(rf'(?<=[@$])(?:{old}|"{old}")(?![-\w.$])', lambda _: new, text)


# ---- metadata ---------------------------------------------------------------------------------


def _kernel_node(
    writer: MetadataWriter,
    function: _Function,
    symbol: str,
    program: Program,
    reporter: Reporter,
) -> str:
    kernel, values = function.kernel, iter(function.values)
    limit = _number(values)
    arguments = [_Argument(p, *_read(p, values)) for p in kernel.parameters]
    _assign_indices(arguments, program, reporter)
    nodes = []
    for position, argument in enumerate(arguments):
        parameter = argument.parameter
        head = [f"i32 {position}"]
        if parameter.enabled_by:
            head += [quoted("air.function_constant"), _predicate(writer, parameter, program)]
        names = [quoted("air.arg_type_name"), quoted(argument.type_name)]
        names += [quoted("air.arg_name"), quoted(parameter.name)]
        if parameter.kind == "builtin":
            _check_builtin(argument, program, reporter)
            nodes.append(writer.node(*head, quoted(f"air.{parameter.builtin}"), *names))
        else:
            nodes.append(writer.node(*head, *_buffer(writer, argument), *names))
    limits = []
    if limit > 0:
        limits = [writer.node(quoted("air.max_work_group_size"), f"i32 {limit}")]
    return writer.node(f"ptr @{_spelled(symbol)}", writer.node(), writer.node(*nodes), *limits)


def _spelled(symbol: str) -> str:
    return symbol if re.fullmatch(r"[-\w.$]+", symbol) else f'"{symbol}"'


@dataclass
class _Field:
    name: str
    offset: int
    size: int
    type_name: str
    inner: list[_Field]


@dataclass
class _Argument:
    """A parameter with what clang answered."""

    parameter: Parameter
    index: int
    size: int
    align: int
    type_name: str
    is_const: bool
    fields: list[_Field]


def _read(
    parameter: Parameter, values: Iterator[Value]
) -> tuple[int, int, int, str, bool, list[_Field]]:
    if parameter.kind == "builtin":
        return -1, 0, 0, _type(values)[0], True, []
    index, size, align = _number(values), _number(values), _number(values)
    name, is_const = _type(values)
    return index, size, align, name, is_const, [_field(f, values) for f in parameter.fields]


def _field(query: FieldQuery, values: Iterator[Value]) -> _Field:
    offset, size = _number(values), _number(values)
    name, _ = _type(values)
    return _Field(query.name, offset, size, name, [_field(f, values) for f in query.inner])


def _number(values: Iterator[Value]) -> int:
    value = next(values)
    assert isinstance(value, int)
    return value


def _type(values: Iterator[Value]) -> tuple[str, bool]:
    """A type's Metal name, and whether it is const, from what type_name<T>() printed."""
    text = str(next(values))
    name = text[text.index("[T = ") + 5 : -1]
    words = [word for word in name.split() if word not in ("const", "volatile")]
    return metal_type(" ".join(words)), "const" in name.split()


def _assign_indices(arguments: list[_Argument], program: Program, reporter: Reporter) -> None:
    """Indices that the source leaves out are the lowest free ones; those it gives are checked."""
    for kind, most in (("buffer", MAX_BUFFER_INDEX), ("threadgroup", MAX_BUFFER_INDEX)):
        slots = [a for a in arguments if a.parameter.kind == kind]
        taken: dict[int, _Argument] = {}
        for argument in slots:
            if not argument.parameter.index_text:
                continue
            parameter, index = argument.parameter, argument.index
            if not 0 <= index <= most:
                message = f"{kind}({index}) of '{parameter.name}' is not in 0 to {most}"
                reporter.add(parameter.token, program, message)
            other = taken.get(index)
            if other and not (parameter.enabled_by or other.parameter.enabled_by):
                message = f"'{parameter.name}' and '{other.parameter.name}' share {kind}({index})"
                reporter.add(parameter.token, program, message)
            taken[index] = argument
        for argument in slots:
            if not argument.parameter.index_text:
                argument.index = next(i for i in range(len(arguments) + len(taken) + 1)
                                      if i not in taken)  # fmt: skip
                taken[argument.index] = argument


def _check_builtin(argument: _Argument, program: Program, reporter: Reporter) -> None:
    parameter = argument.parameter
    assert parameter.builtin in BUILTINS
    is_position = not any(word in parameter.builtin for word in ("index", "simdgroup", "width"))
    allowed = ["uint", "ushort"]
    if is_position and not parameter.builtin.startswith("quadgroups"):
        allowed += [f"{scalar}{lanes}" for scalar in ("uint", "ushort") for lanes in (2, 3)]
    if argument.type_name not in allowed:
        reporter.add(
            parameter.token,
            program,
            f"'{parameter.name}' [[{parameter.builtin}]] is '{argument.type_name}'; "
            f"it can be {', '.join(allowed)}",
        )


def _buffer(writer: MetadataWriter, argument: _Argument) -> list[str]:
    parameter = argument.parameter
    access = "air.read_write"
    if argument.is_const or parameter.address_space == "constant":
        access = "air.read"
    size = [quoted("air.buffer_size"), f"i32 {argument.size}"] if parameter.is_reference else []
    struct = []
    if argument.fields:
        struct = [quoted("air.struct_type_info"), _struct_node(writer, argument.fields)]
    return [
        quoted("air.buffer"),
        *size,
        *(quoted("air.location_index"), f"i32 {argument.index}", "i32 1", quoted(access)),
        *(quoted("air.address_space"), f"i32 {_SPACES[parameter.address_space]}"),
        *struct,
        *(quoted("air.arg_type_size"), f"i32 {argument.size}"),
        *(quoted("air.arg_type_align_size"), f"i32 {argument.align}"),
    ]


def _struct_node(writer: MetadataWriter, fields: list[_Field]) -> str:
    operands: list[str] = []
    for item in fields:
        name, _, dimensions = item.type_name.partition("[")
        length = 0
        if dimensions:
            length = 1
            for dimension in dimensions.rstrip("]").split("]["):
                length *= int(dimension)
        size = item.size // length if length else item.size
        if item.inner:  # before its member, as Apple's compiler has it
            operands += [quoted("air.struct_type_info"), _struct_node(writer, item.inner)]
        operands += [f"i32 {item.offset}", f"i32 {size}", f"i32 {length}", quoted(name.strip())]
        operands.append(quoted(item.name))
    return writer.node(*operands)


def _predicate(writer: MetadataWriter, parameter: Parameter, program: Program) -> str:
    return writer.node(f"ptr @{parameter.enabled_by}", quoted("bool"), quoted(parameter.enabled_by))


def _constant_nodes(
    writer: MetadataWriter, annotations: list[Annotation], program: Program
) -> list[str]:
    nodes = []
    for annotation in annotations:
        if annotation.kind == "air.function_constant":
            number, index = annotation.values[0], annotation.values[1]
            assert isinstance(number, int)
            constant = program.constants[number]
            name, _ = _type(iter(annotation.values[2:]))
            required = f"i1 {'false' if constant.is_optional else 'true'}"
            symbol = f"ptr @{annotation.target}"
            nodes.append(
                writer.node(symbol, quoted(name), quoted(constant.name), f"i32 {index}", required)
            )
    return nodes


# ---- the module -------------------------------------------------------------------------------


def _mark(text: str, writer: MetadataWriter, language_version: tuple[int, int]) -> str:
    """Say who wrote the module, in the place where clang says so."""
    match = _IDENT.search(text)
    clang = "clang"
    if match:
        node = re.search(rf'^{match[1]} = !\{{!"([^"]*)"\}}$', text, re.M)
        clang = node[1] if node else clang
        text = text[: match.start()] + text[match.end() :]
    producer = _PRODUCER.format(major=language_version[0], minor=language_version[1], clang=clang)
    writer.named("llvm.ident", [writer.node(quoted(producer))])
    return text


def _assemble(text: str, kernels: set[str]) -> bytes:
    """Bitcode of the module, without what no kernel reaches."""
    try:
        module: Any = llvm.parse_assembly(text, context=llvm.create_context())
    except RuntimeError as error:
        raise ToolchainError(f"LLVM does not read what clang wrote: {error}") from error
    for value in (*module.functions, *module.global_variables):
        if value.is_declaration or value.name in kernels or value.name.startswith("llvm."):
            continue
        value.linkage = "internal"
    _remove_unreached(module)
    bitcode: bytes = module.as_bitcode()
    return bitcode


def _remove_unreached(module: Any) -> None:
    llvm.initialize_native_target()
    machine = llvm.Target.from_default_triple().create_target_machine()
    manager = llvm.create_new_module_pass_manager()
    manager.add_global_dead_code_eliminate_pass()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(0))
    manager.run(module, builder)
