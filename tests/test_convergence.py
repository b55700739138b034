"""Which lanes act together in loops and branches, on both engines and under checks.

Each kernel adds up how many lanes were active at each step. The expectation runs the lanes in
lockstep, as a GPU does: lanes that skip the rest of an iteration wait for the others at its end.
"""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

LANES = 32
SOURCE = """
#include <metal_stdlib>
using namespace metal;

static uint active() { return simd_sum(1u); }

kernel void skipping(device uint* out [[buffer(0)]], uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    for (uint i = 0; i < 4; ++i) {
        if ((lane + i) % 2 != 0)
            continue;
        seen = seen * 64 + active();
    }
    out[lane] = seen;
}

kernel void skipping_many(device uint* out [[buffer(0)]], constant uint& count [[buffer(1)]],
                          uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    for (uint i = 0; i < count; ++i) {
        if ((lane + i) % 3 == 0)
            continue;
        seen += active() * (i + 1);
        if ((lane + i) % 5 == 0)
            continue;
        seen += active() * 1000;
    }
    out[lane] = seen + active() * 1000000;
}

kernel void nested(device uint* out [[buffer(0)]], constant uint& count [[buffer(1)]],
                   uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    for (uint i = 0; i < count; ++i) {
        for (uint j = 0; j < lane % 4; ++j) {
            if ((i + j + lane) % 2 == 0)
                continue;
            seen += active();
        }
        if (lane % 3 == i % 3)
            continue;
        seen += active() * 1000;
    }
    out[lane] = seen;
}

kernel void some_of_those_that_skip(device uint* out [[buffer(0)]],
    constant uint& count [[buffer(1)]], uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    for (uint w = count; w != 0;) {
        w >>= 1;
        seen += active();
        if (lane & 1) {
            // Of a scope with a variable, the compiler asks after the end whether to go on.
            uint even = w * lane;
            if ((even + lane / 2 + w) % 3 == 0)
                continue;
            seen += even % 2;
        } else if ((w + lane) % 4 == 0) {
            seen += active() * 100;
        }
        seen += 10000;
    }
    out[lane] = seen;
}

kernel void leaving(device uint* out [[buffer(0)]], constant uint& count [[buffer(1)]],
                    uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    uint i = 0;
    while (true) {
        ++i;
        if (i > count + lane % 7)
            break;
        if ((lane ^ i) & 1)
            continue;
        seen += active();
    }
    out[lane] = seen * 100 + active();
}

kernel void repeating(device uint* out [[buffer(0)]], constant uint& count [[buffer(1)]],
                      uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    for (uint i = 0; i < count; ++i) {
        uint left = (lane + i) % 4;
        do {
            seen = seen * 3 + active();
        } while (left-- != 0);
    }
    out[lane] = seen;
}

kernel void choosing(device uint* out [[buffer(0)]], constant uint& count [[buffer(1)]],
                     uint lane [[thread_position_in_grid]]) {
    uint seen = 0;
    for (uint i = 0; i < count; ++i) {
        switch ((lane + i) % 4) {
        case 0:
            seen += active();
            break;
        case 1:
            continue;
        case 2:
            seen += active() * 100;
            break;
        default:
            break;
        }
        seen += active() * 10000;
    }
    out[lane] = seen;
}
"""
LANE = np.arange(LANES)
ALL = np.full(LANES, True)


class Lockstep:
    """Lanes as masks; `active` adds the number of lanes of a mask to theirs."""

    def __init__(self) -> None:
        self.seen = np.zeros(LANES, np.int64)

    def active(self, mask: np.ndarray, scale: int = 1) -> None:
        self.seen[mask] += mask.sum() * scale


@pytest.fixture(params=["reference", "vectorised", "checked"])
def run(request, monkeypatch):
    checked = request.param == "checked"
    engine = "reference" if checked else request.param
    monkeypatch.setenv("PYMETAL_ENGINE", engine)
    library = pymetal.compile(SOURCE, device="cpu")

    def launch(name: str, *values: int) -> np.ndarray:
        out = np.zeros(LANES, np.uint32)
        kernel = library[name]
        assert kernel.report.engine == engine
        kernel(out, *values, grid=LANES, threadgroup=LANES, check=checked)
        return out

    return launch


