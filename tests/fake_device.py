"""A device that runs Python instead of kernels: the API's checks need no compiler under them.

A `FakeDevice` is given the description of its functions; it records what it compiles and the
bindings of each launch, and runs `action(arrays by name, grid)` if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pymetal.air.function import Argument, Field, Function
from pymetal.devices import Limits, Report
from pymetal.errors import FunctionNotFoundError, LibraryError, UnsupportedError

SIZES = {"char": 1, "uchar": 1, "bool": 1, "short": 2, "ushort": 2, "half": 2, "bfloat": 2}
SIZES |= {"int": 4, "uint": 4, "float": 4, "long": 8, "ulong": 8, "void": 0}


def buffer(
    declaration: str, index: int, fields: tuple[Field, ...] = (), size: int | None = None
) -> Argument:
    """An argument from its declaration, such as `device const float4* x`."""
    space, const, type_name, mark, name = re.fullmatch(
        r"(\w+) (const )?([\w<>:, ]+?)([&*]) ?(\w+)", declaration
    ).groups()
    scalar, lanes = (
        re.fullmatch(r"(?:packed_|atomic_)?([a-z]+)(\dx\d|\d)?", type_name).groups()
        if not fields
        else (None, None)
    )
    if size is None:
        columns, rows = (
            (int(lanes[0]), int(lanes[2])) if lanes and "x" in lanes else (1, int(lanes or 1))
        )
        padded = 4 if rows == 3 and not type_name.startswith("packed_") else rows
        size = SIZES[scalar] * columns * padded
        align = SIZES[scalar] * (1 if type_name.startswith("packed_") else padded)
    else:
        align = 4
    written = space == "device" and not const
    return Argument(
        name,
        "buffer",
        type_name,
        index,
        space,
        "read_write" if written else "read",
        size,
        align,
        mark == "&",
        fields=fields,
    )


class FakePipeline:
    def __init__(self, device: FakeDevice, function: Function, constants: Mapping[str, Any]):
        self.device, self.function, self.constants = device, function, dict(constants)
        self.report = Report("fake")
        self.max_total_threads_per_threadgroup = device.max_total_threads
        self.static_threadgroup_memory_bytes = device.static_memory

    def launch(self, bindings, threadgroup_memory, grid, threadgroup, timeout=None) -> None:
        self.device.launches.append((list(bindings), dict(threadgroup_memory), grid, threadgroup))
        if self.device.action is not None:
            self.device.action({b.argument.name: b.array for b in bindings}, grid)


class FakeLibrary:
    def __init__(self, device: FakeDevice, functions: Mapping[str, Function]):
        self.device, self.functions = device, functions

    @property
    def function_names(self) -> tuple[str, ...]:
        return tuple(self.functions)

    def expect_all(self) -> None:
        pass

    def function(self, name: str) -> Function:
        if name not in self.functions:
            raise FunctionNotFoundError(f"no function {name}", available=tuple(self.functions))
        return self.functions[name]

    def pipeline(self, name: str, constants: Mapping[str | int, Any]) -> FakePipeline:
        if name in self.device.refused:
            raise UnsupportedError(f"{name} is beyond this device")
        self.device.pipelines.append(name)
        return FakePipeline(self.device, self.function(name), constants)


class FakeDevice:
    name = "fake"

    def __init__(self, *functions: Function, action: Callable[..., None] | None = None):
        self.limits = Limits(1024, (1024, 1024, 64), 32768, 1 << 30)
        self.functions = {function.name: function for function in functions}
        self.action = action
        self.max_total_threads = 1024
        self.static_memory = 0
        self.refused: set[str] = set()
        self.sources: list[str] = []
        self.pipelines: list[str] = []
        self.launches: list[tuple[Any, ...]] = []

    def library_from_source(self, source, options) -> FakeLibrary:
        self.sources.append(source.text)
        names = re.findall(r"kernel void (\w+)", source.text)
        return FakeLibrary(self, {n: self.functions[n] for n in names if n in self.functions})

    def library_from_metallib(self, data: bytes, name: str) -> FakeLibrary:
        if not data.startswith(b"MTLB"):
            raise LibraryError(f"{name} is not a .metallib")
        return FakeLibrary(self, self.functions)
