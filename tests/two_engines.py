"""One kernel on both engines, and random kernels compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property

import numpy as np
from random_kernels import SHAPES, RandomKernel, source
from random_statements import TALLIES

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
    """One kernel on one engine; vectorised code is made for each lane layout as needed.

    `ready` is what there is of it already.
    """

    def __init__(
        self,
        function: CanonicalFunction,
        name: str,
        ready: Mapping[LaneLayout, Compiled] | None = None,
    ) -> None:
        self.function = function
        self.name = name
        self.ready = ready or {}
        self.variants = Variants(self.compiled)

    @cached_property
    def reference(self) -> Compiled:
        """The same for all layouts."""
        return compile_kernel(self.function, "reference")

    def compiled(self, layout: LaneLayout) -> Compiled:
        if self.name == "reference":
            return self.reference
        compiled = self.ready.get(layout) or compile_kernel(self.function, self.name, layout)
        assert compiled.engine == self.name
        return compiled

    def __call__(self, *arrays: np.ndarray, grid: Size, threadgroup: Size) -> None:
        size, group = (tuple(s) + (1,) * (3 - len(s)) for s in (grid, threadgroup))
        pipeline = self.variants.pipeline(size, group)
        assert self.variants.first is not None
        addresses = [arrays[index].ctypes.data for index in self.variants.first.buffers]
        sizes = [arrays[index].nbytes for index in self.variants.first.buffers]
        fault = pipeline.launch(addresses, [], size, group, sizes=sizes)
        assert fault is None, f"{self.name}, {size}, {group}: {fault.kind} {fault.signal}"


def both(function: CanonicalFunction) -> tuple[Engine, Engine]:
    return Engine(function, "reference"), Engine(function, "vectorised")


@cache
def inputs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return (
        random.integers(0, 1000, 256).astype(np.uint32),
        random.standard_normal(256).astype(np.float32),
    )


def aligned(numbers: int) -> np.ndarray:
    """Zeros at the start of a cache line, as buffers that are stored past the caches are."""
    whole = np.zeros(numbers + 16, np.uint32)
    return whole[-(whole.ctypes.data // 4) % 16 :][:numbers]


def shapes_of(seed: int) -> list[tuple[Size, Size]]:
    """The launches of a seed's kernel, (grid, threadgroup)."""
    return SHAPES[seed % 5 :: 5]


def differences(
    seeds: Iterable[int], size: int, shapes: list[tuple[Size, Size]] | None = None
) -> list[str]:
    """What differs between the engines: a line and the source for each kernel that does."""
    seeds = list(seeds)
    functions = canonical(source(seeds, size), *(f"k{seed}" for seed in seeds))
    found = [
        difference(seed, size, both(function), shapes or shapes_of(seed))
        for seed, function in zip(seeds, functions, strict=True)
    ]
    return [text for text in found if text]


def difference(
    seed: int, size: int, engines: tuple[Engine, Engine], shapes: list[tuple[Size, Size]]
) -> str:
    """What differs in the first of these launches where anything does, and the kernel's source."""
    n = np.array([seed % 11], np.uint32)
    for grid, threadgroup in shapes:
        threads = int(np.prod(grid))
        results = []
        for engine in engines:
            out, lines = aligned(threads), aligned(4 * threads)
            more, tally = np.arange(4 * threads, dtype=np.uint32), np.full(TALLIES, 100, np.uint32)
            engine(out, *inputs(), n, more, tally, lines, grid=grid, threadgroup=threadgroup)
            results.append((out, more, tally, lines))
        for what, expected, actual in zip(("out", "more", "tally", "lines"), *results, strict=True):
            if not np.array_equal(expected, actual):
                return (
                    f"seed {seed}, size {size}, grid {grid}, threadgroup {threadgroup}: "
                    f"{what}{np.flatnonzero(expected != actual)[:10]} differ\n"
                    f"{RandomKernel(seed, size).text}"
                )
    return ""
