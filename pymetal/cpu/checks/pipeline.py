"""A kernel compiled with checks, and what a launch of it found."""

from __future__ import annotations

import json
import re
import struct
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pymetal import _native
from pymetal.air.library import Library
from pymetal.cpu.checks.instrument import Instrumentation
from pymetal.cpu.checks.locations import Place
from pymetal.cpu.checks.reports import Run
from pymetal.cpu.checks.sites import ARGUMENT, BUFFER, STACK, VARIABLE, Site
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.engines import compile_kernel
from pymetal.cpu.faults import kernel_fault
from pymetal.devices import Binding, Size
from pymetal.errors import KernelFault
from pymetal.sanitizer import CheckWarning, Party, Report
from pymetal.source import Source

_LENGTH = struct.Struct("<I")
# Bytes that threadgroup memory and private arrays are full of, beside zero, and that absent lanes
# give, to see whether reading them matters: as floats they are large numbers and NaNs.
FILLS = (0x7F, 0xFF)


def compile_checked(
    library: Library, name: str, constants: Mapping[str | int, Any], nan: bool = False
) -> bytes:
    """The instrumented kernel as the cache keeps it."""
    checks = Instrumentation(nan)
    compiled = compile_kernel(library.canonical(name, constants, checks), "reference")
    facts = {
        "sites": [asdict(site) for site in checks.sites],
        "barriers": {number: asdict(place) for number, place in checks.barriers.items()},
    }
    head = json.dumps(facts).encode()
    return _LENGTH.pack(len(head)) + head + compiled.to_bytes()


