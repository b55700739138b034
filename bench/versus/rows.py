"""Problems: rows of a matrix, and attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from versus.problem import Array, Problem, Step

U, F = np.uint32, np.float32
ROWS, N = 1024, 4096
FAST = 2e-4  # peers are told to be fast, too: Intel's rsqrt and division keep 12 bits


def softmax() -> Problem:
    def expected(x: Array) -> Array:
        y = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
        return y / y.sum(1, keepdims=True)

    def numpy(x: Array, out: Array) -> None:
        np.subtract(x, x.max(1, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, out.sum(1, keepdims=True), out=out)

    arguments = ("out", "x", U(N))
    return Problem(
        f"softmax {ROWS}x{N}",
        {"x": np.random.default_rng(3).standard_normal((ROWS, N), F)},
        {"out": ((ROWS, N), F)},
        expected,
        FAST,
        (Step("softmax", "softmax_simd", arguments, (32, ROWS), (32, 4)),),
        (Step("rows", "softmax", arguments, (256, ROWS), (256, 1)),),
        numba="softmax",
        numpy=numpy,
    )


def rms_norm() -> Problem:
    rng = np.random.default_rng(4)
    eps = F(1e-5)

    def expected(x: Array, weight: Array) -> Array:
        y = x.astype(np.float64)
        return weight * y / np.sqrt((y * y).mean(1, keepdims=True) + eps)

    def numpy(x: Array, weight: Array, out: Array) -> None:
        scale = 1 / np.sqrt(np.einsum("ij,ij->i", x, x) / F(N) + eps)
        np.multiply(x, scale[:, None], out=out)
        np.multiply(out, weight, out=out)

    arguments = ("out", "x", "weight", U(N), eps)
    return Problem(
        f"rms_norm {ROWS}x{N}",
        {"x": rng.standard_normal((ROWS, N), F), "weight": rng.random(N, F)},
        {"out": ((ROWS, N), F)},
        expected,
        FAST,
        (Step("rms_norm", "rms_norm_simd", arguments, (32, ROWS), (32, 4)),),
        (Step("rows", "rms_norm", arguments, (256, ROWS), (256, 1)),),
        numba="rms_norm",
        numpy=numpy,
        moved=ROWS * N * 4 * 2,
    )


def attention() -> Problem:
    heads, length, d = 8, 512, 64
    rng = np.random.default_rng(5)
    shape = (heads, length, d)
    scale = F(d**-0.5)

    def expected(q: Array, k: Array, v: Array) -> Array:
        scores = q.astype(np.float64) @ k.astype(np.float64).transpose(0, 2, 1) * scale
        weights = np.exp(scores - scores.max(2, keepdims=True))
        return (weights / weights.sum(2, keepdims=True)) @ v.astype(np.float64)

    def numpy(q: Array, k: Array, v: Array, out: Array) -> None:
        scores = (q * scale) @ k.transpose(0, 2, 1)
        weights = np.exp(scores - scores.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)
        np.matmul(weights, v, out=out)

    tail = (U(length), U(length), U(d), U(1), scale, np.bool_(False))
    return Problem(
        f"attention {heads}x{length}x{d}",
        {name: rng.standard_normal(shape, F) for name in ("q", "k", "v")},
        {"out": (shape, F)},
        expected,
        FAST,
        (
            Step(
                "attention",
                "attention_tiled",
                ("out", "q", "k", "v", *tail),
                (32, length, heads),
                (32, 8, 1),
            ),
        ),
        (
            Step(
                "attention",
                "attention",
                ("out", "q", "k", "v", U(length), scale),
                (length, heads),
                (64, 1),
            ),
        ),
        numba="attention",
        numpy=numpy,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "softmax": softmax,
    "rms_norm": rms_norm,
    "attention": attention,
}
