"""Numbers of 4 and 2 bits, several to a byte, as quantised weights lie in memory.

NumPy has no such arrays: ml_dtypes' int4, uint4, float4_e2m1fn, int2 and uint2 take a byte an
element, and are bound so, as bytes (`char` or `uchar`). Kernels mostly read them packed.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from pymetal.arrays import array, as_dtype, asarray, zeroed
from pymetal.errors import ArgumentError

Array = np.ndarray[Any, Any]

NARROW = ("int4", "uint4", "float4_e2m1fn", "int2", "uint2")
WORDS = tuple(np.dtype(kind) for kind in ("u1", "u2", "u4", "u8"))


def pack(values: Any, word: Any = np.uint8) -> Array:
    """Pack 4-bit or 2-bit numbers, the first of each word in its lowest bits.

    This is the layout of the shipped `matvec_q4`, and of MLX.

    Parameters
    ----------
    values
        An array of ml_dtypes' int4, uint4, float4_e2m1fn, int2 or uint2. Its last axis is a
        multiple of the numbers in a word.
    word
        uint8, uint16, uint32 or uint64: what the kernel declares.

    Returns
    -------
    numpy.ndarray of `word` on memory that devices share, its last axis as much shorter.

    Raises
    ------
    ArgumentError
        Another dtype or word, or a last axis that does not fill whole words.
    """
    source = asarray(values)
    bits = _bits(source.dtype)
    words = as_dtype(word, "word")
    if words not in WORDS:
        raise ArgumentError(f"word is {words}; it is one of {', '.join(map(str, WORDS))}")
    each = words.itemsize * 8 // bits
    if source.ndim == 0 or source.shape[-1] % each:
        raise ArgumentError(
            f"shape {source.shape}: the last axis must be a multiple of {each}, the {source.dtype} "
            f"in a {words}"
        )
    numbers = np.ascontiguousarray(source).view(np.uint8).reshape(*source.shape[:-1], -1, each)
    shifts = np.arange(each, dtype=words) * words.type(bits)
    packed = zeroed(numbers.shape[:-1], words)
    masked = numbers.astype(words) & words.type((1 << bits) - 1)
    np.bitwise_or.reduce(masked << shifts, axis=-1, out=packed)
    return packed


def unpack(packed: Any, dtype: Any) -> Array:
    """What `pack` made `packed` of: an array of `dtype`, a byte an element.

    Raises
    ------
    ArgumentError
        `packed` is not of unsigned integers, or `dtype` none that `pack` takes.
    """
    source, narrow = asarray(packed), as_dtype(dtype)
    bits = _bits(narrow)
    if source.dtype not in WORDS or source.ndim == 0:
        raise ArgumentError(
            f"packed is an array of {source.dtype}, shape {source.shape}; it is one of "
            f"{', '.join(map(str, WORDS))}"
        )
    words = source.dtype
    shifts = np.arange(words.itemsize * 8 // bits, dtype=words) * words.type(bits)
    numbers = ((source[..., None] >> shifts) & words.type((1 << bits) - 1)).astype(np.uint8)
    return array(numbers.reshape(*source.shape[:-1], -1).view(narrow))


def _bits(dtype: np.dtype[Any]) -> int:
    if dtype.name not in NARROW or dtype.type.__module__ != "ml_dtypes":
        raise ArgumentError(f"dtype {dtype} is none of ml_dtypes' {', '.join(NARROW)}")
    info = ml_dtypes.finfo(dtype) if dtype.name.startswith("float") else ml_dtypes.iinfo(dtype)
    return int(info.bits)
