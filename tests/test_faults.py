"""Kernels that go wrong in normal runs: the launch fails, the process and the next one live on."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pymetal

SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void wild_write(device float* out [[buffer(0)]], constant long& offset [[buffer(1)]],
                       uint i [[thread_position_in_grid]]) {
    out[offset + i] = i;
}
kernel void wild_read(device float* out [[buffer(0)]], device const float* in [[buffer(1)]],
                      constant long& offset [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    out[i] = in[offset + i];
}
kernel void wild_after_barrier(device float* out [[buffer(0)]], constant long& offset [[buffer(1)]],
                               uint i [[thread_position_in_grid]],
                               uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t % 64] = i;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[offset + i] = tile[(t + 1) % 64];
}
kernel void spin(device float* out [[buffer(0)]], constant uint& forever [[buffer(1)]],
                 uint i [[thread_position_in_grid]]) {
    float x = i;
    while (forever != 0) {
        x = x * 1.0001f + 1;
        if (x > 1e30f) x = 0;
    }
    out[i] = x;
}
kernel void spin_without_an_end(device float* out [[buffer(0)]],
                                constant uint& forever [[buffer(1)]],
                                uint i [[thread_position_in_grid]]) {
    volatile device float* mine = out + i;
    *mine = i;
    if (forever != 0 && i % 3 == 1) for (;;) *mine += 1;
}
kernel void spin_in_barriers(device float* out [[buffer(0)]], constant uint& forever [[buffer(1)]],
                             uint i [[thread_position_in_grid]]) {
    threadgroup float x;
    do {
        x = 1;
        threadgroup_barrier(mem_flags::mem_threadgroup);
    } while (forever != 0);
    out[i] = x;
}
kernel void past_threadgroup_array(device float* out [[buffer(0)]],
                                   constant int& by [[buffer(1)]],
                                   uint i [[thread_position_in_grid]]) {
    threadgroup float tile[64];
    tile[int(i % 64) + by] = i;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[(i + 1) % 64];
}
kernel void past_private_array(device float* out [[buffer(0)]], constant int& by [[buffer(1)]],
                               uint i [[thread_position_in_grid]]) {
    float own[16] = {};
    own[int(i % 16) + by] = i;
    for (uint k = 0; k < 16; ++k) out[i] += own[(k + i) % 16];
}
kernel void past_private_array_and_barrier(device float* out [[buffer(0)]],
                                           constant int& by [[buffer(1)]],
                                           uint i [[thread_position_in_grid]]) {
    float own[16] = {};
    for (int k = 0; k < 64; ++k) own[int(i % 16) + by + k] = i;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < 16; ++k) out[i] += own[(k + i) % 16];
}
kernel void divide(device int* out [[buffer(0)]], device const int* by [[buffer(1)]],
                   uint i [[thread_position_in_grid]]) {
    out[i] = 7 / by[i] + 7 % by[i];
}
kernel void full_stack(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float own[16];
    for (uint k = 0; k < 100000; ++k) own[i % 16u - k] = 1;
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = own[(i + 1) % 16];
}
static float no_return(uint i) {}
kernel void undefined(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = no_return(i);
}
"""
FAR = 1 << 40


@pytest.fixture(params=["reference", "auto"])
def library(request, monkeypatch) -> pymetal.Library:
    monkeypatch.setenv("PYMETAL_ENGINE", request.param)
    compiled = pymetal.compile(SOURCE, device="cpu")
    assert works(compiled.spin)  # signals are for kernels, not for the compiler
    return compiled


def works(kernel: pymetal.Kernel) -> bool:
    out = np.zeros(640, np.float32)
    kernel(out, 0, grid=640, threadgroup=64)
    return bool(out.any())


@pytest.mark.parametrize("name", ["wild_write", "wild_after_barrier"])
def test_a_wild_write_is_a_fault_and_the_next_launch_works(library, name: str) -> None:
    kernel = library.kernel(name)
    out = np.zeros(64, np.float32)
    for _ in range(20):
        with pytest.raises(pymetal.KernelFault, match=r"write to address 0x[0-9a-f]+") as caught:
            kernel(out, FAR, grid=640, threadgroup=64)
        assert caught.value.kernel == name
        assert abs(caught.value.address - out.ctypes.data - 4 * FAR) < 4 * 640 * 4
        assert caught.value.access == "write"
        assert works(kernel)


def test_a_fault_names_the_line(library) -> None:
    line = 1 + SOURCE.split("\n").index("    out[offset + i] = tile[(t + 1) % 64];")
    kernel = library.wild_after_barrier
    for _ in range(2):  # the second call is a warm one
        with pytest.raises(pymetal.KernelFault) as caught:
            kernel(np.zeros(64, np.float32), FAR, grid=64, threadgroup=64)
        assert (caught.value.file, caught.value.line) == ("<source>", line)
        shown = str(caught.value).split("\n")
        assert f"<source>:{line}:21: write of element {FAR}" in shown[2]
        assert shown[3] == "    out[offset + i] = tile[(t + 1) % 64];"
        assert shown[4].index("^") == caught.value.column - 1
        assert "run it with check=True" not in str(caught.value)


