"""One call of a kernel as the command line describes it: see `calling.py`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from pymetal.cli.values import constant_value, input_value
from pymetal.datatypes import argument_dtype
from pymetal.devices import device as pick_device
from pymetal.errors import ArgumentError
from pymetal.find import Found, find
from pymetal.kernel import Kernel
from pymetal.library import Library, compile, load
from pymetal.loading import library_of
from pymetal.results import output
from pymetal.run import in_declared_order
from pymetal.source import MathMode

Array = np.ndarray[Any, Any]

NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@contextmanager
def _engine(name: str | None) -> Iterator[None]:
    """Kernels made inside run on that engine of the software device."""
    before = os.environ.get("PYMETAL_ENGINE")
    if name is not None:
        os.environ["PYMETAL_ENGINE"] = name
    try:
        yield
    finally:
        if before is not None:
            os.environ["PYMETAL_ENGINE"] = before
        elif name is not None:
            del os.environ["PYMETAL_ENGINE"]


@dataclass(frozen=True)
class Call:
    """The options of a call, read but not yet checked against a kernel."""

    kernel: str
    grid: Any = None
    threadgroup: Any = None
    threadgroups: Any = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()
    output_dtype: str | None = None
    constants: tuple[tuple[str, str], ...] = ()
    threadgroup_memory: tuple[tuple[str, str], ...] = ()
    include_dirs: tuple[Path, ...] = ()
    macros: tuple[tuple[str, str], ...] = ()
    math_mode: MathMode = "safe"
    device: str | None = None
    timeout: float | None = None
    seed: int = 0
    engine: str | None = None  # of the software device

    def __post_init__(self) -> None:
        """Refuse calls that do not say how large the grid is, or say it twice."""
        if self.grid is None and self.threadgroups is None:
            raise typer.BadParameter(
                "pass --grid THREADS, or --threadgroups COUNT with --threadgroup"
            )
        if self.threadgroups is not None and (self.grid is not None or self.threadgroup is None):
            raise typer.BadParameter("--threadgroups goes with --threadgroup and without --grid")

    def found(self) -> Found:
        """The file, and the function unless the file decides."""
        return find(self.kernel)

    def prepare(self) -> Prepared:
        """Compile the kernel and make its values."""
        start = time.perf_counter()
        found = self.found()
        constants = {int(k) if k.isdigit() else k: constant_value(k, v) for k, v in self.constants}
        with _engine(self.engine):
            library = self._library(found)
            kernel = library.kernel(self._function(found, library), constants)
        compile_seconds = time.perf_counter() - start

        values = [
            value if isinstance(value, output) else input_value(value, kernel, argument, self.seed)
            for argument, value in zip(kernel.arguments, self._ordered(kernel), strict=True)
        ]
        return Prepared(self, found.path, kernel, values, self._memory(kernel), compile_seconds)

    def _library(self, found: Found) -> Library:
        plain = not (self.include_dirs or self.macros or self.math_mode != "safe")
        if plain and self.engine is None:
            return library_of(found, pick_device(self.device))
        if plain and found.path.suffix == ".metallib":
            return load(found.path, device=self.device)
        if found.path.suffix == ".metallib":
            raise ArgumentError(
                f"{found.path} is compiled already: --include, --define and --math-mode are for "
                "source"
            )
        return compile(
            found.path,
            include_dirs=self.include_dirs,
            macros=dict(self.macros),
            math_mode=self.math_mode,
            device=self.device,
        )

    def _function(self, found: Found, library: Library) -> str:
        """The function named, the one named as the file, or the only one."""
        is_named = ":" in self.kernel
        if not is_named and found.function not in library and len(library) == 1:
            return next(iter(library))
        return found.function

    def _ordered(self, kernel: Kernel) -> list[Any]:
        """A marker or a text for each argument: `NAME=VALUE` for that, others in declared order."""
        markers = [output(shape, self.output_dtype) for shape in self.outputs]
        first = sorted(kernel.arguments, key=lambda argument: argument.index)[: len(markers)]
        names = [argument.name for argument in kernel.arguments if argument not in first]
        named: dict[str, str] = {}
        texts: list[str] = []
        for text in self.inputs:
            match = NAMED.match(text)
            if match is None:
                texts.append(text)
            elif match[1] not in names:
                what = f"has no input '{match[1]}'; it has {', '.join(names) or 'none'}"
                raise ArgumentError(f"{kernel.name} {what}\n{kernel}", argument=match[1])
            elif match[1] in named:
                raise ArgumentError(
                    f"{kernel.name}: input '{match[1]}' is given twice", argument=match[1]
                )
            else:
                named[match[1]] = match[2]
        left = iter(texts)
        ordered = [named[name] if name in named else next(left, None) for name in names]
        given = [text for text in [*ordered, *left] if text is not None]
        return in_declared_order(kernel, markers, given)

    def _memory(self, kernel: Kernel) -> dict[int, int]:
        lengths: dict[int, int] = {}
        for index, length in self.threadgroup_memory:
            if not (index.isdigit() and length.isdigit()):
                raise ArgumentError(
                    f"{kernel.name}: --threadgroup-memory {index}={length}: both are whole "
                    "numbers, an index and bytes"
                )
            lengths[int(index)] = int(length)
        return lengths


@dataclass
class Prepared:
    """A compiled kernel with its values, ready to run."""

    call: Call
    path: Path
    kernel: Kernel
    values: list[Any]
    threadgroup_memory: dict[int, int]
    compile_seconds: float

    def named(self) -> dict[str, Any]:
        """The values by argument name, for expressions: outputs are zeros, the rest is copied
        where the kernel may write it.
        """
        named: dict[str, Any] = {}
        for argument, value in zip(self.kernel.arguments, self.values, strict=True):
            if isinstance(value, output):
                dtype = value.dtype or argument_dtype(argument)
                value = np.broadcast_to(np.zeros((), dtype), value.shape)
            elif isinstance(value, np.ndarray) and argument.access != "read":
                value = value.copy()
            named[argument.name] = value
        return named

    def keywords(self) -> dict[str, Any]:
        """What a call takes beside the values."""
        given: dict[str, Any] = {
            "grid": self.call.grid,
            "threadgroup": self.call.threadgroup,
            "threadgroups": self.call.threadgroups,
        }
        if self.threadgroup_memory:
            given["threadgroup_memory"] = self.threadgroup_memory
        if self.call.timeout is not None:
            given["timeout"] = self.call.timeout
        return given

    def save(self, path: Path, check: str) -> None:
        """Write the launch, which has not run yet, to a file for `pymetal replay`."""
        from pymetal.replaying import save

        launch = self.kernel._prepared(
            self.values,
            self.call.grid,
            self.call.threadgroup,
            self.call.threadgroups,
            self.threadgroup_memory or None,
        )
        save(path, self.kernel, launch, check, self.call.seed)

    def run(self) -> Result:
        """Run it once. Without outputs, arrays that it may write are the results."""
        arguments = self.kernel.arguments
        start = time.perf_counter()
        returned = self.kernel(*self.values, **self.keywords())
        run_seconds = time.perf_counter() - start

        marked = [
            a.name for a, v in zip(arguments, self.values, strict=True) if isinstance(v, output)
        ]
        if marked:
            arrays = list(returned) if isinstance(returned, tuple) else [returned]
            return Result(self, dict(zip(marked, arrays, strict=True)), run_seconds)
        in_place = {
            argument.name: value
            for argument, value in zip(arguments, self.values, strict=True)
            if isinstance(value, np.ndarray) and argument.access != "read"
        }
        return Result(self, in_place, run_seconds)


@dataclass
class Result:
    """What a run wrote, by argument, and how long it took."""

    prepared: Prepared
    arrays: dict[str, Array]
    run_seconds: float
