"""What a compiled kernel says of itself: its arguments, constants and limits (reflection).

Both devices describe a function with these; binding and launching need nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AddressSpace = Literal["device", "constant", "threadgroup"]
Access = Literal["read", "write", "read_write"]


@dataclass(frozen=True)
class Field:
    """One member of a struct argument. Offsets and sizes are in bytes.

    `points_to` describes the memory that a member which is a pointer points to.
    """

    name: str
    type_name: str
    offset: int
    size_bytes: int
    array_length: int = 0
    fields: tuple[Field, ...] = ()
    points_to: Argument | None = None

    @property
    def holds_pointers(self) -> bool:
        """Whether it is a pointer, or has members that are."""
        return self.points_to is not None or any(field.holds_pointers for field in self.fields)


@dataclass(frozen=True)
class Argument:
    """One parameter of a kernel, in declared order.

    `kind` "buffer": a device or constant pointer or reference at buffer `index`; "threadgroup":
    threadgroup memory of the launch's choosing at threadgroup `index`; "builtin": a value that
    the runtime supplies (`builtin` is Metal's attribute name, such as
    "thread_position_in_grid"); "texture" and "sampler" as Metal has them.

    `type_name` is the MSL type that a buffer's pointer points to ("float", "uint3", "Params"),
    or a builtin's own type; `size_bytes` and `align_bytes` are that type's. `is_reference` tells
    `constant uint& n` (exactly one element) from `constant uint* n` (any number).
    `enabled_by` names the function constant that switches the argument on, "" for none.
    Of a pointer to pointers, `points_to` describes the memory that those point to.
    """

    name: str
    kind: Literal["buffer", "threadgroup", "builtin", "texture", "sampler"]
    type_name: str
    index: int = -1
    address_space: AddressSpace = "device"
    access: Access = "read"
    size_bytes: int = 0
    align_bytes: int = 0
    is_reference: bool = False
    builtin: str = ""
    enabled_by: str = ""
    fields: tuple[Field, ...] = ()
    points_to: Argument | None = None

    @property
    def is_open_ended(self) -> bool:
        """Whether more may follow: it is, or ends with, an array of one, as `float data[1]`.

        Metal has no arrays of unknown length; those of translated shaders are declared so.
        """
        return self.type_name.endswith("[1]") or (
            bool(self.fields) and self.fields[-1].array_length == 1
        )

    @property
    def holds_pointers(self) -> bool:
        """Whether its elements are pointers, or structs with pointers: an argument buffer."""
        return self.points_to is not None or any(field.holds_pointers for field in self.fields)

    def __str__(self) -> str:
        """The parameter as MSL declares it."""
        if self.kind == "builtin":
            return f"{self.type_name} {self.name} [[{self.builtin}]]"
        if self.kind in ("texture", "sampler"):
            return f"{self.type_name} {self.name} [[{self.kind}({self.index})]]"
        const = "const " if self.address_space == "device" and self.access == "read" else ""
        mark = "&" if self.is_reference else "*"
        slot = "threadgroup" if self.kind == "threadgroup" else "buffer"
        type_name = f"{const}{self.type_name}"
        if self.points_to is not None:
            inner = self.points_to
            is_const = inner.address_space == "device" and inner.access == "read"
            type_name = f"{'const ' if is_const else ''}{inner.type_name}*"
            declared = f"{inner.address_space} {type_name} {const}{self.address_space}"
            return f"{declared}{mark} {self.name} [[{slot}({self.index})]]"
        declared = f"{self.address_space} {type_name}{mark} {self.name}"
        return f"{declared} [[{slot}({self.index})]]"


@dataclass(frozen=True)
class FunctionConstant:
    """`constant T name [[function_constant(index)]]`. `required`: it has no default in source."""

    name: str
    index: int
    type_name: str
    required: bool = True


@dataclass(frozen=True)
class Function:
    """One kernel of a library. `name` is what callers use, `symbol` what the module calls it."""

    name: str
    symbol: str
    arguments: tuple[Argument, ...] = ()
    constants: tuple[FunctionConstant, ...] = ()
    max_total_threads_per_threadgroup: int | None = None

    @property
    def bindable(self) -> tuple[Argument, ...]:
        """The arguments a caller supplies values for, in declared order."""
        return tuple(a for a in self.arguments if a.kind not in ("builtin", "threadgroup"))

    def __str__(self) -> str:
        """The signature as MSL declares it."""
        inner = ",\n    ".join(map(str, self.arguments))
        return f"kernel void {self.name}(\n    {inner})" if inner else f"kernel void {self.name}()"
