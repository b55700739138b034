"""A `Function` from Metal's reflection and, where it can be read, the declaration in the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

from pymetal._native import MetalBinding, MetalConstant, MetalMember
from pymetal.air.function import (
    Access,
    AddressSpace,
    Argument,
    Field,
    Function,
    FunctionConstant,
)
from pymetal.datatypes import data_type
from pymetal.errors import UnsupportedError
from pymetal.metal.signature import Declared

Kind = Literal["buffer", "threadgroup"]


def function_of(
    name: str,
    bindings: Sequence[MetalBinding],
    constants: Sequence[MetalConstant],
    declared: Sequence[Declared] | None,
) -> Function:
    """What is known of kernel `name`; `declared` is None where there is no source to read."""
    return Function(
        name,
        name,
        _arguments(bindings, declared),
        tuple(FunctionConstant(c.name, c.index, c.type_name, c.is_required) for c in constants),
    )


def switched_on(function: Function) -> Function:
    """`function` of a pipeline with constants: what Metal binds there is there, and what switched
    it on, which may be computed from the constants, is not to be asked again."""
    arguments = (replace(argument, enabled_by="") for argument in function.arguments)
    return replace(function, arguments=tuple(arguments))


def _arguments(
    bindings: Sequence[MetalBinding], declared: Sequence[Declared] | None
) -> tuple[Argument, ...]:
    by_name = {binding.name: binding for binding in bindings}
    if declared is None or not by_name.keys() <= {d.name for d in declared}:
        in_order = sorted(bindings, key=lambda b: (b.kind != "buffer", b.index))
        return tuple(_argument(b, _guess(b)) for b in in_order)
    arguments = []
    for parameter in declared:
        binding = by_name.get(parameter.name)
        if binding is not None:
            arguments.append(_argument(binding, parameter))
        elif parameter.builtin:
            arguments.append(
                Argument(parameter.name, "builtin", parameter.type_name, builtin=parameter.builtin)
            )
        # Others are switched off by a function constant: Metal has no binding for them.
    return tuple(arguments)


def _guess(binding: MetalBinding) -> Declared:
    """A declaration that allows whatever the binding may have been declared as."""
    space = "constant" if binding.access == "read" else "device"
    return Declared(binding.name, binding.type_name or "struct", space, binding.access == "read")


def _argument(binding: MetalBinding, declared: Declared) -> Argument:
    if binding.kind not in ("buffer", "threadgroup"):
        what = "neither buffer nor texture" if binding.kind == "other" else f"a {binding.kind}"
        raise UnsupportedError(
            f"argument '{binding.name}' is {what}; PyMetal passes buffers only",
            feature=binding.kind,
        )
    if declared.holds_pointers or _holds_pointers(binding):
        raise UnsupportedError(
            f"argument '{binding.name}' holds pointers: the metal device passes arrays only as "
            "arguments of their own; device='cpu' takes them inside others",
            feature="argument buffers",
        )
    fields = () if _is_atomic(binding) else _fields(binding.members, binding.size_bytes)
    space: AddressSpace = "device"
    if declared.space in ("device", "constant", "threadgroup"):
        space = cast(AddressSpace, declared.space)
    return Argument(
        name=binding.name,
        kind=cast(Kind, binding.kind),
        type_name=_type_name(binding, declared),
        index=binding.index,
        address_space="threadgroup" if binding.kind == "threadgroup" else space,
        access=cast(Access, binding.access),
        size_bytes=binding.size_bytes,
        align_bytes=binding.align_bytes,
        is_reference=declared.is_reference,
        enabled_by=declared.enabled_by,
        fields=fields,
    )


def _holds_pointers(what: MetalBinding | MetalMember) -> bool:
    return what.type_name == "pointer" or any(_holds_pointers(inner) for inner in what.members)


def _is_atomic(binding: MetalBinding) -> bool:
    """Metal's atomics are structs of one member of this name (`metal_atomic`)."""
    return [member.name for member in binding.members] == ["__s"]


def _type_name(binding: MetalBinding, declared: Declared) -> str:
    """Metal's name, unless the declaration says more: packed, atomic, or a struct's name."""
    if _is_atomic(binding):
        return f"atomic_{binding.members[0].type_name}"
    if binding.type_name and declared.type_name.startswith("atomic"):
        return f"atomic_{binding.type_name}"
    if binding.type_name and not declared.type_name.startswith("packed_"):
        return str(binding.type_name)
    return declared.type_name or str(binding.type_name)


def _fields(members: Sequence[MetalMember], size_bytes: int) -> tuple[Field, ...]:
    """Members with their sizes, which Metal leaves to be worked out from types and offsets."""
    fields = []
    for i, member in enumerate(members):
        end = members[i + 1].offset if i + 1 < len(members) else size_bytes
        room = (end - member.offset) // max(member.array_length, 1)
        kind = data_type(member.type_name)
        fields.append(
            Field(
                member.name,
                member.type_name or "struct",
                member.offset,
                kind.size_bytes if kind is not None and not member.members else room,
                member.array_length,
                _fields(member.members, room),
            )
        )
    return tuple(fields)
