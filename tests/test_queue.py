"""Queues: launches that return at once, run in order, and fail at the next wait."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import pymetal
from pymetal import ArgumentError, KernelFault, LaunchError, WaitTimeoutError, output

SOURCE = """\
#include <metal_stdlib>
using namespace metal;

kernel void add(device float* out, device const float* x, constant float& y,
                uint i [[thread_position_in_grid]]) { out[i] = x[i] + y; }

kernel void slow(device float* x, constant uint& rounds, uint i [[thread_position_in_grid]])
{
    float value = x[i];
    for (uint k = 0; k < rounds; ++k) value = fma(value, 1.0000001f, 1e-7f);
    x[i] = value;
}

kernel void endless(device uint* x, uint i [[thread_position_in_grid]])
{
    while (x[0] == 0) { x[1] += 1; }
}
"""
ROUNDS = 20_000_000  # tens of milliseconds at least, whatever the machine


@pytest.fixture(scope="module")
def libraries():
    return {name: pymetal.compile(SOURCE, device=name) for name in pymetal.device_names()}


@pytest.fixture
def library(device, libraries):
    return libraries[device]


@pytest.fixture
def queue():
    with pymetal.Queue() as queue:
        yield queue


def test_launches_run_in_order_and_chains_need_no_wait(library, queue):
    x = np.zeros(64, np.float32)
    for _ in range(50):
        x = library.add(output(64), x, 1.0, grid=64, threadgroup=32, queue=queue)
    launches = queue.wait()
    assert (x == 50).all()
    assert [launch.kernel for launch in launches] == ["add"] * 50
    assert all(launch.gpu_seconds > 0 for launch in launches)
    assert queue.wait() == []


def test_a_launch_returns_before_it_is_done(library, queue):
    x = np.zeros(1, np.float32)
    library.slow(x, 10 * ROUNDS, grid=1, threadgroup=1, queue=queue)
    assert queue.pending == 1
    with pytest.raises(WaitTimeoutError, match=r"1 of the queue's launches .* within 0 s"):
        queue.wait(timeout=0)
    queue.wait()
    assert queue.pending == 0
    assert x[0] > 0


def test_a_batch_starts_at_its_end(library, queue):
    x = np.zeros(32, np.float32)
    with queue.batch():
        for _ in range(100):
            library.add(x, x, 1.0, grid=32, threadgroup=32, queue=queue)
        assert (x == 0).all()
        with pytest.raises(LaunchError, match="batch has not started"):
            queue.wait()
        with pytest.raises(LaunchError, match="do not nest"), queue.batch():
            pass
    assert len(queue.wait()) == 100
    assert (x == 100).all()


def test_an_error_inside_a_batch_drops_it(library, queue):
    x = np.zeros(32, np.float32)

    def use():
        with queue.batch():
            library.add(x, x, 1.0, grid=32, threadgroup=32, queue=queue)
            library.add(x, x, "one", grid=32, threadgroup=32, queue=queue)

    with pytest.raises(ArgumentError):
        use()
    assert queue.wait() == []
    assert (x == 0).all()


def test_wrong_values_are_refused_at_once(library, queue):
    with pytest.raises(ArgumentError):
        library.add(output(4), None, 1.0, grid=4, threadgroup=4, queue=queue)
    with pytest.raises(LaunchError):
        library.add(output(4), np.zeros(4, np.float32), 1.0, grid=0, threadgroup=4, queue=queue)
    assert queue.wait() == []


def test_a_fault_surfaces_at_the_next_wait_and_later_launches_do_not_run(library, queue):
    x, y = np.zeros(2, np.uint32), np.zeros(4, np.float32)
    library.endless(x, grid=1, threadgroup=1, timeout=0.1, queue=queue)
    library.add(y, y, 1.0, grid=4, threadgroup=4, queue=queue)
    with pytest.raises(KernelFault, match=r"0\.1 s"):
        queue.wait()
    assert (y == 0).all()
    library.add(y, y, 1.0, grid=4, threadgroup=4, queue=queue)  # it works again
    assert len(queue.wait()) == 1
    assert (y == 1).all()


def test_a_queue_is_awaitable(library, queue):
    x = np.zeros(1, np.float32)

    async def use() -> int:
        library.slow(x, ROUNDS, grid=1, threadgroup=1, queue=queue)
        turns = 0

        async def other():
            nonlocal turns
            while queue.pending:
                turns += 1
                await asyncio.sleep(0)

        launches, _ = await asyncio.gather(wait(), other())
        assert [launch.kernel for launch in launches] == ["slow"]
        return turns

    async def wait():
        return await queue

    assert asyncio.run(use()) > 1
    assert x[0] > 0


def test_an_await_that_is_cancelled_loses_nothing(library, queue):
    x = np.zeros(1, np.float32)

    async def use():
        with queue.batch():
            library.slow(x, 10 * ROUNDS, grid=1, threadgroup=1, queue=queue)
            library.endless(np.zeros(2, np.uint32), grid=1, threadgroup=1, timeout=0.1, queue=queue)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(queue, 0.001)
        with pytest.raises(KernelFault, match=r"0\.1 s"):
            await queue
        return await queue

    assert asyncio.run(use()) == []


def test_a_loop_that_is_closed_does_not_disturb_a_queue(library, queue):
    x = np.zeros(1, np.float32)
    library.slow(x, 10 * ROUNDS, grid=1, threadgroup=1, queue=queue)
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(queue, 0.001))
    assert [launch.kernel for launch in queue.wait()] == ["slow"]


def test_arrays_live_until_their_launch_is_done(library, queue):
    for _ in range(2):  # cold, then warm
        x = pymetal.zeros(1 << 20)
        seen = weakref.ref(x)
        with queue.batch():
            out = library.add(output(1 << 20), x, 1.0, grid=1 << 20, threadgroup=256, queue=queue)
            del x
            gc.collect()
            assert seen() is not None
        queue.wait()
        assert (out == 1).all()
        gc.collect()
        assert seen() is None  # and no longer


def test_several_queues_and_threads_at_once(library):
    def use(index: int) -> None:
        with pymetal.Queue() as own:
            x = np.full(100, index, np.float32)
            for _ in range(50):
                x = library.add(output(100), x, 1.0, grid=100, threadgroup=32, queue=own)
                shared_result = library.add(
                    output(8), np.zeros(8, np.float32), index, grid=8, threadgroup=8, queue=shared
                )
                kept.append((index, shared_result))
        if not (x == index + 50).all():
            wrong.append(index)

    kept: list[tuple[int, np.ndarray]] = []
    wrong: list[int] = []
    with pymetal.Queue() as shared:
        threads = [threading.Thread(target=use, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(kept) == 400
    assert all((result == index).all() for index, result in kept)


def test_a_closed_queue_takes_nothing(library):
    queue = pymetal.Queue()
    x = np.zeros(4, np.float32)
    library.add(x, x, 1.0, grid=4, threadgroup=4, queue=queue)
    queue.close()
    assert (x == 1).all()
    assert "closed" in repr(queue)
    with pytest.raises(LaunchError, match="the queue is closed"):
        library.add(x, x, 1.0, grid=4, threadgroup=4, queue=queue)
    with pytest.raises(LaunchError, match="the queue is closed"), queue.batch():
        pass
    queue.close()  # again is fine


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", True])
def test_timeouts_that_are_none_are_refused(queue, timeout):
    with pytest.raises(ArgumentError, match="timeout is"):
        queue.wait(timeout=timeout)


def test_any_long_timeout_will_do(queue):
    assert queue.wait(timeout=float("inf")) == []
    assert queue.wait(timeout=10**12) == []


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,  # where no checkout hides the installed package
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "queue = None"])
def test_the_interpreter_exits_cleanly_with_work_in_flight(device, ending):
    done = run_python(
        f"""
