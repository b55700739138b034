"""Launches on the metal device: results, no objects left behind, flat memory, many threads."""

import gc
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

import pymetal

ADD = """
kernel void add(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                constant float& by [[buffer(2)]], uint gid [[thread_position_in_grid]]) {
    out[gid] = x[gid] + by;
}
"""
# 1,000,000 takes minutes; METAL_LAUNCHES asks for it.
LAUNCHES = int(os.environ.get("METAL_LAUNCHES", "5000"))
PAGE = 16384


@pytest.fixture
def add(double):
    return pymetal.compile(ADD, device="metal")["add"]


def page_aligned(count):
    """float32 memory that Metal can use without a copy, if `count` fills whole pages."""
    memory = np.zeros(count * 4 + PAGE, np.uint8)
    start = -memory.ctypes.data % PAGE
    return memory[start : start + count * 4].view(np.float32)


def test_no_launch_leaves_an_object_behind_and_memory_stays_flat(double, add):
    x = np.arange(3000, dtype=np.float32)
    out = np.empty_like(x)

    def launch(times):
        for _ in range(times):
            add(out, x, 1.0, grid=x.size, threadgroup=256)

    launch(1000)
    before = double.living()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    launch(LAUNCHES)
    np.testing.assert_array_equal(out, x + 1)
    assert double.living() == before
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak  # KiB on Linux
    # The double keeps 2,000 dead objects to catch their users.
    assert grown < 8192, f"{grown} KiB more after {LAUNCHES} launches"


def test_libraries_and_pipelines_die_with_their_python_objects(double, add):
    x = np.ones(4, np.float32)
    add(pymetal.output(4), x, 1.0, grid=4, threadgroup=4)  # the pool keeps its buffer
    gc.collect()
    before = [line.split()[0] for line in double.living()]
    for by in range(3):
        library = pymetal.compile(f"// {by}\n{ADD}", device="metal")
        np.testing.assert_array_equal(
            library["add"](pymetal.output(4), x, float(by), grid=4, threadgroup=4), x + by
        )
    del library
    gc.collect()
    assert [line.split()[0] for line in double.living()] == before


def test_eight_threads_launch_at_once(double, add):
    wrong = []

    def work(number):
        x = np.full(1500, number, np.float32)
        for i in range(100):
            out = add(pymetal.output(x.size), x, float(i), grid=x.size, threadgroup=100)
            if not np.array_equal(out, x + i):
                wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 4096, 4097, 8192, 100_000])
def test_memory_is_bound_by_bytes_by_copy_and_without_a_copy(add, count):
    for make in (np.zeros, page_aligned):
        x, out = make(count), make(count)
        x = x.astype(np.float32)
        out = out.view(np.float32)[:count] if out.dtype != np.float32 else out
        out = np.ascontiguousarray(out, np.float32)
        x[:] = np.arange(count)
        add(out, x, 0.5, grid=count, threadgroup=min(count, 256))
        np.testing.assert_array_equal(out, x + np.float32(0.5))


def test_memory_without_a_copy_sends_no_copy_and_small_constants_no_buffer(double, add):
    x, out = page_aligned(PAGE // 4), page_aligned(PAGE // 4)
    x[:] = np.arange(x.size)
    for _ in range(2):
        add(out, x, 1.0, grid=x.size, threadgroup=256)
    before = double.messages()
    add(out, x, 1.0, grid=x.size, threadgroup=256)
    # Two messages more for each buffer: made and released.
    assert double.messages() - before == 13 + 4
    np.testing.assert_array_equal(out, x + 1)


def test_an_array_updated_in_place_is_one_buffer(double):
    source = """
    kernel void shift(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                      uint gid [[thread_position_in_grid]]) {
        if (gid == 0) {
            for (uint i = 1; i < 2000; ++i) out[i] = x[i - 1] + 1;
        }
    }
    """
    shift = pymetal.compile(source, device="metal")["shift"]
    array = np.zeros(2000, np.float32)
    shift(array, array, grid=1, threadgroup=1)
    np.testing.assert_array_equal(array, np.arange(2000))  # each read sees the write before it


def test_what_a_kernel_does_not_write_stays(add):
    out = np.full(3000, 7, np.float32)
    add(out, np.zeros(3000, np.float32), 1.0, grid=10, threadgroup=10)
    np.testing.assert_array_equal(out[:10], 1)
    np.testing.assert_array_equal(out[10:], 7)


def test_importing_opens_no_device(double, tmp_path):
    program = (
        "import pymetal, ctypes, pymetal._native\n"
        "d = ctypes.CDLL('libmetal_double.so'); d.metal_double_messages.restype = ctypes.c_uint64\n"
        "print(d.metal_double_messages(), d.metal_double_live_objects(None, 0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "0 0\n", done.stderr


def test_a_process_that_keeps_kernels_to_its_end_exits_cleanly(double, tmp_path):
    program = (
        "import numpy as np, pymetal\n"
        "x = np.ones((8, 8), np.float32)\n"
        "y = pymetal.run_metal_kernel('matmul', [x, x, 8], (8, 8), (8, 8), (8, 8),"
        " device='metal')\n"
        "pymetal.kept = [y]; pymetal.kept.append(pymetal.kept)\n"  # dies with the last modules
        "print(y[0, 0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "METAL_DOUBLE_LEAKS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "8.0\n"
    assert done.stderr == "metal double: 0 objects leaked\n"


def test_the_watchdog_stops_an_endless_kernel_and_the_next_launch_works(double, add):
    source = """
    kernel void endless(device uint* x [[buffer(0)]]) { while (x[0] == 0) { x[1] += 1; } }
    """
    endless = pymetal.compile(source, device="metal")["endless"]
    with pytest.raises(pymetal.KernelFault, match="watchdog stopped the kernel") as caught:
        endless(np.zeros(2, np.uint32), grid=1, threadgroup=1)
    assert caught.value.code == 2
    assert add(pymetal.output(4), np.ones(4, np.float32), 1.0, grid=4, threadgroup=4)[0] == 2


def test_a_forked_child_is_told_that_metal_does_not_work_there(double, add):
    x = np.ones(4, np.float32)
    add(pymetal.output(4), x, 1.0, grid=4, threadgroup=4)
    child = os.fork()
    if child == 0:
        try:
            add(pymetal.output(4), x, 1.0, grid=4, threadgroup=4)
        except pymetal.DeviceError as error:
            os._exit(0 if "spawn" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
