"""Queues: launches that return at once and run in order.

A queue is a thread that performs launches one after another, on either device; it starts with the
first launch and ends when there has been nothing to do for a while. The results of a launch are
valid, and its error is raised, after the next `wait`.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from pymetal import _native
from pymetal.errors import ArgumentError, LaunchError, WaitTimeoutError

if TYPE_CHECKING:
    from pymetal.kernel import Kernel

# Figures of launches are kept until the next `wait`, of so many at most.
MOST_RECORDS = 1 << 16
# A thread without work for this long ends; the next launch starts another.
IDLE_SECONDS = 2.0

# Bound launches that the thread takes at a time: they need no Python code between them.
MOST_AT_ONCE = 256

Run = Callable[[], None]
# A launch: what runs it, or what a warm call bound.
Work = Run | _native.Bound


class Launch(NamedTuple):
    """One launch that is done. `gpu_seconds` is how long the device worked on it."""

    kernel: str
    gpu_seconds: float


class Queue:
    """Launches given to it run in order, while the caller goes on.

        queue = pymetal.Queue()
        y = first(pymetal.output(n), x, grid=n, queue=queue)
        z = second(pymetal.output(n), y, grid=n, queue=queue)    # runs after the first
        queue.wait()                                             # now y and z are valid

    Queues are independent of each other and may be used by several threads. After a launch that
    failed, those given before the next `wait` do not run, as their inputs are not valid. When the
    interpreter exits, the launch that runs is waited for and the others are dropped.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Kernel, Work]] = deque()
        self._batch: list[tuple[Kernel, Work]] | None = None
        self._batch_owner = 0
        self._submitted = self._done = 0
        self._error: BaseException | None = None
        self._records: deque[Launch] = deque(maxlen=MOST_RECORDS)
        self._thread: threading.Thread | None = None
        self._is_closed = False
        _queues.add(self)

    def submit(self, kernel: Kernel, work: Work) -> None:
        """Add a launch; `kernel(..., queue=queue)` does."""
        if self._batch is not None and self._batch_owner == threading.get_ident():
            self._batch.append((kernel, work))  # only this thread ends the batch
            return
        with self._changed:
            self._check_open()
            self._add([(kernel, work)])

    @contextmanager
    def batch(self) -> Iterator[Queue]:
        """Gather the launches of this thread inside the `with`; they start together at its end.

        An error inside drops them all.
        """
        with self._changed:
            self._check_open()
            if self._batch is not None:
                raise LaunchError("the queue is in a batch already; batches do not nest")
            gathered: list[tuple[Kernel, Work]] = []
            self._batch, self._batch_owner = gathered, threading.get_ident()
        try:
            yield self
        except BaseException:
            self._batch = None
            raise
        with self._changed:
            self._batch = None
            self._check_open()
            self._add(gathered)

    def wait(self, timeout: float | None = None) -> list[Launch]:
        """Wait for all launches; give those done since the last `wait`, in order.

        Parameters
        ----------
        timeout
            Seconds to wait at most. The launches go on, and may be waited for again.

        Raises
        ------
        KernelFault, DeviceError
            A launch failed; the first error since the last `wait`.
        WaitTimeoutError
            They were not done in time.
        """
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0
        ):
            raise ArgumentError(
                f"timeout is {timeout!r}; give seconds, none negative", argument="timeout"
            )
        with self._changed:
            self._check_batch()
            most = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
            if not self._changed.wait_for(self._is_idle, most):
                left = self._submitted - self._done
                raise WaitTimeoutError(
                    f"{left} of the queue's launches were not done within {timeout:g} s; they go "
                    "on: wait again, or launch with timeout= to have kernels stopped"
                )
            error, self._error = self._error, None
            records = list(self._records)
            self._records.clear()
        if error is not None:
            raise error
        return records

    def __await__(self) -> Generator[object, None, list[Launch]]:
        """As `wait`, from asyncio: `launches = await queue`."""
        import asyncio  # only where it runs already

        return asyncio.get_running_loop().run_in_executor(None, self.wait).__await__()

    @property
    def pending(self) -> int:
        """How many launches are not done."""
        return self._submitted - self._done

    def close(self) -> None:
        """Wait for all launches and take no more. A queue in a `with` is closed at its end."""
        with self._changed:
            self._check_batch()
            self._is_closed = True
            self._changed.notify_all()
        self.wait()

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        with self._changed:  # the error says more than those of launches
            self._is_closed = True
            self._changed.notify_all()

    def __repr__(self) -> str:
        state = "closed, " if self._is_closed else ""
        return f"<pymetal.Queue: {state}{self.pending} launches pending>"

    # --- the thread -----------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        return self._done == self._submitted

    def _check_open(self) -> None:
        if self._is_closed:
            raise LaunchError("the queue is closed; make another with pymetal.Queue()")

    def _check_batch(self) -> None:
        if self._batch is not None and self._batch_owner == threading.get_ident():
            raise LaunchError("the batch has not started: wait after its `with`")

    def _add(self, launches: list[tuple[Kernel, Work]]) -> None:
        """Called with the lock."""
        if self._error is not None or not launches:
            return
        self._submitted += len(launches)
        self._waiting.extend(launches)
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self,), name="pymetal.Queue")
            self._thread.daemon = True  # `_at_exit` waits for it, after the last Python code
            self._thread.start()
        self._changed.notify_all()

    def _next(self) -> list[tuple[Kernel, Work]]:
        """What the thread does next: one launch, or several bound ones. Nothing: it ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed, IDLE_SECONDS)
            if not self._waiting:
                self._thread = None
                return []
            taken = [self._waiting.popleft()]
            if isinstance(taken[0][1], _native.Bound):
                while len(taken) < MOST_AT_ONCE and self._waiting:
                    if not isinstance(self._waiting[0][1], _native.Bound):
                        break
                    taken.append(self._waiting.popleft())
            return taken

    def _finish(self, taken: int, records: list[Launch], error: BaseException | None) -> None:
        with self._changed:
            self._done += taken
            self._records.extend(records)
            if error is not None:
                self._error = error
                self._done += len(self._waiting)
                self._waiting.clear()
            if self._is_idle():
                self._changed.notify_all()


def _serve(queue: Queue) -> None:
    """The thread of a queue."""
    while taken := queue._next():
        count = len(taken)
        try:
            records, error = _run(taken)
        # Whatever a launch raises is for the one who waits.
        except BaseException as raised:
            records, error = [], raised
        del taken  # the arrays are the caller's again
        queue._finish(count, records, error)
        del error


def _run(taken: list[tuple[Kernel, Work]]) -> tuple[list[Launch], BaseException | None]:
    bounds = [work for _, work in taken if isinstance(work, _native.Bound)]
    if bounds:  # then all of them are
        seconds, fault = _native.Pipeline.launch_all(bounds)
        names = [kernel.name for kernel, _ in taken]
        records = list(map(Launch, names, seconds))
        if fault is None:
            return records, None
        failed = len(records) - 1
        return records[:-1], taken[failed][0]._failed(bounds[failed], fault)
    ((kernel, run),) = taken
    assert not isinstance(run, _native.Bound)
    started = time.perf_counter()
    run()
    measured = kernel.last_gpu_seconds
    return [Launch(kernel.name, measured or time.perf_counter() - started)], None


_queues: weakref.WeakSet[Queue] = weakref.WeakSet()


def _at_exit() -> None:
    """Let the launches that run finish, drop those that wait: nobody will see their results."""
    for queue in list(_queues):
        with queue._changed:
            queue._done += len(queue._waiting)
            queue._waiting.clear()
            queue._is_closed = True
            queue._changed.notify_all()
            thread = queue._thread
        if thread is not None:
            thread.join()


def _after_fork() -> None:
    """A child has none of its parent's threads, so nothing of what they were to do."""
    for queue in list(_queues):
        Queue.__init__(queue)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
