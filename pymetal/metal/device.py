"""The metal device behind the protocols of `pymetal/devices.py`."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from pymetal import _native
from pymetal.air.container import Container
from pymetal.air.function import Function
from pymetal.devices import Binding, Limits, Report, Size
from pymetal.errors import DeviceError, Error, FunctionNotFoundError, LibraryError
from pymetal.metal.constants import constant_bytes, provisional_bytes
from pymetal.metal.errors import error_of
from pymetal.metal.includes import inlined
from pymetal.metal.reflection import function_of, switched_on
from pymetal.metal.signature import Declared, signature_of, signatures
from pymetal.source import CompileOptions, Source

_MATH_MODES = {"safe": 0, "relaxed": 1, "fast": 2}
# Headers of the Metal 4 language; kernels that use them go through Metal 4's compiler.
_METAL4_HEADERS = ("<metal_tensor>", "<MetalPerformancePrimitives/")
_LOG_LEVELS = {
    1: logging.DEBUG,
    2: logging.INFO,
    3: logging.INFO,
    4: logging.ERROR,
    5: logging.CRITICAL,
}
# A command queue has 64 command buffers and blocks, without a timeout, when asked for one more.
_MOST_UNFINISHED = 32
_kernel_log = logging.getLogger("pymetal.kernel")
_is_forked_child = False


def _after_fork() -> None:
    global _is_forked_child
    _is_forked_child = True


os.register_at_fork(after_in_child=_after_fork)


def _deliver_rest(device: weakref.ref[MetalDevice]) -> None:
    """At exit: Metal does not promise a message before its launch is over."""
    found = device()
    if found is not None and not _is_forked_child:
        found.deliver_log()


def open_device() -> MetalDevice:
    """The system's GPU. Raises `DeviceError`."""
    try:
        return MetalDevice(_native.open_metal_device())
    except _native.MetalFailure as failure:
        raise error_of(failure) from None


