"""What a device can do at most, as two kernels find it: bytes moved and operations done a second.

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
from pymetal.kernel import Kernel
from pymetal.library import Library, compile
from pymetal.timing import Timing, bench

COPIES = 16
CHAINS, ROUNDS = 8, 64
FLOPS_PER_THREAD = 2 * 4 * CHAINS * ROUNDS
SOURCE = f"""\
#include <metal_stdlib>
using namespace metal;

// Several elements a thread; neighbours copy neighbours.
kernel void copy(device float4* out [[buffer(0)]], device const float4* x [[buffer(1)]],
                 uint i [[thread_position_in_grid]], uint n [[threads_per_grid]])
{{
    for (int k = 0; k < {COPIES}; ++k) out[i + k * n] = x[i + k * n];
}}

// Chains that do not wait for each other, in registers.
kernel void multiply_add(device float4* out [[buffer(0)]], constant float& by [[buffer(1)]],
                         uint i [[thread_position_in_grid]])
{{
    float4 chains[{CHAINS}];
    for (int k = 0; k < {CHAINS}; ++k) chains[k] = float4(i + k);
    for (int round = 0; round < {ROUNDS}; ++round)
        for (int k = 0; k < {CHAINS}; ++k) chains[k] = fma(chains[k], float4(by), chains[k]);
    float4 sum = 0;
    for (int k = 0; k < {CHAINS}; ++k) sum += chains[k];
    out[i] = sum;
}}
"""
THREADGROUP = 256
# A call shorter than this measures the launch, not the device.
LONG_ENOUGH_SECONDS = 0.02
# 64 MiB an array to begin with, which no cache holds twice; at most 1 GiB.
COPY_THREADS, MOST_COPY_THREADS = (1 << 22) // COPIES, (1 << 26) // COPIES
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

    It takes a few seconds once in a process. What it finds is the peak of PyMetal's device: the
    software device's says nothing of a GPU.

    Parameters
    ----------
    device
        As in `run_metal_kernel`.
    seconds
        How long to measure each of the two.
    """
    chosen: Any = pick_device(device)  # a protocol, which says nothing of hashes
    return _measured(chosen, seconds)


@cache
def _measured(device: Device, seconds: float) -> Peak:
    library: Library = compile(SOURCE, device=device)

    def copies(threads: int, time: float) -> Timing:
        x, out = zeros(threads * 4 * COPIES), zeros(threads * 4 * COPIES)
        return _bench(library.copy, (out, x), threads, time)

    def computes(threads: int, time: float) -> Timing:
        out = zeros(threads * 4)
        # 1e-3 keeps the values finite and normal.
        return _bench(library.multiply_add, (out, 1e-3), threads, time, FLOPS_PER_THREAD * threads)

    moved = _long_enough(copies, COPY_THREADS, MOST_COPY_THREADS, seconds)
    done = _long_enough(computes, COMPUTE_THREADS, MOST_COMPUTE_THREADS, seconds)
    return Peak(
        device.name,
        done.engine,
        moved.size_bytes / moved.seconds[0] / 1e9,
        (done.flops or 0.0) / done.seconds[0] / 1e9,
    )


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
