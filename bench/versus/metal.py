"""The subject: PyMetal on its software device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pymetal
from pymetal import _native
from pymetal.find import shipped_dir
from versus.problem import Problem, Runner, Step

NAME = "PyMetal"
_BENCH = Path(__file__).parents[1]


@cache
def _library(file: str) -> pymetal.Library:
    folder = _BENCH.parent if file.startswith("bench/") else shipped_dir()
    return pymetal.compile(folder / f"{file}.metal")


def runner(problem: Problem) -> Runner:
    arrays: dict[str, Any] = {name: pymetal.array(x) for name, x in problem.inputs.items()}
    for name, (shape, dtype) in problem.outputs.items():
        arrays[name] = pymetal.zeros(shape, dtype)
    launches = [_launch(step, arrays) for step in problem.metal]

    def run() -> None:
        for name in problem.clear:
            arrays[name].fill(0)
        for launch in launches:
            launch()

    return Runner(run, lambda: arrays["out"])


def _launch(step: Step, arrays: dict[str, Any]) -> Any:
    kernel = getattr(_library(step.file), step.kernel)
    values = tuple(arrays[a] if isinstance(a, str) else a for a in step.arguments)
    return lambda: kernel(*values, grid=step.grid, threadgroup=step.threadgroup)


def engines(problem: Problem) -> str:
    """Which engine ran the problem's kernels."""
    kernels = [getattr(_library(step.file), step.kernel) for step in problem.metal]
    return ", ".join(sorted({kernel.report.engine for kernel in kernels}))


def one_thread(run: Callable[[], object]) -> Callable[[], object]:
    """The same run, on the calling thread alone."""
    workers = _native.worker_count()

    def alone() -> None:
        _native.set_worker_count(1)
        try:
            run()
        finally:
            _native.set_worker_count(workers)

    return alone
