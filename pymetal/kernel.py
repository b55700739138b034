"""A Kernel: one compiled function, called with values and a grid.

It binds values to arguments, checks geometry, launches and collects outputs. Only the pipeline
under it differs by device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymetal import geometry, sanitizer, timeouts
from pymetal.air.function import Argument, Function
from pymetal.arguments import bind, check_overlaps
from pymetal.datatypes import argument_dtype
from pymetal.devices import Binding, Device, Pipeline, Report
from pymetal.errors import ArgumentError, DeviceError
from pymetal.results import output

Array = np.ndarray[Any, Any]


class Kernel:
    """A function of a library with its constants set, ready to run. Made by `Library.kernel`."""

    def __init__(
        self, device: Device, pipeline: Pipeline, constants: Mapping[str, Any] | None = None
    ) -> None:
        self._device = device
        self._pipeline = pipeline
        self._arguments = enabled_arguments(pipeline.function, constants or {})

    @property
    def name(self) -> str:
        return self._pipeline.function.name

    @property
    def device(self) -> Device:
        return self._device

    @property
    def function(self) -> Function:
        """The function's own description, builtins included."""
        return self._pipeline.function

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The arguments that a call supplies, in declared order."""
        return self._arguments

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

    def dtype(self, argument: str) -> np.dtype[Any] | None:
        """The dtype of the arrays that the argument takes; structured for structs."""
        for declared in self._arguments:
            if declared.name == argument:
                return argument_dtype(declared)
        raise ArgumentError(f"{self.name} has no argument '{argument}'\n{self}", argument=argument)

    def __str__(self) -> str:
        return str(self.function)

    __repr__ = __str__

    def __call__(
        self,
        *values: Any,
        grid: Any,
        threadgroup: Any,
        threadgroup_memory: Mapping[int, int] | None = None,
        timeout: float | None = None,
        check: bool | str | None = None,
    ) -> Any:
        """Run the kernel over `grid` threads and wait for it.

        Parameters
        ----------
        values
            One for each of `arguments`: numbers, arrays, `pymetal.output(shape)` for those to
            be allocated. Arrays for arguments that the kernel writes are written in place.
        grid, threadgroup
            1 to 3 numbers of **threads**.
        threadgroup_memory
            Bytes for each `[[threadgroup(n)]]` argument, by n.
        timeout
            Seconds after which the kernel is stopped, a KernelFault. None: `PYMETAL_TIMEOUT`,
            else for as long as it takes.
        check
            True: run with the sanitizer, which finds accesses out of bounds, races and more; slow.
            "nan": also values that are not finite, made of finite ones. None: `PYMETAL_CHECK`.

        Returns
        -------
        None, the one output as an array, or a tuple of arrays in declared order.

        Raises
        ------
        ArgumentError, LaunchError
            Before anything runs.
        KernelFault
            The kernel went wrong; its outputs are not valid.
        """
        if len(values) != len(self._arguments):
            names = ", ".join(argument.name for argument in self._arguments) or "none"
            raise ArgumentError(
                f"{self.name} takes {len(self._arguments)} values ({names}), got {len(values)}\n"
                f"{self}"
            )
        return self.launch(
            values, grid, threadgroup, threadgroup_memory, timeout=timeout, check=check
        )

    def launch(
        self,
        values: Sequence[Any],
        grid: Any,
        threadgroup: Any,
        threadgroup_memory: Mapping[int, int] | None = None,
        *,
        timeout: float | None = None,
        check: bool | str | None = None,
    ) -> Any:
        """As a call, with as many values as there are arguments."""
        limits = self._device.limits
        pipeline = self._pipeline
        grid = geometry.size(grid, "grid")
        threadgroup = geometry.size(threadgroup, "threadgroup")
        geometry.check_grid(grid)
        geometry.check_threadgroup(threadgroup, pipeline, limits)
        lengths = geometry.threadgroup_memory(threadgroup_memory, pipeline, limits)
        timeout = timeouts.seconds(timeout)
        checks = sanitizer.wanted(check)

        bindings: list[Binding] = []
        outputs: list[Array] = []
        fresh: list[int] = []  # indices of the outputs
        writes_callers_array = False
        for argument, value in zip(self._arguments, values, strict=True):
            if isinstance(value, output):
                array = value.allocate(self.name, argument, limits.max_buffer_bytes)
                outputs.append(array)
                fresh.append(argument.index)
                bindings.append(Binding(argument, array, written=True))
            else:
                bound = bind(self.function, argument, value, limits.max_buffer_bytes)
                writes_callers_array |= bound.written
                bindings.append(bound)
        if writes_callers_array:
            check_overlaps(self.function, bindings)

        if checks:
            self._checked(checks).launch(bindings, lengths, grid, threadgroup, fresh, timeout)
        else:
            pipeline.launch(bindings, lengths, grid, threadgroup, timeout)
        if len(outputs) > 1:
            return tuple(outputs)
        return outputs[0] if outputs else None

    def _checked(self, checks: str) -> Any:
        """The pipeline with checks, which the software device has."""
        checked = getattr(self._pipeline, "checked", None)
        if checked is None:
            raise DeviceError(
                f"{self.name}: checks run on the software device only: compile it with "
                f'device="cpu", or leave out check=True; this one is on {self._device.name}'
            )
        return checked(nan=checks == "nan")


def enabled_arguments(function: Function, constants: Mapping[str, Any]) -> tuple[Argument, ...]:
    """The bindable arguments, without those that a function constant switches off."""
    return tuple(
        argument
        for argument in function.bindable
        if not argument.enabled_by or constants.get(argument.enabled_by, False)
    )
