"""What a launch costs beside the kernel's own work.

    python bench/launch.py [--json FILE] [--launches N]

One threadgroup of 32 threads adds two arrays of 32 floats, with an int for the length. Goals are
printed beside the figures; PyOpenCL on PoCL and numba run the same in the same process, each left
out with a reason where it is absent. The least of many short runs is given: what else the machine
does can only add to it. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pymetal

N = 32
SOURCE = """\
#include <metal_stdlib>
using namespace metal;
kernel void add(device float* out [[buffer(0)]],
                device const float* x [[buffer(1)]],
                device const float* y [[buffer(2)]],
                constant int& n [[buffer(3)]],
                uint i [[thread_position_in_grid]])
{
    if (int(i) < n) out[i] = x[i] + y[i];
}
"""
OPENCL = """\
kernel void add(global float* out, global const float* x, global const float* y, int n)
{
    int i = get_global_id(0);
    if (i < n) out[i] = x[i] + y[i];
}
"""
BATCH = 1000
X, Y = np.arange(N, dtype=np.float32), np.ones(N, np.float32)


def microseconds(run: Callable[[], object], calls: int = 50, rounds: int = 300) -> float:
    """Of one call: the least of many rounds."""
    least = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            run()
        least = min(least, time.perf_counter() - start)
    return least / calls * 1e6


def of_pymetal(launches: int) -> dict[str, float]:
    kernel = pymetal.compile(SOURCE).add
    out = pymetal.zeros(N)
    size = {"grid": N, "threadgroup": N}

    def call() -> None:
        kernel(out, X, Y, N, **size)

    call()
    assert (out == X + Y).all()
    figures = {
        "call": microseconds(call),
        "call, new output": microseconds(lambda: kernel(pymetal.output(N), X, Y, N, **size)),
        "call, threadgroup picked": microseconds(lambda: kernel(out, X, Y, N, grid=N)),
        "run_metal_kernel": of_run_metal_kernel(),
        "run_metal_kernel, shipped": microseconds(
            lambda: pymetal.run_metal_kernel("matrix_add", [X, Y], N, N, N)
        ),
    }

    queue = pymetal.Queue()

    def batch() -> None:
        with queue.batch():
            for _ in range(BATCH):
                kernel(out, X, Y, N, queue=queue, **size)
        queue.wait()

    figures["batch of 1,000, each"] = microseconds(batch, 1, 50) / BATCH

    large = pymetal.zeros(1 << 28)  # 1 GiB
    figures["call, 1 GiB array"] = microseconds(lambda: kernel(out, large, Y, N, **size))

    before = peak_mib()
    for _ in range(launches):
        call()
    figures[f"growth over {launches:,} launches, MiB"] = peak_mib() - before
    return figures


def of_run_metal_kernel() -> float:
    """With its check that the file is as it was; the kernel lies in ./kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels" / "add.metal"
        path.parent.mkdir()
        path.write_text(SOURCE)
        os.utime(path, (time.time() - 60,) * 2)  # a file just written is read each time
        before = Path.cwd()
        os.chdir(folder)
        try:
            return microseconds(lambda: pymetal.run_metal_kernel("add", [X, Y, N], N, N, N))
        finally:
            os.chdir(before)


def of_opencl() -> float:
    """Enqueue and wait, with buffers that stay on the device."""
    import pyopencl as cl

    platforms = [p for p in cl.get_platforms() if "Portable" in p.name]
    if not platforms:
        raise ImportError("there is no PoCL; Debian has it as pocl-opencl-icd")
    context = cl.Context(platforms[0].get_devices())
    queue = cl.CommandQueue(context)
    kernel = cl.Kernel(cl.Program(context, OPENCL).build(), "add")
    flags = cl.mem_flags
    x, y = (
        cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=array) for array in (X, Y)
    )
    out = cl.Buffer(context, flags.WRITE_ONLY, X.nbytes)
    length = np.int32(N)

    def call() -> None:
        kernel(queue, (N,), (N,), out, x, y, length).wait()

    call()
    result = np.zeros(N, np.float32)
    cl.enqueue_copy(queue, result, out)
    assert (result == X + Y).all()
    return microseconds(call)


def of_numba() -> float:
    """A compiled Python function with the same loop."""
    import numba

    @numba.njit
    def add(out, x, y, n):  # type: ignore[no-untyped-def]
        for i in range(n):
            out[i] = x[i] + y[i]

    out = np.zeros(N, np.float32)
    add(out, X, Y, N)
    assert (out == X + Y).all()
    return microseconds(lambda: add(out, X, Y, N))


def peak_mib() -> float:
    """The most memory that the process has had."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--launches", type=int, default=1_000_000, help="for the memory figure")
    arguments = parser.parse_args()

    goals = {
        "call": 5.0,
        "run_metal_kernel": 15.0,
        "run_metal_kernel, shipped": 15.0,
        "batch of 1,000, each": 2.0,
    }
    figures = of_pymetal(arguments.launches)
    print(f"{platform.machine()}, {os.cpu_count()} processors, device {pymetal.device().name}")
    for name, value in figures.items():
        goal = f"   goal {goals[name]:g}" if name in goals else ""
        unit = "  " if "MiB" in name else "µs"
        print(f"{name:40} {value:9.2f} {unit}{goal}")
    for name, measure, goal in (("PyOpenCL, PoCL", of_opencl, "0.25"), ("numba", of_numba, "")):
        try:
            peer = measure()
        except ImportError as error:
            print(f"{name:40} left out: {error}")
            continue
        figures[name] = peer
        ratio = f"   call is {figures['call'] / peer:.2f}x of it"
        print(f"{name:40} {peer:9.2f} µs{ratio}" + (f", goal {goal}x" if goal else ""))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