class MetalDevice:
    """One GPU."""

    name = "metal"

    def __init__(self, native: _native.MetalDevice) -> None:
        self._native = native
        self.info = native.info
        self.is_paravirtual = self.info.is_paravirtual
        # Arrays of launches that timed out: the GPU may write them until it is done.
        self._in_use: list[object] = []
        self._logs = False

    @property
    def limits(self) -> Limits:
        size = self.info.max_threadgroup_size
        x, y, z = size
        return Limits(
            max_threads_per_threadgroup=x,
            max_threadgroup_size=(x, y, z),
            max_threadgroup_memory_bytes=self.info.max_threadgroup_memory_bytes,
            max_buffer_bytes=self.info.max_buffer_bytes,
        )

    def library_from_source(self, source: Source, options: CompileOptions) -> MetalLibrary:
        _check_process()
        text = inlined(source, options)
        started = time.perf_counter()
        try:
            native = self._native.library_from_source(
                text,
                options.language_version or (0, 0),
                _MATH_MODES[options.math_mode],
                list(options.macros),
                options.enable_logging,
                any(header in text for header in _METAL4_HEADERS),
            )
        except _native.MetalFailure as failure:
            raise error_of(failure, source.display_name) from None
        seconds = time.perf_counter() - started
        if options.enable_logging and not self._logs:
            self._logs = True
            atexit.register(_deliver_rest, weakref.ref(self))
        return MetalLibrary(self, native, [text], source.display_name, seconds, options)

    def library_from_metallib(self, data: bytes, name: str) -> MetalLibrary:
        container = Container(data, name)  # Metal's own words for a damaged file say little
        if container.names and container.entry(container.names[0]).by_pymetal:
            raise LibraryError(
                f"{name} was compiled by PyMetal for its software device; nobody has run such a "
                "file on a GPU. Compile the source on this machine instead",
                library=name,
            )
        started = time.perf_counter()
        try:
            native = self._native.library_from_metallib(data)
        except _native.MetalFailure as failure:
            raise error_of(failure, name) from None
        seconds = time.perf_counter() - started
        # Sources that lie beside it tell what reflection does not.
        beside = sorted(Path(name).parent.glob("*.metal")) if Path(name).is_file() else []
        texts = [path.read_text("utf-8", "replace") for path in beside]
        return MetalLibrary(self, native, texts, name, seconds, CompileOptions())

    @contextmanager
    def capture(self, path: str | os.PathLike[str] | None = None) -> Iterator[Path]:
        """Record what the GPU does inside the `with` into a `.gputrace` that Xcode opens.

        Raises
        ------
        DeviceError
            Capture is not allowed (needs `MTL_CAPTURE_ENABLED=1`), runs already, or `path`
            exists.
        """
        if path is None:
            folder = tempfile.mkdtemp(prefix="pymetal-")
            path = Path(folder) / "capture.gputrace"
        path = Path(path).absolute()
        if path.exists():
            raise DeviceError(f"{path} exists; a GPU capture needs a new path")
        try:
            self._native.start_capture(str(path))
        except _native.MetalFailure as failure:
            raise error_of(failure, str(path)) from None
        try:
            yield path
        finally:
            self._native.stop_capture()

    def launch(
        self, run: Callable[[], _native.GpuTime], name: str, kept: object
    ) -> _native.GpuTime:
        """`run` a launch and wait for it; a launch that times out keeps `kept` alive."""
        self.check_usable()
        try:
            return run()
        except _native.MetalFailure as failure:
            if failure.args[0] == "timeout":
                self._in_use.append(kept)
            raise error_of(failure, name) from None

    def launch_all(self, works: Sequence[Any]) -> tuple[list[float], _native.MetalFailure | None]:
        """Launch what calls of this device bound, in as few command buffers as can be.

        Something else in `works` ends it. Gives the seconds of each launch, the failed one's too.
        """
        self.check_usable()
        bounds = list(takewhile(self._has_bound, works))
        launchers: list[Any] = [bound.launcher for bound in bounds]
        seconds, failure = self._native.launch_all(bounds, [x.native for x in launchers])
        for launcher, each in zip(launchers, seconds, strict=False):
            launcher.gpu_seconds = each
        if any(launcher.logs for launcher in launchers):
            self.deliver_log()
        return [*seconds, 0.0] if failure is not None else seconds, failure

    def _has_bound(self, work: Any) -> bool:
        if not isinstance(work, _native.Bound):
            return False
        launcher: Any = work.launcher
        return isinstance(launcher, MetalPipeline) and launcher.device is self

    def check_usable(self) -> None:
        """Refuse a forked process; let go of what launches that are over by now held."""
        _check_process()
        if not self._in_use:
            return
        unfinished = self._native.unfinished_launches()
        if unfinished == 0:
            self._in_use.clear()
        elif unfinished >= _MOST_UNFINISHED:
            raise DeviceError(
                f"{unfinished} launches that timed out still run on the GPU; wait until its "
                "watchdog has ended them, or start Python anew",
                device="metal",
            )

    def deliver_log(self) -> None:
        """Hand what kernels logged to the logger `pymetal.kernel`."""
        for message in self._native.take_log():
            _kernel_log.log(
                _LOG_LEVELS.get(message.level, logging.INFO),
                "%s",
                message.text,
                extra={"subsystem": message.subsystem, "category": message.category},
            )


