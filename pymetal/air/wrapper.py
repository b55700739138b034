"""`@canon`: the function that maps what an engine supplies to what a kernel declares.

Engines supply few things: the lane's place, buffers, threadgroup memory and the positions and
sizes of Metal's grid as `<3 x i32>`. Kernels ask for them in any width and length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pymetal.air import program_inputs
from pymetal.air.body import split_vector
from pymetal.air.function import Argument, Function
from pymetal.errors import LibraryError, UnsupportedError

# What engines supply, under Metal's names. `threads_per_threadgroup` is the actual size, smaller
# at the grid's edge; `dispatch_threads_per_threadgroup` is what was launched.
VECTOR_BUILTINS = frozenset(
    {
        "thread_position_in_grid",
        "thread_position_in_threadgroup",
        "threadgroup_position_in_grid",
        "threads_per_grid",
        "threads_per_threadgroup",
        "dispatch_threads_per_threadgroup",
        "threadgroups_per_grid",
    }
)
SCALAR_BUILTINS = frozenset({"simdgroups_per_threadgroup", "dispatch_simdgroups_per_threadgroup"})
# What follows from the lane and the simdgroup, or is always the same.
_DERIVED = {
    "thread_index_in_simdgroup": "add i32 %lane, 0",
    "simdgroup_index_in_threadgroup": "add i32 %simdgroup, 0",
    "thread_index_in_quadgroup": "and i32 %lane, 3",
    "threads_per_simdgroup": "add i32 32, 0",
    "thread_execution_width": "add i32 32, 0",
}
_SYNONYMS = {"grid_size": "threads_per_grid"}


@dataclass(frozen=True)
class Parameter:
    """One parameter `%name` of `@canon`.

    role   "lane" and "simdgroup": the thread's place in its simdgroup and threadgroup;
           "threadgroup_memory": the kernel's threadgroup variables, zero at the start;
           "buffer": the memory bound at buffer `index`;
           "threadgroup": memory of the launch's size for threadgroup `index`, 16-byte aligned;
           else a builtin by Metal's name, `<3 x i32>` or i32
    type   its LLVM type
    argument  position of the kernel's argument that it serves, -1 for none in particular
    """

    role: str
    name: str
    type: str
    index: int = -1
    argument: int = -1


FIXED = (
    Parameter("lane", "lane", "i32"),
    Parameter("simdgroup", "simdgroup", "i32"),
    Parameter("threadgroup_memory", "threadgroup_memory", "ptr"),
)


@dataclass
class _Wrapper:
    kernel: Function
    parameters: list[Parameter] = field(default_factory=lambda: list(FIXED))
    attributes: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def emit(self, instruction: str) -> str:
        self.lines.append(f"  %w{len(self.lines)} = {instruction}")
        return f"%w{len(self.lines) - 1}"

    def value(self, argument: Argument, position: int, type_: str) -> str:
        """The value that the kernel's parameter of `type_` receives."""
        if argument.kind in ("buffer", "threadgroup"):
            return self._pointer(argument, position, type_)
        if argument.kind != "builtin":
            raise UnsupportedError(
                f"{self.kernel.name}: argument '{argument.name}' is a {argument.kind}; "
                f"the software device runs kernels over buffers",
                feature=f"{argument.kind}s",
            )
        count, element = split_vector(type_)
        if not re.fullmatch(r"i(16|32|64)", element) or count > 3:
            raise LibraryError(
                f"{self.kernel.name}: builtin '{argument.builtin}' cannot have type {type_}"
            )
        if argument.builtin in VECTOR_BUILTINS or argument.builtin in _SYNONYMS:
            whole = self._supplied(_SYNONYMS.get(argument.builtin, argument.builtin), "<3 x i32>")
            parts = [self.emit(f"extractelement <3 x i32> {whole}, i32 {i}") for i in range(count)]
        elif argument.builtin == "grid_origin":
            parts = ["0"] * count
        elif count == 1:
            parts = [self._scalar(argument)]
        else:
            raise LibraryError(f"{self.kernel.name}: builtin '{argument.builtin}' is one number")
        return self._vector([self._widen(part, element) for part in parts], type_)

    def _pointer(self, argument: Argument, position: int, type_: str) -> str:
        if type_ != "ptr":
            raise LibraryError(f"{self.kernel.name}: '{argument.name}' is a {type_}, no pointer")
        name = f"{argument.kind}.{argument.index}"
        others = [p.argument for p in self.parameters if p.name == name]
        if others:
            # Function constants may switch on one of them: which, is known when they are.
            if not (argument.enabled_by or self.kernel.arguments[others[0]].enabled_by):
                raise LibraryError(
                    f"{self.kernel.name}: two arguments have {argument.kind} index {argument.index}"
                )
            name = f"{name}.or.{position}"
        self.parameters.append(
            Parameter(argument.kind, name, "ptr", argument.index, argument=position)
        )
        attributes = "noundef"
        if argument.address_space == "constant":
            # Nothing writes to the constant address space while a kernel runs.
            attributes = "noalias noundef readonly"
            if argument.is_reference and argument.size_bytes > 0:
                attributes += f" dereferenceable({argument.size_bytes})"
        self.attributes[name] = attributes
        return f"%{name}"

    def _supplied(self, role: str, type_: str) -> str:
        if not any(p.role == role for p in self.parameters):
            self.parameters.append(Parameter(role, role, type_))
        return f"%{role}"

    def _scalar(self, argument: Argument) -> str:
        builtin = argument.builtin
        if builtin in _DERIVED:
            return self.emit(_DERIVED[builtin])
        if builtin in SCALAR_BUILTINS:
            return self._supplied(builtin, "i32")
        if builtin == "thread_index_in_threadgroup":
            return self.emit(f"add i32 {self.emit('mul i32 %simdgroup, 32')}, %lane")
        if builtin == "quadgroup_index_in_threadgroup":
            first = self.emit("mul i32 %simdgroup, 8")
            return self.emit(f"add i32 {first}, {self.emit('lshr i32 %lane, 2')}")
        if builtin in ("quadgroups_per_threadgroup", "dispatch_quadgroups_per_threadgroup"):
            role = builtin.replace("quadgroups", "threads")
            size = self._supplied(role, "<3 x i32>")
            x, y, z = (self.emit(f"extractelement <3 x i32> {size}, i32 {i}") for i in range(3))
            threads = self.emit(f"mul i32 {self.emit(f'mul i32 {x}, {y}')}, {z}")
            return self.emit(f"lshr i32 {self.emit(f'add i32 {threads}, 3')}, 2")
        raise UnsupportedError(
            f"{self.kernel.name}: the software device does not supply [[{builtin}]] "
            f"(argument '{argument.name}')",
            feature=builtin,
        )

    def _widen(self, value: str, element: str) -> str:
        if element == "i32":
            return value
        return self.emit(f"{'trunc' if element == 'i16' else 'zext'} i32 {value} to {element}")

    def _vector(self, parts: Sequence[str], type_: str) -> str:
        if not type_.startswith("<"):
            return parts[0]
        value, element = "poison", split_vector(type_)[1]
        for i, part in enumerate(parts):
            value = self.emit(f"insertelement {type_} {value}, {element} {part}, i32 {i}")
        return value


