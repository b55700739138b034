"""Metadata of kernels: what the rewriter knows of each parameter with what clang says of its type.

The order of an annotation's values is that of rewrite/parameters.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from math import prod

from pymetal.msl.annotations import Annotation, Value
from pymetal.msl.diagnostics import Reporter
from pymetal.msl.metadata import MetadataWriter, quoted
from pymetal.msl.metal_names import metal_type
from pymetal.msl.rewrite import Kernel, Program
from pymetal.msl.rewrite.parameters import BUILTINS, MAX_BUFFER_INDEX, FieldQuery, Parameter

_SPACES = {"device": 1, "constant": 2, "threadgroup": 3}
MAX_CONSTANT_INDEX = 65535  # section 5.8.1 of the specification


@dataclass
class KernelFunction:
    """One function of the module that is a kernel: an instance, if `kernel` is a template."""

    symbol: str
    kernel: Kernel
    values: list[Value]
    host_names: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return self.host_names or [self.kernel.name]


def kernel_node(
    writer: MetadataWriter,
    function: KernelFunction,
    symbol: str,
    symbols: dict[str, str],
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
            head += [
                quoted("air.function_constant"),
                _predicate(writer, parameter, symbols, program, reporter),
            ]
        names = [quoted("air.arg_type_name"), quoted(argument.type_name)]
        names += [quoted("air.arg_name"), quoted(parameter.name)]
        if parameter.kind == "builtin":
            _check_builtin(argument, program, reporter)
            nodes.append(writer.node(*head, quoted(f"air.{parameter.builtin}"), *names))
        else:
            nodes.append(writer.node(*head, *_buffer(writer, argument), *names))
    _check_positions(arguments, program, reporter)
    limits = []
    if limit > 0:
        limits = [writer.node(quoted("air.max_work_group_size"), f"i32 {limit}")]
    return writer.node(f"ptr @{_spelled(symbol)}", writer.node(), writer.node(*nodes), *limits)


def _spelled(symbol: str) -> str:
    return symbol if re.fullmatch(r"[-\w.$]+", symbol) else f'"{symbol}"'


@dataclass
class _Field:
    """`space` is that of the memory which a pointer points to, `is_const` whether that is."""

    name: str
    offset: int
    size: int
    type_name: str
    inner: list[_Field]
    space: str = ""
    is_const: bool = False


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
    name, is_const = _type(values)
    name = _STD_ARRAY.sub(r"\1[\2]", name)
    inner = [_field(f, values) for f in query.inner]
    return _Field(query.name, offset, size, name, inner, query.space, is_const)


_STD_ARRAY = re.compile(r"(?:metal::)?array<(.*), (\d+)>")


def _number(values: Iterator[Value]) -> int:
    value = next(values)
    assert isinstance(value, int)
    return value


def _type(values: Iterator[Value]) -> tuple[str, bool]:
    """A type's Metal name, and whether it is const, from what type_name<T>() printed.

    A pointer is const where what it points to is.
    """
    text = str(next(values))
    name = text[text.index("[T = ") + 5 : -1]
    words = [word for word in re.findall(r"[^\s*]+|\*", name) if word not in ("const", "volatile")]
    pointee = name.partition("*")[0]
    return metal_type(" ".join(words)).replace(" *", "*"), "const" in re.findall(r"\w+", pointee)


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
                argument.index = next(i for i in count() if i not in taken)
                taken[argument.index] = argument


def _check_builtin(argument: _Argument, program: Program, reporter: Reporter) -> None:
    parameter = argument.parameter
    assert parameter.builtin in BUILTINS
    allowed = ["uint", "ushort"]
    if _is_position(parameter.builtin):
        allowed += [f"{scalar}{lanes}" for scalar in ("uint", "ushort") for lanes in (2, 3)]
    if argument.type_name not in allowed:
        reporter.add(
            parameter.token,
            program,
            f"'{parameter.name}' [[{parameter.builtin}]] is '{argument.type_name}'; "
            f"it can be {', '.join(allowed)}",
        )


def _is_position(builtin: str) -> bool:
    """Whether it has a component for each dimension of the grid; indices and counts have one."""
    one = ("index", "simdgroup", "quadgroup", "width")
    return not any(word in builtin for word in one)


def _check_positions(arguments: list[_Argument], program: Program, reporter: Reporter) -> None:
    """Positions and sizes have the same number of components, one to three, in one kernel."""
    first: _Argument | None = None
    for argument in arguments:
        if argument.parameter.kind != "builtin" or not _is_position(argument.parameter.builtin):
            continue
        if first is None:
            first = argument
        elif _lanes(first.type_name) != _lanes(argument.type_name):
            reporter.add(
                argument.parameter.token,
                program,
                f"'{argument.parameter.name}' is '{argument.type_name}', but "
                f"'{first.parameter.name}' is '{first.type_name}': the positions and sizes of a "
                "kernel have as many components each",
            )


def _lanes(type_name: str) -> str:
    return type_name[-1] if type_name[-1] in "234" else ""


def _buffer(writer: MetadataWriter, argument: _Argument) -> list[str]:
    parameter = argument.parameter
    access = "air.read_write"
    is_pointer = argument.type_name.endswith("*")
    if parameter.address_space == "constant" or argument.is_const or is_pointer:
        access = "air.read"
    size = [quoted("air.buffer_size"), f"i32 {argument.size}"] if parameter.is_reference else []
    struct = []
    if argument.fields:
        struct = [quoted("air.struct_type_info"), _struct_node(writer, argument.fields)]
    kind = "air.indirect_buffer" if _holds_pointers(argument.fields) else "air.buffer"
    if is_pointer:
        kind = "air.indirect_buffer"
        pointee = argument.type_name.removesuffix("*")
        node = _pointee(writer, "", pointee, parameter.inner_space, argument.is_const)
        struct = [quoted("air.indirect_argument"), node]
    return [
        quoted(kind),
        *size,
        *(quoted("air.location_index"), f"i32 {argument.index}", "i32 1", quoted(access)),
        *(quoted("air.address_space"), f"i32 {_SPACES[parameter.address_space]}"),
        *struct,
        *(quoted("air.arg_type_size"), f"i32 {argument.size}"),
        *(quoted("air.arg_type_align_size"), f"i32 {argument.align}"),
    ]


def _holds_pointers(fields: list[_Field]) -> bool:
    return any("*" in item.type_name or _holds_pointers(item.inner) for item in fields)


def _pointee(writer: MetadataWriter, name: str, type_name: str, space: str, is_const: bool) -> str:
    """The node of a pointer in a buffer: what memory it points to."""
    space = space if space in _SPACES else "device"
    access = "air.read" if is_const or space == "constant" else "air.read_write"
    return writer.node(
        *("i32 0", quoted("air.buffer"), quoted("air.location_index"), "i32 0", "i32 1"),
        *(quoted(access), quoted("air.address_space"), f"i32 {_SPACES[space]}"),
        *(quoted("air.arg_type_name"), quoted(type_name), quoted("air.arg_name"), quoted(name)),
    )


def _struct_node(writer: MetadataWriter, fields: list[_Field]) -> str:
    operands: list[str] = []
    for item in fields:
        name, _, dimensions = item.type_name.partition("[")
        length = prod(map(int, re.findall(r"\d+", dimensions))) if dimensions else 0
        size = item.size // length if length else item.size
        if item.inner:  # before its member, as Apple's compiler has it
            operands += [quoted("air.struct_type_info"), _struct_node(writer, item.inner)]
        operands += [f"i32 {item.offset}", f"i32 {size}", f"i32 {length}", quoted(name.strip())]
        operands.append(quoted(item.name))
        if name.strip().endswith("*"):
            pointee = name.strip().removesuffix("*")
            node = _pointee(writer, item.name, pointee, item.space, item.is_const)
            operands += [quoted("air.indirect_argument"), node]
    return writer.node(*operands)


def _predicate(
    writer: MetadataWriter,
    parameter: Parameter,
    symbols: dict[str, str],
    program: Program,
    reporter: Reporter,
) -> str:
    name = parameter.enabled_by.split("::")[-1].strip()
    if name not in symbols:
        message = f"function_constant({name}) on '{parameter.name}' names no function constant"
        reporter.add(parameter.token, program, message)
    return writer.node(f"ptr @{symbols.get(name, name)}", quoted("bool"), quoted(name))


def constant_symbols(annotations: list[Annotation], program: Program) -> dict[str, str]:
    """The global of each function constant, by its name in the source."""
    found = {}
    for annotation in annotations:
        if annotation.kind == "air.function_constant":
            number = annotation.values[0]
            assert isinstance(number, int)
            found[program.constants[number].name] = annotation.target
    return found


def constant_nodes(
    writer: MetadataWriter, annotations: list[Annotation], program: Program, reporter: Reporter
) -> list[str]:
    nodes = []
    taken: dict[object, str] = {}
    for annotation in annotations:
        if annotation.kind == "air.function_constant":
            number, index = annotation.values[0], annotation.values[1]
            assert isinstance(number, int)
            constant = program.constants[number]
            other = taken.setdefault(index, constant.name)
            if other != constant.name:
                message = (
                    f"function constants '{other}' and '{constant.name}' both have index {index}"
                )
                reporter.add(constant.token, program, message)
            if not isinstance(index, int) or not 0 <= index <= MAX_CONSTANT_INDEX:
                message = (
                    f"function constant '{constant.name}' has index {index}; it takes one from 0 "
                    f"to {MAX_CONSTANT_INDEX}"
                )
                reporter.add(constant.token, program, message)
            name, _ = _type(iter(annotation.values[2:]))
            required = f"i1 {'false' if constant.is_optional else 'true'}"
            symbol = f"ptr @{annotation.target}"
            nodes.append(
                writer.node(symbol, quoted(name), quoted(constant.name), f"i32 {index}", required)
            )
    return nodes
