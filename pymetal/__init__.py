"""PyMetal: write, run, check and speed up Metal compute kernels from Python."""

__version__ = "0.1.0"
