#!/usr/bin/env python
"""Runs random kernels on both engines and compares the results bit by bit.

    python tests/fuzz/engines.py --count 2000              # seeds 0 to 1999
    python tests/fuzz/engines.py --count 100000 --jobs 8 --seconds 3600

Seeds run in child processes: one that ends its process is found, and the rest go on. Each is
launched in the geometries that one code serves, or two. LLVM, which would take most of the time,
takes little trouble, and over most of them hardly any: the vectoriser is tested. What kernels share
is compiled once for a dozen (together.py). tests/test_engines_agree.py compiles some seeds as
users' kernels are.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

sys.path.insert(0, str(Path(__file__).parents[1]))

import together
from random_kernels import SHAPES, source
from two_engines import Engine, Size, canonical, difference

from pymetal import _native
from pymetal.air.llvm_module import run_passes
from pymetal.cpu import budget, jit
from pymetal.cpu.lanes import LaneLayout, copies, lane_layout
from pymetal.cpu.vectorise import NotVectorised, emitter, meetings

BATCH = 192  # seeds a process
AT_ONCE = 12  # kernels a source file
SECONDS_EACH = 20
SIZES = (1, 3, 3, 6)
OPTIMISED = 7  # one file of so many
WRITTEN_OUT = 5  # in one of so many accesses lane by lane are written out, if they are few
# (grid, threadgroup): each layout of lanes, with and without partial simdgroups.
MORE_SHAPES = [
    ((96,), (96,)),
    ((64, 3), (32, 2)),
    ((32, 3, 2), (32, 1, 2)),
    ((16, 4), (16, 2)),
    ((48, 2), (16, 2)),
    ((16, 16), (8, 8)),
    ((8, 8), (8, 4)),
    ((4, 8, 2), (4, 8, 1)),
    ((2, 32), (2, 16)),
    ((1, 64), (1, 32)),
    ((7,), (32,)),
    ((60,), (20,)),
    ((90,), (33,)),
    ((33, 2), (33, 1)),
    ((17, 5), (16, 4)),
    ((8, 7), (8, 8)),
    ((2, 30), (2, 32)),
    ((4, 4, 6), (4, 4, 4)),
    ((3, 3, 3), (3, 3, 3)),
]


def to_registers(module: Any) -> None:
    """The least that LLVM can do: values need no memory, blocks that nothing reaches go."""
    run_passes(module, jit.target_machine(), "sroa", "simplify_cfg")


def run(first: int, count: int) -> list[str]:
    """What differs, in this process."""
    gc.disable()  # a process lives for less than a minute
    llvm.set_option("pymetal", "-combiner-disabled")  # saves a fifth of code generation
    budget.code_generation = lambda text: 0.0
    room, optimise, emitted = emitter._ROOM, jit._optimise_vectors, jit._emitted
    jit._optimise_vectors = to_registers
    jit._optimise = lambda module, speed: to_registers(module)
    jit._emitted = lambda module, entry, speed: emitted(module, entry, 0)
    found = []
    end = first + count
    while first < end:
        file = first // AT_ONCE
        last = min((file + 1) * AT_ONCE, end)
        emitter._ROOM = 0 if file % WRITTEN_OUT else room
        _native.set_streamed_from(file % 2)  # 1: all that is only written goes past the caches
        passes = to_registers if file % OPTIMISED else optimise
        found += differences(range(first, last), SIZES[file % len(SIZES)], file, passes)
        first = last
    return found


def differences(
    seeds: Sequence[int], size: int, file: int, optimise: Callable[[Any], None]
) -> list[str]:
    """What differs between the engines in the launches of a file's kernels."""
    layouts, shapes = launches(file)
    functions = canonical(source(seeds, size), *(f"k{seed}" for seed in seeds))
    try:
        codes = [together.compiled(functions, layout, optimise) for layout in layouts]
    except NotVectorised as reason:
        if len(seeds) > 1:
            return [text for k in seeds for text in differences([k], size, file, optimise)]
        return [] if str(reason) == meetings.REASON else [f"seed {seeds[0]}, size {size}: {reason}"]
    found = []
    for k, (seed, function) in enumerate(zip(seeds, functions, strict=True)):
        ready = {layout: code[k] for layout, code in zip(layouts, codes, strict=True)}
        if any("along" in code.granularity for code in ready.values()):
            ready = {}  # its launches may take other layouts, whose entries have another name
        engines = Engine(function, "reference"), Engine(function, "vectorised", ready)
        found.append(difference(seed, size, engines, shapes))
    return [text for text in found if text]


@cache
def groups() -> list[tuple[tuple[LaneLayout, ...], list[tuple[Size, Size]]]]:
    """Launches that the same code serves, with its layouts. What takes one code comes twice."""
    found: dict[tuple[LaneLayout, ...], list[tuple[Size, Size]]] = {}
    for shape in [*SHAPES, *MORE_SHAPES]:
        grid, threadgroup = (tuple(s) + (1,) * (3 - len(s)) for s in shape)
        layouts = copies(lane_layout(grid, threadgroup), grid, threadgroup)
        found.setdefault(layouts, []).append(shape)
    single = [group for group in found.items() if len(group[0]) == 1]
    return [*single, *single, *(group for group in found.items() if len(group[0]) > 1)]


def launches(file: int) -> tuple[tuple[LaneLayout, ...], list[tuple[Size, Size]]]:
    """The layouts that a file's kernels are compiled for, and their launches."""
    return groups()[file % len(groups())]


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
