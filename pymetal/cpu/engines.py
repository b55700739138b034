"""Canonical function to compiled kernel, by the fastest engine that takes it."""

from __future__ import annotations

from dataclasses import replace

from pymetal.air.canonical import CanonicalFunction
from pymetal.cpu import jit, reference
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.vectorise import NotVectorised, vectorise
from pymetal.errors import UnsupportedError


def compile_kernel(
    canonical: CanonicalFunction, engine: str, layout: LaneLayout | None = None
) -> Compiled:
    """The kernel for launches of a layout.

    `engine` is "reference", "vectorised", or "auto" for the best. Raises UnsupportedError.
    """
    if engine != "vectorised":
        return _by_reference(canonical)
    try:
        return _vectorised(canonical, layout or LaneLayout())
    except NotVectorised as reason:
        name = canonical.function.name
        if engine == "vectorised":
            raise UnsupportedError(
                f"{name}: the vectorised engine does not do {reason}", feature=str(reason)
            ) from reason
        note = f"runs on the reference engine, because the vectorised one does not do {reason}"
        return replace(_by_reference(canonical), notes=(note,))


def _by_reference(canonical: CanonicalFunction) -> Compiled:
    lowered = reference.lower(canonical)
    return _compiled(
        canonical,
        jit.compile_ir(lowered.modules, lowered.entry, kernel=canonical.function.name),
        engine="reference",
        entry=lowered.entry,
        granularity="thread",
        suspends=lowered.suspends,
    )


def _vectorised(canonical: CanonicalFunction, layout: LaneLayout) -> Compiled:
    lowered = vectorise(canonical, layout)
    return _compiled(
        canonical,
        jit.compile_ir([lowered.ir], lowered.entry, kernel=canonical.function.name),
        engine="vectorised",
        entry=lowered.entry,
        granularity="simdgroup",
        suspends=lowered.suspends,
    )


def _compiled(
    canonical: CanonicalFunction,
    code: bytes,
    *,
    engine: str,
    entry: str,
    granularity: str,
    suspends: bool,
) -> Compiled:
    def indices(role: str) -> tuple[int, ...]:
        return tuple(p.index for p in canonical.parameters if p.role == role)

    return Compiled(
        code=code,
        function=canonical.function,
        engine=engine,
        entry=entry,
        granularity=granularity,
        suspends=suspends,
        flush_denormals=canonical.flush_denormals,
        threadgroup_bytes=canonical.threadgroup_bytes,
        buffers=indices("buffer"),
        threadgroup_arguments=indices("threadgroup"),
    )
