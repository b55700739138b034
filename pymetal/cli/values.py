"""`--input` and `--constant`: from a text of the command line to a kernel's value."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from pymetal.air.function import Argument
from pymetal.errors import ArgumentError
from pymetal.kernel import Kernel

MADE = re.compile(r"(random|zeros|ones|arange):(\d+(?:[,x]\d+)*)")


def input_value(text: str, kernel: Kernel, argument: Argument, seed: int) -> Any:
    """The value that `--input TEXT` means for an argument.

    Raises
    ------
    ArgumentError
        A file cannot be read, or the text means nothing.
    """

    def refused(why: str) -> ArgumentError:
        return ArgumentError(
            f"{kernel.name}: input '{argument.name}': {why}", argument=argument.name
        )

    if text.endswith(".npy"):
        try:
            return _of_declared_bits(np.load(text, allow_pickle=False), kernel, argument)
        except FileNotFoundError:
            raise refused(f"there is no file {text}") from None
        except (OSError, ValueError, EOFError) as error:
            raise refused(f"{text} cannot be read: {error}") from None
    if made := MADE.fullmatch(text):
        shape = tuple(map(int, made[2].replace("x", ",").split(",")))
        dtype = kernel.dtype(argument.name)
        if dtype is None or dtype.fields is not None:
            raise refused(f"{made[1]}: makes arrays of numbers; `{argument}` needs a .npy file")
        try:
            return made_array(made[1], shape, dtype, seed + argument.index)
        except (MemoryError, ValueError) as error:
            raise refused(f"{text}: {error}") from None
    if text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise refused(f"{text} is not JSON: {error}") from None
    value = number_or_vector(text)
    if value is None:
        raise refused(
            f"'{text}' is not a .npy file, a number, true or false, numbers with commas, "
            "a JSON object, or random:, zeros:, ones: or arange: with a shape"
        )
    return value


def number_or_vector(text: str) -> Any:
    """512, 0x10, 1.5, nan, true, or several with commas as a tuple; None for anything else."""
    parts = [number(part.strip()) for part in text.split(",")]
    if any(part is None for part in parts):
        return None
    return parts[0] if len(parts) == 1 else tuple(parts)


def number(text: str) -> bool | int | float | None:
    """A boolean, an integer or a float; None for anything else."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (_integer, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def constant_value(name: str, text: str) -> Any:
    """The value that `--constant NAME=TEXT` means."""
    value = number_or_vector(text)
    if value is None:
        raise ArgumentError(
            f"--constant {name}={text}: '{text}' is not a number, true or false, or numbers "
            "with commas",
            argument=name,
        )
    return value


def made_array(
    how: str, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int
) -> np.ndarray[Any, Any]:
    """Zeros, ones, 0, 1, 2, …, or random numbers: normal for floats, below 100 for integers."""
    if how == "zeros":
        return np.zeros(shape, dtype)
    if how == "ones":
        return np.ones(shape, dtype)
    if how == "arange":
        return np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
    rng = np.random.default_rng(seed)
    if dtype.kind in "iub":
        return rng.integers(2 if dtype.kind == "b" else 100, size=shape).astype(dtype)
    return rng.standard_normal(shape, np.float32).astype(dtype)


def _integer(text: str) -> int:
    return int(text, 0)


def _of_declared_bits(array: Any, kernel: Kernel, argument: Argument) -> Any:
    """The array; bytes without a type, as which .npy files keep bfloat16, get the declared one."""
    dtype = kernel.dtype(argument.name)
    untyped = array.dtype.kind == "V" and array.dtype.fields is None
    if untyped and dtype is not None and array.dtype.itemsize == dtype.itemsize:
        return array.view(dtype)
    return array
