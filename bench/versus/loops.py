"""Peers: loops compiled by numba for all processors, and what memory allows (STREAM).

STREAM: McCalpin, "Memory Bandwidth and Machine Balance in Current High Performance Computers",
1995; its "add" loop, on arrays larger than the caches.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from versus.problem import AbsentError, Problem, Runner

NAME = "numba"


@cache
def compiled() -> SimpleNamespace:
    """The functions by name."""
    try:
        from versus import numba_kernels
    except ImportError as error:
        raise AbsentError("numba is not installed (pip install numba)") from error
    return SimpleNamespace(**vars(numba_kernels))


def runner(problem: Problem) -> Runner:
    if not problem.numba:
        raise AbsentError("no loop of this")
    function = getattr(compiled(), problem.numba)
    shape, dtype = problem.outputs["out"]
    out = np.empty(shape, dtype)
    plain = [_plain(x) for x in (*problem.inputs.values(), out)]

    def run() -> None:
        function(*plain)

    return Runner(run, lambda: out)


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """numba knows no bfloat: its bits."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def stream() -> tuple[Any, int]:
    """A run of STREAM's add loop and how many bytes it moves."""
    n = 1 << 24
    a, b, c = (np.ones(n, np.float32) for _ in range(3))
    function = compiled().add
    return (lambda: function(a, b, c)), 3 * a.nbytes
