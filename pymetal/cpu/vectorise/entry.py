"""The entry: reads the simdgroup's context and calls the kernel with it.

Code for full simdgroups expects that all 32 lanes exist and lie as it was compiled for. Its entry
passes any other simdgroup on to the launch's code for those, which has a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from pymetal import _native
from pymetal.air.canonical import CanonicalFunction
from pymetal.air.wrapper import Parameter
from pymetal.cpu.lanes import LANES, LaneLayout
from pymetal.cpu.vectorise.bounds import BOUNDLESS
from pymetal.cpu.vectorise.emitter import wide
from pymetal.cpu.vectorise.shapes import ANY, UNIFORM, Shape
from pymetal.cpu.vectorise.streaming import LINE

# Positions that differ between lanes; the first two have components.
IN_GRID = "thread_position_in_grid"
IN_THREADGROUP = "thread_position_in_threadgroup"
_FIELDS = {"lane": "thread_index_in_simdgroup", "simdgroup": "simdgroup_index_in_threadgroup"}
_BY_LANE = {
    "lane": tuple(range(LANES)),
    "thread_index_in_threadgroup": tuple(range(LANES)),
    "thread_index_in_quadgroup": tuple(k % 4 for k in range(LANES)),
    "quadgroup_index_in_threadgroup": tuple(k // 4 for k in range(LANES)),
}
_THREADS: int = _native.MAX_THREADS_PER_THREADGROUP
_BELOW = {
    "lane": LANES,
    "simdgroup": _THREADS // LANES,
    "thread_index_in_threadgroup": _THREADS,
    "thread_index_in_quadgroup": 4,
    "quadgroup_index_in_threadgroup": _THREADS // 4,
}


def parameter_shapes(
    canonical: CanonicalFunction, layout: LaneLayout | None
) -> dict[str, Shape | None]:
    """The shapes of a copy's parameters; vectors by component. Without a layout positions are
    anything."""
    shapes: dict[str, Shape | None] = {}
    for p in canonical.parameters:
        if p.role in (IN_GRID, IN_THREADGROUP):
            for axis in range(3):
                shapes[f"{p.name}.{axis}"] = _position(p.role, axis, layout)
        elif p.type.startswith("<"):
            shapes |= {f"{p.name}.{axis}": UNIFORM for axis in range(3)}
        elif p.role in _BY_LANE:
            multiple = {"lane": ANY, "thread_index_in_quadgroup": ANY}.get(p.role, LANES)
            if p.role == "quadgroup_index_in_threadgroup":
                multiple = 8
            shapes[p.name] = Shape(_BY_LANE[p.role], multiple, below=_BELOW[p.role])
        else:
            shapes[p.name] = replace(UNIFORM, below=_BELOW.get(p.role, BOUNDLESS))
    return shapes


def _position(role: str, axis: int, layout: LaneLayout | None) -> Shape | None:
    if layout is None or not layout.width:
        return None
    if layout.axis is not None:
        return Shape(tuple(range(LANES)), LANES) if axis == layout.axis else UNIFORM
    if axis == 2:
        return UNIFORM
    width = layout.width
    offsets = tuple(k % width if axis == 0 else k // width for k in range(LANES))
    multiple = 1
    if role == IN_THREADGROUP:
        # Rows of simdgroups start at multiples of what they cover.
        multiple = LANES if width == LANES else ANY
        if axis == 1:
            multiple = LANES // width
        return Shape(offsets, multiple, below=_THREADS)
    return Shape(offsets, multiple)


def parameter_list(canonical: CanonicalFunction, shapes: dict[str, Shape | None]) -> str:
    """The parameters of a copy, as `define` has them."""
    return ", ".join(f"{type_} %p.{name}" for type_, name in _leaves(canonical, shapes))


def _leaves(canonical: CanonicalFunction, shapes: dict[str, Shape | None]) -> list[tuple[str, str]]:
    leaves = []
    for p in canonical.parameters:
        names = [f"{p.name}.{k}" for k in range(3)] if p.type.startswith("<") else [p.name]
        type_ = "i32" if p.type.startswith("<") else p.type
        leaves += [(type_ if shapes[n] is not None else wide(type_), n) for n in names]
    return leaves


class _Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def let(self, text: str) -> str:
        self.lines.append(f"  %v{len(self.lines)} = {text}")
        return f"%v{len(self.lines) - 1}"

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")


class Entry:
    """Writes `void @entry(ptr %thread)`."""

    def __init__(self, canonical: CanonicalFunction, layout: LaneLayout) -> None:
        self.canonical = canonical
        self.layout = layout
        self.out = _Lines()
        self.structs = _native.layout()
        self.home = {name: s for s, fields in self.structs.items() for name in fields}
        self.bases = {"thread": "%thread"}
        self.bases["threadgroup"] = self.read("threadgroup", "ptr")
        self.bases["launch"] = self.read("launch", "ptr")

    def read(self, name: str, type_: str, index: int = 0) -> str:
        """A field of the context."""
        struct = self.home[name]
        offset = self.structs[struct][name] + 4 * index
        address = self.out.let(f"getelementptr i8, ptr {self.bases[struct]}, i64 {offset}")
        return self.out.let(f"load {type_}, ptr {address}, align {4 if type_ == 'i32' else 8}")

    def text(self, parameters: dict[str, Shape | None], streams: Sequence[int] = ()) -> str:
        """`parameters`: the kernel's shapes. `streams`: which buffers' stores it may send past the
        caches."""
        out = self.out
        lanes = self.read("lanes", "i32")
        mask = ""
        if self.layout.full:
            whole = out.let(f"icmp eq i32 {lanes}, -1")
            fits = out.let(f"and i1 {whole}, {self._fits()}")
            rest = self.read("rest", "ptr")
            out.do(f"br i1 {fits}, label %full, label %others")
            out.lines.append("others:")
            out.do(f"tail call void {rest}(ptr %thread)")
            out.do("ret void")
            out.lines.append("full:")
        else:
            mask = f"<{LANES} x i1> {out.let(f'bitcast i32 {lanes} to <{LANES} x i1>')}, "
        arguments = self._arguments(parameters, self._values())
        out.do(f"call void @kernel({mask}{arguments}{self._past(streams)})")
        out.do("ret void")
        return "define void @entry(ptr %thread) nounwind {\n" + "\n".join(out.lines) + "\n}\n"

    def _fits(self) -> str:
        """Whether the threadgroup has the layout."""
        out = self.out
        x, y, z = (self.read("threads_per_threadgroup", "i32", axis) for axis in range(3))
        if self.layout.width == LANES:
            rest = out.let(f"and i32 {x}, {LANES - 1}")
            rows = out.let(f"icmp eq i32 {rest}, 0")
            area = out.let(f"mul i32 {y}, {z}")
            return out.let(f"or i1 {rows}, {out.let(f'icmp eq i32 {area}, 1')}")
        same = out.let(f"icmp eq i32 {x}, {self.layout.width}")
        # A simdgroup must not run over into the next z.
        rest = out.let(f"and i32 {y}, {LANES // self.layout.width - 1}")
        rows = out.let(f"icmp eq i32 {rest}, 0")
        flat = out.let(f"icmp eq i32 {z}, 1")
        return out.let(f"and i1 {same}, {out.let(f'or i1 {rows}, {flat}')}")

    def _values(self) -> dict[str, str]:
        """Each scalar parameter's value, for the simdgroup's first lane."""
        tables = {
            "buffer": self.read("buffers", "ptr"),
            "threadgroup": self.read("threadgroup_offsets", "ptr"),
        }
        memory = self.read("memory", "ptr")
        slots = {"buffer": count(), "threadgroup": count()}
        values = {}
        for p in self.canonical.parameters:
            if p.role == "threadgroup_memory":
                values[p.name] = memory
            elif p.role in slots:
                values[p.name] = self._pointer(p, tables[p.role], next(slots[p.role]), memory)
            elif p.type.startswith("<"):
                # The launch exchanged x and the axis of the lanes.
                order = [1, 0, 2] if self.layout.axis == 1 else [0, 1, 2]
                for axis in range(3):
                    values[f"{p.name}.{axis}"] = self.read(p.role, "i32", order[axis])
            else:
                values[p.name] = self.read(_FIELDS.get(p.role, p.role), p.type)
        return values

    def _pointer(self, p: Parameter, table: str, slot: int, memory: str) -> str:
        address = self.out.let(f"getelementptr i64, ptr {table}, i64 {slot}")
        if p.role == "buffer":
            return self.out.let(f"load ptr, ptr {address}, align 8")
        offset = self.out.let(f"load i64, ptr {address}, align 8")
        return self.out.let(f"getelementptr i8, ptr {memory}, i64 {offset}")

    def _arguments(self, shapes: dict[str, Shape | None], values: dict[str, str]) -> str:
        varying = {n for n, s in shapes.items() if s is None}
        computed = self._positions(varying) if varying else {}
        return ", ".join(
            f"{type_} {computed.get(name) or values[name]}"
            for type_, name in _leaves(self.canonical, shapes)
        )

    def _past(self, streams: Sequence[int]) -> str:
        """For each of these buffers the argument that `streaming.parameters` describes."""
        out = self.out
        arguments = []
        for slot in streams:
            bit = out.let(f"and i64 {self.read('streamed', 'i64')}, {1 << slot}")
            wanted = out.let(f"icmp ne i64 {bit}, 0")
            arguments.append(f", i64 {out.let(f'select i1 {wanted}, i64 {LINE - 1}, i64 -1')}")
        return "".join(arguments)

    def _positions(self, names: set[str]) -> dict[str, str]:
        """Positions of lanes that lie anyhow: from the thread's index, by division."""
        out = self.out
        integers = wide("i32")

        def splat(scalar: str) -> str:
            one = out.let(f"insertelement {integers} poison, i32 {scalar}, i64 0")
            return out.let(
                f"shufflevector {integers} {one}, {integers} poison, "
                f"<{LANES} x i32> zeroinitializer"
            )

        lane = "<" + ", ".join(f"i32 {k}" for k in range(LANES)) + ">"
        first = splat(self.read("thread_index_in_threadgroup", "i32"))
        index = out.let(f"add {integers} {first}, {lane}")
        x, y = (splat(self.read("threads_per_threadgroup", "i32", axis)) for axis in (0, 1))
        row = out.let(f"udiv {integers} {index}, {x}")
        parts = [
            out.let(f"urem {integers} {index}, {x}"),
            out.let(f"urem {integers} {row}, {y}"),
            out.let(f"udiv {integers} {row}, {y}"),
        ]
        found = {}
        for p in self.canonical.parameters:
            for axis in range(3):
                name = f"{p.name}.{axis}"
                if name not in names:
                    continue
                value = parts[axis]
                if p.role == IN_GRID:
                    group = self.read("threadgroup_position_in_grid", "i32", axis)
                    size = self.read("dispatch_threads_per_threadgroup", "i32", axis)
                    start = splat(out.let(f"mul i32 {group}, {size}"))
                    value = out.let(f"add {integers} {start}, {value}")
                found[name] = value
        return found
