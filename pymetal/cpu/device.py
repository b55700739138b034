"""The software Metal device: kernels from Metal source or `.metallib` run on this processor.

    source --pymetal.msl--> .metallib --pymetal.air--> canonical function --engine--> object code

Each arrow's result is in the disk cache. LLVM and the front end are imported when one of them has
to be made; a process that finds everything cached loads neither.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymetal import _native
from pymetal.air.container import Container
from pymetal.air.function import Function
from pymetal.cache import cpu_fingerprint, digest, fetch, package_fingerprint
from pymetal.cpu import guard
from pymetal.cpu.compiled import Compiled, function_from_bytes, function_to_bytes
from pymetal.cpu.faults import kernel_fault
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.variants import Variants
from pymetal.devices import Binding, Limits, Report, Size
from pymetal.errors import (
    CompileError,
    DeviceError,
    FunctionNotFoundError,
    KernelFault,
    ToolchainError,
    UnsupportedError,
)
from pymetal.find import shipped_metallib
from pymetal.source import CompileOptions, Source

if TYPE_CHECKING:
    from pymetal.air.library import Library
    from pymetal.cpu.checks.pipeline import CheckedPipeline
    from pymetal.cpu.checks.schedules import ScheduledPipeline

# A source with more kernels is compiled kernel by kernel.
MAX_KERNELS_AT_ONCE = 16
# What PYMETAL_ENGINE may be.
ENGINES = ("auto", "reference", "vectorised")
MAX_THREADS: int = _native.MAX_THREADS_PER_THREADGROUP
_LIMITS = Limits(
    max_threads_per_threadgroup=MAX_THREADS,
    max_threadgroup_size=(MAX_THREADS, MAX_THREADS, MAX_THREADS),
    max_threadgroup_memory_bytes=32 * 1024,
    max_buffer_bytes=1 << 46,  # what an address space of 47 bits may hold
)


def open_device() -> CpuDevice:
    """Called once, by `pymetal.device`."""
    _set_worker_count()
    return CpuDevice()


def _set_worker_count() -> None:
    value = os.environ.get("PYMETAL_NUM_THREADS", "")
    if not value:
        return
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 4096:
        raise DeviceError(
            f"PYMETAL_NUM_THREADS is {value!r}; it takes a number of threads from 1 to 4096"
        )
    _native.set_worker_count(int(value))


class CpuDevice:
    """See `pymetal.devices.Device`."""

    name = "cpu"
    limits = _LIMITS

    def library_from_source(self, source: Source, options: CompileOptions) -> CpuLibrary:
        return source_library(source, options)

    def library_from_metallib(self, data: bytes, name: str) -> CpuLibrary:
        container = Container(data, name)
        is_ours = Path(name) == shipped_metallib()  # and no more to be doubted than this code

        @cache
        def sound(kernel: str) -> Container:
            if not is_ours and find_spec("llvmlite") is not None:
                label = f"{name}: '{kernel}'"
                guard.check(container.entry(kernel).bitcode, label, _llvm_fingerprint())
            return container

        return CpuLibrary(container.names, sound)


def source_library(source: Source, options: CompileOptions) -> CpuLibrary:
    """Compile all kernels of a small source now; of a large one each when it is asked for.

    Libraries of templates instantiate hundreds, which would take minutes. So too where some lack a
    feature: the others run, and only those are refused.
    """
    from pymetal import msl

    includes = sorted((str(p), text) for p, text in msl.local_includes(source, options).items())
    key = (package_fingerprint(), _clang_fingerprint(), source, options, includes)
    listed, _ = fetch(digest("names", *key), lambda: _lines(msl.list_kernels(source, options)))
    lines = [line.partition("\t") for line in listed.decode().splitlines()]
    names = tuple(name for name, _, _ in lines)
    lacking = sum(bool(feature) for _, _, feature in lines)

    @cache
    def compile_kernels(kernels: tuple[str, ...] | None) -> Container:
        data, _ = fetch(
            digest("air", kernels, *key), lambda: msl.compile_source(source, options, kernels)
        )
        return Container(data, source.display_name)

    def with_lines(name: str) -> Container:
        return source_library(source, replace(options, debug=True))._container_of(name)

    debug = None if options.debug else with_lines
    if len(names) <= MAX_KERNELS_AT_ONCE and lacking in (0, len(names)):
        whole = compile_kernels(None)
        return CpuLibrary(names, lambda _: whole, source, debug)

    able = [name for name, _, feature in lines if not feature]
    place = {name: number // MAX_KERNELS_AT_ONCE for number, name in enumerate(able)}

    @cache
    def group(number: int) -> Container | None:
        start = number * MAX_KERNELS_AT_ONCE
        try:
            return compile_kernels(tuple(able[start : start + MAX_KERNELS_AT_ONCE]))
        except (CompileError, UnsupportedError):
            return None  # each is asked on its own what is wrong with it

    def with_others(name: str) -> Container:
        together = group(place[name]) if name in place else None
        return together or compile_kernels((name,))

    return CpuLibrary(names, lambda name: compile_kernels((name,)), source, debug, with_others)


def _lines(kernels: dict[str, str]) -> bytes:
    """A line for each kernel: its name and, behind a tab, the feature that it lacks."""
    return "\n".join(f"{name}\t{feature}" for name, feature in kernels.items()).encode()


class CpuLibrary:
    """See `pymetal.devices.DeviceLibrary`. `container_of` has the kernel of that name.

    `source` is what it was compiled from, `debug_container_of` has the kernel with its lines,
    `container_of_all` is quicker when all kernels are asked for.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        container_of: Callable[[str], Container],
        source: Source | None = None,
        debug_container_of: Callable[[str], Container] | None = None,
        container_of_all: Callable[[str], Container] | None = None,
    ) -> None:
        self.function_names = names
        self._container_of_all = container_of_all
        self._container_of = container_of
        self._source = source
        self._debug_container_of = debug_container_of or container_of
        self._functions: dict[str, Function] = {}

    def expect_all(self) -> None:
        self._container_of = self._container_of_all or self._container_of

    def function(self, name: str) -> Function:
        if name not in self._functions:
            container = self._container(name)
            data, _ = fetch(
                _key("function", container, name),
                lambda: function_to_bytes(_air(container).function(name)),
            )
            self._functions[name] = function_from_bytes(data)
        return self._functions[name]

    def pipeline(self, name: str, constants: Mapping[str | int, Any]) -> CpuPipeline:
        start = time.perf_counter()
        container, engine = self._container(name), _engine()
        values = sorted((str(key), value) for key, value in constants.items())

        def compiled(layout: LaneLayout, engine: str = engine) -> tuple[Compiled, bool]:
            def make() -> bytes:
                from pymetal.cpu.engines import compile_kernel

                canonical = _air(container).canonical(name, constants)
                return compile_kernel(canonical, engine, layout).to_bytes()

            facts = (values, engine, layout, cpu_fingerprint(), _llvm_fingerprint())
            data, from_cache = fetch(_key("native", container, name, *facts), make)
            return Compiled.from_bytes(data), from_cache

        def scheduled() -> ScheduledPipeline:
            from pymetal.cpu.checks.schedules import ScheduledPipeline

            plain, _ = compiled(LaneLayout(), "reference")
            return ScheduledPipeline(plain, pipeline.checked())

        def checked(nan: bool) -> CheckedPipeline:
            from pymetal.cpu.checks.pipeline import CheckedPipeline, compile_checked

            with_lines = self._debug_container_of(name)
            facts = (values, nan, cpu_fingerprint(), _llvm_fingerprint())
            data, _ = fetch(
                _key("checked", with_lines, name, *facts),
                lambda: compile_checked(_air(with_lines), name, constants, nan),
            )
            return CheckedPipeline(data, self._source)

        pipeline = CpuPipeline(compiled, checked, scheduled)
        pipeline.report.compile_seconds = time.perf_counter() - start
        return pipeline

    def _container(self, name: str) -> Container:
        if name not in self.function_names:
            listed = ", ".join(self.function_names) or "none"
            raise FunctionNotFoundError(
                f"no kernel '{name}'; there are: {listed}", available=self.function_names
            )
        return self._container_of(name)


