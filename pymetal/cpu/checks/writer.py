"""Which thread wrote an element: a checked launch remembers the last writer of every byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymetal import _native
from pymetal.cpu.checks.locations import Place
from pymetal.cpu.checks.pipeline import CheckedPipeline, _Run
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
    by_index = {b.argument.index: b for b in bindings}
    compiled = pipeline._compiled
    bound = [by_index[index] for index in compiled.buffers]
    lengths = [threadgroup_memory[i] for i in compiled.threadgroup_arguments]
    addresses = [b.array.__array_interface__["data"][0] for b in bound]
    checks = _native.Checks([site.native for site in pipeline._sites])
    checks.begin(
        [(a, b.array.nbytes, False) for a, b in zip(addresses, bound, strict=True)], lengths
    )
    pipeline._native.launch(addresses, lengths, grid, threadgroup, timeout=timeout, checks=checks)
    if buffer_index not in compiled.buffers:
        return None, ""
    found = checks.writer(compiled.buffers.index(buffer_index), offset)
    if found is None:
        return None, ""
    thread, group, site = found
    place: Place = pipeline._sites[site].place
    party = _Run(pipeline, bound, grid, threadgroup).party(thread, group, "wrote it", place.line)
    file, _ = pipeline.source_line(place) if place.line else ("", "")
    return party, f"{file}:{place.line}" if file else ""
