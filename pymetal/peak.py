"""What a device can do at most, as a few kernels find it: bytes moved, operations done a second.

These are the roof of a roofline (Williams, Waterman and Patterson, "Roofline: an insightful visual
performance model for multicore architectures", 2009): a kernel that does I operations for each byte
it moves reaches at most min(peak operations, I * peak bytes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pymetal.arrays import zeros
from pymetal.devices import Device
from pymetal.devices import device as pick_device
from pymetal.errors import CompileError, UnsupportedError
from pymetal.kernel import Kernel
from pymetal.library import compile
from pymetal.timing import Timing, bench

COPIES, ROUNDS = 16, 64
# Chains that do not wait for each other: few enough for a processor's registers, or many.
CHAINS = {"float": 4, "float4": 8}
MATRICES = 4
THREADGROUP = 256


def _copies(kind: str) -> str:
    """Several elements a thread; neighbours copy neighbours."""
    return f"""
kernel void copy_{kind}(device {kind}* out [[buffer(0)]], device const {kind}* x [[buffer(1)]],
    uint i [[thread_position_in_grid]], uint n [[threads_per_grid]])
{{
    for (int k = 0; k < {COPIES}; ++k) out[i + k * n] = x[i + k * n];
}}
"""


def _chains(kind: str) -> str:
    """Each chain a variable of its own, which stays in a register."""
    names = [f"x{k}" for k in range(CHAINS[kind])]
    made = " ".join(f"{kind} {name} = {kind}(i + {k});" for k, name in enumerate(names))
    step = " ".join(f"{name} = fma({name}, by, {name});" for name in names)
    return f"""
kernel void chains_{kind}(device {kind}* out [[buffer(0)]], constant float& factor [[buffer(1)]],
    uint i [[thread_position_in_grid]])
{{
    {kind} by = {kind}(factor);
    {made}
    for (int round = 0; round < {ROUNDS}; ++round) {{ {step} }}
    out[i] = {" + ".join(names)};
}}
"""


def _matrices() -> str:
    """The same with products of 8 x 8 matrices, which a simdgroup's threads hold together."""
    names = [f"x{k}" for k in range(MATRICES)]
    made = "\n    ".join(
        f"simdgroup_float8x8 {name} = make_filled_simdgroup_matrix<float, 8, 8>(float({k}));"
        for k, name in enumerate(names)
    )
    step = " ".join(f"simdgroup_multiply_accumulate({name}, by, by, {name});" for name in names)
    stores = "\n    ".join(
        f"simdgroup_store({name}, out + {64 * k}, 8);" for k, name in enumerate(names)
    )
    return f"""
kernel void matrices(device float* out [[buffer(0)]], constant float& factor [[buffer(1)]],
    uint group [[threadgroup_position_in_grid]], uint in_group [[simdgroup_index_in_threadgroup]])
{{
    simdgroup_float8x8 by = make_filled_simdgroup_matrix<float, 8, 8>(factor);
    {made}
    for (int round = 0; round < {ROUNDS}; ++round) {{ {step} }}
    out += (group * {THREADGROUP // 32} + in_group) * {64 * MATRICES};
    {stores}
}}
"""


HEADER = """#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
"""
PLAIN = HEADER + "".join(make(kind) for make in (_copies, _chains) for kind in CHAINS)
MATRIX = HEADER + _matrices()  # not every GPU has these
# A shorter call measures the launch; a longer one meets whatever else the machine does.
LONG_ENOUGH_SECONDS = 0.004
# 64 MiB an array to begin with, which no cache holds twice; at most 1 GiB.
COPY_BYTES, MOST_COPY_BYTES = 64 << 20, 1 << 30
COMPUTE_THREADS, MOST_COMPUTE_THREADS = 1 << 13, 1 << 24


