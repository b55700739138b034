#!/usr/bin/env python
"""Runs random kernels on both engines and compares the results bit by bit.

    python tests/fuzz/engines.py --count 2000              # seeds 0 to 1999
    python tests/fuzz/engines.py --count 100000 --jobs 8 --seconds 3600

Seeds run in child processes: one that ends its process is found, and the rest go on. Each is
launched in one geometry. LLVM, which would take most of the time, takes little trouble, and over
most of them hardly any: the vectoriser is tested. tests/test_engines_agree.py compiles some seeds
as users' kernels are, for all geometries.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

sys.path.insert(0, str(Path(__file__).parents[1]))

from random_kernels import SHAPES
from two_engines import differences

from pymetal.cpu import jit

BATCH = 96  # seeds a process
AT_ONCE = 12  # kernels a source file
SECONDS_EACH = 20
SIZES = (1, 3, 3, 6)
OPTIMISED = 5  # one file of so many


def to_registers(module: Any, speed: int) -> None:
    """The least that LLVM can do: values need no memory, blocks that nothing reaches go."""
    manager = llvm.create_new_module_pass_manager()
    manager.add_sroa_pass()
    manager.add_simplify_cfg_pass()
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    manager.run(module, llvm.create_pass_builder(jit.target_machine(), options))


def run(first: int, count: int) -> list[str]:
    """What differs, in this process."""
    optimise, emitted = jit._optimise, jit._emitted
    jit._emitted = lambda module, entry, speed: emitted(module, entry, 0)
    found = []
    end = first + count
    while first < end:
        file = first // AT_ONCE
        last = min((file + 1) * AT_ONCE, end)
        shape = SHAPES[file % len(SHAPES)]
        some = file % OPTIMISED == 0
        jit._optimise = (lambda module, speed: optimise(module, 1)) if some else to_registers
        found += differences(range(first, last), SIZES[file % len(SIZES)], [shape])
        first = last
    return found


def batch(first: int, count: int, until: float) -> tuple[int, list[str]]:
    """How many seeds ran in a process of their own, and what they found."""
    if time.monotonic() > until:
        return 0, []
    command = [sys.executable, __file__, "--child", "--first", str(first), "--count", str(count)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_EACH * count, check=False
        )
    except subprocess.TimeoutExpired:
        return count, [f"seeds {first} to {first + count - 1}: no end"]
    found = [done.stdout] if done.stdout else []
    if done.returncode:
        found.append(f"seeds {first} to {first + count - 1}: {done.returncode}\n{done.stderr}")
    return count, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="start nothing after these")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print("\n".join(run(options.first, options.count)), end="")
        return 0

    start = time.monotonic()
    end = options.first + options.count
    starts = range(options.first, end, BATCH)
    ran = failures = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        until = start + options.seconds
        for count, found in pool.map(lambda f: batch(f, min(BATCH, end - f), until), starts):
            ran += count
            failures += len(found)
            for text in found:
                print(text, flush=True)
    seconds = time.monotonic() - start
    print(f"{ran} seeds from {options.first} in {seconds:.0f} s: {failures} batches with failures")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
