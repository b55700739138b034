"""How long a kernel takes: warm calls measured one by one, their median and spread.

Times are those of whole calls, as Python sees them: binding and waiting are included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pymetal.errors import ArgumentError
from pymetal.kernel import Kernel
from pymetal.results import output
from pymetal.shown import shown

# Larger than the last cache of any processor we know of.
CACHE_BYTES = 256 << 20
MIN_CALLS, MAX_CALLS = 5, 100_000


@dataclass(frozen=True)
class Timing:
    """Seconds of each measured call, fastest first, and what a call moves and computes.

    Attributes
    ----------
    seconds
        One for each call, sorted.
    size_bytes
        Bytes that a call reads and writes: each array once, unless told otherwise.
    flops
        Floating-point operations of a call; None if nobody said.
    """

    kernel: str
    device: str
    engine: str
    seconds: tuple[float, ...]
    size_bytes: float
    flops: float | None = None

    def quantile(self, part: float) -> float:
        """The time that `part` of the calls do not exceed, interpolated."""
        return float(np.quantile(self.seconds, part))

    @property
    def median(self) -> float:
        return self.quantile(0.5)

    @property
    def gb_per_second(self) -> float:
        """10^9 bytes a second, at the median."""
        return self.size_bytes / self.median / 1e9

    @property
    def gflop_per_second(self) -> float | None:
        """10^9 floating-point operations a second, at the median; None without `flops`."""
        return None if self.flops is None else self.flops / self.median / 1e9

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kernel": self.kernel,
            "device": self.device,
            "engine": self.engine,
            "calls": len(self.seconds),
            "median_seconds": self.median,
            "p20_seconds": self.quantile(0.2),
            "p80_seconds": self.quantile(0.8),
            "min_seconds": self.seconds[0],
            "size_bytes": self.size_bytes,
            "gb_per_second": self.gb_per_second,
            "flops": self.flops,
            "gflop_per_second": self.gflop_per_second,
        }

    def __str__(self) -> str:
        rate = self.gflop_per_second
        return (
            f"{self.kernel} on {self.device} ({self.engine}): median {self.median * 1e6:.6g} µs "
            f"(p20 {self.quantile(0.2) * 1e6:.6g}, p80 {self.quantile(0.8) * 1e6:.6g}, "
            f"{len(self.seconds)} calls), {self.gb_per_second:.3g} GB/s"
            + ("" if rate is None else f", {rate:.3g} GFLOP/s")
        )


def bench(
    kernel: Kernel,
    *values: Any,
    grid: Any = None,
    threadgroup: Any = None,
    threadgroups: Any = None,
    threadgroup_memory: Any = None,
    timeout: float | None = None,
    warmup_seconds: float = 0.05,
    seconds: float = 0.5,
    cold_cache: bool = False,
    flops: float | None = None,
    size_bytes: float | None = None,
    on_call: Callable[[float], None] | None = None,
    **named: Any,
) -> Timing:
    """Measure a kernel.

    Parameters
    ----------
    kernel, values, named, grid, threadgroup, threadgroups, threadgroup_memory, timeout
        As in a call. Outputs are allocated once, outside the measured time.
    warmup_seconds, seconds
        How long to call it before, and while, it is measured; at least once, and five times.
    cold_cache
        Overwrite the processor's caches before each call, outside the measured time.
    flops, size_bytes
        Floating-point operations and bytes of a call. By default bytes count each array once.
    on_call
        Called after each measured call with the part of `seconds` that is over, up to 1.

    Returns
    -------
    Timing

    Raises
    ------
    ArgumentError
        A duration is not a positive number; and whatever the call raises.
    """
    if not isinstance(kernel, Kernel):
        raise ArgumentError(f"bench measures a Kernel, got {type(kernel).__name__}")
    _check_amount("warmup_seconds", warmup_seconds, "number of seconds")
    _check_amount("seconds", seconds, "number of seconds")
    for name, amount in (("flops", flops), ("size_bytes", size_bytes)):
        if amount is not None:
            _check_amount(name, amount, "number")
    ordered, memory = kernel._ordered(values, named, threadgroup_memory)
    if threadgroups is not None:
        grid, threadgroup = kernel._counted(threadgroups, grid, threadgroup)
    bindings = kernel._prepare(ordered, grid, threadgroup, memory).bindings
    bound = [
        binding.array if isinstance(value, output) else value
        for binding, value in zip(bindings, ordered, strict=True)
    ]
    call = partial(
        kernel,
        *bound,
        grid=grid,
        threadgroup=threadgroup,
        threadgroup_memory=memory,
        timeout=timeout,
    )
    flush = np.zeros(CACHE_BYTES // 8) if cold_cache else None

    def once() -> float:
        if flush is not None:
            flush.fill(0.0)
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    end = time.perf_counter() + warmup_seconds
    once()
    while time.perf_counter() < end:
        once()
    samples: list[float] = []
    start = time.perf_counter()
    while True:
        samples.append(once())
        elapsed = time.perf_counter() - start
        if on_call is not None:
            on_call(min(1.0, elapsed / seconds) if seconds else 1.0)
        if len(samples) >= MAX_CALLS or (elapsed >= seconds and len(samples) >= MIN_CALLS):
            break
    if size_bytes is None:
        size_bytes = float(sum(binding.array.nbytes for binding in bindings))
    return Timing(
        kernel.name,
        kernel.device.name,
        kernel.report.engine,
        tuple(sorted(samples)),
        size_bytes,
        flops,
    )


def _check_amount(name: str, value: Any, noun: str) -> None:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ArgumentError(f"{name} is {shown(value)}, not a {noun}", argument=name)
