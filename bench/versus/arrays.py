"""Peer: NumPy, whose matrix products are OpenBLAS's."""

from __future__ import annotations

import numpy as np

from versus.problem import AbsentError, Problem, Runner

NAME = "NumPy"


def runner(problem: Problem) -> Runner:
    compute = problem.numpy
    if compute is None:
        raise AbsentError("nothing of this")
    shape, dtype = problem.outputs["out"]
    out = np.empty(shape, dtype)

    def run() -> None:
        compute(**problem.inputs, out=out)

    return Runner(run, lambda: out)
