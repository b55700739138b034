"""A problem: inputs, the right result, and how each peer computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Step:
    """One launch. `arguments` are names of arrays, or numbers; `grid` counts threads."""

    file: str
    kernel: str
    arguments: tuple[str | np.generic, ...]
    grid: tuple[int, ...]
    threadgroup: tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """What all peers compute.

    inputs      arrays by name
    outputs     shape and dtype of the arrays that steps write, by name; `out` is the result
    expected    of the inputs, in float64 or exact
    error       how far from `expected` a result may be, relative to its largest magnitude
    metal, opencl
                launches in order; `clear` names what is zero before the first
    numba       a function of `loops`, called with inputs and then `out`
    numpy       called with inputs by name and `out`
    moved       bytes that have to pass memory, for comparison with STREAM
    of_blas     the goal as a part of NumPy's speed, where NumPy means OpenBLAS
    """

    name: str
    inputs: Mapping[str, Array]
    outputs: Mapping[str, tuple[tuple[int, ...], Any]]
    expected: Callable[..., Array]
    error: float
    metal: tuple[Step, ...]
    opencl: tuple[Step, ...] = ()
    options: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    numba: str = ""
    numpy: Callable[..., None] | None = None
    moved: int = 0
    of_blas: float = 0.0

    def wrong(self, result: Array) -> str:
        """What is wrong with a result; empty if nothing is."""
        expected = self.expected(**self.inputs)
        if result.dtype.kind in "iu":
            count = int((result != expected).sum())
            return f"{count} elements differ" if count else ""
        got = result.astype(np.float64)
        largest = float(np.abs(expected).max())
        error = float(np.abs(got - expected).max()) / largest
        return "" if error <= self.error else f"error {error:.2g}, allowed {self.error:.2g}"


@dataclass(frozen=True)
class Runner:
    """A peer ready to compute a problem: `run` computes, `result` fetches what it computed."""

    run: Callable[[], object]
    result: Callable[[], Array]


class AbsentError(Exception):
    """A peer that is not there, or does not do a problem; says why."""
