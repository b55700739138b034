"""Simdgroup matrices that could be overwritten too early: sums that go round loops, factors read
from memory that changes. Elements are small integers, so that every result is exact."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

HEAD = """\
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
typedef simdgroup_float8x8 M;
kernel void k(device float* out [[buffer(0)]], device const float* in [[buffer(1)]],
              constant uint& n [[buffer(2)]], uint lane [[thread_index_in_threadgroup]])
{
    threadgroup float tile[3 * 64];
    for (uint i = lane; i < 3 * 64; i += 32) tile[i] = in[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    threadgroup float *ta = tile, *tb = tile + 64, *tc = tile + 128;
    M a, b, c;
"""
LOAD = "simdgroup_load(a, ta, 8); simdgroup_load(b, tb, 8); simdgroup_load(c, tc, 8);\n"
rng = np.random.default_rng(3)
A, B, C = rng.integers(-3, 4, (3, 8, 8)).astype(np.float32)
ZERO = np.zeros((8, 8), np.float32)
N = 4


def run(body: str, outputs: int, device: str) -> list[np.ndarray]:
    out = pymetal.zeros((outputs, 8, 8))
    kernel = pymetal.compile(HEAD + body + "}\n", device=device).k
    kernel(out, np.stack([A, B, C]), N, grid=32, threadgroup=32)
    return list(np.array(out))


def added(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return x @ y + z


def test_a_factor_keeps_what_was_loaded_when_its_memory_is_overwritten(device):
    body = (
        LOAD
        + """
        simdgroup_store(c, ta, 8);
        simdgroup_multiply(b, a, b);
        simdgroup_store(b, out, 8);
        simdgroup_load(a, ta, 8);
        simdgroup_store(a, out + 64, 8);
    """
    )
    first, second = run(body, 2, device)
    np.testing.assert_array_equal(first, A @ B)
    np.testing.assert_array_equal(second, C)


def test_a_factor_keeps_what_was_loaded_when_one_lane_overwrites_it(device):
    body = (
        LOAD
        + """
        if (lane == 3) { ta[0] = 100; tb[63] = 100; }
        simdgroup_multiply_accumulate(c, a, b, c);
        simdgroup_store(c, out, 8);
    """
    )
    np.testing.assert_array_equal(run(body, 1, device)[0], added(A, B, C))


def test_a_factor_keeps_what_was_loaded_before_a_barrier(device):
    source = """
    #include <metal_stdlib>
    #include <metal_simdgroup_matrix>
    using namespace metal;
    kernel void k(device float* out [[buffer(0)]], device const float* in [[buffer(1)]],
                  uint i [[thread_index_in_threadgroup]],
                  uint s [[simdgroup_index_in_threadgroup]])
    {
        threadgroup float tile[128];
        for (uint j = i; j < 128; j += 64) tile[j] = in[j];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_float8x8 a, b, c(0.0f);
        simdgroup_load(a, tile, 8);
        simdgroup_load(b, tile + 64, 8);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (s == 0) for (uint j = i; j < 128; j += 32) tile[j] = 50;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_multiply_accumulate(c, a, b, c);
        simdgroup_store(c, out + 64 * s, 8);
    }
    """
    out = pymetal.zeros((2, 8, 8))
    pymetal.compile(source, device=device).k(out, np.stack([A, B]), grid=64, threadgroup=64)
    np.testing.assert_array_equal(np.array(out), np.stack([A @ B] * 2))


def test_a_sum_that_is_added_to_is_still_there(device):
    body = (
        LOAD
        + """
        M d;
        simdgroup_multiply_accumulate(d, a, b, c);
        simdgroup_store(d, out, 8);
        simdgroup_store(c, out + 64, 8);
    """
    )
    first, second = run(body, 2, device)
    np.testing.assert_array_equal(first, added(A, B, C))
    np.testing.assert_array_equal(second, C)


@pytest.mark.parametrize("product", ["s, b, s", "b, s, s", "s, s, s", "s, s, b"])
def test_a_sum_may_be_its_own_factor(product, device):
    body = (
        LOAD
        + f"""
        M s = a;
        for (uint i = 0; i < 2; ++i) simdgroup_multiply_accumulate(s, {product});
        simdgroup_store(s, out, 8);
    """
    )
    s = A
    for _ in range(2):
        s = added(*({"s": s, "b": B}[name] for name in product.split(", ")))
    np.testing.assert_array_equal(run(body, 1, device)[0], s)


def test_sums_may_change_places_each_round(device):
    body = (
        LOAD
        + """
        M s = make_filled_simdgroup_matrix<float, 8, 8>(1.0f), t = c;
        for (uint i = 0; i < n + 1; ++i) {
            M next;
            simdgroup_multiply_accumulate(next, a, b, s);
            s = t;
            t = next;
        }
        simdgroup_store(s, out, 8);
        simdgroup_store(t, out + 64, 8);
    """
    )
    s, t = np.ones_like(A), C
    for _ in range(N + 1):
        s, t = t, added(A, B, s)
    first, second = run(body, 2, device)
    np.testing.assert_array_equal(first, s)
    np.testing.assert_array_equal(second, t)


def test_a_sum_that_is_read_between_two_products_of_one_factor_has_its_old_value(device):
    body = (
        LOAD
        + """
        M s = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
        M t = make_filled_simdgroup_matrix<float, 8, 8>(2.0f), u(0.0f);
        for (uint i = 0; i < n; ++i) {
            simdgroup_multiply_accumulate(s, a, b, s);
            simdgroup_multiply_accumulate(u, c, t, u);
            simdgroup_multiply_accumulate(t, a, c, t);
        }
        simdgroup_store(s, out, 8);
        simdgroup_store(t, out + 64, 8);
        simdgroup_store(u, out + 128, 8);
    """
    )
    s, t, u = np.ones_like(A), np.full_like(A, 2), ZERO
    for _ in range(N):
        s, u, t = added(A, B, s), added(C, t, u), added(A, C, t)
    for found, expected in zip(run(body, 3, device), (s, t, u), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_sums_go_through_nested_loops_and_start_anew(device):
    body = (
        LOAD
        + """
        M total(0.0f), last(0.0f);
        for (uint i = 0; i < n; ++i) {
            M s = c;
            for (uint j = 0; j < i; ++j) simdgroup_multiply_accumulate(s, a, b, s);
            for (uint j = 0; j < 2; ++j) simdgroup_multiply_accumulate(total, a, s, total);
            if (i == 2) last = s;
        }
        simdgroup_store(total, out, 8);
        simdgroup_store(last, out + 64, 8);
    """
    )
    total, last = ZERO, ZERO
    for i in range(N):
        s = C
        for _ in range(i):
            s = added(A, B, s)
        total = total + 2 * (A @ s)
        last = s if i == 2 else last
    first, second = run(body, 2, device)
    np.testing.assert_array_equal(first, total)
    np.testing.assert_array_equal(second, last)


def test_sums_stay_whole_beside_lanes_that_part(device):
    body = (
        LOAD
        + """
        M s = c;
        float mine = 0;
        for (uint i = 0; i < n; ++i) {
            if (lane % 3 == 0) mine += float(i); else mine -= 1;
            simdgroup_multiply_accumulate(s, a, b, s);
            for (uint j = 0; j < lane % 4; ++j) mine += 1;
        }
        simdgroup_store(s, out, 8);
        out[64 + lane] = mine;
        out[96 + lane] = mine;
    """
    )
    s = C
    for _ in range(N):
        s = added(A, B, s)
    first, second = run(body, 2, device)
    lanes = np.arange(32)
    mine = np.where(lanes % 3 == 0, sum(range(N)), -N) + N * (lanes % 4)
    np.testing.assert_array_equal(first, s)
    np.testing.assert_array_equal(second.ravel(), np.tile(mine, 2).astype(np.float32))