def _key(kind: str, container: Container, name: str, *parts: object) -> str:
    """The cache key of what is made of one kernel of a container."""
    entry = container.entry(name)
    return digest(kind, package_fingerprint(), entry.bitcode, name, entry.symbol, *parts)


def _air(container: Container) -> Library:
    """The container as LLVM reads it."""
    if find_spec("llvmlite") is None:
        raise ToolchainError(
            "the software device compiles with LLVM: install it with `pip install llvmlite`, on "
            "macOS `pip install 'pymetal[software]'`"
        )
    from pymetal.air.library import Library

    return Library(container)


class CpuPipeline:
    """See `pymetal.devices.Pipeline`."""

    def __init__(
        self,
        compiled: Callable[[LaneLayout], tuple[Compiled, bool]],
        checked: Callable[[bool], CheckedPipeline],
        scheduled: Callable[[], ScheduledPipeline],
    ) -> None:
        """`compiled` gives the code for launches of a layout, and whether it was cached;
        `checked` the kernel with checks, `scheduled` with its threads in several orders."""
        self._make_checked = cache(checked)
        self.scheduled = cache(scheduled)
        from_cache = []

        def code_for(layout: LaneLayout) -> Compiled:
            code, cached = compiled(layout)
            from_cache.append(cached)
            return code

        self._variants = Variants(code_for)
        code = self._variants.code(LaneLayout())
        self.function = code.function
        self.report = Report(code.engine, from_cache=from_cache[0], notes=self._variants.notes)
        self.static_threadgroup_memory_bytes = code.threadgroup_bytes
        self.max_total_threads_per_threadgroup = min(
            MAX_THREADS, code.function.max_total_threads_per_threadgroup or MAX_THREADS
        )
        self._buffers = code.buffers
        self._threadgroup_arguments = code.threadgroup_arguments

    def checked(self, nan: bool = False) -> CheckedPipeline:
        """The kernel with checks; `nan`: also for values that are not finite."""
        return self._make_checked(nan)

    def route(self, grid: Size, threadgroup: Size) -> tuple[_native.Pipeline, tuple[int, ...]]:
        """What launches that geometry, and the buffer indices in the order that it reads them."""
        return self._variants.pipeline(grid, threadgroup), self._buffers

    def fault(
        self,
        fault: _native.Fault,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        timeout: float | None,
    ) -> KernelFault:
        """The error of a launch that failed."""
        error = kernel_fault(self.function.name, fault, bindings, timeout)
        if fault.kind in ("timeout", "interrupt"):
            return error  # it is to come at once, and has no line
        from pymetal.cpu.checks.culprit import name_line

        return name_line(error, self.checked, bindings, threadgroup_memory, grid, threadgroup)

    def launch(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        timeout: float | None = None,
    ) -> None:
        arrays = {binding.argument.index: binding.array for binding in bindings}
        fault = self._variants.pipeline(grid, threadgroup).launch(
            [arrays[index].__array_interface__["data"][0] for index in self._buffers],
            [threadgroup_memory[index] for index in self._threadgroup_arguments],
            grid,
            threadgroup,
            timeout,
            sizes=[arrays[index].nbytes for index in self._buffers],
        )
        if fault is not None:
            raise self.fault(fault, bindings, threadgroup_memory, grid, threadgroup, timeout)


def _engine() -> str:
    """`PYMETAL_ENGINE`: "reference", "vectorised", or "auto" for the fastest that does it."""
    engine = os.environ.get("PYMETAL_ENGINE") or "auto"
    if engine not in ENGINES:
        raise DeviceError(f"PYMETAL_ENGINE is {engine!r}; it is one of {', '.join(ENGINES)}")
    return engine


@cache
def _llvm_fingerprint() -> str:
    """Which LLVM makes native code, found without loading it."""
    return _package_fingerprint("llvmlite", "binding/*llvmlite*")


def _clang_fingerprint() -> str:
    """Which clang compiles source, found without running it."""
    return digest(os.environ.get("PYMETAL_CLANG"), _package_fingerprint("ziglang", "zig*"))


@cache
def _package_fingerprint(package: str, pattern: str) -> str:
    """Name, size and time of a package's binaries."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    files = sorted(Path(spec.origin).parent.glob(pattern))
    return digest([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])