def test_a_fault_without_lines_says_how_to_see_more(library, tmp_path) -> None:
    from pymetal import msl
    from pymetal.source import CompileOptions, Source

    compiled = msl.compile_source(Source(SOURCE), CompileOptions(), ("wild_write",))
    kernel = pymetal.load(compiled, device="cpu").wild_write
    with pytest.raises(pymetal.KernelFault, match="run it with check=True") as caught:
        kernel(np.zeros(64, np.float32), FAR, grid=64, threadgroup=64)
    assert not hasattr(caught.value, "line")


def test_a_fault_names_the_nearest_argument(library) -> None:
    out, data = pymetal.zeros(64), pymetal.zeros(64)
    with pytest.raises(pymetal.KernelFault, match=r"nearest to buffer\(\d\) '(in|out)'") as caught:
        # 512 MB beyond: inside the guard
        library.wild_read(out, data, -(1 << 27), grid=64, threadgroup=64)
    assert caught.value.argument in ("in", "out")  # whichever the allocator put nearer
    assert caught.value.access == "read"
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.address == caught.value.address


def test_a_fault_is_where_the_program_says_however_lanes_are_laid(monkeypatch) -> None:
    """The engine lays this kernel's lanes along y, in threadgroups of its own."""
    source = """
    kernel void columns(device float* out [[buffer(0)]], constant ulong& far [[buffer(1)]],
                        uint2 i [[thread_position_in_grid]], uint2 n [[threads_per_grid]]) {
        out[ulong(i.x) * n.y + i.y + (i.x == 3 && i.y / 40 == 1 ? far : 0)] = 1;
    }"""
    out = np.zeros((5, 100), np.float32)
    for engine in ("vectorised", "reference"):
        monkeypatch.setenv("PYMETAL_ENGINE", engine)
        kernel = pymetal.compile(source, device="cpu").columns
        with pytest.raises(pymetal.KernelFault) as caught:
            kernel(out, FAR, grid=(5, 100), threadgroup=(5, 8))
        x, y, z = caught.value.thread
        assert (x, z) == (3, 0)
        # A simdgroup is named by its first thread.
        assert 40 - 31 <= y < 80
        assert caught.value.threadgroup == (0, y // 8, 0)


@pytest.mark.parametrize("name", ["spin", "spin_without_an_end", "spin_in_barriers"])
def test_a_timeout_stops_a_kernel_that_loops_for_ever(library, name: str) -> None:
    kernel = library.kernel(name)
    out = np.zeros(640, np.float32)
    start = time.monotonic()
    with pytest.raises(pymetal.KernelFault, match=r"still running after 0\.2 s") as caught:
        kernel(out, 1, grid=640, threadgroup=64, timeout=0.2)
    assert caught.value.kind == "timeout"
    assert 0.2 <= time.monotonic() - start < 20
    kernel(out, 0, grid=640, threadgroup=64, timeout=60)
    assert out[1] == 1


def test_a_timeout_stops_a_kernel_launched_by_another_thread(library) -> None:
    caught: list[Exception] = []

    def launch() -> None:
        try:
            library.spin(np.zeros(64, np.float32), 1, grid=64, threadgroup=64, timeout=0.2)
        except pymetal.KernelFault as fault:
            caught.append(fault)

    threads = [threading.Thread(target=launch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [c.kind for c in caught] == ["timeout"] * 3


def test_the_environment_gives_a_timeout(library, monkeypatch) -> None:
    monkeypatch.setenv("PYMETAL_TIMEOUT", "0.2")
    with pytest.raises(pymetal.KernelFault, match=r"after 0\.2 s"):
        library.spin(np.zeros(64, np.float32), 1, grid=64, threadgroup=64)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "soon", True])
def test_a_timeout_that_is_no_time_is_refused(library, timeout) -> None:
    with pytest.raises(pymetal.ArgumentError, match="timeout"):
        library.spin(np.zeros(64, np.float32), 0, grid=64, threadgroup=64, timeout=timeout)


def test_ctrl_c_interrupts_a_kernel_that_loops_for_ever(library) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in range(3):
            timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                library.spin(np.zeros(640, np.float32), 1, grid=640, threadgroup=64, timeout=60)
            timer.join()
        assert works(library.spin)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_ctrl_c_that_raises_nothing_leaves_the_fault(library) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(pymetal.KernelFault, match="interrupted"):
            library.spin(np.zeros(64, np.float32), 1, grid=64, threadgroup=64, timeout=60)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT]


@pytest.mark.parametrize("elements", [16, 1024, 5000, 1 << 20])
def test_nothing_else_lies_near_arrays_of_pymetal(library, elements: int) -> None:
    before, out, after = (pymetal.zeros(elements) for _ in range(3))
    for offset in (-1, -(1 << 12), -(1 << 28), elements + 4096, 1 << 28, (1 << 30) - 64):
        with pytest.raises(pymetal.KernelFault, match="write to address"):
            library.wild_write(out, offset - 63 * (offset < 0), grid=64, threadgroup=64)
    assert not before.any()
    assert not after.any()


