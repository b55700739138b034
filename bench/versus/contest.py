"""One run: each problem by every peer, interleaved, results verified before anything is timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from versus import arrays, loops, metal
from versus.opencl import PLATFORMS, OpenCL
from versus.problem import AbsentError, Problem, Runner

GPU_KERNELS = tuple(PLATFORMS)  # the peers that run kernels written for GPUs
PEERS = (metal.NAME, *GPU_KERNELS, loops.NAME, arrays.NAME)

_LOOK_SECONDS = 0.01  # between two looks at whether threads still run


@dataclass
class Row:
    """What came of one problem: median milliseconds by peer, and why a peer has none."""

    key: str
    name: str
    ms: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    part_of_stream: float | None = None  # of STREAM's bandwidth, where memory is the limit
    of_blas: float = 0.0
    part_of_blas: float | None = None
    one_thread_ms: float | None = None  # PyMetal's

    @property
    def ratio(self) -> float | None:
        """PyMetal's time over that of the best peer that runs GPU kernels."""
        best = min((self.ms[p] for p in GPU_KERNELS if p in self.ms), default=None)
        return None if best is None else self.ms[metal.NAME] / best


class Contest:
    """The peers that are here, and the bandwidth of memory."""

    def __init__(self) -> None:
        self.absent: dict[str, str] = {}
        self._makers: dict[str, Callable[[Problem], Runner]] = {metal.NAME: metal.runner}
        self.versions: dict[str, str] = {}
        for name in GPU_KERNELS:
            try:
                platform = OpenCL(name)
            except AbsentError as error:
                self.absent[name] = str(error)
            else:
                self._makers[name] = platform.runner
                self.versions[name] = platform.version
        try:
            loops.compiled()
        except AbsentError as error:
            self.absent[loops.NAME] = str(error)
        else:
            self._makers[loops.NAME] = loops.runner
        self._makers[arrays.NAME] = arrays.runner

    def run(self, key: str, problem: Problem, seconds: float, least: bool) -> Row:
        """`seconds` to spend on timing, about; `least`: the shortest times, not the medians."""
        row = Row(key, problem.name, of_blas=problem.of_blas)
        runs: dict[str, Callable[[], object]] = {}
        for name, make in self._makers.items():
            try:
                runner = make(problem)
            except AbsentError as error:
                row.absent[name] = str(error)
                continue
            runner.run()
            wrong = problem.wrong(runner.result())
            if wrong:
                if name == metal.NAME:
                    raise SystemExit(f"{problem.name}: PyMetal computes it wrong: {wrong}")
                row.absent[name] = f"computes it wrong: {wrong}"
                continue
            runs[name] = runner.run
        row.engine = metal.engines(problem)
        if problem.moved and loops.NAME in self._makers:
            runs["STREAM"], moved = loops.stream()
        runs["one thread"] = metal.one_thread(runs[metal.NAME])
        row.ms = interleaved(runs, seconds, min if least else statistics.median)
        row.one_thread_ms = row.ms.pop("one thread")
        if "STREAM" in row.ms:
            stream = row.ms.pop("STREAM")
            row.part_of_stream = problem.moved / row.ms[metal.NAME] / (moved / stream)
        if problem.of_blas and arrays.NAME in row.ms:
            row.part_of_blas = row.ms[arrays.NAME] / row.ms[metal.NAME]
        return row


def wait_for_rest() -> None:
    """Until no thread of the process runs any more; for a second at most."""
    end = time.perf_counter() + 1
    spent = _LOOK_SECONDS
    while spent > _LOOK_SECONDS / 10 and time.perf_counter() < end:
        before = time.process_time()
        time.sleep(_LOOK_SECONDS)
        spent = time.process_time() - before


def interleaved(
    runs: dict[str, Callable[[], object]],
    seconds: float,
    pick: Callable[[list[float]], float],
) -> dict[str, float]:
    """Milliseconds of each, taken in turns, so that all meet the same disturbances.

    Threads of some peers look out for more work long after a run (OpenBLAS's 110 ms): each run
    waits until they sleep, or they would take its processors. Then its own threads sleep, too, and
    some systems wake a thread on the processor that is busy waking it: so each is run twice, and
    the second run is timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    for run in runs.values():
        run()
    while True:
        for name, run in runs.items():
            wait_for_rest()
            run()
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
        if len(taken[name]) >= 5 and time.perf_counter() > end:
            return {name: pick(times) * 1e3 for name, times in taken.items()}
