"""How long one waits: for an edited kernel, for a new process, for the import.

    python bench/latency.py [--json FILE] [--edits N]

Nothing here is a test: figures are printed beside their goals. Uses a disk cache of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pymetal
from pymetal import run_metal_kernel
from pymetal.find import shipped_dir

# 30 lines with the habits of a real kernel: threadgroup memory, a barrier, simd_sum.
KERNEL = """\
#include <metal_stdlib>
using namespace metal;

kernel void edited(
    device float* out [[buffer(0)]],
    device const float* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint gid [[thread_position_in_grid]],
    uint tid [[thread_position_in_threadgroup]],
    uint size [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]])
{
    threadgroup float parts[32];
    float value = gid < n ? x[gid] : 0.0f;
    float sum = simd_sum(value * value);
    if (lane == 0) {
        parts[simdgroup_index] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0.0f;
    for (uint i = 0; i < (size + 31) / 32; ++i) {
        total += parts[i];
    }
    if (gid < n) {
        out[gid] = value * rsqrt(total / size + EDIT);
    }
    // 30 lines: the kernel that one edits
    // again and again.
}
"""

# In a new process: one kernel, then whether LLVM was loaded. Prints one JSON line.
CHILD = """\
import json, subprocess, sys
import numpy as np
from pymetal import run_metal_kernel
{hide}
x = np.ones((64, 64), np.float32)
{call}
print(json.dumps({{"right": bool(right), "llvm": "llvmlite.binding" in sys.modules}}))
"""
# Clang runs as a process of its own: without processes there is none.
HIDE_CLANG = """\
def refuse(*arguments, **options):
    raise SystemExit(f"a process was started: {arguments}")
subprocess.Popen = refuse"""
SHIPPED = """\
out = run_metal_kernel("matmul", [x, x, 64], (64, 64), (64, 64, 1), (16, 16, 1))
right = (out == 64).all()"""
OWN = """\
out = run_metal_kernel("edited", [x, x.size], x.shape, x.size, 256)
right = abs(out - 0.81649658).max() < 1e-6"""


def edit_to_result(folder: Path, edits: int) -> list[float]:
    """Seconds from the end of writing an edited file to its result, warm process."""
    x = np.ones(1024, np.float32)
    seconds = []
    for edit in range(edits + 1):
        (folder / "edited.metal").write_text(KERNEL.replace("EDIT", f"{edit}.5f"))
        start = time.perf_counter()
        out = run_metal_kernel("edited", [x, 1024], 1024, 1024, 256, kernel_dirs=folder)
        seconds.append(time.perf_counter() - start)
        if abs(out - (1.0 + edit + 0.5) ** -0.5).max() > 1e-6:
            raise SystemExit(f"edit {edit} was not seen: {out[0]}")
    return seconds[1:]  # the first one warms clang and LLVM up


class Process:
    """A new process that runs one kernel: seconds until its result is printed, and what it used."""

    def __init__(self, call: str, cwd: Path, cache: Path, hide_clang: bool = False) -> None:
        environment = {
            **os.environ,
            "PYMETAL_CACHE_DIR": str(cache),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        code = CHILD.format(call=call, hide=HIDE_CLANG if hide_clang else "")
        command = [sys.executable, "-c", code]
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        self.seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"the process failed:\n{done.stderr}")
        facts = json.loads(done.stdout.splitlines()[-1])
        if not facts["right"]:
            raise SystemExit("the process computed a wrong result")
        self.used_llvm: bool = facts["llvm"]


def median_process(call: str, cwd: Path, cache: Path, runs: int = 5) -> float:
    return statistics.median(Process(call, cwd, cache).seconds for _ in range(runs))


def import_seconds(cwd: Path, runs: int = 7) -> float:
    """Seconds that `from pymetal import run_metal_kernel` takes after NumPy is there."""
    code = (
        "import numpy, time; start = time.perf_counter(); "
        "from pymetal import run_metal_kernel; print(time.perf_counter() - start)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return statistics.median(
        float(subprocess.check_output([sys.executable, "-c", code], cwd=cwd, env=environment))
        for _ in range(runs)
    )


def measure(edits: int) -> list[dict[str, object]]:
    """Rows of name, milliseconds, goal in milliseconds and remarks."""
    rows: list[dict[str, object]] = []

    def row(name: str, seconds: float, goal_ms: float | None = None, remark: str = "") -> None:
        rows.append({"name": name, "ms": seconds * 1e3, "goal_ms": goal_ms, "remark": remark})

    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        for folder in ("kernels", "empty"):
            (base / folder).mkdir()
        os.environ["PYMETAL_CACHE_DIR"] = str(base / "cache")

        seconds = edit_to_result(base / "kernels", edits)
        spread = f"{min(seconds) * 1e3:.0f} to {max(seconds) * 1e3:.0f} ms in {edits} edits"
        row("edit to result, 30-line kernel", statistics.median(seconds), 300, spread)

        precompiled = (shipped_dir() / "kernels.metallib").is_file()
        how = "precompiled" if precompiled else "from source: not an installed wheel"
        empty = base / "empty"  # a folder without kernels
        cold = [Process(SHIPPED, empty, base / f"cold{i}").seconds for i in range(3)]
        row("new process, shipped kernel, no cache", statistics.median(cold), 500, how)
        Process(SHIPPED, empty, base / "warm")
        row(
            "new process, shipped kernel, cache", median_process(SHIPPED, empty, base / "warm"), 500
        )

        (base / "kernels" / "edited.metal").write_text(KERNEL.replace("EDIT", "0.5f"))
        cold = [Process(OWN, base, base / f"own{i}").seconds for i in range(3)]
        once = "precompiles the standard library, once for each cache folder"
        row("new process, own kernel, no cache", statistics.median(cold), None, once)
        row("new process, own kernel, cache", median_process(OWN, base, base / "own0"))
        hidden = Process(OWN, base, base / "own0", hide_clang=True)
        row(
            "the same with clang hidden",
            hidden.seconds,
            None,
            "LLVM was loaded: COMPILED"
            if hidden.used_llvm
            else "no clang, no LLVM: compiled nothing",
        )
        row("import of pymetal after NumPy", import_seconds(base), 50)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--edits", type=int, default=9, help="how many edits (default 9)")
    options = parser.parse_args()

    rows = measure(options.edits)
    device = pymetal.device().name
    python = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"
    print(f"PyMetal {pymetal.__version__} on device {device}; {python}\n")
    line = "{:<38} {:>9} {:>9}  {}".format
    print(line("", "median", "goal", ""))
    for entry in rows:
        goal = entry["goal_ms"]
        text = f"{entry['ms']:.0f} ms"
        missed = goal is not None and entry["ms"] > goal  # type: ignore[operator]
        remark = f"{'MISSED ' if missed else ''}{entry['remark']}"
        print(line(entry["name"], text, f"{goal} ms" if goal else "", remark))
    if options.json:
        facts = {"version": pymetal.__version__, "device": device, "python": python}
        options.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
