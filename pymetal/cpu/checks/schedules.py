"""Schedule fuzzing: one launch in several orders of its threads, none of which may change results.

The reference engine runs the threadgroups of a launch, and whichever threads of a threadgroup are
ready, in the order that a seed picks. Every order is one that Metal allows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from pymetal.cpu.checks.locations import Place
from pymetal.cpu.checks.pipeline import CheckedPipeline, fault_of
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.faults import kernel_fault
from pymetal.devices import Binding, Size
from pymetal.sanitizer import Report

# Seeds of orders: 0 is as the threads lie, 1 backwards, the others are random.
SCHEDULES = range(12)

Array = np.ndarray[Any, Any]


class ScheduledPipeline:
    """A kernel on the reference engine; `checked` is the same with checks, to name threads."""

    def __init__(self, compiled: Compiled, checked: CheckedPipeline) -> None:
        self._compiled = compiled
        self._native = compiled.load()
        self._checked = checked

    def launch(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        outputs: Collection[int] = (),
        timeout: float | None = None,
    ) -> list[Report]:
        """Run it in every order and compare, bit by bit. The results of the first order remain.

        Raises
        ------
        KernelFault
            A result depends on the order: `reports` has one for each such buffer.
        """
        name = self._compiled.function.name
        by_index = {b.argument.index: b for b in bindings}
        addresses = [
            by_index[index].array.__array_interface__["data"][0] for index in self._compiled.buffers
        ]
        lengths = [threadgroup_memory[i] for i in self._compiled.threadgroup_arguments]
        written = [b for bound in bindings for b in (bound, *bound.reached) if b.written]
        before = [b.array.copy() for b in written]
        first: list[Array] = []
        other: dict[int, tuple[int, Array]] = {}  # by place in `written`: a seed, and its result
        for seed in SCHEDULES:
            _put(written, before)
            fault = self._native.launch(
                addresses, lengths, grid, threadgroup, timeout, schedule=seed
            )
            if fault is not None:
                raise kernel_fault(name, fault, bindings, timeout)
            results = [b.array.copy() for b in written]
            first = first or results
            for place, (expected, got) in enumerate(zip(first, results, strict=True)):
                if place not in other and expected.tobytes() != got.tobytes():
                    other[place] = seed, got
        reports = []
        if other:
            _put(written, before)
            geometry = (bindings, threadgroup_memory, grid, threadgroup)
            for place, (seed, got) in other.items():
                reports.append(
                    self._report(geometry, written[place], first[place], got, seed, timeout)
                )
        _put(written, first)
        if reports:
            raise fault_of(name, reports)
        return []

    def _report(
        self,
        geometry: tuple[Sequence[Binding], Mapping[int, int], Size, Size],
        binding: Binding,
        first: Array,
        other: Array,
        seed: int,
        timeout: float | None,
    ) -> Report:
        argument = binding.argument
        itemsize = first.dtype.itemsize
        a, b = (x.reshape(-1).view(np.uint8).reshape(-1, itemsize) for x in (first, other))
        differing = (a != b).any(axis=1)
        at = int(np.argmax(differing))
        place = (argument.index, at * itemsize)
        order = "backwards" if seed == 1 else f"in random order {seed}"
        values = first.reshape(-1)[at], other.reshape(-1)[at]
        one, two, where = None, None, Place()
        if not any(b.reached for b in geometry[0]):  # their pointers would be to the originals
            one, where = self._checked.writer(*geometry, place, timeout)
            two, _ = self._checked.writer(*geometry, place, timeout, seed)
        count = int(np.count_nonzero(differing))
        element = at * itemsize // (argument.size_bytes or itemsize)
        text = (
            f"the results depend on the order in which threads run: element {element} of "
            f"buffer({argument.index}) '{argument.name}' is {values[0]} in order and {values[1]} "
            f"{order}; {count} of {first.size} numbers differ"
        )
        return self._checked.report(
            "order-dependent",
            text,
            where,
            argument=argument.name,
            element=element,
            first=one,
            second=two,
        )


def _put(bindings: Sequence[Binding], values: Sequence[Array]) -> None:
    for binding, value in zip(bindings, values, strict=True):
        binding.array[...] = value
