"""Peers: OpenCL's platforms for processors, PoCL and Intel's runtime, through PyOpenCL.

Both load into one process. Debian has PoCL as pocl-opencl-icd; Intel's comes with PyPI's
intel-opencl-rt, whose library the loader is told of here.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from versus.problem import AbsentError, Problem, Runner

PLATFORMS = {"PoCL": "Portable Computing Language", "Intel OpenCL": "Intel(R) OpenCL"}
_SOURCES = Path(__file__).parents[1] / "opencl"


@cache
def _platforms() -> dict[str, Any]:
    """By their own names."""
    vendors = Path(os.environ.get("OCL_ICD_VENDORS") or "/etc/OpenCL/vendors")
    intel = _intel_library()
    if intel is not None:
        folder = Path(tempfile.mkdtemp(prefix="opencl-vendors-"))
        for known in [vendors] if vendors.is_file() else vendors.glob("*.icd"):
            (folder / known.name).write_text(known.read_text())
        (folder / "intel-of-pypi.icd").write_text(f"{intel}\n")
        os.environ["OCL_ICD_VENDORS"] = str(folder)
    try:
        import pyopencl as cl
    except ImportError as error:
        raise AbsentError("PyOpenCL is not installed (pip install pyopencl)") from error
    try:
        return {p.name: p for p in cl.get_platforms()}
    except cl.Error as error:
        raise AbsentError(f"no OpenCL platform: {error}") from error


def _intel_library() -> Path | None:
    """Where pip put Intel's OpenCL, in whichever environment; None if it did not."""
    try:
        listed = importlib.metadata.files("intel-opencl-rt") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(f.locate())).resolve() for f in listed if f.name == "libintelocl.so"]
    return found[0] if found else None


def _why_absent(name: str) -> str:
    """Why there is no such platform."""
    if name == "PoCL":
        return "not installed (Debian: pocl-opencl-icd)"
    library = _intel_library()
    if library is None:
        return f"not installed for {sys.executable} (pip install intel-opencl-rt)"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return f"its library does not load: {error}"
    return f"OpenCL's loader does not list it, though {library} loads"


class OpenCL:
    """One platform."""

    def __init__(self, name: str) -> None:
        self.name = name
        platform = _platforms().get(PLATFORMS[name])
        if platform is None:
            raise AbsentError(_why_absent(name))
        import pyopencl as cl

        self.version = platform.version
        self._context = cl.Context(platform.get_devices())
        self._queue = cl.CommandQueue(self._context)
        self._programs: dict[tuple[str, tuple[str, ...]], Any] = {}

    def runner(self, problem: Problem) -> Runner:
        import pyopencl as cl

        if not problem.opencl:
            raise AbsentError("no OpenCL kernel of this")
        flags = cl.mem_flags
        buffers: dict[str, Any] = {
            name: cl.Buffer(self._context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=x)
            for name, x in problem.inputs.items()
        }
        for name, (shape, dtype) in problem.outputs.items():
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            buffers[name] = cl.Buffer(self._context, flags.READ_WRITE, size)
        launches = []
        for step in problem.opencl:
            kernel = cl.Kernel(self._program(step.file, problem.options), step.kernel)
            kernel.set_args(*(buffers[a] if isinstance(a, str) else a for a in step.arguments))
            launches.append((kernel, step.grid, step.threadgroup))

        def run(_arguments: object = buffers) -> None:  # kernels do not keep their buffers
            for kernel, grid, group in launches:
                cl.enqueue_nd_range_kernel(self._queue, kernel, grid, group)
            self._queue.finish()

        def result() -> np.ndarray[Any, Any]:
            shape, dtype = problem.outputs["out"]
            out = np.empty(shape, dtype)
            cl.enqueue_copy(self._queue, out, buffers["out"])
            return out

        return Runner(run, result)

    def _program(self, file: str, options: tuple[str, ...]) -> Any:
        import pyopencl as cl

        key = (file, options)
        if key not in self._programs:
            source = (_SOURCES / f"{file}.cl").read_text()
            everything = ["-cl-fast-relaxed-math", *options]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", cl.CompilerWarning)  # "successfully built"
                try:
                    self._programs[key] = cl.Program(self._context, source).build(everything)
                except cl.Error as error:
                    raise AbsentError(f"does not compile {file}.cl: {error}") from error
        return self._programs[key]
