"""What checks cost: checked runs beside unchecked ones, and beside Oclgrind on the same kernels.

    python bench/sanitizer.py [--json FILE] [--repeats N]

Oclgrind (Debian package `oclgrind`) runs OpenCL kernels of the same text with its checks of memory,
data races and uninitialised values; without it its column is empty. All on one thread. Times are of
the processor, which other programs disturb less. That of Oclgrind is its process's, less that of a
launch of one work-group, which is mostly compiling. Then what unchecked kernels pay, on the fast
engine, for guards around arrays and for a deadline, at which they can be stopped.
Nothing here is a test: figures are printed beside their goals.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

# One text for both languages; the differences are these words.
METAL = {
    "KERNEL": "kernel void",
    "DEVICE": "device",
    "CONSTANT": "constant uint&",
    "LOCAL": "threadgroup",
    "BARRIER": "threadgroup_barrier(mem_flags::mem_threadgroup)",
    "POSITION": ", uint2 p [[thread_position_in_grid]], uint2 t [[thread_position_in_threadgroup]]",
    "START": "",
}
OPENCL = {
    "KERNEL": "kernel void",
    "DEVICE": "global",
    "CONSTANT": "uint",
    "LOCAL": "local",
    "BARRIER": "barrier(CLK_LOCAL_MEM_FENCE)",
    "POSITION": "",
    "START": "uint2 p = (uint2)(get_global_id(0), get_global_id(1)); "
    "uint2 t = (uint2)(get_local_id(0), get_local_id(1));",
}


@dataclass(frozen=True)
class Case:
    """A kernel over an n x n grid in 16 x 16 threadgroups: out, a, b and n."""

    name: str
    n: int
    body: str

    def text(self, words: dict[str, str]) -> str:
        head = (
            f"KERNEL {self.name}(DEVICE float* out, DEVICE const float* a, DEVICE const float* b, "
            "CONSTANT n POSITION) { START "
        )
        text = head + self.body + "}\n"
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        return text


CASES = (
    Case("add", 256, "uint i = p.y * n + p.x; out[i] = a[i] + b[i];"),
    Case(
        "matmul",
        64,
        "float sum = 0; for (uint k = 0; k < n; ++k) sum += a[p.y * n + k] * b[k * n + p.x]; "
        "out[p.y * n + p.x] = sum;",
    ),
    Case(
        "matmul_tiled",
        64,
        "LOCAL float s[16][16]; LOCAL float u[16][16]; float sum = 0; "
        "for (uint k = 0; k < n; k += 16) { "
        "s[t.y][t.x] = a[p.y * n + k + t.x]; u[t.y][t.x] = b[(k + t.y) * n + p.x]; BARRIER; "
        "for (uint j = 0; j < 16; ++j) sum += s[t.y][j] * u[j][t.x]; BARRIER; } "
        "out[p.y * n + p.x] = sum;",
    ),
    Case(
        "transpose",
        256,
        "LOCAL float s[16][17]; s[t.y][t.x] = a[p.y * n + p.x] + b[0]; BARRIER; "
        "uint x = p.y - t.y + t.x, y = p.x - t.x + t.y; out[y * n + x] = s[t.x][t.y];",
    ),
)


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Processor seconds of the fastest of some calls, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        start = used_seconds()
        function()
        times.append(used_seconds() - start)
    return min(times)


def used_seconds() -> float:
    """Of the processor, by this process and those that it waited for."""
    used = os.times()
    return time.process_time() + used.children_user + used.children_system


def pymetal_seconds(case: Case, repeats: int) -> tuple[float, float]:
    """Unchecked and checked, on the reference engine."""
    import pymetal

    source = "#include <metal_stdlib>\nusing namespace metal;\n" + case.text(METAL)
    kernel = pymetal.compile(source, device="cpu").kernel(case.name)
    n = case.n
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n), np.float32) for _ in range(2))
    out = pymetal.output((n, n))

    def run(check: bool) -> object:
        return kernel(out, a, b, n, grid=(n, n), threadgroup=(16, 16), check=check)

    np.testing.assert_array_equal(run(False), run(True))
    return fastest(lambda: run(False), repeats), fastest(lambda: run(True), repeats)


def oclgrind_seconds(case: Case, repeats: int) -> float | None:
    """With all checks, on one thread; None where there is no Oclgrind."""
    program = shutil.which("oclgrind-kernel")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "k.cl").write_text(case.text(OPENCL))

        def run(n: int) -> None:
            size = f"<size={4 * case.n * case.n} fill=1 float>"
            lines = ["k.cl", case.name, f"{n} {n} 1", "16 16 1", size, size, size]
            (Path(folder) / "k.sim").write_text("\n".join([*lines, "<size=4 uint>", f"{case.n}\n"]))
            command = [program, "--data-races", "--uninitialized", "--num-threads", "1", "k.sim"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode or done.stderr:
                raise SystemExit(f"Oclgrind says of {case.name}:\n{done.stdout}{done.stderr}")

        return fastest(lambda: run(case.n), repeats) - fastest(lambda: run(16), repeats)


GUARDED = """#include <metal_stdlib>
using namespace metal;
kernel void add(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                device const float* b [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    out[i] = a[i] + b[i];
}
kernel void exponential(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                        device const float* b [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    out[i] = exp(a[i]) + sin(b[i]);
}
kernel void sums(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                 device const float* b [[buffer(2)]], uint i [[thread_position_in_grid]],
                 uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[256];
    tile[t] = a[i] * b[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t ^ 128] + simd_sum(tile[t]);
}
"""


def in_turns(a: Callable[[], object], b: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Processor seconds of the fastest call of each; what else runs here disturbs both alike."""
    best = [float("inf")] * 2
    for _ in range(repeats):
        for way, run in enumerate((a, b)):
            run()  # brings its arrays into the caches
            start = time.process_time()
            run()
            best[way] = min(best[way], time.process_time() - start)
    return best[0], best[1]


def unchecked_costs(repeats: int) -> dict[str, dict[str, float]]:
    """Unchecked launches of 2^20 threads on the fast engine, by kernel: seconds over NumPy's
    arrays, and what PyMetal's, with guard pages, and a deadline add to that."""
    import pymetal

    count = 1 << 20
    library = pymetal.compile(GUARDED, device="cpu")
    plain = [np.zeros(count, np.float32) for _ in range(3)]
    guarded = [pymetal.zeros(count) for _ in range(3)]
    for arrays in (plain, guarded):
        for array in arrays[1:]:
            array[...] = np.linspace(0, 1, count)
    costs = {}
    for name in ("add", "exponential", "sums"):
        kernel = library.kernel(name)
        plainly = partial(kernel, *plain, grid=count, threadgroup=256)
        guards = partial(kernel, *guarded, grid=count, threadgroup=256)
        deadline = partial(plainly, timeout=60.0)
        base, with_guards = in_turns(plainly, guards, 100 * repeats)
        again, with_deadline = in_turns(plainly, deadline, 100 * repeats)
        costs[name] = {
            "plain": min(base, again),
            "guards": with_guards / base - 1,
            "deadline": with_deadline / again - 1,
        }
    return costs


IN_PLACE = Case("in_place", 0, "uint i = p.y * n + p.x; out[i] = out[i] + out[i];")
THREES = Case(
    "in_threes",
    0,
    "uint i = 3 * (p.y * n + p.x); "
    "if (i + 2 < n * n) { out[i] += out[i + 1]; out[i + 1] += 2; out[i + 2] += 3; }",
)
MEMORY = {case.name: case for case in (CASES[0], IN_PLACE, THREES)}


def memory_ratio(name: str, type_: str) -> float:
    """Memory that a checked launch on arrays of 4096 x 4096 takes, over these arrays'."""
    arrays = 3 if name == "add" else 1
    code = f"""
import resource, sys
import numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pymetal
from sanitizer import MEMORY, METAL
text = MEMORY[{name!r}].text(METAL).replace("float", {type_!r})
source = "#include <metal_stdlib>\\nusing namespace metal;\\n" + text
kernel = pymetal.compile(source, device="cpu").kernel({name!r})
def run(n):
    a = np.ones((n, n), kernel.dtype("out"))
    one = np.ones(1, a.dtype)
    three = [pymetal.output((n, n)), a, a.copy()] if {arrays} == 3 else [a, one, one.copy()]
    kernel(*three, n, grid=(n, n), threadgroup=(16, 16), check=True)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used * {1 if sys.platform == "darwin" else 1024}
before = run(16)
print((run(4096) - before) / ({arrays} * kernel.dtype("out").itemsize * 4096**2))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,  # where the source does not hide the installed package
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["PYMETAL_NUM_THREADS"] = "1"
    os.environ["PYMETAL_ENGINE"] = "reference"

    rows = []
    print(f"{'kernel':14}{'unchecked':>12}{'checked':>12}{'ratio':>8}{'Oclgrind':>12}{'faster':>8}")
    for case in CASES:
        plain, checked = pymetal_seconds(case, arguments.repeats)
        peer = oclgrind_seconds(case, arguments.repeats)
        rows.append({"kernel": case.name, "unchecked": plain, "checked": checked, "oclgrind": peer})
        against = f"{peer * 1e3:9.0f} ms{peer / checked:7.0f}x" if peer else "          -       -"
        ratio = f"{checked / plain:7.1f}x"
        print(f"{case.name:14}{plain * 1e3:9.1f} ms{checked * 1e3:9.1f} ms{ratio}{against}")
    memory = {
        f"{name} of {type_}": memory_ratio(name, type_)
        for name in MEMORY
        for type_ in ("float", "half", "uchar")
    }
    print("goals: checked at most 8x unchecked, at least 10x faster than Oclgrind")
    for what, ratio in memory.items():
        print(f"memory of a checked {what}: {ratio:.1f}x its arrays (goal: at most 4x)")
    del os.environ["PYMETAL_ENGINE"]
    costs = unchecked_costs(arguments.repeats)
    for name, best in costs.items():
        print(
            f"unchecked {name}: {best['plain'] * 1e3:.3f} ms; guards {best['guards']:+.1%} "
            f"(goal: 1 %), deadline {best['deadline']:+.1%} (goal: 3 %)"
        )
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"cases": rows, "memory": memory, "unchecked": costs}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
