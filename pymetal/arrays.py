"""Arrays in memory that kernels use where it lies: NumPy arrays on pages that devices share.

Both devices bind them without a copy, and what kernels return are such arrays, so that chains of
kernels never copy. `asarray` sees other libraries' arrays (torch, jax, mlx and more) without a copy
through DLPack, `__array_interface__` or the buffer protocol; the other way NumPy's own
`__dlpack__` serves, as in `torch.from_dlpack(array)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pymetal import _native
from pymetal.errors import ArgumentError
from pymetal.scalars import whole_number
from pymetal.shown import shown

Array = np.ndarray[Any, Any]

# DLPack's type codes and devices, from dlpack.h version 1.1.
_KINDS = {0: "i", 1: "u", 2: "f", 5: "c"}
_ML_DTYPES = {
    (4, 16): "bfloat16",
    (7, 8): "float8_e3m4",
    (8, 8): "float8_e4m3",
    (9, 8): "float8_e4m3b11fnuz",
    (10, 8): "float8_e4m3fn",
    (11, 8): "float8_e4m3fnuz",
    (12, 8): "float8_e5m2",
    (13, 8): "float8_e5m2fnuz",
    (14, 8): "float8_e8m0fnu",
}
_BOOL = 6
_CPU, _CUDA_HOST, _METAL = 1, 3, 8


def empty(shape: Any, dtype: Any = np.float32) -> Array:
    """An array on memory that devices share. It is zero, as fresh pages are.

    Parameters
    ----------
    shape
        An int or a tuple of ints.
    dtype
        NumPy's or ml_dtypes'; float32 if not given, as Metal has no double.

    Raises
    ------
    ArgumentError
        A shape or dtype that no array has, or more than memory holds.
    """
    return zeroed(checked_shape(shape), as_dtype(dtype))


def zeros(shape: Any, dtype: Any = np.float32) -> Array:
    """An array of zeros on memory that devices share; see `empty`."""
    return empty(shape, dtype)


def array(values: Any, dtype: Any = None) -> Array:
    """A copy of `values` on memory that devices share, C-contiguous.

    Parameters
    ----------
    values
        An array of any library, a number, or nested sequences of numbers.
    dtype
        None: that of `values`. Python floats become float32 and Python ints int32, as Metal has
        no double and counts in 32 bits; an int that does not fit is refused.
    """
    source = viewed(values)
    if source is None:
        source = _from_python(values, dtype)
    target = zeroed(source.shape, source.dtype if dtype is None else as_dtype(dtype))
    np.copyto(target, source, casting="same_kind" if dtype is None else "unsafe")
    return target


def asarray(values: Any, dtype: Any = None) -> Array:
    """`values` as a NumPy array, over the same memory wherever it has some.

    An array of another library is seen without a copy, and what a kernel writes to it arrives
    there. Python numbers and sequences, and arrays of another dtype than asked for, become
    `array(values, dtype)`.

    Raises
    ------
    ArgumentError
        The array lies in memory of another device.
    """
    view = viewed(values)
    if view is None or (dtype is not None and view.dtype != as_dtype(dtype)):
        return array(values, dtype)
    return view


def dlpack(values: Any) -> Any:
    """What other libraries' `from_dlpack` take an array as, without a copy.

    NumPy's own arrays are that already; those of ml_dtypes' bfloat16 and float8 types, which NumPy
    does not hand over, become an object that does: `torch.from_dlpack(pymetal.dlpack(x))`.

    Raises
    ------
    ArgumentError
        DLPack has no such dtype: int4 and its kind, which take a byte an element here.
    """
    source = asarray(values)
    if source.dtype.kind != "V" and source.dtype.isbuiltin == 1:
        return source
    for (code, bits), name in _ML_DTYPES.items():
        if source.dtype.name == name:
            address: int = source.__array_interface__["data"][0]
            item = source.dtype.itemsize
            strides = [stride // item for stride in source.strides]
            is_read_only = not source.flags.writeable
            return _native.lend(source, address, source.shape, strides, code, bits, is_read_only)
    raise ArgumentError(f"DLPack has no dtype {source.dtype}; hand over x.view(np.uint8)")


def is_shared(values: Array) -> bool:
    """Whether the array lies on memory of `empty`, `zeros`, `array` or a kernel's result."""
    owner: Any = values
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return isinstance(owner, _native.Memory)


