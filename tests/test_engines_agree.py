"""The vectorised engine gives what the reference engine gives, bit by bit.

Random kernels (random_kernels.py) with control flow, types, barriers and simdgroup operations.
`PYMETAL_SEEDS=100000` runs that many; a failure names its seed. Elementary functions, which the
engines compute differently, are compared with float64 in tests of their own.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from random_kernels import LATER, SHAPES, source
from two_engines import Engine, both, canonical, differences, inputs

import pymetal
from pymetal.cpu.engines import compile_kernel

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
SEEDS = int(os.environ.get("PYMETAL_SEEDS", "16")) // 2  # of each kind
AT_ONCE = 8  # kernels in a file: clang's start is shared


@pytest.mark.parametrize("first", [k for s in (0, LATER) for k in range(s, s + SEEDS, AT_ONCE)])
def test_random_kernels_agree(first: int) -> None:
    found = differences(range(first, first + AT_ONCE), size=6)
    assert not found, "\n".join(found)


def test_random_kernels_do_the_same_under_checks() -> None:
    """What is reported is what the generator allows: absent lanes, memory that is zero at the
    start, negative numbers as unsigned ones. No race, nothing out of bounds."""
    seeds = range(4)
    library = pymetal.compile(source(seeds, 4), device="cpu")
    for seed in seeds:
        grid, threadgroup = SHAPES[seed % len(SHAPES)]
        results = []
        for check in (False, True):
            out = np.zeros(int(np.prod(grid)), np.uint32)
            results.append(out)
            try:
                kernel = library[f"k{seed}"]
                kernel(out, *inputs(), seed, grid=grid, threadgroup=threadgroup, check=check)
            except pymetal.KernelFault as fault:
                kinds = {report.kind for report in fault.reports}
                allowed = {"inactive-lane", "uninitialised", "conversion"}
                assert kinds <= allowed, str(fault)  # noqa: PT017 - most seeds raise nothing
        np.testing.assert_array_equal(*results, err_msg=f"seed {seed}")


# Seeds whose kernels once differed: (seed, size, grid, threadgroup), and why.
FOUND = [
    (49, 12, (100,), (50,)),  # a loop whose end stands before its body in clang's text
    (1001341, 3, (35, 3), (5, 7)),  # LLVM rounds the product of two constants in fmuladd
    (5038, 6, (64,), (32,)),  # LLVM leaves a loop without an end where nothing comes
    (3003061, 6, (100,), (50,)),  # and such a loop, with atomics in it
    (448, 3, (256,), (128,)),  # a loop's end that some of its lanes pass twice
]


@pytest.mark.parametrize(("seed", "size", "grid", "threadgroup"), FOUND)
def test_random_kernels_that_once_differed_agree(seed, size, grid, threadgroup) -> None:
    found = differences([seed], size, [(grid, threadgroup)])
    assert not found, found[0]


CASES = {
    # Of lanes that have returned, clang's comparison for d > 1 is poison.
    "a_branch_that_means_nothing_to_lanes_that_left": """
        short d = short(a[7] & 7) - short(2 * (i & 3)), e = short(7) - short((i & 31) / 4);
        if (d < 1 || e < 1) return;
        device uint* pair = out + 2 * (i & 127);
        pair[0] = 1;
        if (d > 1) pair[1] = 2;
    """,
    "a_neighbour_that_only_the_first_thread_lacks": """
        if (i > 0) out[i] = a[i - 1];
    """,
    "lanes_that_leave_a_loop_at_different_times": """
        uint v = a[i] + 1, steps = 0;
        while (v != 1) {
            if (steps > 60) break;
            if (v & 1) { v = 3 * v + 1; ++steps; continue; }
            v >>= 1;
            ++steps;
        }
        out[i] = steps;
    """,
    "a_loop_whose_lanes_meet_inside_it": """
        uint v = a[i], total = 0;
        for (uint k = 0; k < 40; ++k) {
            for (uint j = 0; j < (v & 3); ++j) {
                total += j * k;
                if (((total ^ v) & 15) == 7) { out[i] = total; return; }
            }
            v = v * 5 + 1;
        }
        out[i] = total;
    """,
    "a_switch_that_falls_through": """
        uint r = 0;
        switch (a[i] % 6) {
            case 0: r = 1; break;
            case 1: r = 10;
            case 2: r += 100; break;
            case 3: return;
            case 4: for (uint k = 0; k < i % 4; ++k) r += k * 7; break;
            default: r = 77;
        }
        out[i] = r;
    """,
    "private_arrays_at_indices_of_their_own": """
        uint cells[8];
        struct { uint2 pair; ushort small[3]; } mixed[2];
        for (uint k = 0; k < 8; ++k) cells[k] = k * i;
        mixed[a[i] & 1].pair = uint2(i, a[i]);
        mixed[1 - (a[i] & 1)].pair = uint2(7, 9);
        mixed[0].small[a[i] % 3] = ushort(i);
        mixed[0].small[(a[i] + 1) % 3] = ushort(a[i]);
        mixed[0].small[(a[i] + 2) % 3] = 5;
        for (uint k = 0; k < 5; ++k) cells[(a[i] >> k) & 7] += k;
        out[i] = cells[i & 7] + mixed[i & 1].pair.x * 3 + mixed[0].small[i % 3];
    """,
    "many_accesses_around_an_address_of_each_lane": """
        device const uint *p = a + a[i] % 50u;
        uint n = a[(i + 1) & 63] % 5u, s = 0;
        for (uint k = 0; k < n; ++k) {
            device const uint *w = p + k * (n & 1);
            s += w[0] + 3 * w[1] + 5 * w[2] + 7 * w[k] + 9 * a[a[s % 60u] % 50u + k];
            if (s & 2) s += w[4] * w[5] - a[(s >> 3) % 60u];
            p += s & 1;
        }
        for (uint k = 0; k < lane % 3; ++k) s += p[k + 2] ^ a[(k * 5u + lane * lane) % 60u];
        out[i] = s + p[0] * p[2] + p[6] + a[(i * 5u) % 50u + 3] - a[(i * 5u) % 50u + n];
    """,
    "eight_to_sixtyfour_bits": """
        uchar c = uchar(a[i]); short s = short(a[i] * 77); ulong l = ulong(a[i]) << 31;
        char t = char(c + 3);
        out[i] = uint(c / 7) + uint(s >> 3) + uint(l >> 17) + uint(l % 1000003ul) + uint(t);
    """,
    "divisions_that_a_processor_would_trap_on": """
        int by = int(a[i] % 3) - 1;
        int w = a[i] & 8 ? INT_MIN : int(a[i]);
        long l = a[i] & 8 ? LONG_MIN : long(a[i]); short s = a[i] & 8 ? SHRT_MIN : short(a[i]);
        char c = a[i] & 8 ? CHAR_MIN : char(a[i]);
        uint r = uint(w / by) + 3 * uint(w % by) + 5 * (a[i] / uint(by)) + 7 * (a[i] % uint(by));
        r += uint(ulong(l / long(by)) >> 7) + uint(l % long(by)) + uint(short(s / short(by)));
        r += uint(s % short(by)) * 11 + uint(char(c / char(by))) + uint(c % char(by)) * 13;
        if (i > 7) r += uint(w / int(i - i)) + uint(INT_MIN / (by | -1));
        out[i] = r;
    """,
    "half_and_bfloat": """
        half h = half(f[i]); bfloat b = bfloat(f[i]);
        h = h * h + half(0.1f); b = b * b + bfloat(0.1f);
        out[i] = as_type<ushort>(h) * 65536u + as_type<ushort>(b);
    """,
    "simdgroup_operations_in_divergent_branches": """
        uint r = 0;
        if (a[i] & 1) {
            r = simd_sum(lane);
            r += (a[i] & 2) ? 1000 * simd_max(lane) : 5;
        } else {
            r = simd_prefix_exclusive_sum(1u);
        }
        r += simd_shuffle_xor(lane, 3) + popcount(uint(ulong(simd_ballot(a[i] & 4)))) * 100000;
        out[i] = r + quad_sum(a[i] & 15);
    """,
    "a_loop_without_an_end_where_nothing_comes": """
        if (a[i] > 5000) while (true) {}
        if (a[i] & 1) { out[i] = 7; if (a[i] > 6000) while (true) {} out[i] += a[i]; }
    """,
    "loops_that_act_and_have_no_end_where_nothing_comes": """
        volatile device uint* mine = out + i;
        if (a[i] > 5000) for (;;) *mine += a[i];
        for (uint k = 0; k < (a[i] & 3); ++k) {
            *mine += k;
            if (a[i] > 6000) for (;;) { if (*mine & 1) *mine += 3; else *mine ^= lane; }
        }
        if (*mine > 7000) for (;;) { do { *mine += 1; } while (*mine & 1); *mine = lane; }
    """,
    "a_product_of_constants_that_is_added_to_something": """
        float x = f[i] * 1e-3f, y = float(a[i]);
        float4 q = float4(1.118034f, y, 1.05733f, 3.3541021f);
        q = q * q.wzyx + float4(x);
        out[i] = as_type<uint>(q.x) ^ as_type<uint>(q.z) * 3 ^ as_type<uint>(q.w) * 7;
    """,
    "many_threads_that_write_one_place": """
        if (a[i] & 1) out[3] = 5;
        if (a[i] > 900) out[4] = 6;
    """,
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_divergence_agrees(name: str) -> None:
    (function,) = canonical(
        f"""{HEADER}
        kernel void k(device uint* out [[buffer(0)]], device const uint* a [[buffer(1)]],
            device const float* f [[buffer(2)]], uint i [[thread_position_in_grid]],
            uint lane [[thread_index_in_simdgroup]]) {{ {CASES[name]} }}""",
        "k",
    )
    a, f = inputs()
    reference, vectorised = both(function)
    for grid, threadgroup in (((256,), (64,)), ((100,), (50,)), ((31,), (32,))):
        results = [np.zeros(256, np.uint32) for _ in range(2)]
        reference(results[0], a, f, grid=grid, threadgroup=threadgroup)
        vectorised(results[1], a, f, grid=grid, threadgroup=threadgroup)
        assert np.array_equal(*results), f"grid {grid}, threadgroup {threadgroup}"


# Units in the last place that section "Numerical Compliance" of the Metal Shading Language
# Specification allows in safe mode.
LIMITS = {
    "exp": 4, "exp2": 4, "exp10": 4, "log": 4, "log2": 4, "log10": 4, "sin": 4, "cos": 4, "tanh": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_elementary_functions_are_within_the_specification(name: str) -> None:
    (function,) = canonical(
        f"""{HEADER}
        kernel void k(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
            uint i [[thread_position_in_grid]]) {{ out[i] = {name}(x[i]); }}""",
        "k",
    )
    random = np.random.default_rng(0)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1e-39, 3e38, -3e38, 1e6, 88.7, -104.0]
    x = np.concatenate(
        [
            random.integers(0, 2**32, 2**16, dtype=np.uint32).view(np.float32),
            random.uniform(-100, 100, 2**15).astype(np.float32),
            1 + random.uniform(-0.01, 0.01, 2**12).astype(np.float32),
            np.array([*special, *[0.5] * 20], np.float32),
        ]
    )
    result = np.zeros_like(x)
    Engine(function, "vectorised")(result, x, grid=x.shape, threadgroup=(256,))
    with np.errstate(all="ignore"):
        # More than float64 where the argument is reduced by multiples of pi.
        wide = x.astype(np.longdouble)
        exact = (10.0**wide if name == "exp10" else getattr(np, name)(wide)).astype(np.float64)
        rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded) & np.isfinite(exact)
        assert np.array_equal(result[~finite], rounded[~finite], equal_nan=True)
        unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)
        error = np.abs(result[finite].astype(np.float64) - exact[finite]) / unit
    worst = int(np.argmax(error))
    assert error[worst] <= LIMITS[name], f"{name}({x[finite][worst]!r}): {error[worst]} units"


def test_what_the_vectorised_engine_does_not_take_runs_on_the_reference_engine() -> None:
    (function,) = canonical(
        f"""{HEADER}
        kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
            float big[8192];
            for (uint k = 0; k < 8192; ++k) big[(k * 7 + i) & 8191] = k;
            out[i] = big[i];
        }}""",
        "k",
    )
    compiled = compile_kernel(function, "auto")
    assert compiled.engine == "reference"
    assert "private arrays" in compiled.notes[0]


def test_a_half_fma_rounds_once_on_both_engines() -> None:
    (function,) = canonical(
        f"""{HEADER}
        kernel void k(device half* out [[buffer(0)]], device const half* a [[buffer(1)]],
            device const half* b [[buffer(2)]], device const half* c [[buffer(3)]],
            uint i [[thread_position_in_grid]]) {{ out[i] = fma(a[i], b[i], c[i]); }}""",
        "k",
    )
    random = np.random.default_rng(5)
    a, b, c = random.integers(0, 2**16, (3, 1 << 16), dtype=np.uint16).view(np.float16)
    c[::2] = random.uniform(-1e-4, 1e-4, 1 << 15)  # decides where the product is a middle
    results = [np.zeros_like(a) for _ in range(2)]
    for engine, result in zip(both(function), results, strict=True):
        engine(result, a, b, c, grid=a.shape, threadgroup=(256,))
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64) for x in (a, b, c)]  # the product of two halves is exact
        exact = (wide[0] * wide[1] + wide[2]).astype(np.float16)
    for result in results:
        np.testing.assert_array_equal(result, exact)
