"""A Kernel: one compiled function, called with values and a grid.

It binds values to arguments, checks geometry, launches and collects outputs. Only the pipeline
under it differs by device. A call like an earlier one is warm: C++ binds its values, and only what
is new or wrong goes through Python's rules.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pymetal import _native, geometry, sanitizer, timeouts
from pymetal.air.function import Argument, Function
from pymetal.arguments import bind, check_overlaps, slot
from pymetal.arrays import zeroed
from pymetal.call import in_declared_order
from pymetal.datatypes import argument_dtype
from pymetal.devices import Binding, Device, Limits, Pipeline, Report, Size
from pymetal.devices import device as pick_device
from pymetal.errors import ArgumentError, DeviceError, LaunchError
from pymetal.origin import Origin
from pymetal.queue import Deferred, Queue
from pymetal.results import output
from pymetal.scalars import PLAIN_SCALARS

Array = np.ndarray[Any, Any]

# Of one kernel's outputs; a program that needs more has no use for remembering them.
MOST_CHECKED_SHAPES = 1024


class Prepared(NamedTuple):
    """A launch whose values are bound. `fresh`: the indices of outputs, which hold nothing yet."""

    bindings: list[Binding]
    threadgroup_memory: dict[int, int]
    grid: Size
    threadgroup: Size
    picked: bool  # the threadgroup, because the caller gave none
    fresh: list[int]
    results: Any


class _Signature:
    """What `inspect.signature(kernel)`, and with it editors, show: that of `call`."""

    def __get__(self, kernel: Kernel | None, owner: type) -> inspect.Signature:
        if kernel is None:
            raise AttributeError("__signature__")  # a class has its own
        return inspect.signature(kernel.call)


class Kernel(_native.Calls):
    """A function of a library with its constants set, ready to run. Made by `Library.kernel`.

    It is called as `call` says. Calls like an earlier one never get there: the native base class
    binds and runs them.
    """

    def __init__(
        self,
        device: Device,
        pipeline: Pipeline,
        constants: Mapping[str, Any] | None = None,
        source_location: str = "",
        made_from: Origin | None = None,
    ) -> None:
        self._device = device
        self._pipeline = pipeline
        self.name = pipeline.function.name
        self._arguments = enabled_arguments(pipeline.function, constants or {})
        self.places_by_index = sorted(
            range(len(self._arguments)), key=lambda place: self._arguments[place].index
        )
        self._takes_memory = bool(self.threadgroup_arguments)
        self._limits = device.limits
        self._source_location = source_location
        self._constants = dict(constants or {})
        self._made_from = made_from or Origin()
        self._software: Pipeline | None = None
        super().__init__(
            np.ndarray,
            output,
            _Outputs(self.name, self._arguments, self._limits),
            PLAIN_SCALARS,
            self._limits.max_buffer_bytes,
            [slot(argument) for argument in self._arguments],
        )

    @property
    def device(self) -> Device:
        return self._device

    @property
    def function(self) -> Function:
        """The function's own description, builtins included."""
        return self._pipeline.function

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The buffers that a call supplies, in declared order."""
        return self._arguments

    @property
    def threadgroup_arguments(self) -> tuple[Argument, ...]:
        """The arguments that take `pymetal.threadgroup_memory`, in declared order."""
        return tuple(a for a in self.function.arguments if a.kind == "threadgroup")

    @property
    def source_location(self) -> str:
        """FILE:LINE of the kernel, or what is known of it."""
        return self._source_location

    @property
    def limits(self) -> Limits:
        """What the device allows; the kernel itself may allow less, see below."""
        return self._limits

    @property
    def report(self) -> Report:
        """Engine, compile time and why anything fell back."""
        return self._pipeline.report

    @property
    def max_total_threads_per_threadgroup(self) -> int:
        return self._pipeline.max_total_threads_per_threadgroup

    @property
    def static_threadgroup_memory_bytes(self) -> int:
        return self._pipeline.static_threadgroup_memory_bytes

    @property
    def last_gpu_seconds(self) -> float | None:
        """How long the GPU worked on the last launch; None where no GPU measures."""
        return getattr(self._pipeline, "gpu_seconds", None)

    def dtype(self, argument: str) -> np.dtype[Any] | None:
        """The dtype of the arrays that the argument takes; structured for structs."""
        for declared in self._arguments:
            if declared.name == argument:
                return argument_dtype(declared)
        raise ArgumentError(f"{self.name} has no argument '{argument}'\n{self}", argument=argument)

    def __str__(self) -> str:
        return str(self.function)

    __repr__ = __str__

    def threadgroup_for(self, grid: Any) -> Size:
        """The threadgroup that `threadgroup=None` picks for that grid."""
        return geometry.pick_threadgroup(geometry.size(grid, "grid"), self._pipeline, self._limits)

    __signature__ = _Signature()

    def call(
        self,
        *values: Any,
        grid: Any = None,
        threadgroup: Any = None,
        threadgroups: Any = None,
        threadgroup_memory: Mapping[int, int] | None = None,
        timeout: float | None = None,
        queue: Queue | None = None,
        check: bool | str | None = None,
        validate: bool = False,
        save_on_fault: str | os.PathLike[str] | None = None,
        **named: Any,
    ) -> Any:
        """Run the kernel over `grid` threads and wait for it.

        Parameters
        ----------
        values, named
            One for each of `arguments`, in declared order or by declared name: numbers, arrays,
            `pymetal.output(shape)` for those to be allocated. Arrays for arguments that the
            kernel writes are written in place. Where any value is a
            `pymetal.threadgroup_memory(bytes)`, threadgroup arguments have their places too.
        grid
            1 to 3 numbers of **threads**.
        threadgroup
            1 to 3 numbers of threads in each threadgroup. None picks one that suits kernels
            which work with any: see `threadgroup_for`, and the notes of `report`.
        threadgroups
            Instead of `grid`: 1 to 3 numbers of threadgroups.
        threadgroup_memory
            Bytes for each `[[threadgroup(n)]]` argument, by n.
        timeout
            Seconds after which the kernel is stopped, a KernelFault. None: `PYMETAL_TIMEOUT`,
            else for as long as it takes.
        queue
            Do not wait: the queue runs it after what it was given before. Results are valid, and
            errors are raised, after its `wait`.
        check
            True: run with the sanitizer, which finds accesses out of bounds, races and more; slow.
            "nan": also values that are not finite, made of finite ones. "schedules": instead, run
            it with its threads in several orders, and compare. None: `PYMETAL_CHECK`.
            Checks run on the software device: a kernel on another one is compiled for it, too.
        validate
            True: insist on Metal's own shader validation, which `run_metal_kernel` may turn on.
        save_on_fault
            Where to save the launch if it fails, as one file for `pymetal replay`. Arrays that the
            kernel may write are copied before.

        Returns
        -------
        None, the one output as an array, or a tuple of arrays in declared order.

        Raises
        ------
        ArgumentError, LaunchError
            Before anything runs.
        KernelFault
            The kernel went wrong; its outputs are not valid.
        DeviceError
            `validate`, and the device does not; says what to set.
        """
        if validate:
            from pymetal.metal.validation import require

            require(self._device)
        ordered, threadgroup_memory = self._ordered(values, named, threadgroup_memory)
        if threadgroups is not None:
            grid, threadgroup = self._counted(threadgroups, grid, threadgroup)
        return self.launch(
            ordered,
            grid,
            threadgroup,
            threadgroup_memory,
            timeout=timeout,
            queue=queue,
            check=check,
            save_on_fault=save_on_fault,
        )

    if TYPE_CHECKING:
        __call__ = call

    def _ordered(
        self,
        values: Sequence[Any],
        named: Mapping[str, Any],
        threadgroup_memory: Mapping[int, int] | None = None,
    ) -> tuple[Sequence[Any], Mapping[int, int] | None]:
        """A call's values, one for each of `arguments`, and bytes of threadgroup memory."""
        if named or len(values) != len(self._arguments) or self._takes_memory:
            return in_declared_order(
                self.function, self._arguments, values, named, threadgroup_memory
            )
        return values, threadgroup_memory

    def _counted(self, threadgroups: Any, grid: Any, threadgroup: Any) -> tuple[Size, Size]:
        """The grid of so many threadgroups, and the threadgroup."""
        if grid is not None or threadgroup is None:
            raise LaunchError(
                f"{self.name}: threadgroups counts threadgroups: pass it with threadgroup and "
                "without grid"
            )
        threadgroup = geometry.size(threadgroup, "threadgroup")
        whole = geometry.whole_grid(geometry.size(threadgroups, "threadgroups"), threadgroup)
        return whole, threadgroup

    def launch(
        self,
        values: Sequence[Any],
        grid: Any,
        threadgroup: Any,
        threadgroup_memory: Mapping[int, int] | None = None,
        *,
        timeout: float | None = None,
        queue: Queue | None = None,
        check: bool | str | None = None,
        save_on_fault: str | os.PathLike[str] | None = None,
    ) -> Any:
        """As a call, with as many values as there are arguments."""
        timeout = timeouts.seconds(timeout)
        if queue is not None and not hasattr(queue, "submit"):
            raise ArgumentError(
                f"{self.name}: queue is {type(queue).__name__}, not a pymetal.Queue",
                argument="queue",
            )
        checks = sanitizer.wanted(check)
        if threadgroup_memory is None and not checks and save_on_fault is None:
            bound = self.bind(tuple(values), grid, threadgroup)
            if bound is not None:
                if queue is None:
                    self._run(bound, timeout)
                elif timeout is None:
                    queue.submit(bound)
                else:
                    queue.submit(Deferred(self, partial(self._run, bound, timeout)))
                return bound.results
        prepared = self._prepare(values, grid, threadgroup, threadgroup_memory)
        run, results = self._cold(prepared, timeout, checks)
        if save_on_fault is not None:
            from pymetal.replaying import run_saving

            run = partial(run_saving, run, save_on_fault, self, prepared, checks)
        if queue is None:
            run()
        else:
            queue.submit(Deferred(self, run))
        return results

    def _cold(
        self, launch: Prepared, timeout: float | None, check: str
    ) -> tuple[Callable[[], None], Any]:
        """What runs a launch, and what the call returns."""
        bindings, lengths = launch.bindings, launch.threadgroup_memory
        grid, threadgroup = launch.grid, launch.threadgroup
        if check:
            checked = self._checked(check)
            run = partial(
                checked.launch, bindings, lengths, grid, threadgroup, launch.fresh, timeout
            )
            return run, launch.results
        if not lengths:
            self._learn(grid, threadgroup, launch.picked)
        run = partial(self._pipeline.launch, bindings, lengths, grid, threadgroup, timeout)
        return run, launch.results

    def _prepared(
        self,
        values: Sequence[Any],
        grid: Any,
        threadgroup: Any,
        threadgroups: Any = None,
        threadgroup_memory: Mapping[int, int] | None = None,
    ) -> Prepared:
        """A launch that is ready to run, for tools that look at it first."""
        ordered, threadgroup_memory = self._ordered(values, {}, threadgroup_memory)
        if threadgroups is not None:
            grid, threadgroup = self._counted(threadgroups, grid, threadgroup)
        return self._prepare(ordered, grid, threadgroup, threadgroup_memory)

    def _prepare(
        self,
        values: Sequence[Any],
        grid: Any,
        threadgroup: Any,
        threadgroup_memory: Mapping[int, int] | None,
    ) -> Prepared:
        """A launch with everything checked and bound, outputs allocated."""
        limits, pipeline = self._limits, self._pipeline
        grid = geometry.size(grid, "grid")
        geometry.check_grid(grid)
        picks = threadgroup is None
        if picks:
            threadgroup = geometry.pick_threadgroup(grid, pipeline, limits)
            self._note(f"threadgroup=None picked {threadgroup}")
        else:
            threadgroup = geometry.size(threadgroup, "threadgroup")
        geometry.check_threadgroup(threadgroup, pipeline, limits)
        lengths = geometry.threadgroup_memory(threadgroup_memory, pipeline, limits)

        bindings: list[Binding] = []
        outputs: list[Array] = []
        fresh: list[int] = []  # indices of the outputs
        for argument, value in zip(self._arguments, values, strict=True):
            if isinstance(value, output):
                array = value.allocate(self.name, argument, limits.max_buffer_bytes)
                outputs.append(array)
                fresh.append(argument.index)
                bindings.append(Binding(argument, array, written=True))
            else:
                bindings.append(bind(self.function, argument, value, limits.max_buffer_bytes))
        check_overlaps(self.function, bindings)
        results = tuple(outputs) if len(outputs) > 1 else outputs[0] if outputs else None

        return Prepared(bindings, lengths, grid, threadgroup, picks, fresh, results)

    def _learn(self, grid: Size, threadgroup: Size, picks: bool) -> None:
        """Let calls with this geometry be warm, where the pipeline has a launcher for them."""
        route = getattr(self._pipeline, "route", None)
        if route is None:
            return
        launcher, indices = route(grid, threadgroup)
        places = {argument.index: place for place, argument in enumerate(self._arguments)}
        order = [places[index] for index in indices]
        self.remember(grid, threadgroup, picks, launcher, order)

    def _run(self, bound: _native.Bound, timeout: float | None) -> None:
        launcher: Any = bound.launcher
        fault = launcher.launch_bound(bound, timeout)
        if fault is not None:
            raise self._failed(bound, fault, timeout)

    def _fail(self, bound: _native.Bound, fault: _native.Fault) -> None:
        raise self._failed(bound, fault)

    def _failed(
        self, bound: _native.Bound, fault: _native.Fault, timeout: float | None = None
    ) -> Exception:
        """The error of a warm launch that failed."""
        values: Any = bound.values
        bindings = [
            bind(self.function, argument, value, self._limits.max_buffer_bytes)
            for argument, value in zip(self._arguments, values, strict=True)
        ]
        pipeline: Any = self._pipeline
        error: Exception = pipeline.fault(
            fault, bindings, {}, bound.grid, bound.threadgroup, timeout
        )
        return error

    def _note(self, note: str) -> None:
        if note not in self.report.notes:
            self.report.notes.append(note)

    def _checked(self, checks: str) -> Any:
        """The pipeline with checks, which the software device has."""
        pipeline: Any = self._pipeline
        if not hasattr(pipeline, "checked"):
            pipeline = self._on_software_device()
        return pipeline.scheduled() if checks == "schedules" else pipeline.checked(checks == "nan")

    def _on_software_device(self) -> Any:
        """A pipeline of the same kernel there, made when checks first ask for it."""
        made_from = self._made_from
        if self._software is None:
            if made_from.source is None and not made_from.metallib:
                raise DeviceError(
                    f"{self.name}: checks run on the software device only: compile it with "
                    f'device="cpu"; this one is on {self._device.name}'
                )
            cpu = pick_device("cpu")
            library = (
                cpu.library_from_source(made_from.source, made_from.options)
                if made_from.source is not None
                else cpu.library_from_metallib(made_from.metallib, made_from.name)
            )
            constants: dict[str | int, Any] = dict(self._constants.items())
            self._software = library.pipeline(self.name, constants)
        warnings.warn(
            f"{self.name}: checks run on the software device, not on {self._device.name}",
            stacklevel=6,
        )
        return self._software


class _Outputs:
    """Allocates the outputs of warm calls; remembers which shapes were checked already."""

    def __init__(self, function: str, arguments: Sequence[Argument], limits: Limits) -> None:
        self._function, self._arguments, self._limits = function, arguments, limits
        self._checked: dict[tuple[int, tuple[int, ...], Any], np.dtype[Any]] = {}

    def __call__(self, place: int, marker: output) -> Array:
        key = (place, marker.shape, marker.dtype)
        dtype = self._checked.get(key)
        if dtype is not None:
            try:
                return zeroed(marker.shape, dtype)
            except ArgumentError:
                pass  # memory ran out, which `allocate` words for the argument
        array = marker.allocate(
            self._function, self._arguments[place], self._limits.max_buffer_bytes
        )
        if len(self._checked) < MOST_CHECKED_SHAPES:
            self._checked[key] = array.dtype
        return array


def enabled_arguments(function: Function, constants: Mapping[str, Any]) -> tuple[Argument, ...]:
    """The bindable arguments, without those that a function constant switches off."""
    return tuple(
        argument
        for argument in function.bindable
        if not argument.enabled_by or constants.get(argument.enabled_by, False)
    )
