"""PyMetal's main job in one go: three Metal kernels, run and compared with NumPy.

    python examples/quickstart.py

Runs on the default device (a Metal GPU where there is one, else the software Metal device), from
any folder, with kernels that come with PyMetal. Exits with 1 if a result is wrong.
"""

import sys
import time

import numpy as np

import pymetal
from pymetal import run_metal_kernel

U = 2.0**-24  # the rounding error of float32, relative


def matmul(rng):
    """The product of two matrices; each of 512 x 512 threads adds up one element."""
    M, N, K = 512, 512, 512  # noqa: N806 - matrices have capital names
    A = rng.standard_normal((M, N), dtype=np.float32)  # noqa: N806
    B = rng.standard_normal((N, K), dtype=np.float32)  # noqa: N806

    def run():
        return run_metal_kernel("matmul", [A, B, N], (M, K), (M, K, 1), (16, 16, 1))

    a, b = A.astype(np.float64), B.astype(np.float64)
    # Each product goes through at most N + 1 roundings.
    return f"{M} x {N} x {K}", run, a @ b, (N + 1) * U * (abs(a) @ abs(b))


def softmax(rng):
    """Softmax of 256 rows; a simdgroup of 32 lanes a row."""
    rows, n = 256, 1000
    x = rng.standard_normal((rows, n), dtype=np.float32)

    def run():
        return run_metal_kernel(
            "softmax:softmax_simd", [x, n], (rows, n), (32, rows, 1), (32, 4, 1)
        )

    exact = numpy_softmax(x.astype(np.float64))
    return f"{rows} x {n}", run, exact, (n + 64) * U * exact


def attention(rng):
    """8 query heads share 2 key heads; a simdgroup a query, and no matrix of scores."""
    heads, group, queries, keys, depth = 8, 4, 64, 64, 64
    q = rng.standard_normal((heads, queries, depth), dtype=np.float32)
    k = rng.standard_normal((heads // group, keys, depth), dtype=np.float32)
    v = rng.standard_normal((heads // group, keys, depth), dtype=np.float32)
    scale = depth**-0.5

    def run():
        return run_metal_kernel(
            "attention:attention_simd",
            [q, k, v, keys, depth, group, scale, True],  # True: causal
            q.shape,
            (32, queries, heads),
            (32, 4, 1),
        )

    wide_q, wide_k, wide_v = (x.astype(np.float64) for x in (q, k, v))
    wide_k, wide_v = wide_k.repeat(group, axis=0), wide_v.repeat(group, axis=0)
    scores = scale * wide_q @ wide_k.swapaxes(1, 2)
    later = np.triu(np.ones((queries, keys), bool), 1)
    weights = numpy_softmax(np.where(later, -np.inf, scores))
    # Scores err by their dot products, weights by that and a few roundings a key.
    score_error = (depth + 2) * U * scale * (abs(wide_q) @ abs(wide_k).swapaxes(1, 2)).max()
    relative = 4 * score_error + 16 * keys * U
    return (
        f"{heads} heads, {queries} x {keys} x {depth}",
        run,
        weights @ wide_v,
        relative * (weights @ abs(wide_v)),
    )


def numpy_softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def timed(run):
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def main():
    device = pymetal.device()
    row = "{:<10}  {:<24}  {:<6}  {:>9}  {:>9}  {:>13}  {}".format
    print(f"PyMetal {pymetal.__version__}, NumPy {np.__version__}\n")
    print(row("kernel", "shape", "device", "first run", "warm run", "largest error", ""))
    rng = np.random.default_rng(0)
    all_right = True
    for kernel in (matmul, softmax, attention):
        shape, run, exact, allowed = kernel(rng)
        result, first_seconds = timed(run)
        warm_seconds = min(timed(run)[1] for _ in range(3))
        error = abs(result - exact)
        right = bool((error <= allowed + U * abs(exact)).all())
        all_right &= right
        print(
            row(
                kernel.__name__,
                shape,
                device.name,
                f"{first_seconds * 1e3:.0f} ms",
                f"{warm_seconds * 1e3:.1f} ms",
                f"{error.max():.1e}",
                "ok" if right else f"WRONG, allowed {allowed.max():.1e}",
            )
        )
    print("\nThe first run compiles what is not in the cache yet. Errors are against float64.")
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
