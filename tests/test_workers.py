"""Worker threads: many launches at once, forked children, and how many there are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from canonical_ir import CanonicalKernel

from pymetal import _native


def square(with_barrier: bool = False) -> CanonicalKernel:
    barrier = "call void @air.wg.barrier(i32 2, i32 1) {site 1}" if with_barrier else ""
    return CanonicalKernel(
        f"""
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %pi = getelementptr i32, ptr %b1, i32 %x
  %v = load i32, ptr %pi
  {barrier}
  %s = mul i32 %v, %v
  %po = getelementptr i32, ptr %b0, i32 %x
  store i32 %s, ptr %po
  ret void""",
        2,
        "declare void @air.wg.barrier(i32, i32)",
    )


@pytest.fixture
def workers():
    """Set the number of workers for one test."""
    before = _native.worker_count()
    yield _native.set_worker_count
    _native.set_worker_count(before)


def run(kernel: CanonicalKernel, count: int, seed: int) -> bool:
    array = np.random.default_rng(seed).integers(0, 1000, count, np.uint32)
    out = np.zeros_like(array)
    fault = kernel(out, array, grid=(count,), threadgroup=(128,))
    return fault is None and np.array_equal(out, array * array)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_results_do_not_depend_on_the_number_of_workers(workers, count: int) -> None:
    workers(count)
    for with_barrier in (False, True):
        assert run(square(with_barrier), 300_001, seed=count)


@pytest.mark.parametrize("with_barrier", [False, True])
def test_several_python_threads_launch_at_once(workers, with_barrier: bool) -> None:
    workers(4)
    kernel = square(with_barrier)
    failures: list[int] = []

    def launch(seed: int) -> None:
        for i in range(15):
            if not run(kernel, 40_000 + 1000 * seed, 100 * seed + i):
                failures.append(seed)

    threads = [threading.Thread(target=launch, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures


def test_a_launch_releases_the_gil(workers) -> None:
    """Another Python thread sets the flag that the kernel spins on."""
    workers(1)
    kernel = CanonicalKernel(
        """
  br label %spin
spin:
  %v = load atomic i32, ptr %b0 seq_cst, align 4
  %go = icmp ne i32 %v, 0
  br i1 %go, label %done, label %spin
done:
  ret void""",
        1,
    )
    flag = np.zeros(1, np.int32)
    launch = threading.Thread(target=lambda: kernel(flag, grid=(1,), threadgroup=(1,)))
    launch.start()
    flag[0] = 1
    launch.join(30)
    assert not launch.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_workers_of_its_own(workers) -> None:
    workers(4)
    kernel = square()
    assert run(kernel, 1_000_000, 1)
    child = os.fork()
    if child == 0:
        os._exit(0 if run(kernel, 1_000_000, 2) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert run(kernel, 1_000_000, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_launches(workers) -> None:
    workers(3)
    kernel = square(with_barrier=True)
    stop = threading.Event()

    def keep_launching() -> None:
        while not stop.is_set():
            run(kernel, 50_000, 5)

    other = threading.Thread(target=keep_launching)
    other.start()
    try:
        for seed in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if run(kernel, 50_000, seed) else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize("count", [1, 2])
def test_a_signal_interrupts_a_long_launch(workers, count: int) -> None:
    """10^12 threads would take hours; the handler runs on the main thread, which launched."""
    workers(count)
    kernel = CanonicalKernel("  ret void", 0)

    class Interrupt(Exception):  # noqa: N818 - not an error
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Interrupt):
            kernel(grid=(1_000_000, 1_000_000), threadgroup=(64, 1))
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert run(square(), 10_000, 1)


def test_a_pipeline_may_be_dropped_right_after_a_launch() -> None:
    for seed in range(30):
        assert run(square(), 100, seed)


def in_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        # The package under test, wherever it is: `-c` would look into the current folder first.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


COUNT = """
    from pymetal import _native, device
    device("cpu")
    print(_native.worker_count())
"""


def test_pymetal_num_threads_sets_the_number() -> None:
    assert in_new_process(COUNT, PYMETAL_NUM_THREADS="3").stdout == "3\n"


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", ""])
def test_a_wrong_pymetal_num_threads_is_refused_by_name(value: str) -> None:
    result = in_new_process(COUNT, PYMETAL_NUM_THREADS=value)
    if value == "":  # as if it were not set
        assert result.returncode == 0
    else:
        assert "DeviceError: PYMETAL_NUM_THREADS" in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads choose no processors")
def test_woken_workers_keep_the_processors_that_the_program_gave_them(workers) -> None:
    """A launch keeps whom it wakes off its own processor, and only until they run."""
    workers(4)
    kernel = square()

    def narrowed() -> list[str]:
        own = os.sched_getaffinity(0)
        tasks = os.listdir("/proc/self/task")
        return [task for task in tasks if os.sched_getaffinity(int(task)) != own]

    for seed in range(5):
        time.sleep(0.01)  # they sleep by now
        assert run(kernel, 300_001, seed)
    patience = time.monotonic() + 10
    while narrowed() and time.monotonic() < patience:
        time.sleep(0.01)
    assert narrowed() == []