class MetalLibrary:
    """A library of Metal's. `texts` is source to read declarations from."""

    def __init__(
        self,
        device: MetalDevice,
        native: _native.MetalLibrary,
        texts: Sequence[str],
        origin: str,
        compile_seconds: float,
        options: CompileOptions,
    ) -> None:
        self._device = device
        self._native = native
        self._texts = texts
        self._origin = origin
        self._compile_seconds = compile_seconds
        self._logs = options.enable_logging
        self._functions: dict[str, Function] = {}
        self._pipelines: dict[str, _native.MetalPipeline] = {}
        self._declared: dict[str, tuple[Declared, ...]] | None = None
        self._names = frozenset(native.function_names())

    @property
    def function_names(self) -> tuple[str, ...]:
        """As the source has them, then the others by name: Metal promises no order."""
        declared = [name for name in self._declarations() if name in self._names]
        return (*declared, *sorted(self._names.difference(declared)))

    def expect_all(self) -> None:
        """Metal has compiled the whole source already."""

    def function(self, name: str) -> Function:
        """Reflection of one kernel, with its constants provisionally set if it has any."""
        found = self._functions.get(name)
        if found is not None:
            return found
        if name not in self._names:
            raise FunctionNotFoundError(
                f"{self._origin} has no function '{name}'; it has "
                f"{', '.join(self.function_names) or 'none'}",
                available=self.function_names,
            )
        constants = function_of(name, [], self._constants(name), None).constants
        native = self._make(name, [(c.index, c.type_name, provisional_bytes(c)) for c in constants])
        if not constants:
            self._pipelines[name] = native
        function = function_of(
            name, native.bindings, self._constants(name), self._signature(name, native.bindings)
        )
        self._functions[name] = function
        return function

    def pipeline(self, name: str, constants: Mapping[str | int, Any]) -> MetalPipeline:
        """The kernel with its function constants, by name or index."""
        started = time.perf_counter()
        function = self.function(name)
        native = self._pipelines.get(name)
        if native is None or constants:
            known = {c.name: c for c in function.constants} | {
                c.index: c for c in function.constants
            }
            native = self._make(
                name,
                [
                    (known[key].index, known[key].type_name, constant_bytes(known[key], value))
                    for key, value in constants.items()
                ],
            )
            function = switched_on(
                function_of(
                    name,
                    native.bindings,
                    self._constants(name),
                    self._signature(name, native.bindings),
                )
            )
        seconds = self._compile_seconds + time.perf_counter() - started
        report = Report("metal", seconds)
        if self._device.is_paravirtual:
            report.notes.append(
                "the GPU is a virtual machine's (Apple Paravirtual device), which is known to "
                "return zeros: check results"
            )
        return MetalPipeline(self._device, native, function, report, self._logs)

    def _make(self, name: str, constants: list[tuple[int, str, bytes]]) -> _native.MetalPipeline:
        try:
            return self._native.pipeline(name, constants)
        except _native.MetalFailure as failure:
            raise error_of(failure, name) from None

    def _constants(self, name: str) -> list[_native.MetalConstant]:
        constants: list[_native.MetalConstant] = self._native.constants(name)
        return constants

    def _declarations(self) -> dict[str, tuple[Declared, ...]]:
        if self._declared is None:
            self._declared = {}
            for text in self._texts:
                self._declared |= signatures(text)
        return self._declared

    def _signature(
        self, name: str, bindings: Sequence[_native.MetalBinding]
    ) -> tuple[Declared, ...] | None:
        return signature_of(name, {b.name for b in bindings}, self._declarations())


class MetalPipeline:
    """A kernel on the GPU. `gpu_seconds` is how long the last launch ran there.

    It is the launcher of its own warm calls too: see `Kernel`.
    """

    def __init__(
        self,
        device: MetalDevice,
        native: _native.MetalPipeline,
        function: Function,
        report: Report,
        logs: bool,
    ) -> None:
        self.device = device
        self.native = native
        self.logs = logs
        self.function = function
        self.report = report
        self.max_total_threads_per_threadgroup = native.max_total_threads_per_threadgroup
        self.static_threadgroup_memory_bytes = native.static_threadgroup_memory_bytes
        self.gpu_seconds = 0.0

    def launch(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        timeout: float | None = None,
    ) -> None:
        """Run the grid and return when the GPU is done. Raises `KernelFault`, `DeviceError`."""
        slots = [
            (b.argument.index, b.array.__array_interface__["data"][0], b.array.nbytes, b.written)
            for b in bindings
        ]
        memory = list(threadgroup_memory.items())
        self._launch(
            lambda: self.native.launch(slots, memory, grid, threadgroup, timeout or 0.0), bindings
        )

    def route(self, grid: Size, threadgroup: Size) -> tuple[MetalPipeline, tuple[int, ...]]:
        """What launches that geometry, and the buffer indices in the order that it reads them."""
        return self, tuple(self.native.buffer_indices)

    def launch_bound(self, bound: _native.Bound, timeout: float | None = None) -> None:
        """As `launch`, with what a call bound."""
        self._launch(lambda: self.native.launch_bound(bound, timeout or 0.0), bound)

    def launch_all(self, works: Sequence[Any]) -> tuple[list[float], _native.MetalFailure | None]:
        """See `MetalDevice.launch_all`."""
        return self.device.launch_all(works)

    def fault(
        self,
        failure: _native.MetalFailure,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        timeout: float | None,
    ) -> Error:
        """The error of a launch by `launch_all` that failed."""
        return error_of(failure, self.function.name)

    def _launch(self, run: Callable[[], _native.GpuTime], kept: object) -> None:
        ran = self.device.launch(run, self.function.name, kept)
        self.gpu_seconds = ran.end_seconds - ran.start_seconds
        if self.logs:
            self.device.deliver_log()


def _check_process() -> None:
    """Refuse a process in which Metal would hang: the GPU's connection is not inherited."""
    if _is_forked_child:
        raise DeviceError(
            "Metal does not work in a forked process; start it with "
            "multiprocessing.get_context('spawn'), or use device='cpu'",
            device="metal",
        )
