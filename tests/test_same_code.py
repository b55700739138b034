"""Compiling is repeatable: the same kernel becomes the same code in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import hashlib
from random_kernels import source
from two_engines import canonical
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.vectorise import vectorise

seeds = [3, 1_000_005, 2_000_008, 3_000_020, 3_000_034]
for function in canonical(source(seeds, 6), *(f"k{seed}" for seed in seeds)):
    for full in (True, False):
        text = vectorise(function, LaneLayout(full=full)).ir
        print(hashlib.sha256(text.encode()).hexdigest(), len(text))
"""


def hashes(seed: str) -> str:
    """What random kernels become where sets of strings have another order."""
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_code_does_not_depend_on_the_order_of_sets() -> None:
    first, *others = (hashes(seed) for seed in "123")
    assert len(first.split()) == 20
    assert others == [first, first]
