"""One kernel on both engines, and random kernels compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from random_kernels import SHAPES, RandomKernel, source

from pymetal.air.canonical import CanonicalFunction
from pymetal.air.container import Container
from pymetal.air.library import Library
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.engines import compile_kernel
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.variants import Variants
from pymetal.msl import compile_source
from pymetal.source import CompileOptions, Source

Size = tuple[int, ...]


def canonical(text: str, *names: str) -> list[CanonicalFunction]:
    library = Library(Container(compile_source(Source(text), CompileOptions())))
    return [library.canonical(name) for name in names]


# `i`: a thread's own number; `a`, 512 numbers below 1000; `tile`: 512 numbers of its threadgroup.
WITH_POSITIONS = """
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out [[buffer(0)]], device const uint* a [[buffer(1)]],
    device atomic_uint* tally [[buffer(2)]],
    uint3 p [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
    uint3 t [[thread_position_in_threadgroup]], uint3 size [[threads_per_threadgroup]],
    uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
    uint3 whole [[dispatch_threads_per_threadgroup]],
    uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]], uint width [[threads_per_simdgroup]],
    uint corner [[thread_index_in_quadgroup]], uint quad [[quadgroup_index_in_threadgroup]])
{
    threadgroup uint tile[512];
    threadgroup atomic_uint shared[4];
    uint i = (p.z * grid.y + p.y) * grid.x + p.x, threads = size.x * size.y * size.z;
    uint r = 1;
    BODY
    out[i] = r;
}
"""


def with_positions(body: str) -> str:
    """A kernel `k` of these statements, which make `r`, what it writes, of all that it is given."""
    return WITH_POSITIONS.replace("BODY", body)


class Engine:
    """One kernel on one engine; vectorised code is made for each lane layout as needed."""

    def __init__(self, function: CanonicalFunction, name: str) -> None:
        self.function = function
        self.name = name
        self.variants = Variants(self.compiled)

    def compiled(self, layout: LaneLayout) -> Compiled:
        compiled = compile_kernel(self.function, self.name, layout)
        assert compiled.engine == self.name
        return compiled

    def __call__(self, *arrays: np.ndarray, grid: Size, threadgroup: Size) -> None:
        size, group = (tuple(s) + (1,) * (3 - len(s)) for s in (grid, threadgroup))
        pipeline = self.variants.pipeline(size, group)
        assert self.variants.first is not None
        addresses = [arrays[index].ctypes.data for index in self.variants.first.buffers]
        assert pipeline.launch(addresses, [], size, group) is None


def both(function: CanonicalFunction) -> tuple[Engine, Engine]:
    return Engine(function, "reference"), Engine(function, "vectorised")


@cache
def inputs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return (
        random.integers(0, 1000, 256).astype(np.uint32),
        random.standard_normal(256).astype(np.float32),
    )


def shapes_of(seed: int) -> list[tuple[Size, Size]]:
    """The launches of a seed's kernel, (grid, threadgroup)."""
    return SHAPES[seed % 5 :: 5]


def differences(
    seeds: Iterable[int], size: int, shapes: list[tuple[Size, Size]] | None = None
) -> list[str]:
    """What differs between the engines: a line and the source for each kernel that does."""
    seeds = list(seeds)
    functions = canonical(source(seeds, size), *(f"k{seed}" for seed in seeds))
    found = []
    for seed, function in zip(seeds, functions, strict=True):
        n = np.array([seed % 11], np.uint32)
        engines = both(function)
        for grid, threadgroup in shapes or shapes_of(seed):
            results = [np.zeros(int(np.prod(grid)), np.uint32) for _ in engines]
            for engine, result in zip(engines, results, strict=True):
                engine(result, *inputs(), n, grid=grid, threadgroup=threadgroup)
            if not np.array_equal(*results):
                found.append(
                    f"seed {seed}, size {size}, grid {grid}, threadgroup {threadgroup}: threads "
                    f"{np.flatnonzero(results[0] != results[1])[:10]} differ\n"
                    f"{RandomKernel(seed, size).text}"
                )
                break
    return found