@dataclass(frozen=True)
class Peak:
    """The most that a device reached: 10^9 bytes, and 10^9 float32 operations, a second."""

    device: str
    engine: str
    gb_per_second: float
    gflop_per_second: float

    def roof(self, flops_per_byte: float) -> float:
        """The most GFLOP/s for a kernel that does so many operations for each byte it moves."""
        return min(self.gflop_per_second, flops_per_byte * self.gb_per_second)

    def __str__(self) -> str:
        return (
            f"{self.device} ({self.engine}): {self.gb_per_second:.3g} GB/s, "
            f"{self.gflop_per_second:.3g} GFLOP/s"
        )


def measured_peak(device: str | Device | None = None, *, seconds: float = 0.2) -> Peak:
    """Measure a device: how fast it copies memory that no cache holds, and multiplies and adds.

    Numbers, vectors and simdgroup matrices are tried, and the fastest counts. It takes a few
    seconds once in a process. What it finds is the peak of PyMetal's device: the
    software device's says nothing of a GPU.

    Parameters
    ----------
    device
        As in `run_metal_kernel`.
    seconds
        How long to measure each of them.
    """
    chosen: Any = pick_device(device)  # a protocol, which says nothing of hashes
    return _measured(chosen, seconds)


@cache
def _measured(device: Device, seconds: float) -> Peak:
    plain = compile(PLAIN, device=device)
    moved = [_copied(plain[f"copy_{kind}"], _floats(kind), seconds) for kind in CHAINS]
    done = [_computed(plain[f"chains_{kind}"], *_work(kind), seconds) for kind in CHAINS]
    try:
        matrices = compile(MATRIX, device=device)["matrices"]
    except (CompileError, UnsupportedError):
        pass  # what there is is the peak
    else:
        # 8 x 8 x 8 products and sums, by 32 threads, which store 64 results each.
        flops = 2 * 512 * MATRICES * ROUNDS // 32
        done.append(_computed(matrices, 2 * MATRICES, flops, seconds))
    best = max(done, key=lambda timing: (timing.flops or 0.0) / timing.seconds[0])
    return Peak(
        device.name,
        best.engine,
        max(timing.size_bytes / timing.seconds[0] for timing in moved) / 1e9,
        (best.flops or 0.0) / best.seconds[0] / 1e9,
    )


def _floats(kind: str) -> int:
    return 4 if kind == "float4" else 1


def _work(kind: str) -> tuple[int, int]:
    """Floats that a thread writes, and operations that it does."""
    return _floats(kind), 2 * _floats(kind) * CHAINS[kind] * ROUNDS


def _copied(kernel: Kernel, floats: int, seconds: float) -> Timing:
    """A copy of arrays that no cache holds; `floats` are those of an element."""
    each = 4 * floats * COPIES  # bytes a thread

    def measure(threads: int, time: float) -> Timing:
        x, out = zeros(threads * each // 4), zeros(threads * each // 4)
        return _bench(kernel, (out, x), threads, time)

    return _long_enough(measure, COPY_BYTES // each, MOST_COPY_BYTES // each, seconds)


def _computed(kernel: Kernel, floats: int, flops: int, seconds: float) -> Timing:
    """Arithmetic alone; `floats` and `flops` are a thread's."""

    def measure(threads: int, time: float) -> Timing:
        # 1e-3 keeps the values finite and normal.
        return _bench(kernel, (zeros(threads * floats), 1e-3), threads, time, flops * threads)

    return _long_enough(measure, COMPUTE_THREADS, MOST_COMPUTE_THREADS, seconds)


def _bench(
    kernel: Kernel, values: tuple[object, ...], threads: int, time: float, flops: int | None = None
) -> Timing:
    return bench(
        kernel,
        *values,
        grid=threads,
        threadgroup=THREADGROUP,
        warmup_seconds=0,
        seconds=time,
        flops=flops,
    )


def _long_enough(
    measure: Callable[[int, float], Timing], threads: int, most: int, seconds: float
) -> Timing:
    """With as many threads as make one call long enough to measure."""
    while threads < most:
        short = measure(threads, 0).seconds[0]
        if short >= LONG_ENOUGH_SECONDS:
            break
        wanted = threads * LONG_ENOUGH_SECONDS / max(short, 1e-6)
        threads = min(most, 1 << int(np.ceil(np.log2(wanted))))
    return measure(threads, seconds)
