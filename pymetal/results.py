"""Outputs: arguments that a launch allocates, and hands back as NumPy arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymetal.air.function import Argument
from pymetal.datatypes import argument_dtype, data_type
from pymetal.errors import ArgumentError
from pymetal.shown import shown

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
        object.__setattr__(self, "shape", checked_shape(shape))
        object.__setattr__(self, "dtype", None if dtype is None else _dtype(dtype))

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
        if argument.size_bytes and size_bytes % argument.size_bytes:
            kind = data_type(argument.type_name)
            slots = kind.slots if kind else argument.size_bytes // dtype.itemsize
            raise refused(
                f"shape {self.shape} is {size} scalars; `{argument}` needs a multiple "
                f"of {slots} (shapes count scalars of {dtype})"
            )
        if argument.is_reference and size_bytes != argument.size_bytes:
            raise refused(
                f"shape {self.shape} is {size_bytes} bytes; `{argument}` is exactly "
                f"{argument.size_bytes}"
            )
        try:
            return np.zeros(self.shape, dtype)
        except MemoryError:
            raise refused(
                f"shape {self.shape} of {dtype} is {size_bytes} bytes, more than memory holds"
            ) from None
        except ValueError as error:  # NumPy's own limits: 64 dimensions
            raise refused(f"shape {self.shape}: {error}") from None


def checked_shape(shape: Any) -> tuple[int, ...]:
    """An int or a sequence of ints as a tuple, none negative."""
    parts: Sequence[Any]
    if isinstance(shape, (tuple, list)):
        parts = shape
    elif isinstance(shape, (str, bytes, float)) or shape is None:
        raise ArgumentError(f"output shape {shown(shape)} is not an int or a tuple of ints")
    else:
        parts = (shape,)
    sizes: list[int] = []
    for part in parts:
        try:
            if isinstance(part, (bool, np.bool_)):
                raise TypeError
            sizes.append(operator.index(part))
        except TypeError:
            raise ArgumentError(
                f"output shape {shown(shape)} is not an int or a tuple of ints: {shown(part)} is "
                f"{type(part).__name__}"
            ) from None
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"output shape {shown(tuple(sizes))} has a negative dimension")
    if max(sizes, default=0) >= 1 << 63:
        raise ArgumentError(f"output shape {shown(tuple(sizes))} is more than any memory holds")
    return tuple(sizes)


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        converted: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError, KeyError, SyntaxError) as error:
        raise ArgumentError(f"output dtype {shown(dtype)} is not a NumPy dtype ({error})") from None
    return converted
