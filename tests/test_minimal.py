"""If you run only one file, run this one: the README's example."""
# ruff: noqa: N806 - matrices have capital names

import numpy as np

from pymetal import run_metal_kernel


def test_matmul():
    M = N = K = 512
    rng = np.random.default_rng(0)
    A = rng.standard_normal((M, N), dtype=np.float32)
    B = rng.standard_normal((N, K), dtype=np.float32)

    C = run_metal_kernel("matmul", [A, B, N], (M, K), (M, K, 1), (16, 16, 1))

    assert C.shape == (M, K)
    assert C.dtype == np.float32
    # A sum of N products in float32 is off by at most about N roundings of sqrt(N)-sized values.
    expected = A.astype(np.float64) @ B.astype(np.float64)
    tolerance = N * np.finfo(np.float32).eps
    np.testing.assert_allclose(C, expected, rtol=tolerance, atol=tolerance * np.sqrt(N))
