"""Problems: matrix products, and a matrix of 4 bits times a vector."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np

from versus.problem import Array, Problem, Step

U = np.uint32
BFLOAT = np.dtype(ml_dtypes.bfloat16)


def _matrices(size: int) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal((size, size), np.float32) for name in ("A", "B")}


def _product(A: Array, B: Array) -> Array:  # noqa: N803 - as the kernels name them
    return A.astype(np.float64) @ B.astype(np.float64)


def _blas(A: Array, B: Array, out: Array) -> None:  # noqa: N803
    np.matmul(A, B, out=out)


def _naive(name: str, metal: str, opencl: str) -> Problem:
    size = 512
    arguments = ("out", "A", "B", U(size))
    return Problem(
        name,
        _matrices(size),
        {"out": ((size, size), np.float32)},
        _product,
        1e-5,
        (Step("matmul", metal, arguments, (size, size), (16, 16)),),
        (Step("matmul", opencl, arguments, (size, size), (16, 16)),),
        numba="matmul",
        numpy=_blas,
    )


def rows() -> Problem:
    return _naive("matmul 512, lanes along rows", "matmul_coalesced", "matmul_rows")


def columns() -> Problem:
    return _naive("matmul 512, lanes down columns", "matmul", "matmul_columns")


def tiled() -> Problem:
    size = 512
    arguments = ("out", "A", "B", U(size), U(size))
    return Problem(
        "matmul 512, tiled 32x32",
        _matrices(size),
        {"out": ((size, size), np.float32)},
        _product,
        1e-5,
        (Step("bench/metal/tiled", "matmul_tiled", arguments, (size, size), (32, 32)),),
        (Step("matmul", "matmul_tiled", arguments, (size, size), (32, 32)),),
        numba="matmul",
        numpy=_blas,
    )


def simdgroup(size: int) -> Problem:
    return Problem(
        f"matmul {size}, simdgroup",
        _matrices(size),
        {"out": ((size, size), np.float32)},
        _product,
        1e-5,
        (_blocked(size, "matmul_simdgroup_blocked"),),
        (_blocked_opencl(size),),
        numba="matmul",
        numpy=_blas,
        of_blas=0.7,
    )


def bfloat() -> Problem:
    size = 512

    def numpy(A: Array, B: Array, out: Array) -> None:  # noqa: N803
        out[...] = A.astype(np.float32) @ B.astype(np.float32)

    return Problem(
        f"matmul {size}, bfloat blocked",
        {name: x.astype(BFLOAT) for name, x in _matrices(size).items()},
        {"out": ((size, size), BFLOAT)},
        _product,
        1 / 256,  # half a unit in bfloat's last place
        (_blocked(size, "matmul_simdgroup_blocked_bfloat"),),
        (_blocked_opencl(size),),
        options=("-DBFLOAT",),
        numba="matmul_bfloat",
        numpy=numpy,
    )


def _blocked(size: int, kernel: str) -> Step:
    arguments = ("out", "A", "B", U(size), U(size), U(size))
    return Step("matmul_simdgroup", kernel, arguments, (size * 2, size // 64), (128, 1))


def _blocked_opencl(size: int) -> Step:
    arguments = ("out", "A", "B", U(size), U(size))
    return Step("matmul", "matmul_blocked", arguments, (size // 4, size // 4), (16, 16))


def matvec_q4() -> Problem:
    size = 4096
    rng = np.random.default_rng(2)
    groups = (size, size // 32)
    inputs: dict[str, Array] = {
        "packed": rng.integers(0, 2**32, (size, size // 8), np.uint32),
        "scales": rng.random(groups, np.float32) / 16,
        "biases": -rng.random(groups, np.float32) / 2,
        "x": rng.standard_normal(size, np.float32),
    }

    def unpacked(packed: Array, scales: Array, biases: Array, dtype: type) -> Array:
        shifts = np.arange(8, dtype=np.uint32) * U(4)
        q = (packed[:, :, None] >> shifts & U(15)).reshape(size, size // 32, 32).astype(dtype)
        return (q * scales[:, :, None] + biases[:, :, None]).reshape(size, size)

    def expected(packed: Array, scales: Array, biases: Array, x: Array) -> Array:
        return unpacked(packed, scales, biases, np.float64) @ x.astype(np.float64)

    def numpy(packed: Array, scales: Array, biases: Array, x: Array, out: Array) -> None:
        np.matmul(unpacked(packed, scales, biases, np.float32), x, out=out)

    arguments = ("out", "packed", "scales", "biases", "x", U(size))
    return Problem(
        "matvec 4096, 4 bits",
        inputs,
        {"out": ((size,), np.float32)},
        expected,
        1e-5,
        (Step("matvec_q4", "matvec_q4_simd", arguments, (32, size), (32, 4)),),
        (Step("matvec_q4", "matvec_q4", arguments, (64, size), (64, 1)),),
        numba="matvec_q4",
        numpy=numpy,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "matmul_rows": rows,
    "matmul_columns": columns,
    "matmul_tiled": tiled,
    "matmul_simdgroup_512": lambda: simdgroup(512),
    "matmul_simdgroup_1024": lambda: simdgroup(1024),
    "matmul_bfloat": bfloat,
    "matvec_q4": matvec_q4,
}
