"""An AIR module: bitcode read by LLVM, and what its metadata says of its kernels.

Apple's modules and ours carry the same `!air.kernel` and `!air.function_constants` metadata
(docs/air.md), so reflection here is all that both devices' callers need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, cast

import llvmlite.binding as llvm

from pymetal.air.function import (
    Access,
    AddressSpace,
    Argument,
    Field,
    Function,
    FunctionConstant,
)
from pymetal.air.llvm_module import parse_bitcode
from pymetal.air.metadata import Metadata, Node, Operand, Symbol
from pymetal.air.references import References
from pymetal.errors import LibraryError, UnsupportedError

_SPACES: dict[Operand, AddressSpace] = {1: "device", 2: "constant", 3: "threadgroup"}
_ACCESS: dict[str, Access] = {
    "air.read": "read",
    "air.sample": "read",
    "air.write": "write",
    "air.read_write": "read_write",
}
# Kinds of argument that are neither values nor what `Argument` describes.
_UNSUPPORTED = {
    "air.stage_in": "stage_in",
    "air.imageblock": "imageblocks",
    "air.imageblock_data": "imageblocks",
    "air.visible_function_table": "visible function tables",
    "air.intersection_function_table": "ray tracing",
    "air.instance_acceleration_structure": "ray tracing",
    "air.primitive_acceleration_structure": "ray tracing",
    "air.acceleration_structure": "ray tracing",
}


class Module:
    """One module and its kernels by symbol. `label` names it in errors.

    Each module has an LLVM context of its own: types and names of another never touch it.
    """

    def __init__(self, bitcode: bytes, label: str = "<module>") -> None:
        self.label = label
        self.bitcode = bitcode
        self.text = str(self.parse())
        self._metadata = Metadata(self.text)

    def parse(self) -> Any:
        """A fresh `llvmlite` module of the bitcode, for its caller to change."""
        try:
            return parse_bitcode(self.bitcode)
        except RuntimeError as error:
            raise LibraryError(
                f"{self.label}: LLVM {llvm.llvm_version_info[0]} cannot read the bitcode: {error}",
                library=self.label,
            ) from error

    @cached_property
    def kernels(self) -> dict[str, tuple[Operand, ...]]:
        """Symbol -> operands of the kernel's metadata node, in the module's order."""
        found = {}
        for node in self._metadata.named("air.kernel"):
            if not node or not isinstance(node[0], Symbol) or len(node) < 3:
                raise LibraryError(f"{self.label}: a node of !air.kernel names no function")
            found[node[0].name] = node
        return found

    @cached_property
    def constants(self) -> dict[str, FunctionConstant]:
        """Symbol of the global -> function constant, of the whole module."""
        found = {}
        for node in self._metadata.named("air.function_constants"):
            match node:
                case (Symbol(name=symbol), str(type_name), str(name), int(index), *rest):
                    required = bool(rest[0]) if rest else True
                    found[symbol] = FunctionConstant(name, index, type_name, required)
                case (None, *_):
                    pass  # no kernel reads it: the variable is gone
                case _:
                    raise LibraryError(f"{self.label}: a function constant lacks name or index")
        return found

    @cached_property
    def compile_options(self) -> frozenset[str]:
        """What `!air.compile_options` lists, such as "denorms_disable"."""
        nodes = self._metadata.named("air.compile_options")
        return frozenset(
            str(node[0]).removeprefix("air.compile.") for node in nodes if node and node[0]
        )

    def function(self, symbol: str, name: str | None = None) -> Function:
        """Reflection of the kernel `symbol`, which callers know as `name`."""
        name = name or symbol
        node = self.kernels.get(symbol)
        if node is None:
            raise LibraryError(
                f"{self.label}: the module of '{name}' has no kernel '{symbol}'; it has "
                f"{', '.join(self.kernels) or 'none'}"
            )
        arguments = tuple(self._argument(item, name) for item in self._nodes_in(node[2]))
        limit = None
        for extra in node[3:]:
            match self._metadata.node(extra) if isinstance(extra, Node) else ():
                case ("air.max_work_group_size", int(threads), *_):
                    limit = threads
        return Function(name, symbol, arguments, self._constants_of(symbol), limit)

    def _constants_of(self, symbol: str) -> tuple[FunctionConstant, ...]:
        """The function constants that one kernel can read, or that switch its arguments on."""
        if len(self.kernels) < 2 or not self.constants:
            return tuple(self.constants.values())
        reached = self._references.reached_from([symbol, *self.predicates(symbol).values()])
        return tuple(c for name, c in self.constants.items() if name in reached)

    @cached_property
    def _references(self) -> References:
        return References(self.text)

    def predicates(self, symbol: str) -> dict[int, str]:
        """Position of each argument that a function constant switches on -> its global."""
        found = {}
        for position, node in enumerate(self._nodes_in(self.kernels[symbol][2])):
            match node:
                case (int(), "air.function_constant", Node() as predicate, *_):
                    match self._metadata.node(predicate):
                        case (Symbol(name=switch), *_):
                            found[position] = switch
        return found

    def _nodes_in(self, operand: Operand) -> list[tuple[Operand, ...]]:
        """The nodes that the list `operand` holds."""
        if not isinstance(operand, Node):
            raise LibraryError(f"{self.label}: a kernel has no list of arguments")
        return [self._metadata.node(n) for n in self._metadata.node(operand) if isinstance(n, Node)]

    def _argument(self, node: Sequence[Operand], kernel: str) -> Argument:
        rest = list(node[1:])
        enabled_by = ""
        if rest[:1] == ["air.function_constant"] and isinstance(rest[1], Node):
            named = self._metadata.node(rest[1])
            enabled_by = str(named[2]) if len(named) > 2 else "?"
            rest = rest[2:]
        if not rest or not isinstance(rest[0], str) or not rest[0].startswith("air."):
            raise LibraryError(f"{self.label}: an argument of '{kernel}' has no kind")
        keys = _keys(rest)
        argument = Argument(
            name=str(_first(keys, "air.arg_name", "")),
            kind="builtin",
            type_name=str(_first(keys, "air.arg_type_name", "")),
            enabled_by=enabled_by,
        )
        kind = rest[0]
        if kind in _UNSUPPORTED:
            raise UnsupportedError(
                f"{kernel}: argument '{argument.name}' uses {_UNSUPPORTED[kind]}, which the "
                f"software device lacks",
                feature=_UNSUPPORTED[kind],
            )
        if kind in ("air.texture", "air.sampler", "air.buffer", "air.indirect_buffer"):
            kind = kind.removeprefix("air.").removeprefix("indirect_")
            return self._resource(argument, kind, keys, kernel)
        return replace(argument, builtin=kind.removeprefix("air."))

    def _resource(
        self, argument: Argument, kind: str, keys: dict[str, list[Operand]], kernel: str
    ) -> Argument:
        space = _SPACES.get(_first(keys, "air.address_space", 1), "device")
        access: Access = next((_ACCESS[key] for key in keys if key in _ACCESS), "read")
        fields = _first(keys, "air.struct_type_info", None)
        kind = "threadgroup" if kind == "buffer" and space == "threadgroup" else kind
        return replace(
            argument,
            kind=cast(Literal["buffer", "threadgroup", "texture", "sampler"], kind),
            index=_number(keys, "air.location_index"),
            address_space=space,
            access=access,
            size_bytes=_number(keys, "air.arg_type_size"),
            align_bytes=_number(keys, "air.arg_type_align_size"),
            is_reference="air.buffer_size" in keys,
            fields=self._fields(fields, kernel) if isinstance(fields, Node) else (),
            points_to=self._pointee(_first(keys, "air.indirect_argument", None), kernel),
        )

    def _pointee(self, node: Operand, kernel: str) -> Argument | None:
        """What a pointer in a buffer points to; None for members that are no pointers."""
        described = self._metadata.node(node) if isinstance(node, Node) else ()
        if len(described) < 2 or described[1] == "air.indirect_constant":
            return None
        return self._argument(described, kernel)

    def _fields(self, node: Node, kernel: str, depth: int = 0) -> tuple[Field, ...]:
        """Members of a struct: more keys for some, then offset, size, array length, type, name,
        and for members of argument buffers a node of their own."""
        if depth > 32:
            raise LibraryError(f"{self.label}: a struct contains itself")
        items = list(self._metadata.node(node))
        fields = []
        while items:
            start = next((i for i, item in enumerate(items) if isinstance(item, int)), len(items))
            inner = _first(_keys(items[:start]), "air.struct_type_info", None)
            nested = self._fields(inner, kernel, depth + 1) if isinstance(inner, Node) else ()
            end = start + 5
            pointee = None
            if items[end : end + 1] == ["air.indirect_argument"]:
                pointee = self._pointee(items[end + 1], kernel)
                end += 2
            match items[start : start + 5]:
                case [int(offset), int(size), int(length), str(type_name), str(name)]:
                    fields.append(Field(name, type_name, offset, size, length, nested, pointee))
                case _:
                    raise LibraryError(f"{self.label}: a struct's members are not described")
            del items[:end]
        return tuple(fields)


def _keys(operands: Sequence[Operand]) -> dict[str, list[Operand]]:
    """`!"air.key", values...` as key -> values. The two names take the string that follows."""
    keys: dict[str, list[Operand]] = {}
    values: list[Operand] = []
    takes_string = False
    for operand in operands:
        if isinstance(operand, str) and not takes_string:
            values = keys.setdefault(operand, [])
            takes_string = operand in ("air.arg_name", "air.arg_type_name")
        else:
            values.append(operand)
            takes_string = False
    return keys


def _first(keys: dict[str, list[Operand]], key: str, default: Operand) -> Operand:
    values = keys.get(key)
    return values[0] if values else default


def _number(keys: dict[str, list[Operand]], key: str) -> int:
    value = _first(keys, key, None)
    return value if isinstance(value, int) else -1 if key == "air.location_index" else 0
