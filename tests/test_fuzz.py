"""Mutants and random launches: a short run of tests/fuzz/fuzzer.py, the same every time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
import fuzzer


@pytest.mark.parametrize(("kind", "count"), [("metal", 60), ("metallib", 100)])
def test_mutants_end_in_typed_errors_or_kernels(kind: str, count: int) -> None:
    results = fuzzer.run(kind, seed=0, first=0, count=count)
    assert len(results) == count
    bad = {n: what for n, what in results.items() if what.startswith(("crashed", "hung"))}
    assert bad == {}
    assert {"metal": "CompileError", "metallib": "LibraryError"}[kind] in results.values()


@pytest.mark.parametrize("mode", ["auto", "reference", "checked"])
def test_random_launches_end_in_typed_errors_or_work(mode: str) -> None:
    results = fuzzer.run(f"launch-{mode}", seed=0, first=0, count=128)
    assert len(results) == 128
    bad = {n: what for n, what in results.items() if what.startswith(("crashed", "hung"))}
    assert bad == {}
    found = set(results.values())
    assert {"ran", "ArgumentError", "LaunchError"} <= found
    assert {"checked": "KernelFault checks"}.get(mode, "KernelFault memory") in found


def test_a_mutant_is_a_function_of_its_number() -> None:
    import random

    mutants = {fuzzer.source_mutant(random.Random("metal 1 7")) for _ in range(2)}
    assert len(mutants) == 1
