"""Problems: a whole array at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from versus.problem import Array, Problem, Step

U, F = np.uint32, np.float32
N = 1 << 24


def add() -> Problem:
    rng = np.random.default_rng(6)

    def numpy(A: Array, B: Array, out: Array) -> None:  # noqa: N803 - as the kernel names them
        np.add(A, B, out=out)

    arguments = ("out", "A", "B")
    return Problem(
        "vector add 16 M",
        {name: rng.random(N, F) for name in ("A", "B")},
        {"out": ((N,), F)},
        lambda A, B: A.astype(np.float64) + B,  # noqa: N803
        1e-6,
        (Step("matrix_add", "matrix_add", arguments, (N, 1), (256, 1)),),
        (Step("matrix_add", "matrix_add", arguments, (N,), (256,)),),
        numba="add",
        numpy=numpy,
        moved=3 * 4 * N,
    )


def transpose() -> Problem:
    size = 4096

    def numpy(x: Array, out: Array) -> None:
        out[...] = x.T

    tiles = (size, size // 4)
    arguments = ("out", "x", U(size), U(size))
    return Problem(
        f"transpose {size}",
        {"x": np.random.default_rng(7).random((size, size), F)},
        {"out": ((size, size), F)},
        lambda x: x.T.astype(np.float64),
        0.0,
        (Step("transpose", "transpose_tiled", arguments, tiles, (32, 8)),),
        (Step("transpose", "transpose", arguments, tiles, (32, 8)),),
        numba="transpose",
        numpy=numpy,
    )


def reduction() -> Problem:
    threads = 1 << 16

    def numpy(x: Array, out: Array) -> None:
        out[0] = x.sum()

    partials = threads // 256
    return Problem(
        "reduction 16 M",
        {"x": np.random.default_rng(8).random(N, F)},
        {"out": ((1,), F), "partials": ((partials,), F)},
        lambda x: x.astype(np.float64).sum(keepdims=True),
        1e-5,
        (Step("reduction", "reduction_simd", ("out", "x", U(N)), (threads,), (256,)),),
        (
            Step("whole", "reduction", ("partials", "x", U(N)), (threads,), (256,)),
            Step("whole", "reduction", ("out", "partials", U(partials)), (256,), (256,)),
        ),
        clear=("out",),
        numba="reduction",
        numpy=numpy,
        moved=4 * N,
    )


def scan() -> Problem:
    def numpy(x: Array, out: Array) -> None:
        np.cumsum(x, out=out)

    chunks, groups = N // 512, N // 1024
    lanes = (32 * chunks,), (256,)
    items = (N // 4,), (256,)
    return Problem(
        "scan 16 M",
        {"x": np.random.default_rng(9).random(N, F)},
        {"out": ((N,), F), "totals": ((chunks,), F), "carries": ((chunks,), F)},
        lambda x: x.astype(np.float64).cumsum(),
        1e-3,  # NumPy adds one after another in float, too
        (
            Step("scan", "scan_totals", ("totals", "x", U(N)), *lanes),
            Step("scan", "scan_threadgroup", ("carries", "totals", U(chunks)), (1024,), (1024,)),
            Step("scan", "scan_chunks", ("out", "x", "carries", U(N)), *lanes),
        ),
        (
            Step("whole", "scan_sums", ("totals", "x"), *items),
            Step("whole", "scan_totals", ("totals", U(groups)), (1,), (1,)),
            Step("whole", "scan_chunks", ("out", "x", "totals"), *items),
        ),
        numba="scan",
        numpy=numpy,
        moved=3 * 4 * N,
    )


def histogram() -> Problem:
    threads = 1 << 14

    def numpy(x: Array, out: Array) -> None:
        out[...] = np.bincount(x, minlength=256)

    arguments = ("out", "x", U(N))
    return Problem(
        "histogram 16 M bytes",
        {"x": np.random.default_rng(10).integers(0, 256, N, np.uint8)},
        {"out": ((256,), np.uint32)},
        lambda x: np.bincount(x, minlength=256),
        0.0,
        (Step("histogram", "histogram_threadgroup", arguments, (threads,), (256,)),),
        (
            Step("whole", "clear_bins", ("out",), (256,), (256,)),
            Step("whole", "histogram", arguments, (threads,), (256,)),
        ),
        clear=("out",),
        numba="histogram",
        numpy=numpy,
    )


def block_sort() -> Problem:
    n, block = 1 << 22, 1024

    def numpy(x: Array, out: Array) -> None:
        out[...] = np.sort(x.reshape(-1, block), axis=1).ravel()

    arguments = ("out", "x")
    return Problem(
        "block sort 4 M",
        {"x": np.random.default_rng(11).integers(0, 2**32, n, np.uint32)},
        {"out": ((n,), np.uint32)},
        lambda x: np.sort(x.reshape(-1, block), axis=1).ravel(),
        0.0,
        (Step("bench/metal/block_sort", "block_sort", arguments, (n,), (block,)),),
        (Step("whole", "block_sort", arguments, (n // 2,), (block // 2,)),),
        numba="block_sort",
        numpy=numpy,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "vector_add": add,
    "transpose": transpose,
    "reduction": reduction,
    "scan": scan,
    "histogram": histogram,
    "block_sort": block_sort,
}
