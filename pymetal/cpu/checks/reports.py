"""What the native side found in one launch, as reports in the program's terms."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from pymetal import _native
from pymetal.cpu.checks.locations import Place
from pymetal.cpu.checks.sites import ARGUMENT, BUFFER, VARIABLE, Site
from pymetal.cpu.faults import threads
from pymetal.datatypes import argument_dtype
from pymetal.devices import Binding, Size
from pymetal.sanitizer import Party, Report

if TYPE_CHECKING:
    from pymetal.cpu.checks.pipeline import CheckedPipeline


class Run:
    """One launch: its memory and geometry, by which numbers of the native side get their names."""

    def __init__(
        self, pipeline: CheckedPipeline, bindings: Sequence[Binding], grid: Size, threadgroup: Size
    ) -> None:
        self.pipeline = pipeline
        by_index = {b.argument.index: b for b in bindings}
        self.bound = [by_index[index] for index in pipeline.compiled.buffers]
        # What the native side knows by number: also what pointers in the buffers point to.
        self.memory = [*self.bound, *(r for b in self.bound for r in b.reached)]
        self.grid = grid
        self.threadgroup = threadgroup
        self.groups = [-(-g // t) for g, t in zip(grid, threadgroup, strict=True)]

    def party(self, thread: int, group: int, access: str = "", line: int = 0) -> Party:
        nx, ny, _ = self.groups
        position = (group % nx, group // nx % ny, group // nx // ny)
        size = [
            min(t, g - p * t) for t, g, p in zip(self.threadgroup, self.grid, position, strict=True)
        ]
        within = (thread % size[0], thread // size[0] % size[1], thread // size[0] // size[1])
        x, y, z = (p * t + w for p, t, w in zip(position, self.threadgroup, within, strict=True))
        return Party((x, y, z), position, thread // 32, thread % 32, access, line)

    def report(self, found: _native.CheckReport) -> Report:
        kind = found.kind
        if kind in ("inactive", "divergent_simdgroup"):
            return self._lanes(found)
        site: Site = self.pipeline.sites[found.site]
        facts: dict[str, Any] = {
            "first": self.party(found.thread, found.threadgroup),
            "count": found.count,
        }
        if kind == "shift":
            width = found.object_bytes
            signed = found.value - (1 << width) if found.value >> (width - 1) else found.value
            text = f"shift by {signed} of a value of {width} bits; it shifts by {signed % width}"
            return self._make("shift", text, site.place, value=signed, **facts)
        if kind == "unreachable":
            text = "nothing is returned after this, though the function is to return a value"
            return self._make("missing-return", text, site.place, **facts)
        if kind in ("conversion", "not_finite"):
            value = struct.unpack("<d", struct.pack("<Q", found.value))[0]
            if kind == "not_finite":
                return self._make(
                    "not-finite",
                    "finite values made one that is not",
                    site.place,
                    value=value,
                    **facts,
                )
            text = f"{value!r} does not fit {site.name}, which it is converted to"
            return self._make("conversion", text, site.place, value=value, **facts)
        name, noun, unit = self._named(found, site)
        element = found.offset // unit
        total = found.object_bytes // unit
        facts |= {"argument": name, "element": element}
        did = "write" if site.writes and not site.reads else "read"
        if site.atomic:
            did = "atomic access"
        where = f"element {element} of {noun}"
        if kind == "bounds":
            last = (found.offset + site.size_bytes - 1) // unit
            if element < last:
                where = f"elements {element} to {last} of {noun}"
            return self._make(
                "out-of-bounds", f"{did} of {where}, which has {total}", site.place, **facts
            )
        if member := self._member(found):
            where = f"member '{member}' of {where}"
        if kind == "misaligned":
            text = f"{did} at byte {found.offset} of {noun}, not a multiple of {site.align}"
            return self._make("misaligned", text, site.place, **facts)
        if kind == "uninitialised":
            text = f"read of {where} before anything wrote it"
            return self._make("uninitialised", text, site.place, **facts)
        line = 0
        if found.other_site >= 0 and found.other_wrote:
            line = self.pipeline.sites[found.other_site].place.line
        other = "wrote it" if found.other_wrote else "read it"
        if kind == "rewritten":
            return self._make(
                "several-writers",
                f"{did} of {where}, where another thread wrote another value that nobody read",
                site.place,
                severity="warning",
                second=self.party(found.other_thread, found.other_threadgroup, other, line),
                value=self._value(found, site),
                **facts,
            )
        across = found.threadgroup != found.other_threadgroup
        why = "threadgroups run in any order" if across else "no barrier orders the two"
        return self._make(
            "race",
            f"{did} of {where}, and another thread {other}; {why}",
            site.place,
            second=self.party(found.other_thread, found.other_threadgroup, other, line),
            value=self._value(found, site),
            **facts,
        )

    def _value(self, found: _native.CheckReport, site: Site) -> float | int | None:
        if not found.has_value:
            return None
        if site.scalar == "float":
            value: float = struct.unpack("<f", struct.pack("<I", found.value & 0xFFFFFFFF))[0]
            return value
        if site.scalar == "half":
            small: float = struct.unpack("<e", struct.pack("<H", found.value & 0xFFFF))[0]
            return small
        return int(found.value)

    def _member(self, found: _native.CheckReport) -> str:
        """The member of a buffer's struct at which the access starts, "" for no struct."""
        if found.space != BUFFER:
            return ""
        dtype = argument_dtype(self.memory[found.index].argument)
        if dtype is None or dtype.fields is None:
            return ""
        at = found.offset % dtype.itemsize
        starts = {dtype.fields[name][1]: name for name in dtype.names or ()}
        return starts[max((start for start in starts if start <= at), default=min(starts))]

    def _named(self, found: _native.CheckReport, site: Site) -> tuple[str, str, int]:
        """An object's name, how a sentence calls it, and the bytes of an element."""
        if found.space == BUFFER:
            argument = self.memory[found.index].argument
            noun = f"buffer({argument.index}) '{argument.name}'"
            if found.index >= len(self.bound):
                noun = f"'{argument.name}'"
            return argument.name, noun, argument.size_bytes or site.unit
        if found.space == ARGUMENT:
            index = self.pipeline.compiled.threadgroup_arguments[found.index]
            declared = [
                a
                for a in self.pipeline.compiled.function.arguments
                if a.kind == "threadgroup" and a.index == index
            ]
            name = declared[0].name if declared else ""
            unit = declared[0].size_bytes if declared else 0
            return name, f"threadgroup({index}) '{name}'", unit or site.unit
        where = "threadgroup" if found.space == VARIABLE else "private"
        name = "" if re.fullmatch(r"\d*", site.name) else site.name
        noun = f"{where} array '{name}'" if name else f"a {where} array"
        return name, noun, site.unit

    def _lanes(self, found: _native.CheckReport) -> Report:
        place = self.pipeline.barriers.get(found.site, Place())
        second = self.party(found.other_thread, found.threadgroup)
        first = self.party(found.thread, found.threadgroup)
        if found.kind == "inactive":
            text = f"lane {first.lane} reads lane {second.lane}, which does not take part"
            return self._make(
                "inactive-lane", text, place, first=first, second=second, count=found.count
            )
        text = "only some lanes of the simdgroup reached this simdgroup_barrier"
        return self._make(
            "divergent-barrier", text, place, first=first, second=second, count=found.count
        )

    def barrier(self, fault: _native.Fault) -> Report:
        """A threadgroup barrier that only some threads reached."""
        x, y, z = fault.threadgroup_position_in_grid
        group = x + self.groups[0] * (y + self.groups[1] * z)
        place = self.pipeline.barriers.get(fault.site, Place())
        here, there = fault.waiting, fault.elsewhere
        other = self.pipeline.barriers.get(fault.elsewhere_site, Place())
        if there and other.line < place.line:  # as the source has them
            place, other, here, there = other, place, there, here
        text = f"{threads(here)} of the threadgroup wait at this barrier"
        second = None
        if there:
            where = f"at line {other.line}" if other.line else "another"
            text += f", {threads(there)} at the one {where}"
            second = self.party(there[0], group, "waits", other.line)
        if fault.absent:
            text += f", {threads(fault.absent)} never come"
            second = second or self.party(fault.absent[0], group)
        first = self.party(here[0], group) if here else None
        return self._make("divergent-barrier", text, place, first=first, second=second)

    def unwritten(self, checks: _native.Checks, outputs: Collection[int]) -> list[Report]:
        """Outputs with elements that no thread wrote."""
        found = []
        for slot, binding in enumerate(self.bound):
            argument = binding.argument
            if argument.index not in outputs or slot in self.pipeline.atomic:
                continue
            if self.pipeline.unknown or not binding.array.nbytes:
                continue
            size = argument.size_bytes or 1
            count, first = checks.unwritten(slot, size)
            if count:
                total = binding.array.nbytes // size
                text = (
                    f"no thread wrote {count} of the {total} elements of buffer({argument.index}) "
                    f"'{argument.name}', first of them element {first}"
                )
                found.append(
                    self._make(
                        "never-written",
                        text,
                        Place(),
                        severity="warning",
                        argument=argument.name,
                        element=first,
                    )
                )
        return found

    def _make(self, kind: str, message: str, place: Place, **facts: Any) -> Report:
        return self.pipeline.report(kind, message, place, **facts)
