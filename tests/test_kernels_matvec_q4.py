"""4-bit quantised matrix times vector, against the dequantised product in float64."""

from __future__ import annotations

import numpy as np
import pytest
from tolerance import assert_within, gamma, random

from pymetal import run_metal_kernel


def packed_weights(rng, rows, n):
    """Random 4-bit numbers, (rows, n), and the words that hold them, the first one lowest."""
    numbers = rng.integers(0, 16, (rows, n), dtype=np.uint32)
    places = np.uint32(4) * np.arange(8, dtype=np.uint32)
    words = (numbers.reshape(rows, n // 8, 8) << places).sum(axis=2, dtype=np.uint32)
    return numbers, words


@pytest.mark.parametrize("suffix", ["", "_half"])
@pytest.mark.parametrize("shape", [(1, 64), (33, 128), (7, 576), (40, 256)])
@pytest.mark.parametrize("group", [32, 64])
@pytest.mark.parametrize("name", ["matvec_q4", "matvec_q4_simd"])
def test_matvec_q4_is_right(device, name, group, shape, suffix):
    rows, n = shape
    rng = np.random.default_rng(rows)
    numbers, words = packed_weights(rng, rows, n)
    scales = random(rng, (rows, n // group), suffix)
    biases = random(rng, (rows, n // group), suffix)
    x = random(rng, n, suffix)
    grid, threadgroup = ((rows,), (64,)) if name == "matvec_q4" else ((32, rows), (32, 4))
    group_name = "" if group == 32 else "_g64"
    result = run_metal_kernel(
        f"matvec_q4:{name}{group_name}{suffix}",
        [words, scales, biases, x, n],
        rows,
        grid,
        threadgroup,
        device=device,
    )
    wide = x.astype(np.float64)
    each_scale = np.repeat(scales.astype(np.float64), group, axis=1)
    each_bias = np.repeat(biases.astype(np.float64), group, axis=1)
    exact = (each_scale * numbers + each_bias) @ wide
    terms = (abs(each_scale) * numbers + abs(each_bias)) @ abs(wide)
    # A product goes through 8 additions in its word, the scale and n / 8 words.
    assert_within(result, exact, gamma(n // 8 + 12) * terms)


def test_the_first_number_of_a_word_is_its_lowest_four_bits(device):
    words = np.array([[0x76543210, 0xFEDCBA98, 0, 0]], np.uint32)
    scales, biases = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    for i in range(16):
        x = np.zeros(32, np.float32)
        x[i] = 1
        result = run_metal_kernel(
            "matvec_q4", [words, scales, biases, x, 32], 1, 1, 1, device=device
        )
        assert result[0] == i
