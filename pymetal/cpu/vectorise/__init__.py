"""The vectorised engine: a kernel as one function that runs a whole simdgroup.

    prepare      canonical text -> instruction objects, loops and branches in normal form
    scalarise    short vectors and structs taken apart
    shapes       what is the same in all lanes, or a pattern           (with regions: where lanes
    walk, lower  control flow and instructions on 32 lanes              part and meet)
    entry        context -> the copy for full or partial simdgroups

docs/engine.md explains each. What does not fit raises `NotVectorised`, and the reference engine
runs the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.air.canonical import NAME, CanonicalFunction
from pymetal.air.ir import Function, Instruction, Module
from pymetal.air.ir.layout import Layout
from pymetal.cpu import jit
from pymetal.cpu.intrinsics import Barrier, meaning
from pymetal.cpu.lanes import LANES, LaneLayout
from pymetal.cpu.vectorise import geometry, meetings, streaming
from pymetal.cpu.vectorise.buffers import Buffers
from pymetal.cpu.vectorise.emitter import Emitter, Helpers
from pymetal.cpu.vectorise.entry import Entry, parameter_list, parameter_shapes
from pymetal.cpu.vectorise.graph import Graph
from pymetal.cpu.vectorise.lower import lower
from pymetal.cpu.vectorise.prepare import merge_casts, prepare
from pymetal.cpu.vectorise.private import PrivateArrays
from pymetal.cpu.vectorise.reasons import NotVectorised
from pymetal.cpu.vectorise.scalarise import Scalariser
from pymetal.cpu.vectorise.shapes import Shape, Shapes
from pymetal.cpu.vectorise.target import Target
from pymetal.cpu.vectorise.walk import Walker

# More would take LLVM longer than a user waits: a canonical function's instructions, and lines of
# vector code.
_MAX_INSTRUCTIONS = 12_000
_MAX_LINES = 15_000


@dataclass(frozen=True)
class Vectorised:
    """IR whose `entry` runs one simdgroup: any, or a `full` one. `suspends`: simdgroups wait for
    each other. `axis`: the kernel does not see its threadgroups; lanes lie along this axis in those
    that the launch picks. `streams`: which of the launch's buffers may be stored to past the
    caches.
    """

    ir: str
    suspends: bool
    axis: int | None
    full: bool
    streams: tuple[int, ...] = ()
    entry: str = "entry"


def vectorise(canonical: CanonicalFunction, layout: LaneLayout) -> Vectorised:
    """The kernel for simdgroups whose lanes lie as `layout` says.

    Raises
    ------
    NotVectorised
        The kernel does something the vectorised engine does not do.
    """
    kernel = _Kernel(canonical)
    layout = geometry.choose(kernel.function, kernel.graph, canonical, layout, kernel.shapes)
    helpers = Helpers()
    parameters = parameter_shapes(canonical, layout if layout.regular or layout.full else None)
    copy, streams = kernel.copy(layout.full, parameters, helpers)
    lines = _weight(copy)
    if lines > _MAX_LINES:
        raise NotVectorised(f"{lines} lines of vector code, more than {_MAX_LINES}")
    entry = Entry(canonical, layout).text(parameters, streams)
    defined = [copy, *helpers.definitions.values(), entry]
    helpers.declarations.setdefault(
        "llvm.cttz.i32", "declare i32 @llvm.cttz.i32(i32, i1) nounwind willreturn memory(none)"
    )
    globals_ = str(kernel.constants)
    return Vectorised(
        "\n".join([globals_, *helpers.declarations.values(), *defined]),
        kernel.suspends,
        layout.axis,
        layout.full,
        streams,
    )


def _weight(text: str) -> int:
    """Lines, as LLVM feels them: its vectors of bfloat are taken apart element by element."""
    return text.count("\n") + 2 * text.count("x bfloat>")


class _Kernel:
    """A canonical function, prepared once for all its copies."""

    def __init__(self, canonical: CanonicalFunction) -> None:
        self.canonical = canonical
        self.module, self.function = prepare(canonical.ir, NAME)
        self.layout = Layout(self.module.types)
        self.graph = Graph(self.function)
        merge_casts(self.function, self.graph)
        self.sites = _sites(self.module, self.function)
        meetings.check(self.function, self.graph, self.sites)
        self.suspends = any(
            isinstance(what := meaning(i.callee), Barrier) and what.scope == "threadgroup"
            for i in self.function.instructions
            if i.opcode == "call"
        )
        scalariser = Scalariser(self.function, self.graph, self.layout)
        scalariser.run()
        self.matrices = scalariser.matrices
        count = sum(len(b.instructions) for b in self.function.blocks)
        if count > _MAX_INSTRUCTIONS:
            raise NotVectorised(f"{count} instructions, more than {_MAX_INSTRUCTIONS}")
        self.private = PrivateArrays(self.function, self.layout)
        self.buffers = Buffers(self.function, canonical)
        self.target = Target.of_features(jit.target_features())
        self.constants = Module()
        self.constants.types = self.module.types
        self.constants.globals = self.module.globals

    def shapes(self, parameters: dict[str, Shape | None]) -> Shapes:
        return Shapes(
            self.function, self.graph, self.layout, parameters, self.private, self.matrices
        )

    def copy(
        self, full: bool, parameters: dict[str, Shape | None], helpers: Helpers
    ) -> tuple[str, tuple[int, ...]]:
        """The text of the function that runs a simdgroup, without masks if it is full, and the
        buffers that it may store to past the caches."""
        shapes = self.shapes(parameters)
        emitter = Emitter(
            self.function,
            shapes,
            self.target,
            helpers,
            self.sites,
            full,
            self.buffers,
            self.suspends,
        )
        Walker(emitter, lower).run()
        mask = "" if full else f"<{LANES} x i1> %mask, "
        streams = sorted(emitter.streams)
        listed = parameter_list(self.canonical, parameters) + streaming.parameters(streams)
        head = f"define internal void @kernel({mask}{listed})"
        body = "\n".join([*emitter.head, *emitter.lines])
        text = f'{head} nounwind "no-builtins" {{\n{body}\n}}\n'
        return text, tuple(self.buffers.outputs[buffer] for buffer in streams)


def _sites(module: Module, function: Function) -> dict[Instruction, int]:
    sites = {}
    for i in function.instructions:
        if i.opcode == "call" and i.callee.startswith("air."):
            site = module.attributes(i).get("pymetal.site")
            if site is not None:
                sites[i] = int(site)
    return sites


__all__ = ["LaneLayout", "NotVectorised", "Vectorised", "vectorise"]