def wrap(
    text: str, kernel: Function, types: Sequence[str], switches: Mapping[int, str]
) -> tuple[str, tuple[Parameter, ...]]:
    """`text` with `@canon` around the kernel, and what `@canon` takes.

    For each argument that a function constant switches on, `@pymetal.enabled.N` returns the
    constant's value: evaluating the module turns it into a number.
    """
    wrapper = _Wrapper(kernel)
    text = program_inputs.writable(text)
    for name, builtin, type_ in program_inputs.found(text):
        argument = Argument(name, "builtin", "", builtin=builtin)
        value = wrapper.value(argument, -1, type_)
        wrapper.lines.append(f"  store {type_} {value}, ptr @{name}")
    operands = [
        f"{type_} {wrapper.value(argument, i, type_)}"
        for i, (argument, type_) in enumerate(zip(kernel.arguments, types, strict=True))
    ]
    head = ", ".join(
        f"{p.type} {wrapper.attributes.get(p.name, 'noundef')} %{p.name}"
        for p in wrapper.parameters
    )
    symbol = quoted(kernel.symbol)
    lines = [
        f'define void @canon({head}) convergent nounwind "no-builtins" {{',
        *wrapper.lines,
        f"  call void @{symbol}({', '.join(operands)})",
        "  ret void",
        "}",
    ]
    for position, switch in switches.items():
        lines += [
            f"define i8 @pymetal.enabled.{position}() {{",
            f"  %value = load i8, ptr @{quoted(switch)}",
            "  ret i8 %value",
            "}",
        ]
    body = "\n".join(lines)
    return f"{text}\n{body}\n", tuple(wrapper.parameters)


def quoted(name: str) -> str:
    """A global's name as LLVM spells it after `@`."""
    if re.fullmatch(r"[-a-zA-Z$._][-\w$.]*", name):
        return name
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\{ord(c):02X}" for c in name)
    return f'"{escaped}"'