def zeroed(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """As `zeros`, for a shape and dtype that were checked."""
    if dtype.hasobject:
        raise ArgumentError(f"dtype {dtype} holds Python objects; devices share numbers only")
    size_bytes = math.prod(shape) * dtype.itemsize
    try:
        memory: Any = _native.Memory(size_bytes)
        made: Array = np.ndarray(shape, dtype, buffer=memory)
    except (MemoryError, OverflowError, TypeError):  # TypeError: beyond 64 bits, for nanobind
        raise ArgumentError(
            f"shape {shape} of {dtype} is {size_bytes} bytes, more than memory holds"
        ) from None
    except ValueError as error:  # NumPy's own limits: 64 dimensions
        raise ArgumentError(f"shape {shape}: {error}") from None
    return made


def checked_shape(shape: Any, what: str = "shape") -> tuple[int, ...]:
    """An int or a sequence of ints as a tuple, none negative; `what` is for errors."""
    if type(shape) is int and 0 <= shape < 1 << 63:
        return (shape,)
    parts: Sequence[Any]
    if isinstance(shape, (tuple, list)):
        parts = shape
    elif isinstance(shape, (str, bytes, float)) or shape is None:
        raise ArgumentError(f"{what} {shown(shape)} is not an int or a tuple of ints")
    else:
        parts = (shape,)
    sizes: list[int] = []
    for part in parts:
        try:
            sizes.append(whole_number(part))
        except TypeError:
            raise ArgumentError(
                f"{what} {shown(shape)} is not an int or a tuple of ints: {shown(part)} is "
                f"{type(part).__name__}"
            ) from None
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"{what} {shown(tuple(sizes))} has a negative dimension")
    if max(sizes, default=0) >= 1 << 63:
        raise ArgumentError(f"{what} {shown(tuple(sizes))} is more than any memory holds")
    return tuple(sizes)


def as_dtype(dtype: Any, what: str = "dtype") -> np.dtype[Any]:
    """The NumPy dtype that `dtype` names; `what` is for errors."""
    try:
        converted: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError, KeyError, SyntaxError) as error:
        raise ArgumentError(f"{what} {shown(dtype)} is not a NumPy dtype ({error})") from None
    return converted


def viewed(values: Any) -> Array | None:
    """A NumPy array over the memory of `values`, None if it is no array of any library."""
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, (np.generic, int, float, str, bytes, bytearray, memoryview, list, tuple)):
        return None
    if hasattr(type(values), "__dlpack__"):
        return _borrowed(values)
    if hasattr(values, "__array_interface__") or hasattr(type(values), "__array_struct__"):
        return np.asarray(values)
    try:
        buffer = memoryview(values)
    except TypeError:
        return None
    return np.asarray(buffer)


def _borrowed(values: Any) -> Array:
    name = f"{type(values).__module__.partition('.')[0]}.{type(values).__qualname__}"
    try:
        kind, number = values.__dlpack_device__()
        if kind not in (_CPU, _CUDA_HOST, _METAL):
            raise BufferError(
                f"it lies on another device (DLPack's device {int(kind)}, {int(number)}); move "
                "it to the CPU first"
            )
        borrowed: Any = _native.Borrowed(_capsule(values))
        dtype = _dlpack_dtype(*borrowed.dtype)
        if 0 in borrowed.shape:
            return np.empty(borrowed.shape, dtype)
        view: Array = np.ndarray(borrowed.shape, dtype, buffer=borrowed, strides=borrowed.strides)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(f"the {name} does not share its memory: {error}") from None
    if name.startswith("jax"):
        view.flags.writeable = False  # jax never changes an array, and does not tell DLPack
    return view


def _capsule(values: Any) -> Any:
    """The array as DLPack hands it over, which tells since version 1 whether it is read-only."""
    try:
        return values.__dlpack__(max_version=(1, 1))
    except TypeError:  # from before version 1
        return values.__dlpack__()


def _dlpack_dtype(code: int, bits: int, lanes: int) -> np.dtype[Any]:
    if lanes == 1 and (code, bits) in _ML_DTYPES:
        import ml_dtypes

        narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[code, bits]))
        return narrow
    if lanes == 1 and code == _BOOL and bits == 8:
        return np.dtype(np.bool_)
    if lanes == 1 and code in _KINDS and bits in (8, 16, 32, 64, 128):
        return np.dtype(f"{_KINDS[code]}{bits // 8}")
    raise TypeError(f"NumPy lacks its type (DLPack's code {code}, {bits} bits, {lanes} lanes)")


def _from_python(values: Any, dtype: Any) -> Array:
    try:
        source = np.asarray(values, None if dtype is None else as_dtype(dtype))
    except (ValueError, TypeError, OverflowError) as error:
        raise ArgumentError(f"{shown(values)} makes no array: {error}") from None
    if source.dtype.kind not in "biufcV":
        raise ArgumentError(f"{shown(values)} makes an array of {source.dtype}, not of numbers")
    if dtype is not None or isinstance(values, np.generic):
        return source
    if source.dtype == np.float64:
        return source.astype(np.float32)
    if source.dtype == np.int64:
        narrow = source.astype(np.int32)
        if not np.array_equal(narrow, source):
            raise ArgumentError(f"{shown(values)} has ints that int32 cannot hold; name a dtype")
        return narrow
    return source
