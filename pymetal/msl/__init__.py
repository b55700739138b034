"""MSL to AIR: Metal source, compiled to a `.metallib` for the software Metal device.

Knows nothing of NumPy, of the native module or of devices: it also runs when PyMetal is built.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymetal.msl.compiler import check_source as check_source
    from pymetal.msl.compiler import compile_entries as compile_entries
    from pymetal.msl.compiler import compile_source as compile_source
    from pymetal.msl.compiler import kernel_names as kernel_names
    from pymetal.msl.compiler import list_kernels as list_kernels
    from pymetal.msl.preprocess import local_includes as local_includes

# Loaded when first used: with everything in the disk cache, only `local_includes` is.
_HOMES = {
    "check_source": "compiler",
    "compile_entries": "compiler",
    "compile_source": "compiler",
    "kernel_names": "compiler",
    "list_kernels": "compiler",
    "local_includes": "preprocess",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pymetal.msl' has no attribute {name!r}")
    return getattr(import_module(f"pymetal.msl.{_HOMES[name]}"), name)
