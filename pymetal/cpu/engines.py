"""Canonical function to compiled kernel, by the fastest engine that takes it."""

from __future__ import annotations

import logging
from dataclasses import replace

from pymetal.air.canonical import CanonicalFunction
from pymetal.cpu import jit, reference
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.jit import NativeCode
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.vectorise import NotVectorised, Vectorised, vectorise
from pymetal.errors import LibraryError, UnsupportedError

_log = logging.getLogger(__name__)

# What a mistake in the vectoriser raises.
_MISTAKES = (AssertionError, IndexError, KeyError, RecursionError, StopIteration, ValueError)


def compile_kernel(
    canonical: CanonicalFunction, engine: str, layout: LaneLayout | None = None
) -> Compiled:
    """The kernel for launches of a layout; `Compiled.full` says for which of their simdgroups.

    `engine` is "reference", "vectorised", or "auto" for the best. Raises UnsupportedError.
    """
    name = canonical.function.name
    if engine == "reference":
        return _by_reference(canonical)
    if engine == "vectorised":
        try:
            return _vectorised(canonical, layout or LaneLayout())
        except NotVectorised as reason:
            raise UnsupportedError(
                f"{name}: the vectorised engine does not do {reason}", feature=str(reason)
            ) from reason
    try:
        return _vectorised(canonical, layout or LaneLayout())
    except (NotVectorised, LibraryError, UnsupportedError) as error:
        why = str(error)
    except _MISTAKES as error:
        # The kernel is right, and the other engine runs it.
        _log.warning("%s: a mistake in the vectoriser", name, exc_info=True)
        why = f"this kernel, by a mistake of PyMetal's ({type(error).__name__}: {error})"
    compiled = _by_reference(canonical)
    note = f"runs on the reference engine, because the vectorised one does not do {why}"
    return replace(compiled, notes=(note, *compiled.notes))


# What one call of vectorised code runs, by the axis that its lanes may lie along.
_GRANULARITY = {None: "simdgroup", 0: "simdgroup along x", 1: "simdgroup along y"}


def _by_reference(canonical: CanonicalFunction) -> Compiled:
    name = canonical.function.name
    lowered = reference.lower(canonical)
    try:
        native, note = jit.compile_any_size(lowered.modules, lowered.entry, kernel=name)
    except jit.InvalidCode as error:
        raise UnsupportedError(
            f"{name}: the reference engine made {error}", feature="code generation"
        ) from error
    compiled = _compiled(
        canonical,
        native,
        engine="reference",
        entry=lowered.entry,
        granularity="thread",
        suspends=lowered.suspends,
    )
    compiled.load()  # LLVM may have made calls that the runtime lacks
    return replace(compiled, notes=(note,)) if note else compiled


def _vectorised(canonical: CanonicalFunction, layout: LaneLayout) -> Compiled:
    try:
        lowered, native = _vector_code(canonical, layout)
    except (jit.TooSlow, jit.InvalidCode) as error:
        raise NotVectorised(str(error)) from error
    compiled = _compiled(
        canonical,
        native,
        engine="vectorised",
        entry=lowered.entry,
        granularity=_GRANULARITY[lowered.axis],
        full=lowered.full,
        suspends=lowered.suspends,
        streams=lowered.streams,
    )
    compiled.load()
    return compiled


def _vector_code(canonical: CanonicalFunction, layout: LaneLayout) -> tuple[Vectorised, NativeCode]:
    lowered = vectorise(canonical, layout)
    return lowered, jit.compile_ir([lowered.ir], lowered.entry, kernel=canonical.function.name)


# Arrays of one thread. More would fit, but 1024 threads would need gigabytes.
MAX_PRIVATE_BYTES = 16 << 20


def _compiled(
    canonical: CanonicalFunction,
    native: NativeCode,
    *,
    engine: str,
    entry: str,
    granularity: str,
    suspends: bool,
    full: bool = False,
    streams: tuple[int, ...] = (),
) -> Compiled:
    def indices(role: str) -> tuple[int, ...]:
        return tuple(p.index for p in canonical.parameters if p.role == role)

    threads = 1 if granularity == "thread" else 32
    if native.private_bytes > threads * MAX_PRIVATE_BYTES:
        raise UnsupportedError(
            f"{canonical.function.name}: each thread keeps {native.private_bytes // threads} bytes "
            f"in arrays of its own; the software device has room for {MAX_PRIVATE_BYTES}",
            feature="private memory",
        )
    return Compiled(
        code=native.code,
        private_bytes=native.private_bytes,
        function=canonical.function,
        engine=engine,
        entry=entry,
        granularity=granularity,
        full=full,
        suspends=suspends,
        flush_denormals=canonical.flush_denormals,
        threadgroup_bytes=canonical.threadgroup_bytes,
        buffers=indices("buffer"),
        threadgroup_arguments=indices("threadgroup"),
        streams=streams,
    )
