"""What Metal refused, as PyMetal's typed errors, with Metal's own code and text."""

from __future__ import annotations

from typing import Any

from pymetal._native import MetalFailure
from pymetal.errors import (
    CompileError,
    DeviceError,
    Error,
    FunctionNotFoundError,
    KernelFault,
    LaunchError,
    LibraryError,
    UnsupportedError,
)
from pymetal.metal.diagnostics import parse
from pymetal.shown import counted

_STAGES: dict[str, type[Error]] = {
    "device": DeviceError,
    "metallib": LibraryError,
    "function": FunctionNotFoundError,
    "buffer": DeviceError,
    "launch": LaunchError,
    "timeout": KernelFault,
    "capture": DeviceError,
    "log": DeviceError,
    "unsupported": UnsupportedError,
}

# MTLCommandBufferError: what went wrong, and whether the kernel is to blame.
_RUN: dict[int, tuple[type[Error], str]] = {
    1: (KernelFault, "the GPU stopped with an internal error"),
    2: (
        KernelFault,
        "the GPU's watchdog stopped the kernel, which ran too long; split the grid into several "
        "smaller launches",
    ),
    3: (
        KernelFault,
        "the kernel touched memory outside its buffers; run it with MTL_SHADER_VALIDATION=1 set "
        "before Python starts, or on the cpu device",
    ),
    4: (DeviceError, "the GPU refuses this process after earlier faults; start Python anew"),
    7: (DeviceError, "this process may not use the GPU now"),
    8: (DeviceError, "the GPU ran out of memory"),
    9: (KernelFault, "the kernel used a resource that is gone"),
    11: (DeviceError, "the GPU was removed"),
    12: (KernelFault, "the kernel's calls are too deep for its stack"),
}


def error_of(failure: MetalFailure, subject: str = "") -> Error:
    """The typed error of a `MetalFailure`. `subject` is the kernel, file or path it is about.

    Launches of a queue share a command buffer, and Metal does not tell which of them failed.
    The error has Metal's `domain` ("" if the failure is not Metal's), `code` and `text`.
    """
    stage, text, domain, code, launches = failure.args
    if launches > 1:
        subject = f"one of {launches} launches that ran together, the first {subject}"
    said = f"{text} ({domain} {code})" if domain else str(text)
    facts: dict[str, Any] = {"domain": domain, "code": code, "text": text}
    lead = f"{subject}: " if subject else ""
    if stage == "compile":
        diagnostics = parse(text, subject)
        count = sum(d.severity == "error" for d in diagnostics)
        summary = counted(count, "error") if count else f"Metal says: {said}"
        error: Error = CompileError(f"{lead}{summary}", diagnostics)
        error.__dict__.update(facts)
        return error
    if stage == "pipeline":
        error = CompileError(f"{lead}no pipeline could be made. Metal says: {said}")
        error.__dict__.update(facts)
        return error
    if stage == "run":
        cls, meaning = _RUN.get(code, (KernelFault, "the kernel did not finish"))
        return cls(f"{lead}{meaning}\n  Metal says: {said}", **facts)
    if stage == "timeout":
        hint = "; it may still run. Split the grid, or allow more time"
        return KernelFault(f"{lead}{text}{hint}", **facts)
    return _STAGES[stage](f"{lead}{said}", **facts)
