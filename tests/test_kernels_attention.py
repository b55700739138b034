"""Grouped-query attention against the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest
from tolerance import EXP, U, assert_within, ceil_to, gamma, random

from pymetal import run_metal_kernel

TYPES = ["", "_half", "_bfloat"]
NAMES = ["attention", "attention_simd", "attention_tiled"]
# heads, heads a group, queries, keys, depth
SHAPES = [
    (1, 1, 1, 1, 1),
    (2, 1, 5, 33, 32),
    (4, 2, 4, 31, 64),
    (4, 4, 3, 70, 20),
    (2, 2, 9, 64, 33),
]


def attention(device, name, q, k, v, group, scale, causal=False, suffix=""):
    heads, queries, depth = q.shape
    keys = k.shape[1]
    grid, threadgroup = {
        "attention": ((depth, queries, heads), (64, 1, 1)),
        "attention_simd": ((32, queries, heads), (32, 2, 1)),
        "attention_tiled": ((32, ceil_to(queries, 8), heads), (32, 8, 1)),
    }[name]
    sizes = [queries, keys, depth] if name == "attention_tiled" else [keys, depth]
    return run_metal_kernel(
        f"attention:{name}{suffix}",
        [q, k, v, *sizes, group, scale, causal],
        q.shape,
        grid,
        threadgroup,
        device=device,
    )


def exact_attention(q, k, v, group, scale, causal=False):
    """The result and its bound."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = np.repeat(k, group, axis=0), np.repeat(v, group, axis=0)
    scale = np.float64(np.float32(scale))
    queries, keys, depth = q.shape[1], k.shape[1], q.shape[2]
    scores = scale * (q @ k.swapaxes(1, 2))
    if causal:
        seen = np.arange(keys) <= np.arange(queries)[:, None] + keys - queries
        scores = np.where(seen, scores, -np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
    exact = weights @ v
    # A score errs by its dot product, which moves its weight and the largest one by as much. The
    # differences of scores round; every key may rescale once, rounding and with its own exp.
    score_error = gamma(depth + 2) * abs(scale) * (abs(q) @ abs(k).swapaxes(1, 2)).max()
    finite = scores[np.isfinite(scores)]
    spread = min(np.ptp(finite), 104.0) if finite.size else 0.0
    relative = 4 * score_error + 4 * spread * U + (keys + 2) * EXP + gamma(4 * keys + 4)
    return exact, relative * (weights @ abs(v))


def operands(seed, heads, group, queries, keys, depth, suffix=""):
    rng = np.random.default_rng(seed)
    q = random(rng, (heads, queries, depth), suffix)
    k = random(rng, (heads // group, keys, depth), suffix)
    v = random(rng, (heads // group, keys, depth), suffix)
    return q, k, v


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_attention_is_right_for_any_shape(device, name, shape, suffix):
    _, group, _, _, depth = shape
    q, k, v = operands(0, *shape, suffix)
    scale = depth**-0.5
    result = attention(device, name, q, k, v, group, scale, suffix=suffix)
    assert_within(result, *exact_attention(q, k, v, group, scale))


@pytest.mark.parametrize("queries", [1, 5, 40])
@pytest.mark.parametrize("name", NAMES)
def test_causal_attention_sees_only_earlier_keys(device, name, queries):
    q, k, v = operands(1, 2, 2, queries, 40, 16)
    k[:, -1] = 100  # seen by the last query only, and then it wins
    result = attention(device, name, q, k, v, 2, 0.25, causal=True)
    assert_within(result, *exact_attention(q, k, v, 2, 0.25, causal=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_query_that_sees_no_key_is_nan(device, name):
    q, k, v = operands(2, 1, 1, 5, 3, 8)
    result = attention(device, name, q, k, v, 1, 1.0, causal=True)
    assert np.isnan(result[0, :2]).all()
    assert_within(result, *exact_attention(q, k, v, 1, 1.0, causal=True))


@pytest.mark.parametrize("name", NAMES)
def test_large_scores_do_not_overflow(device, name):
    q, k, v = operands(3, 2, 1, 3, 35, 16)
    result = attention(device, name, q * 30, k * 30, v, 1, 1.0)
    exact, _ = exact_attention(q * 30, k * 30, v, 1, 1.0)
    assert np.isfinite(result).all()
    # Scores in the thousands carry errors of their own size times u: the winner must be right.
    assert_within(result, exact, 0.05)


@pytest.mark.parametrize(("name", "depth"), [("attention_simd", 257), ("attention_tiled", 65)])
def test_a_depth_that_a_version_cannot_hold_gives_nan(device, name, depth):
    q, k, v = operands(4, 1, 1, 2, 3, depth)
    assert np.isnan(attention(device, name, q, k, v, 1, 1.0)).all()


@pytest.mark.parametrize("depth", [128, 256])
def test_attention_simd_takes_depths_up_to_256(device, depth):
    q, k, v = operands(5, 1, 1, 2, 10, depth)
    scale = depth**-0.5
    result = attention(device, "attention_simd", q, k, v, 1, scale)
    assert_within(result, *exact_attention(q, k, v, 1, scale))
