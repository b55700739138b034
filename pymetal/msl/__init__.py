"""MSL to AIR: Metal source, compiled to a `.metallib` for the software Metal device.

Knows nothing of NumPy, of the native module or of devices: it also runs when PyMetal is built.
"""

from pymetal.msl.compiler import check_source, compile_entries, compile_source, kernel_names
from pymetal.msl.preprocess import local_includes

__all__ = ["check_source", "compile_entries", "compile_source", "kernel_names", "local_includes"]
