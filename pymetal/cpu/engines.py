"""Canonical function to compiled kernel, by the fastest engine that takes it."""

from __future__ import annotations

from pymetal.air.canonical import CanonicalFunction
from pymetal.cpu import jit, reference
from pymetal.cpu.compiled import Compiled


def compile_kernel(canonical: CanonicalFunction, engine: str) -> Compiled:
    """`engine` is "reference", or "auto" for the best. Raises UnsupportedError."""
    lowered = reference.lower(canonical)
    name = canonical.function.name
    return Compiled(
        code=jit.compile_ir(lowered.modules, lowered.entry, kernel=name),
        function=canonical.function,
        engine="reference",
        entry=lowered.entry,
        granularity="thread",
        suspends=lowered.suspends,
        flush_denormals=canonical.flush_denormals,
        threadgroup_bytes=canonical.threadgroup_bytes,
        buffers=tuple(p.index for p in canonical.parameters if p.role == "buffer"),
        threadgroup_arguments=tuple(
            p.index for p in canonical.parameters if p.role == "threadgroup"
        ),
    )
