"""Both engines agree in every geometry: threadgroup widths that 32 does not divide, partial
simdgroups, grids of two and three dimensions, threadgroups that the grid's edge cuts.

Results are integers, compared bit by bit. What several threads write together, they write by
operations whose order does not matter.
"""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from two_engines import both, canonical, with_positions

GEOMETRIES = [
    ((70,), (48,)),  # one simdgroup and a half
    ((33,), (33,)),  # a simdgroup of one lane
    ((19, 7), (5, 3)),
    ((40, 6), (32, 2)),  # rows of lanes
    ((20, 9), (16, 4)),  # two rows a simdgroup
    ((30, 10), (10, 10)),
    ((9, 6, 5), (4, 4, 2)),  # a simdgroup of several layers, cut at all edges
    ((7, 5, 3), (3, 5, 2)),
    ((64, 1, 3), (64, 1, 2)),
    ((2, 3, 40), (1, 2, 17)),
]

BODIES = {
    "positions": """
        uint3 all[] = {p, grid, t, size, group, groups, whole};
        for (uint k = 0; k < 7; ++k) r = r * 31 + all[k].x * 7 + all[k].y * 5 + all[k].z;
        r = r * 31 + index; r = r * 31 + lane; r = r * 31 + simdgroup; r = r * 31 + simdgroups;
        r = r * 31 + width + corner * 64 + quad;
    """,
    "neighbours": """
        if (p.x > 0) r += a[i - 1];
        if (p.x + 1 < grid.x) r = r * 3 + a[i + 1];
        if (p.y > 0) r = r * 5 + a[i - grid.x];
        if (p.z + 1 < grid.z) r = r * 7 + a[i + grid.x * grid.y];
        r += a[min(p.x - 1, 500u)] + a[(p.y * 3 + p.x) & 511] * a[p.z + 4 * p.x];
    """,
    "exchange_through_threadgroup_memory": """
        for (uint round = 1; round < 4; ++round) {
            tile[index] = a[i] * round + r;
            threadgroup_barrier(mem_flags::mem_threadgroup);
            r = r * 3 + tile[(index * 5 + round) % threads] + tile[threads - 1 - index];
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
    """,
    "simdgroup_operations": """
        r += simd_sum(a[i]) + 3 * simd_min(a[i]) + 5 * simd_max(int(a[i]) - 500);
        r = r * 7 + simd_prefix_inclusive_sum(a[i]) + simd_prefix_exclusive_product(a[i] | 1);
        r = r * 7 + simd_shuffle_up(a[i], 3) + simd_shuffle_down(a[i], 5);
        r = r * 7 + simd_shuffle_xor(a[i], 9) + simd_shuffle_rotate_up(a[i], 2);
        r = r * 7 + simd_shuffle_and_fill_down(a[i], lane, 4) + simd_broadcast_first(a[i]);
        r = r * 7 + uint(ulong(simd_ballot(a[i] & 1))) + uint(ulong(simd_active_threads_mask()));
        r = r * 7 + quad_sum(a[i]) + quad_shuffle_xor(a[i], 1) + uint(simd_is_first());
        if (a[i] % 3 == 0) r += simd_sum(lane) * 11 + quad_max(lane); else r ^= simd_xor(a[i]);
    """,
    "nested_loops_with_every_way_out": """
        for (uint u = 0; u < (a[i] & 7); ++u) {
            uint v = a[(i + u) & 511];
            while (v > 3) {
                if ((v & 31) == u) break;
                v = v & 1 ? v - u / 2 - 1 : v / 2;
                switch ((v + lane) & 7) {
                    case 0: r += simd_sum(1u);
                    case 1: continue;
                    case 2: for (uint w = 0; w < (v & 3); ++w) { r += w * v; if (r & 64) break; }
                            break;
                    case 3: v >>= 1; break;
                    case 5: if (u == 6) { out[i] = r; return; }
                    default: r ^= v;
                }
                r = r * 5 + v;
            }
            if ((r & 15) == 9) continue;
            do { r += v + u; ++v; } while ((r & 3) != 0 && v < 20);
            r += simd_max(v);
        }
    """,
    "barriers_in_loops_and_branches_that_all_take": """
        for (uint round = 0; round < 1 + (a[group.x] & 3); ++round) {
            if (a[group.y + round] & 1) {
                tile[index] = r + i;
                threadgroup_barrier(mem_flags::mem_threadgroup);
                for (uint k = lane & 3; k < 4; ++k) r = r * 3 + tile[(index + k) % threads];
                threadgroup_barrier(mem_flags::mem_threadgroup);
            } else if (index & 1) {
                r += round;
            }
        }
    """,
    "atomics": """
        if (index < 4) atomic_store_explicit(&shared[index], 7, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        atomic_fetch_add_explicit(&tally[a[i] & 3], a[i], memory_order_relaxed);
        if (a[i] & 1) atomic_fetch_max_explicit(&tally[4], a[i] + i, memory_order_relaxed);
        else atomic_fetch_min_explicit(&tally[5], a[i] + i, memory_order_relaxed);
        atomic_fetch_xor_explicit(&tally[6], i * 77777, memory_order_relaxed);
        atomic_fetch_or_explicit(&tally[7], 1u << (i & 31), memory_order_relaxed);
        atomic_fetch_and_explicit(&tally[8], ~(1u << (a[i] & 31)), memory_order_relaxed);
        uint seen = atomic_load_explicit(&tally[9], memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(&tally[9], &seen, seen + a[i],
            memory_order_relaxed, memory_order_relaxed)) {}
        device atomic_float* sum = (device atomic_float*)(tally + 10);
        atomic_fetch_add_explicit(sum, float(a[i] & 15), memory_order_relaxed);
        atomic_fetch_sub_explicit(&shared[0], a[i], memory_order_relaxed);
        atomic_fetch_max_explicit(&shared[1], index, memory_order_relaxed);
        atomic_fetch_add_explicit(&shared[2], lane, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        r += i;
        for (uint k = 0; k < 4; ++k)
            r = r * 31 + atomic_load_explicit(&shared[k], memory_order_relaxed);
    """,
    "eight_and_sixtyfour_bits": """
        long l = (long(a[i]) << 40) - (long(i) << 20) * a[i];
        ulong m = ulong(l) ^ 0x123456789abcdef;
        char c = char(a[i] * 3); uchar u = uchar(a[i] * 5 + i);
        r += uint(l >> 33) + uint(m / (a[i] + 3)) + uint(l % (long(i) + 7));
        r = r * 5 + uint(mulhi(m, m) >> 9);
        r = r * 5 + uint(popcount(m) + clz(m) * 3 + ctz(m) * 5) + uint(reverse_bits(m) >> 20);
        r = r * 5 + uint(max(l, -l) >> 11) + uint(rotate(m, ulong(a[i] & 63)) >> 17);
        r = r * 5 + uint(c / 3) + uint(c >> 2) + uint(uchar(u << 3));
        r += uint(addsat(c, char(100)));
        r = r * 5 + uint(float(l) * 1e-12f) + uint(ulong(float(a[i]) * 1e10f) >> 25);
        r = r * 5 + uint(mad24(int(a[i]), int(c), 5)) + uint(absdiff(c, char(i)));
        r = r * 5 + uint(hadd(u, uchar(c))) + uint(madsat(c, char(3), char(9)));
        uchar bytes[16]; for (uint k = 0; k < 16; ++k) bytes[k] = uchar(a[(i + k) & 511]);
        for (uint k = 0; k < (a[i] & 15); ++k) r = r * 3 + bytes[(k * a[i]) & 15];
    """,
    "half_and_bfloat": """
        half h = half(a[i]) / 7.0h; bfloat b = bfloat(a[i]) * bfloat(0.3f);
        half4 v = half4(h, h * h, half(i), -h); bfloat own[4] = {b, b + b, bfloat(i), -b};
        for (uint k = 0; k < (a[i] & 3) + 1; ++k) { v = v * 0.5h + v.wxyz; own[k & 3] -= own[3]; }
        b = own[a[i] & 3] * own[1];
        r += as_type<ushort>(v[a[i] & 3]) + 3 * as_type<ushort>(b) + uint(h < half(b));
        r = r * 5 + as_type<ushort>(sqrt(abs(h))) + uint(int(floor(h))) + as_type<ushort>(half(b));
        r = r * 5 + as_type<ushort>(simd_max(h)) + as_type<ushort>(simd_sum(half(a[i] & 7)));
        if (a[i] & 1) r += as_type<ushort>(bfloat(simd_shuffle_xor(float(b), 1)));
        r = r * 5 + as_type<ushort>(max(h, half(a[(i + 1) & 511]))) + as_type<ushort>(fma(h, h, h));
        r = r * 5 + as_type<ushort>(fma(v.x, h, half(p.x)));
        r ^= as_type<ushort>(bfloat(fma(h, h, 1.h)));
    """,
    "private_arrays_that_lanes_index": """
        uint cells[9]; float2 pairs[4];
        for (uint k = 0; k < 9; ++k) cells[k] = a[(i + k) & 511];
        for (uint k = 0; k < 4; ++k) pairs[k] = float2(k, p.x);
        for (uint k = 0; k < (a[i] & 7); ++k) {
            uint from = cells[k] % 9, to = (cells[k] >> 4) % 9;
            uint kept = cells[to]; cells[to] = cells[from]; cells[from] = kept + k;
            pairs[to & 3].y += float(kept);
        }
        for (uint k = 0; k < 9; ++k) r = r * 3 + cells[k];
        r += uint(pairs[a[i] & 3].y) + uint(pairs[1].x);
    """,
}


