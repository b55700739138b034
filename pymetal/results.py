"""Outputs: arguments that a launch allocates, and hands back as NumPy arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymetal.air.function import Argument
from pymetal.arrays import as_dtype, checked_shape, zeroed
from pymetal.datatypes import argument_dtype, data_type
from pymetal.errors import ArgumentError

Shape = int | tuple[int, ...]


@dataclass(frozen=True, init=False)
class output:  # noqa: N801 - reads as a word at the call: kernel(pymetal.output(4), x)
    """Stands for an argument to be allocated and returned.

    Parameters
    ----------
    shape
        Shape of the returned array, counted in scalars: a `device float4*` of 8 elements is 32
        floats. Structs count as one.
    dtype
        None: what the kernel declares. It is needed only for `device void*`.
    """

    shape: tuple[int, ...]
    dtype: Any

    def __init__(self, shape: Shape, dtype: Any = None) -> None:
        object.__setattr__(self, "shape", checked_shape(shape, "output shape"))
        object.__setattr__(
            self, "dtype", None if dtype is None else as_dtype(dtype, "output dtype")
        )

    def allocate(self, function: str, argument: Argument, max_bytes: int) -> np.ndarray[Any, Any]:
        """Zeroed memory for `argument`, checked against its declaration and the device."""

        def refused(text: str) -> ArgumentError:
            return ArgumentError(
                f"{function}: output '{argument.name}': {text}", argument=argument.name
            )

        if argument.access == "read":
            raise refused(
                f"`{argument}` cannot be written; outputs are `device` arguments without `const`"
            )
        declared = argument_dtype(argument)
        dtype = self.dtype if self.dtype is not None else declared
        if dtype is None:
            raise refused(f"`{argument}` has no dtype of its own; name one")
        if declared is not None and dtype != declared:
            raise refused(f"dtype {dtype} does not fit `{argument}`, which is {declared}")
        size = math.prod(self.shape)
        size_bytes = size * dtype.itemsize
        if size == 0:
            raise refused(f"shape {self.shape} is empty; Metal has no empty buffers")
        if size_bytes > max_bytes:
            raise refused(
                f"shape {self.shape} of {dtype} is {size_bytes} bytes; "
                f"the device allows {max_bytes} a buffer"
            )
        if argument.is_open_ended:
            if size_bytes < argument.size_bytes:
                raise refused(
                    f"shape {self.shape} is {size_bytes} bytes; `{argument}` has "
                    f"{argument.size_bytes} at least"
                )
        elif argument.size_bytes and size_bytes % argument.size_bytes:
            kind = data_type(argument.type_name)
            slots = kind.slots if kind else argument.size_bytes // dtype.itemsize
            raise refused(
                f"shape {self.shape} is {size} scalars; `{argument}` needs a multiple "
                f"of {slots} (shapes count scalars of {dtype})"
            )
        elif argument.is_reference and size_bytes != argument.size_bytes:
            raise refused(
                f"shape {self.shape} is {size_bytes} bytes; `{argument}` is exactly "
                f"{argument.size_bytes}"
            )
        try:
            return zeroed(self.shape, dtype)
        except ArgumentError as error:
            raise refused(error.message) from None
