"""Compiling snippets of Metal in tests of the front end."""

from __future__ import annotations

import pymetal
from pymetal.air.container import Container
from pymetal.air.function import Function
from pymetal.air.module import Module
from pymetal.errors import CompileError, Diagnostic
from pymetal.msl import compile_source
from pymetal.source import CompileOptions, Source

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"


def compile_text(text: str, options: CompileOptions | None = None, kernels=None) -> Container:
    """The library of a source that starts behind the usual two lines."""
    data = compile_source(Source(HEADER + text), options or CompileOptions(), kernels)
    return Container(data)


def reflect(text: str, name: str) -> Function:
    """What the compiled library says of one kernel."""
    entry = compile_text(text).entry(name)
    return Module(entry.bitcode).function(entry.symbol, name)


def compiles(text: str, device: str = "cpu") -> bool:
    """Whether the compiler of `device` accepts the source: ours for "cpu", Apple's for "metal"."""
    try:
        if device == "cpu":
            compile_text(text)
        else:
            pymetal.compile(HEADER + text, device=device)
    except CompileError:
        return False
    return True


def errors_of(text: str) -> list[Diagnostic]:
    """The errors of a source that must not compile. Lines count from its first."""
    try:
        compile_text(text)
    except CompileError as error:
        return [d for d in error.diagnostics if d.severity == "error"]
    raise AssertionError("it compiled")
