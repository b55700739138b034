"""Each shipped kernel, launched as its file says, gives the same on both engines, bit by bit.

But for elementary functions, which the engines compute differently: each is within 4 units in the
last place (Metal Shading Language Specification, "Numerical Compliance"), so two are within 8 of
each other, and a quotient of two within 16. What is summed or rotated later is off by so much of
its largest terms, and rounding to a narrow type may turn any difference into one of its units.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from pymetal.air.container import Container
from pymetal.air.library import Library
from pymetal.cli.calling import call_of
from pymetal.cli.launches import described
from pymetal.find import shipped_dir
from pymetal.msl import compile_source
from pymetal.source import CompileOptions, Source

SHIPPED = sorted(shipped_dir().glob("*.metal"))
ELEMENTARY = {"attention", "gelu", "rope", "silu", "softmax"}
UNITS = 16 * 2.0**-23
# Float and bfloat, which takes the most code, stand for the rest: compiling twice takes seconds.
LEFT_OUT = ("_half", "_int", "_uint")


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.uint8), b.view(np.uint8))


def near(a: np.ndarray, b: np.ndarray) -> bool:
    wide = a.astype(np.float64)
    allowed = UNITS * np.abs(wide).max()
    if a.dtype != np.float32:
        allowed = allowed + np.abs(wide) * float(ml_dtypes.finfo(a.dtype).eps)
    return bool((np.abs(wide - b.astype(np.float64)) <= allowed).all())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_kernel_agrees(path: Path) -> None:
    text = path.read_text()
    names = Library(Container(compile_source(Source(text, path), CompileOptions()))).names
    agree = near if path.stem in ELEMENTARY else same
    compared = set()
    for launch in described(text):
        for name in names:
            named = any(fnmatchcase(name, pattern) for pattern in launch.kernels)
            if not named or name.endswith(LEFT_OUT):
                continue
            call = replace(call_of([f"{path}:{name}", *launch.options]), device="cpu")
            results = []
            for engine in ("reference", "vectorised"):
                prepared = replace(call, engine=engine).prepare()
                assert prepared.kernel.report.engine == engine
                results.append(prepared.run().arrays)
            assert results[0].keys() == results[1].keys()
            for argument, result in results[0].items():
                assert agree(result, results[1][argument]), f"{name}: {argument}"
            compared.add(name)
    assert {name for name in names if not name.endswith(LEFT_OUT)} == compared