def test_an_address_that_no_memory_has_is_a_fault_too(library) -> None:
    with pytest.raises(pymetal.KernelFault, match=r"no memory can have|write to address") as caught:
        # Beyond 48 bits of address; arm64 does not look at the highest eight of 64.
        library.wild_write(pymetal.zeros(64), 1 << 52, grid=64, threadgroup=64)
    assert caught.value.thread == (0, 0, 0)


def test_what_misses_threadgroup_and_private_arrays_harms_nobody(library) -> None:
    for name in ("past_threadgroup_array", "past_private_array", "past_private_array_and_barrier"):
        kernel = library.kernel(name)
        for distance in (-5_000_000, -100_000, 1000, 100_000, 5_000_000):
            with contextlib.suppress(pymetal.KernelFault):
                kernel(pymetal.output(256), distance, grid=256, threadgroup=64)
            assert works(library.spin)


def test_division_by_zero_does_not_trap(library) -> None:
    out, by = np.ones(64, np.int32), np.zeros(64, np.int32)
    library.divide(out, by, grid=64, threadgroup=64)
    assert not out.any()


def test_code_that_has_no_end_traps_and_does_not_run_on(monkeypatch) -> None:
    """LLVM leaves nothing of such a kernel, not even a return."""
    monkeypatch.setenv("PYMETAL_ENGINE", "reference")
    library = pymetal.compile(SOURCE, device="cpu")
    with pytest.raises(pymetal.KernelFault) as caught:
        library.undefined(np.zeros(64, np.float32), grid=64, threadgroup=64)
    assert caught.value.kind == "trap"
    assert works(library.spin)


@pytest.mark.parametrize(
    ("name", "kind", "marked"),
    [("undefined", "trap", "no_return(uint i) {}"), ("full_stack", "stack", "own[i % 16u - k]")],
)
def test_traps_and_full_stacks_name_the_line(
    monkeypatch, name: str, kind: str, marked: str
) -> None:
    monkeypatch.setenv("PYMETAL_ENGINE", "reference" if kind == "trap" else "auto")
    kernel = pymetal.compile(SOURCE, device="cpu").kernel(name)
    with pytest.raises(pymetal.KernelFault) as caught:
        kernel(np.zeros(64, np.float32), grid=64, threadgroup=64)
    line = next(n for n, text in enumerate(SOURCE.split("\n"), 1) if marked in text)
    # Which of the two a wild address is, is for where the stack lies.
    assert caught.value.kind in (kind, "memory")
    assert caught.value.file == "<source>"
    assert caught.value.line == line
    assert f"<source>:{line}:{caught.value.column}: " in str(caught.value)


def in_child(code: str) -> subprocess.CompletedProcess[str]:
    """Run code after a launch that works and one that faults."""
    prelude = f"""
import faulthandler, os, signal, sys
import numpy as np
import pymetal
library = pymetal.compile({SOURCE!r}, device="cpu")
out = np.zeros(64, np.float32)
def fault():
    try:
        library.wild_write(out, {FAR}, grid=64, threadgroup=64)
    except pymetal.KernelFault:
        print("fault")
def works():
    library.wild_write(out, 0, grid=64, threadgroup=64)
    assert out[63] == 63
    print("works")
def crash():
    import ctypes
    ctypes.string_at(8)
"""
    return subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        cwd=Path(__file__).parent,  # where no checkout hides the installed package
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "first", ["faulthandler.enable(); works()", "works(); faulthandler.enable()"]
)
def test_faulthandler_sees_crashes_that_are_not_a_kernels(first: str) -> None:
    done = in_child(f"{first}; fault(); works(); crash()")
    assert done.stdout.split()[-2:] == ["fault", "works"]
    assert done.returncode == -signal.SIGSEGV
    assert len(re.findall("Fatal Python error: Segmentation fault", done.stderr)) == 1


def test_a_crash_elsewhere_still_ends_the_process() -> None:
    done = in_child("fault(); works(); crash()")
    assert done.stdout.split() == ["fault", "works"]
    assert done.returncode == -signal.SIGSEGV


def test_faulthandler_may_come_and_go() -> None:
    done = in_child(
        "for _ in range(20):\n"
        "    faulthandler.enable(); fault(); faulthandler.disable(); works()\n"
        "crash()"
    )
    assert done.stdout.split() == ["fault", "works"] * 20
    assert done.returncode == -signal.SIGSEGV


def test_a_signal_that_somebody_sends_goes_to_the_programs_handler() -> None:
    done = in_child(
        """
        signal.signal(signal.SIGSEGV, lambda *_: print("handled"))
        fault()
        os.kill(os.getpid(), signal.SIGSEGV)
        works()
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["fault", "handled", "works"]


def test_a_forked_child_has_timeouts_too() -> None:
    done = in_child(
        """
        works()
        child = os.fork()
        if child == 0:
            fault()
            try:
                library.spin(out, 1, grid=64, threadgroup=64, timeout=0.2)
            except pymetal.KernelFault as error:
                print(error.kind)
            sys.stdout.flush()
            os._exit(0)
        print(os.waitpid(child, 0)[1])
        """
    )
    assert done.stdout.split() == ["works", "fault", "timeout", "0"], done.stderr
