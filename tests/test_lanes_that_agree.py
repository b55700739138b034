"""Branches that all lanes take alike, and those that only nearly all do: results are the same."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
LENGTHS = [0, 1, 31, 32, 33, 63, 64, 95, 96, 97]


@pytest.mark.parametrize("n", LENGTHS)
def test_a_condition_from_before_a_loop_holds_in_it(device, n):
    kernel = pymetal.compile(
        HEAD
        + """
        kernel void k(device int* out [[buffer(0)]], device const int* x [[buffer(1)]],
                      constant uint& n [[buffer(2)]], constant uint& rounds [[buffer(3)]],
                      uint i [[thread_position_in_grid]]) {
            bool inside = i < n;
            int sum = 0;
            for (uint j = 0; j < rounds + 2; ++j) {
                if (inside && j < rounds) sum += x[i + j]; else sum -= 1;
            }
            out[i] = sum;
        }""",
        device=device,
    ).k
    x = np.arange(128, dtype=np.int32)
    for rounds in (1, 3):
        out = pymetal.zeros(96, np.int32)
        kernel(out, x, n, rounds, grid=96, threadgroup=32)
        read = sum(x[j : j + 96] for j in range(rounds))
        np.testing.assert_array_equal(np.array(out), np.where(x[:96] < n, read - 2, -rounds - 2))


@pytest.mark.parametrize("n", LENGTHS)
def test_what_lanes_take_out_of_a_loop_is_of_their_own_last_round(device, n):
    kernel = pymetal.compile(
        HEAD
        + """
        kernel void k(device uint* out [[buffer(0)]], constant uint& n [[buffer(1)]],
                      uint lane [[thread_index_in_simdgroup]],
                      uint i [[thread_position_in_grid]]) {
            uint rounds = 0, last = 1000;
            for (uint j = lane; j < n; j += 32) { last = j; ++rounds; }
            out[2 * i] = rounds;
            out[2 * i + 1] = last;
        }""",
        device=device,
    ).k
    out = pymetal.zeros((64, 2), np.uint32)
    kernel(out, n, grid=64, threadgroup=64)
    expected = []
    for lane in range(32):
        mine = range(lane, n, 32)
        expected.append([len(mine), mine[-1] if mine else 1000])
    np.testing.assert_array_equal(np.array(out), expected * 2)


@pytest.mark.parametrize("start", [0, 2**32 - 40, 2**32 - 32, 2**32 - 31, 2**32 - 1])
@pytest.mark.parametrize("limit", [5, 2**32 - 36, 2**32 - 1])
def test_numbers_that_wrap_between_lanes_are_compared_lane_by_lane(device, start, limit):
    kernel = pymetal.compile(
        HEAD
        + """
        kernel void k(device uint* out [[buffer(0)]], constant uint& start [[buffer(1)]],
                      constant uint& limit [[buffer(2)]], constant uint& rounds [[buffer(3)]],
                      uint i [[thread_position_in_grid]]) {
            uint number = start + i;
            bool below = number < limit;
            uint count = 0;
            for (uint j = 0; j < rounds; ++j) {
                if (below) count += number; else count += 1;
            }
            out[i] = count;
        }""",
        device=device,
    ).k
    out = pymetal.zeros(64, np.uint32)
    kernel(out, np.uint32(start), np.uint32(limit), 3, grid=64, threadgroup=64)
    numbers = (np.arange(64) + start) % 2**32
    expected = (3 * np.where(numbers < limit, numbers, 1)) % 2**32
    np.testing.assert_array_equal(np.array(out), expected.astype(np.uint32))


@pytest.mark.parametrize("n", LENGTHS)
def test_all_lanes_leave_nested_loops_with_their_sums(device, n):
    kernel = pymetal.compile(
        HEAD
        + """
        kernel void k(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                      constant uint& n [[buffer(2)]], uint lane [[thread_index_in_simdgroup]],
                      uint i [[thread_position_in_grid]]) {
            float sum = 0;
            for (uint row = 0; row < 3; ++row) {
                for (uint j = lane; j < n; j += 32) {
                    if (j % 7 == 3) continue;
                    if (x[row * n + j] < 0) break;
                    sum += x[row * n + j];
                }
                sum *= 2;
            }
            out[i] = sum;
        }""",
        device=device,
    ).k
    x = np.random.default_rng(n).integers(-1, 9, (3, max(n, 1))).astype(np.float32)
    out = pymetal.zeros(32)
    kernel(out, x, n, grid=32, threadgroup=32)
    expected = np.zeros(32, np.float32)
    for lane in range(32):
        for row in range(3):
            for j in range(lane, n, 32):
                if j % 7 == 3:
                    continue
                if x[row, j] < 0:
                    break
                expected[lane] += x[row, j]
            expected[lane] *= 2
    np.testing.assert_array_equal(np.array(out), expected)