class CheckedPipeline:
    """What `compile_checked` made, ready to launch. `source` is what its lines are of."""

    def __init__(self, data: bytes, source: Source | None) -> None:
        (length,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + length
        facts = json.loads(data[_LENGTH.size : end])
        self.sites = [Site(**{**s, "place": Place(**s["place"])}) for s in facts["sites"]]
        self.barriers = {int(n): Place(**place) for n, place in facts["barriers"].items()}
        self.compiled = Compiled.from_bytes(data[end:])
        self._native = self.compiled.load()
        self._source = source
        self._texts: dict[str, list[str]] = {}
        # Whether it may read what nobody wrote, or lanes that are not there.
        self._guesses = bool(self.barriers) or any(
            s.space in (VARIABLE, ARGUMENT, STACK) and s.reads for s in self.sites
        )
        self.atomic = {s.index for s in self.sites if s.space == BUFFER and s.atomic}
        self.unknown = any(
            s.space not in (BUFFER, ARGUMENT, VARIABLE, STACK) and s.size_bytes for s in self.sites
        )

    def launch(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        outputs: Collection[int] = (),
        timeout: float | None = None,
    ) -> list[Report]:
        """Run and report. `outputs`: indices of buffers that hold nothing yet.

        Raises
        ------
        KernelFault
            Something is wrong; `reports` has all of it. What may be right is a CheckWarning, and
            is returned.
        """
        run = Run(self, bindings, grid, threadgroup)
        written = written_arrays(bindings) if self._guesses else []
        before = [array.copy() for array in written]
        checks, fault = self._run(run, threadgroup_memory, outputs, timeout)
        every = self._found(checks)
        doubtful = [found for found in every if _may_be_harmless(found)]
        certain = [found for found in every if found.kind != "rewritten"]
        unwritten = run.unwritten(checks, outputs) if fault is None else []
        checks.forget()
        if fault is None and doubtful and len(certain) == len(doubtful):
            after = [array.copy() for array in written]
            same = True
            for fill in FILLS:
                _put(written, before)
                self._run(run, threadgroup_memory, outputs, timeout, fill=fill, watch=False)
                same = same and all(map(_equal, written, after))
            _put(written, after)
            if same:
                every = [found for found in every if not _may_be_harmless(found)]
        reports = [run.report(found) for found in every]
        if fault is None:
            reports += unwritten
        elif fault.kind == "barrier":
            reports.append(run.barrier(fault))
        elif fault.kind != "trap" or all(r.kind != "missing-return" for r in reports):
            error = kernel_fault(self.name, fault, bindings, timeout)
            error.reports = tuple(reports)  # type: ignore[attr-defined]
            raise error
        reports.sort(key=_place_in_text)
        errors = sum(report.severity == "error" for report in reports)
        if errors:
            raise fault_of(self.name, reports)
        for report in reports:
            warnings.warn(CheckWarning(report), stacklevel=4)
        return reports

    def _run(
        self,
        run: Run,
        threadgroup_memory: Mapping[int, int],
        outputs: Collection[int],
        timeout: float | None,
        schedule: int = 0,
        fill: int = 0,
        watch: bool = True,
    ) -> tuple[_native.Checks, _native.Fault | None]:
        lengths = [threadgroup_memory[i] for i in self.compiled.threadgroup_arguments]
        addresses = [b.array.__array_interface__["data"][0] for b in run.memory]
        checks = _native.Checks([site.native for site in self.sites])
        checks.begin(
            [
                (
                    address,
                    b.array.nbytes,
                    b.argument.index in outputs,
                    room_bytes(b.array.nbytes),
                )
                for address, b in zip(addresses, run.memory, strict=True)
            ],
            lengths,
            watch,
        )
        fault = self._native.launch(
            addresses[: len(run.bound)],
            lengths,
            run.grid,
            run.threadgroup,
            timeout,
            checks,
            schedule,
            fill,
        )
        return checks, fault

    def writer(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        place: tuple[int, int],
        timeout: float | None = None,
        schedule: int = 0,
    ) -> tuple[Party | None, Place]:
        """Who writes the byte at `place`, (buffer index, offset), last, and where in the source.

        Runs the launch anew, on copies of its arrays. `schedule` is that of `_native.Pipeline`.
        """
        copies = [replace(b, array=b.array.copy()) for b in bindings]
        run = Run(self, copies, grid, threadgroup)
        checks, _ = self._run(run, threadgroup_memory, (), timeout, schedule)
        index, offset = place
        slots = [b.argument.index for b in run.bound]
        found = checks.writer(slots.index(index), offset) if index in slots else None
        if found is None:
            return None, Place()
        thread, group, site = found
        where = self.sites[site].place
        return run.party(thread, group, "wrote it", where.line), where

    def look(
        self,
        bindings: Sequence[Binding],
        threadgroup_memory: Mapping[int, int],
        grid: Size,
        threadgroup: Size,
        timeout: float,
    ) -> list[Report]:
        """What a run on copies of the arrays finds, until it ends in whatever way."""
        copies = [replace(b, array=b.array.copy()) for b in bindings]
        run = Run(self, copies, grid, threadgroup)
        checks, fault = self._run(run, threadgroup_memory, (), timeout)
        reports = [run.report(found) for found in self._found(checks)]
        if fault is not None and fault.kind == "barrier":
            reports.append(run.barrier(fault))
        return reports

    def _found(self, checks: _native.Checks) -> list[_native.CheckReport]:
        """Without lanes that others did not wait for at the end of a loop's iteration, which is no
        barrier of the source's: those have left the loop."""
        return [
            found
            for found in checks.reports
            if found.kind != "divergent_simdgroup" or found.site in self.barriers
        ]

    def report(self, kind: str, message: str, place: Place, **facts: Any) -> Report:
        """A report of this kernel, with the text of the line."""
        file, text = self.source_line(place) if place.line else ("", "")
        return Report(
            kind,
            message,
            kernel=self.name,
            file=file,
            line=place.line,
            column=place.column,
            source_line=text,
            **facts,
        )

    @property
    def name(self) -> str:
        return self.compiled.function.name

    @property
    def buffers(self) -> tuple[int, ...]:
        """The indices of the buffers that it reads or writes."""
        return self.compiled.buffers

    def source_line(self, place: Place) -> tuple[str, str]:
        """The file that diagnostics name, and the line's text."""
        if place.file == "" and self._source is None:
            return "", ""
        file = place.file or (self._source.display_name if self._source else "")
        if file not in self._texts:
            text = self._source.text if self._source is not None else ""
            self._texts[file] = text.split("\n") if not place.file else _lines_of(file, text)
        lines = self._texts[file]
        return file, lines[place.line - 1].rstrip("\r") if 0 < place.line <= len(lines) else ""


def room_bytes(buffer_bytes: int) -> int:
    """What may be remembered of a buffer before it is packed, which takes time."""
    return max(8 << 20, buffer_bytes)


def written_arrays(bindings: Sequence[Binding]) -> list[Any]:
    """The arrays that a launch may write, also through pointers in others."""
    return [b.array for bound in bindings for b in (bound, *bound.reached) if b.written]


def _may_be_harmless(found: _native.CheckReport) -> bool:
    """Whether it is a read of threadgroup or private memory that nobody wrote, or of a lane that
    is not there: many kernels let every lane read, and use what the lanes that matter got."""
    if found.kind == "inactive":
        return True
    return found.kind == "uninitialised" and found.space in (VARIABLE, ARGUMENT, STACK)


def _place_in_text(report: Report) -> tuple[bool, bool, bool]:
    """Errors first; of these, what names both lines, and last what others are the reason of: an
    element that another thread was to write, without an order, is unwritten, too."""
    second_line = report.second is not None and report.second.line > 0
    return report.severity != "error", report.kind == "uninitialised", not second_line


def _equal(a: Any, b: Any) -> bool:
    return bool(a.tobytes() == b.tobytes())


def _put(arrays: Sequence[Any], values: Sequence[Any]) -> None:
    for array, value in zip(arrays, values, strict=True):
        array[...] = value


_LINE = re.compile(r'#line (\d+) "(.*)"')


def _lines_of(file: str, text: str) -> list[str]:
    """The lines of a file that `text` has put together with others, else what is on disk."""
    lines: dict[int, str] = {}
    name, number = "", 0
    for line in text.split("\n"):
        if directive := _LINE.match(line):
            name, number = directive[2], int(directive[1]) - 1
        elif name == file:
            lines[number] = line
        number += 1
    if lines:
        return [lines.get(n, "") for n in range(1, max(lines) + 1)]
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []


def fault_of(name: str, reports: Sequence[Report]) -> KernelFault:
    """The error of a run that gave these reports."""
    shown = [str(report) for report in reports[:8]]
    if len(reports) > 8:
        shown.append(f"and {len(reports) - 8} more; see .reports")
    text = "\n".join(shown)
    return KernelFault(
        f"{name}: {len(reports)} {'thing' if len(reports) == 1 else 'things'} found\n{text}",
        kernel=name,
        kind="checks",
        reports=tuple(reports),
    )