def test_lanes_of_different_iterations_do_not_meet_even_unrolled(run) -> None:
    expected = np.full(LANES, 16 * 64 + 16)
    np.testing.assert_array_equal(run("skipping"), expected)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_lanes_that_skip_an_iteration_wait_at_its_end(run, count: int) -> None:
    lockstep = Lockstep()
    for i in range(count):
        mask = (LANE + i) % 3 != 0
        lockstep.active(mask, i + 1)
        lockstep.active(mask & ((LANE + i) % 5 != 0), 1000)
    lockstep.active(ALL, 1000000)
    np.testing.assert_array_equal(run("skipping_many", count), lockstep.seen)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_inner_loops_converge_before_outer_ones(run, count: int) -> None:
    lockstep = Lockstep()
    for i in range(count):
        for j in range(3):
            lockstep.active((j < LANE % 4) & ((i + j + LANE) % 2 != 0))
        lockstep.active(i % 3 != LANE % 3, 1000)
    np.testing.assert_array_equal(run("nested", count), lockstep.seen)


@pytest.mark.parametrize("count", [1, 13])
def test_lanes_that_wait_at_an_end_let_others_finish_the_iteration(run, count: int) -> None:
    lockstep = Lockstep()
    w = count
    while w:
        w >>= 1
        lockstep.active(ALL)
        odd = LANE & 1 != 0
        product = w * LANE
        skips = odd & ((product + LANE // 2 + w) % 3 == 0)
        lockstep.seen[odd & ~skips] += product[odd & ~skips] % 2
        lockstep.active(~odd & ((w + LANE) % 4 == 0), 100)
        lockstep.seen[~skips] += 10000
    np.testing.assert_array_equal(run("some_of_those_that_skip", count), lockstep.seen)


@pytest.mark.parametrize("count", [1, 4])
def test_lanes_that_left_a_loop_meet_after_it(run, count: int) -> None:
    lockstep = Lockstep()
    for i in range(1, count + 7):
        lockstep.active((i <= count + LANE % 7) & ((LANE ^ i) & 1 == 0))
    lockstep.seen *= 100
    lockstep.active(ALL)
    np.testing.assert_array_equal(run("leaving", count), lockstep.seen)


@pytest.mark.parametrize("count", [1, 5])
def test_switches_in_loops(run, count: int) -> None:
    lockstep = Lockstep()
    for i in range(count):
        case = (LANE + i) % 4
        lockstep.active(case == 0)
        lockstep.active(case == 2, 100)
        lockstep.active(case != 1, 10000)
    np.testing.assert_array_equal(run("choosing", count), lockstep.seen)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_lanes_that_leave_an_inner_loop_wait_for_the_others(run, count: int) -> None:
    seen = np.zeros(LANES, np.uint32)
    for i in range(count):
        for j in range(4):
            mask = j <= (LANE + i) % 4
            seen[mask] = seen[mask] * 3 + mask.sum()
    np.testing.assert_array_equal(run("repeating", count), seen)


def test_iterations_that_llvm_leads_together_are_kept_apart() -> None:
    """It finds that all return when they have a sum, and makes one call of the loop's two."""
    source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void returning(device uint* out [[buffer(0)]], device const float* x [[buffer(1)]],
                          uint lane [[thread_position_in_grid]]) {
        float first = x[0] < x[lane] ? 0.0f : 1.0f;
        for (uint i = 0; i < 2; ++i) {
            if (float(i) >= first) {
                uint sum = simd_sum(1u);
                if (first < 2) { out[lane] = sum; return; }
            }
        }
    }"""
    kernel = pymetal.compile(source, device="cpu").returning
    late = np.arange(LANES) % 3 == 0
    out = np.zeros(LANES, np.uint32)
    kernel(out, np.float32(~late), grid=LANES, threadgroup=LANES)
    np.testing.assert_array_equal(out, np.where(late, late.sum(), LANES - late.sum()))
    assert any("lanes meet" in note for note in kernel.report.notes)
