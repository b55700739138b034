"""PyMetal: write, run, check and speed up Metal compute kernels from Python."""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymetal.arrays import array as array
    from pymetal.arrays import asarray as asarray
    from pymetal.arrays import dlpack as dlpack
    from pymetal.arrays import empty as empty
    from pymetal.arrays import is_shared as is_shared
    from pymetal.arrays import zeros as zeros
    from pymetal.call import threadgroup_memory as threadgroup_memory
    from pymetal.comparing import compare as compare
    from pymetal.devices import device as device
    from pymetal.devices import device_names as device_names
    from pymetal.errors import ArgumentError as ArgumentError
    from pymetal.errors import CompileError as CompileError
    from pymetal.errors import DeviceError as DeviceError
    from pymetal.errors import Diagnostic as Diagnostic
    from pymetal.errors import Error as Error
    from pymetal.errors import FunctionNotFoundError as FunctionNotFoundError
    from pymetal.errors import KernelFault as KernelFault
    from pymetal.errors import LaunchError as LaunchError
    from pymetal.errors import LibraryError as LibraryError
    from pymetal.errors import ToolchainError as ToolchainError
    from pymetal.errors import UnsupportedError as UnsupportedError
    from pymetal.errors import WaitTimeoutError as WaitTimeoutError
    from pymetal.gpu_capture import capture as capture
    from pymetal.kernel import Kernel as Kernel
    from pymetal.library import Library as Library
    from pymetal.library import compile as compile
    from pymetal.library import load as load
    from pymetal.packing import pack as pack
    from pymetal.packing import unpack as unpack
    from pymetal.peak import Peak as Peak
    from pymetal.peak import measured_peak as measured_peak
    from pymetal.queue import Queue as Queue
    from pymetal.replaying import replay as replay
    from pymetal.report import PerfReport as PerfReport
    from pymetal.report import perf_report as perf_report
    from pymetal.results import output as output
    from pymetal.run import run_metal_kernel as run_metal_kernel
    from pymetal.timing import Timing as Timing
    from pymetal.timing import bench as bench

__version__ = "0.1.0"

# Python started in a source folder finds this file there, and the native module, which is not
# there, in the installed package.
__path__ = extend_path(__path__, __name__)

# Public names and where they live. They load when first used (PEP 562): the build imports
# `pymetal.msl` before NumPy or the native module exist, and `import pymetal` stays fast.
_HOMES = {
    "array": "arrays",
    "asarray": "arrays",
    "dlpack": "arrays",
    "empty": "arrays",
    "is_shared": "arrays",
    "zeros": "arrays",
    "capture": "gpu_capture",
    "device": "devices",
    "device_names": "devices",
    "ArgumentError": "errors",
    "CompileError": "errors",
    "DeviceError": "errors",
    "Diagnostic": "errors",
    "Error": "errors",
    "FunctionNotFoundError": "errors",
    "KernelFault": "errors",
    "LaunchError": "errors",
    "LibraryError": "errors",
    "ToolchainError": "errors",
    "UnsupportedError": "errors",
    "WaitTimeoutError": "errors",
    "Kernel": "kernel",
    "Library": "library",
    "compare": "comparing",
    "compile": "library",
    "load": "library",
    "threadgroup_memory": "call",
    "pack": "packing",
    "unpack": "packing",
    "Peak": "peak",
    "measured_peak": "peak",
    "Queue": "queue",
    "replay": "replaying",
    "PerfReport": "report",
    "perf_report": "report",
    "output": "results",
    "run_metal_kernel": "run",
    "Timing": "timing",
    "bench": "timing",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("pymetal.testing")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pymetal' has no attribute {name!r}")
    value = getattr(import_module(f"pymetal.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "testing"})


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext pymetal` calls: adds the cell magic `%%metal`."""
    from pymetal.notebook import load

    load(shell)
