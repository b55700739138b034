"""Which thread wrote an element: a checked launch remembers the last writer of every byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymetal.cpu.checks.pipeline import CheckedPipeline
from pymetal.devices import Binding, Size
from pymetal.sanitizer import Party


def last_writer(
    pipeline: CheckedPipeline,
    bindings: Sequence[Binding],
    threadgroup_memory: Mapping[int, int],
    grid: Size,
    threadgroup: Size,
    buffer_index: int,
    offset: int,
    timeout: float | None = None,
) -> tuple[Party | None, str]:
    """Run the launch again and say who wrote the byte at `offset` of a buffer last, and where.

    Where is FILE:LINE, "" if it is not known. None: no thread wrote it. What else the checks
    find is of no interest here.
    """
    party, place = pipeline.writer(
        bindings, threadgroup_memory, grid, threadgroup, (buffer_index, offset), timeout
    )
    file, _ = pipeline.source_line(place) if place.line else ("", "")
    return party, f"{file}:{place.line}" if file else ""
