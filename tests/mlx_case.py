"""MLX's kernels as cases: which instance, how it is launched, what NumPy says of the result.

A case names one instance of a kernel template in the headers of the mlx-metal wheel, and the name
under which Apple's `.metallib` in the same wheel has it: the one case tests both ways to AIR.
Launch geometry and layout of arguments are those of MLX (github.com/ml-explore/mlx).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import apple_metallib
import ml_dtypes
import numpy as np
from canonical_launch import launch

from pymetal.air.canonical import CanonicalFunction
from pymetal.air.library import Library
from pymetal.msl import compile_source
from pymetal.source import CompileOptions, Source

Array = np.ndarray[Any, Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "bool_": np.dtype(bool),
    "complex64": np.dtype(np.complex64),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
} | {f"{s}int{b}": np.dtype(f"{s}int{b}") for s in ("", "u") for b in (8, 16, 32, 64)}
FLOATS = ("float32", "float16", "bfloat16")
INTEGERS = tuple(n for n in DTYPES if "int" in n)
# MLX's name of a type in its template arguments.
METAL = {"bool_": "bool", "complex64": "complex64_t", "float32": "float", "float16": "half"} | {
    name: f"{name}_t" for name in ("bfloat16", *INTEGERS)
}
KERNELS = "mlx/backend/metal/kernels"
# One module of instances: clang's time grows with them, and each is then read from it.
INSTANCES_AT_ONCE = 16


@dataclass(frozen=True)
class Expected:
    """What a buffer holds afterwards. Tolerances are those of `numpy.testing.assert_allclose`."""

    values: Any
    rtol: float = 0
    atol: float = 0


@dataclass(frozen=True)
class Launch:
    """Buffers by index, those the kernel writes included; sizes in threads.

    Constants are by index; those that a kernel does not have are left out.
    """

    buffers: Mapping[int, Array]
    grid: Sequence[int]
    threadgroup: Sequence[int]
    expected: Mapping[int, Expected]
    constants: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """`instance` of a template ("unary_v<float, float, Sin>"), from `headers` below KERNELS.

    No headers: MLX has it in its `.metallib` only. Cases of one kernel differ behind a "#".
    """

    family: str
    name: str
    headers: tuple[str, ...]
    instance: str
    launch: Callable[[], Launch]

    @property
    def kernel(self) -> str:
        """The kernel's name in either library."""
        return self.name.partition("#")[0]

    def line(self) -> str:
        """The explicit instantiation."""
        kernel = f"decltype({self.instance}) {self.instance}"
        return f'template [[host_name("{self.kernel}")]] [[kernel]] {kernel};\n'


def sources(cases: Iterable[Case]) -> list[tuple[Source, list[Case]]]:
    """Sources that instantiate the cases, each a few of the same headers."""
    by_headers: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        if case.headers:
            by_headers.setdefault(case.headers, []).append(case)
    made = []
    for headers, group in by_headers.items():
        includes = "".join(f'#include "{KERNELS}/{name}"\n' for name in headers)
        for start in range(0, len(group), INSTANCES_AT_ONCE):
            part = group[start : start + INSTANCES_AT_ONCE]
            lines = dict.fromkeys(case.line() for case in part)
            made.append((Source(includes + "".join(lines)), part))
    return made


def options() -> CompileOptions:
    return CompileOptions(include_dirs=(apple_metallib.include_folder(),))


def compiled(source: Source) -> Library:
    return Library.from_bytes(compile_source(source, options()))


@cache
def apple() -> Library:
    return Library.open(apple_metallib.path())


def check(case: Case, library: Library, engine: str = "reference") -> None:
    """Run the case's kernel of `library` and compare; AssertionError where it differs."""
    run = case.launch()
    known = {constant.index for constant in library.function(case.kernel).constants}
    constants = {index: value for index, value in run.constants.items() if index in known}
    run_and_compare(library.canonical(case.kernel, constants), run, engine)


def run_and_compare(canonical: CanonicalFunction, run: Launch, engine: str) -> None:
    buffers = {index: array.copy() for index, array in run.buffers.items()}
    launch(canonical, buffers, run.grid, run.threadgroup, engine=engine)
    for index, expected in run.expected.items():
        compare(buffers[index], expected)


def compare(actual: Array, expected: Expected) -> None:
    """In float64 (complex128); NaN and infinity must be where the reference has them."""
    values = np.asarray(expected.values)
    assert values.shape == actual.shape, f"shape {actual.shape}, expected {values.shape}"
    if actual.dtype.kind in "iub" and not (expected.rtol or expected.atol):
        np.testing.assert_array_equal(actual, values)
        return
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    np.testing.assert_allclose(
        actual.astype(wide), values.astype(wide), rtol=expected.rtol, atol=expected.atol
    )


def epsilon(dtype: Any) -> float:
    """The distance from 1 to the next number of a type; 0 for integers."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iub":
        return 0
    return float(ml_dtypes.finfo(np.float32 if dtype.kind == "c" else dtype).eps)


def number(dtype: Any, value: Any) -> Array:
    """One value as a buffer."""
    return np.array([value], dtype)


def groups(count: int, size: int) -> int:
    """How many groups of `size` hold `count`."""
    return -(-count // size)
