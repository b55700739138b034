"""What a device is, and which one runs.

`device()` picks: its argument, then `PYMETAL_DEVICE`, then Metal if present, else "cpu". Adding a
device is one folder that implements `Device` and one row of `DEVICES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from pymetal import _native
from pymetal.air.function import Argument, Function
from pymetal.errors import DeviceError
from pymetal.source import CompileOptions, Source

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Limits:
    """What a device allows. Sizes in bytes, positions as (x, y, z)."""

    max_threads_per_threadgroup: int
    max_threadgroup_size: Size
    max_threadgroup_memory_bytes: int
    max_buffer_bytes: int
    threads_per_simdgroup: int = 32


@dataclass
class Report:
    """How a pipeline came to be: nothing falls back without a word here."""

    engine: str
    compile_seconds: float = 0.0
    from_cache: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Binding:
    """One buffer argument's memory: a C-contiguous NumPy array's, checked to fit `argument`.

    `written` memory must hold the kernel's result when `launch` returns. `reached` is the memory
    that pointers in the array point to: that of an argument buffer.
    """

    argument: Argument
    array: Any
    written: bool
    reached: tuple[Binding, ...] = ()


class Pipeline(Protocol):
    """A function compiled for one device with its constants set: what is launched."""

    @property
    def function(self) -> Function: ...
    @property
    def report(self) -> Report: ...
    @property
    def max_total_threads_per_threadgroup(self) -> int: ...
    @property
    def static_threadgroup_memory_bytes(self) -> int: ...

    def launch(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        timeout: float | None = None,
    ) -> None:
        """Run the grid (in threads) and return when it is done. Raises `KernelFault`.

        `threadgroup_memory` maps threadgroup indices to bytes. Geometry was checked already
        against the limits. After `timeout` seconds the kernel is stopped, which is a fault too.
        """


class DeviceLibrary(Protocol):
    """A compiled source or `.metallib` on one device."""

    @property
    def function_names(self) -> tuple[str, ...]: ...

    def expect_all(self) -> None:
        """Every kernel will be asked for: compile them together where that is quicker."""

    def function(self, name: str) -> Function:
        """Reflection of one kernel; raises `FunctionNotFoundError`, listing those there are."""

    def pipeline(self, name: str, constants: Mapping[str | int, Any]) -> Pipeline:
        """Compile one kernel with its function constants, by name or index."""


class Device(Protocol):
    """One place where kernels run."""

    @property
    def name(self) -> str: ...
    @property
    def limits(self) -> Limits: ...

    def library_from_source(self, source: Source, options: CompileOptions) -> DeviceLibrary: ...
    def library_from_metallib(self, data: bytes, name: str) -> DeviceLibrary: ...


# Every device there may be, best first: its name and its package, which has
# `is_present() -> bool` and `open_device() -> Device`, and imports little before it is opened.
DEVICES: dict[str, str] = {
    "metal": "pymetal.metal",
    "cpu": "pymetal.cpu",
}


def device(name: str | Device | None = None) -> Device:
    """The device of that name: the argument, else `PYMETAL_DEVICE`, else the best one present.

    A `Device` is returned as it is. Devices are opened once.

    Raises
    ------
    DeviceError
        There is no such device, or it is not present on this machine.
    """
    if name is not None and not isinstance(name, str):
        if not hasattr(name, "library_from_source"):
            raise DeviceError(
                f"device is {type(name).__name__}; give a name, one of {', '.join(DEVICES)}, or "
                "what pymetal.device gave"
            )
        return name
    chosen = name or _native.getenv("PYMETAL_DEVICE") or None
    if chosen is None:
        return _open(_best())
    if chosen not in DEVICES:
        source = "" if name else " (from PYMETAL_DEVICE)"
        raise DeviceError(
            f"no device {chosen!r}{source}; there are {', '.join(DEVICES)}", device=chosen
        )
    return _open(chosen)


def device_names() -> tuple[str, ...]:
    """The devices present on this machine, best first."""
    return tuple(name for name in DEVICES if _is_present(name))


@cache
def _best() -> str:
    return device_names()[0]


def _is_present(name: str) -> bool:
    return bool(import_module(DEVICES[name]).is_present())


@cache
def _open(name: str) -> Device:
    if not _is_present(name):
        raise DeviceError(
            f"device {name!r} is not present here; there is {', '.join(device_names())}",
            device=name,
        )
    opened: Device = import_module(DEVICES[name]).open_device()
    return opened