@pytest.mark.parametrize("name", BODIES)
def test_engines_agree_in_every_geometry(name: str) -> None:
    (function,) = canonical(with_positions(BODIES[name]), "k")
    engines = both(function)
    a = np.random.default_rng(3).integers(0, 1000, 512).astype(np.uint32)
    for grid, threadgroup in GEOMETRIES:
        outs = [np.zeros(int(np.prod(grid)), np.uint32) for _ in engines]
        tallies = [np.full(11, 0, np.uint32) for _ in engines]
        for engine, out, tally in zip(engines, outs, tallies, strict=True):
            tally[5] = tally[8] = 0xFFFFFFFF
            engine(out, a, tally, grid=grid, threadgroup=threadgroup)
        where = f"grid {grid}, threadgroup {threadgroup}"
        np.testing.assert_array_equal(*outs, err_msg=where)
        np.testing.assert_array_equal(*tallies, err_msg=where)
        assert len(set(outs[0].tolist())) > 1, f"{where}: too little depends on the thread"


DIVERGENT = """
#include <metal_stdlib>
using namespace metal;
kernel void k(device uint* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
    if (i < 40)
        threadgroup_barrier(mem_flags::mem_threadgroup);
    else
        threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = i;
}
"""


@pytest.mark.parametrize("engine", ["reference", "vectorised"])
def test_a_fault_says_of_no_thread_that_it_waits_where_it_does_not(engine, monkeypatch) -> None:
    monkeypatch.setenv("PYMETAL_ENGINE", engine)
    kernel = pymetal.compile(DIVERGENT, device="cpu")["k"]
    with pytest.raises(pymetal.KernelFault, match="part of threadgroup") as caught:
        kernel(pymetal.output(70), grid=70, threadgroup=70)
    fault = caught.value
    assert fault.line == 6
    assert fault.waiting
    assert set(fault.waiting) <= set(range(40))
    assert fault.elsewhere
    assert set(fault.elsewhere) <= set(range(40, 70))
    assert sorted((*fault.waiting, *fault.elsewhere, *fault.absent)) == list(range(70))
