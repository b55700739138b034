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
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from operator import attrgetter
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from pymetal import _native
from pymetal.errors import ArgumentError, LaunchError, WaitTimeoutError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from pymetal.kernel import Kernel

# Figures of launches are kept until the next `wait`, of so many at most.
MOST_RECORDS = 1 << 16
# A thread without work for this long ends; the next launch starts another.
IDLE_SECONDS = 2.0

# Launches that the thread takes at a time: bound ones need no Python code between them.
MOST_AT_ONCE = 256


class Deferred(NamedTuple):
    """A launch that Python runs."""

    kernel: Kernel
    run: Callable[[], None]


Work = Deferred | _native.Bound  # the latter is what a warm call bound


class Launch(NamedTuple):
    """One launch that is done. `gpu_seconds` is how long the device worked on it.

    On a GPU, launches that waited together run together; each then has its part of their time.
    """

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
        self._waiting: deque[Work] = deque()
        self._batch: list[Work] | None = None
        self._batch_owner = 0
        self._submitted = self._done = 0
        self._error: BaseException | None = None
        self._records: deque[Launch] = deque(maxlen=MOST_RECORDS)
        self._awaiting: list[tuple[AbstractEventLoop, Future[None]]] = []
        self._thread: threading.Thread | None = None
        self._is_closed = self._is_dropped = False
        _queues.add(self)

    def submit(self, work: Work) -> None:
        """Add a launch; `kernel(..., queue=queue)` does."""
        batch = self._batch
        if batch is not None and self._batch_owner == get_ident():
            batch.append(work)  # only this thread ends the batch
            return
        with self._changed:
            self._check_open()
            self._add((work,))

    @contextmanager
    def batch(self) -> Iterator[Queue]:
        """Gather the launches of this thread inside the `with`; they start together at its end.

        An error inside drops them all.
        """
        with self._changed:
            self._check_open()
            if self._batch is not None:
                raise LaunchError("the queue is in a batch already; batches do not nest")
            gathered: list[Work] = []
            self._batch, self._batch_owner = gathered, get_ident()
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
            return self._collect()

    def __await__(self) -> Generator[object, None, list[Launch]]:
        """As `wait`, from asyncio: `launches = await queue`.

        Where it is cancelled, as by `asyncio.wait_for`, nothing is lost: wait again.
        """
        import asyncio  # only where it runs already

        loop = asyncio.get_running_loop()
        while True:
            with self._changed:
                self._check_batch()
                if self._is_idle():
                    return self._collect()
                idle: Future[None] = loop.create_future()
                self._awaiting.append((loop, idle))
            yield from idle

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
        if self._batch is not None and self._batch_owner == get_ident():
            raise LaunchError("the batch has not started: wait after its `with`")

    def _collect(self) -> list[Launch]:
        """Called with the lock, once idle: the launches done, or the error."""
        error, self._error = self._error, None
        records = list(self._records)
        self._records.clear()
        if error is not None:
            raise error
        return records

    def _add(self, launches: Sequence[Work]) -> None:
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

    def _next(self) -> list[Work]:
        """What the thread does next. Nothing: it ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed, IDLE_SECONDS)
            if not self._waiting:
                self._thread = None
            first = self._waiting.popleft
            return [first() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]

    def _finish(
        self, taken: int, records: Sequence[Launch], left: int, error: BaseException | None
    ) -> None:
        """After `taken` launches; on an error, `left` others that were taken do not run."""
        with self._changed:
            self._done += taken
            self._records.extend(records)
            if error is not None:
                self._error = error
                self._done += left + len(self._waiting)
                self._waiting.clear()
            if self._is_idle():
                self._changed.notify_all()
                for loop, idle in self._awaiting:
                    with suppress(RuntimeError):  # the loop is closed, so nobody awaits
                        loop.call_soon_threadsafe(_wake, idle)
                self._awaiting.clear()


def _wake(idle: Future[None]) -> None:
    if not idle.done():  # it was cancelled
        idle.set_result(None)


def _serve(queue: Queue) -> None:
    """The thread of a queue."""
    while works := queue._next():
        while works and not queue._is_dropped:
            error: BaseException | None = None
            try:
                count, records, error = _run(works)
            # Whatever a launch raises is for the one who waits.
            except BaseException as raised:
                count, records, error = 1, [], raised
            del works[:count]  # the arrays are the caller's again
            left = len(works)
            if error is not None:
                works.clear()
            queue._finish(count, records, left, error)
            del error


def _run(works: Sequence[Work]) -> tuple[int, list[Launch], BaseException | None]:
    """Run the first launches: how many, the records of those that went well, and the error."""
    first = works[0]
    if isinstance(first, Deferred):
        kernel, run = first
        started = time.perf_counter()
        run()
        measured = kernel.last_gpu_seconds
        return 1, [Launch(kernel.name, measured or time.perf_counter() - started)], None
    launcher: Any = first.launcher
    seconds, fault = launcher.launch_all(works)
    count = len(seconds)
    names = map(attrgetter("kernel.name"), works)
    # As Launch(name, second), without a call of Python code for each.
    records = list(map(tuple.__new__, repeat(Launch), zip(names, seconds, strict=False)))
    if fault is None:
        return count, records, None
    failed: Any = works[count - 1]
    return count, records[:-1], failed.kernel._failed(failed, fault)


_queues: weakref.WeakSet[Queue] = weakref.WeakSet()


def _at_exit() -> None:
    """Let the launches that run finish, drop those that wait: nobody will see their results."""
    for queue in list(_queues):
        with queue._changed:
            queue._done += len(queue._waiting)
            queue._waiting.clear()
            queue._is_closed = queue._is_dropped = True
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