import numpy as np, pymetal
library = pymetal.compile({SOURCE!r}, device={device!r})
queue = pymetal.Queue()
x = np.zeros(1, np.float32)
for _ in range(100):
    library.slow(x, {ROUNDS}, grid=1, threadgroup=1, queue=queue)
{ending}
"""
    )
    assert (done.returncode, done.stderr) == (3 if "3" in ending else 0, "")


def test_launches_that_wait_at_exit_do_not_run(device, tmp_path):
    if device == "metal":
        pytest.skip("on Metal they may share a command buffer with the launch that runs")
    path = tmp_path / "count"
    done = run_python(
        f"""
import numpy as np, pymetal
library = pymetal.compile({SOURCE!r}, device={device!r})
count = np.memmap({str(path)!r}, np.float32, "w+", shape=1)
x = np.zeros(1, np.float32)
queue = pymetal.Queue()
with queue.batch():
    for _ in range(100):
        library.slow(x, {ROUNDS}, grid=1, threadgroup=1, queue=queue)
        library.add(np.asarray(count), np.asarray(count), 1.0, grid=1, threadgroup=1, queue=queue)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert np.fromfile(path, np.float32)[0] < 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_finds_its_queues_empty(device):
    if device == "metal":
        pytest.skip("Metal does not work in a forked child; test_metal_launches has it refused")
    done = run_python(
        f"""
import os, warnings, numpy as np, pymetal
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: of threads at a fork
library = pymetal.compile({SOURCE!r}, device={device!r})
queue = pymetal.Queue()
x = np.zeros(1, np.float32)
library.slow(x, {ROUNDS}, grid=1, threadgroup=1, queue=queue)
child = os.fork()
if child == 0:
    y = np.zeros(4, np.float32)
    assert queue.wait(timeout=30) == []
    library.add(y, y, 1.0, grid=4, threadgroup=4, queue=queue)
    assert len(queue.wait(timeout=30)) == 1
    assert (y == 1).all()
    os._exit(5)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 5
queue.wait()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
