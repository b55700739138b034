"""What the language has gives the same on both engines: types, functions, pointers, loops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from two_engines import both, canonical, with_positions

GEOMETRIES = [((40, 6), (32, 2)), ((9, 6, 5), (4, 4, 2))]
BODIES = {
    "numbers_taken_apart": """
        int e;
        float m = frexp(float(a[i]), e);
        float w;
        float q = modf(float(a[i]) / 7, w);
        r += uint(m * 1000) + uint(e) + uint(q * 100) + uint(w);
        r += uint(ldexp(float(i), 3));
        r += uint(ldexp(float(a[i]), int(i & 7) - 3) * 8);
        r += uint(ilogb(float(a[i] + 1)));
    """,
    "mathematics_of_half": """
        half h = half(a[i]) / 100.h;
        r += as_type<ushort>(sqrt(h)) + as_type<ushort>(rint(h)) +
             as_type<ushort>(fmod(h, 0.7h)) + as_type<ushort>(ldexp(h, 2));
    """,
    "products_that_overflow": """
        uint x = i * 7000000u, y = a[i];
        uint product = x * y;
        r += y != 0 && product / y != x ? 7u : product;
        ulong v = i * 0x700000001000ul, long_product = v * y;
        r += y != 0 && long_product / y != v ? 7u : uint(long_product);
    """,
    "vectors_of_bool": """
        bool4 b = uint4(a[i], i, p.x, p.y) > 3u;
        r += uint(any(b)) + 2 * uint(all(b)) + uint(b.x & b.w);
        r += select(uint4(1, 2, 3, 4), uint4(5, 6, 7, 8), b).z;
    """,
    "matrices": """
        float3x3 m = float3x3(float3(a[i], 1, 2), float3(3, 4, i), float3(5, 6, 7));
        float3 v = m * float3(1, 2, 3);
        float3x3 n = transpose(m) * m;
        r += uint(v.x) + uint(v.y * 3) + uint(n[1][2]) + uint(n[a[i] % 3].y) +
             uint(determinant(m) > 0);
    """,
    "packed_vectors": """
        packed_float3 q[2] = {packed_float3(a[i], i, 1), packed_float3(2, 3, p.x)};
        r += uint(q[a[i] & 1].y) + uint(dot(float3(q[0]), float3(q[1])));
    """,
    "pointers_to_structs": """
        struct S {
            uint a;
            half4 h;
            uchar c[3];
        } s[3];
        for (uint k = 0; k < 3; ++k) {
            s[k].a = k * i;
            s[k].h = half4(k, i, 1, 2);
            s[k].c[0] = s[k].c[1] = s[k].c[2] = uchar(k + i);
        }
        thread S *w = &s[a[i] % 3];
        w->a += 5;
        w->h.yz *= 2.h;
        w->c[i % 3] = 77;
        r += s[1].a + uint(s[2].h.y) + s[0].c[a[i] % 3] + s[1].c[1];
    """,
    "lambdas": """
        auto f = [&](uint x) { return x * 3 + a[x & 255]; };
        for (uint k = 0; k < (a[i] & 3); ++k) r = f(r + k);
    """,
    "swizzles": """
        float4 v = float4(a[i], i, p.x, p.y);
        v.xw = v.wx;
        v.yz += v.xw;
        r += uint(v.x + v.y * 3 + v.z * 5 + v.w * 7);
    """,
    "bits": """
        r += extract_bits(a[i], 2, 5) + insert_bits(a[i], i, 3, 4) + reverse_bits(a[i]) +
             clz(a[i]) + ctz(a[i] | 256);
    """,
    "packing": """
        r += pack_float_to_unorm4x8(float4(a[i] / 1000.f, 0.5, 0.25, 1)) +
             pack_half_to_unorm4x8(half4(0.5h, half(a[i]) / 1000.h, 0, 1));
        r += uint(unpack_unorm4x8_to_float(r).y * 255);
    """,
    "pointers_to_one_of_two": """
        device const uint *q = (a[i] & 1) ? a : a + 100;
        threadgroup uint *z = (i & 1) ? tile : tile + 256;
        z[index & 255] = q[i & 127];
        r += z[index & 255];
    """,
    "a_return_from_nested_loops": """
        for (uint x = 0; x < 5; ++x) {
            for (uint y = 0; y < 5; ++y) {
                if (x * y == (a[i] & 15)) {
                    r = x * 10 + y;
                    out[i] = r;
                    return;
                }
                if (y > (i & 3)) break;
            }
            if (x == (a[i] & 3)) continue;
            r += simd_sum(x);
        }
    """,
    "simdgroup_operations_in_a_switch_in_a_loop": """
        uint s = a[i];
        do {
            switch (s & 3) {
            case 0: s = simd_max(s) / 2; break;
            case 1: s -= 1; continue;
            case 2:
                s /= 2;
                if (simd_any(s > 40)) break;
            default: s = s > 5 ? s - 5 : 0;
            }
            r += s;
        } while (s > 2);
    """,
    "a_loop_that_lasts_while_any_lane_wants": """
        uint k = 0;
        while (simd_any(k < (a[i] & 15))) {
            if (k < (a[i] & 15)) r += simd_prefix_inclusive_sum(k);
            ++k;
        }
    """,
    "a_stack_of_a_thread": """
        uint st[16];
        uint top = 0;
        st[top++] = a[i];
        while (top > 0 && r < 5000) {
            uint v = st[--top];
            r += v & 63;
            if (v > 30 && top < 12) {
                st[top++] = v / 2;
                if (v & 1) st[top++] = v / 3;
            }
        }
    """,
    "vectors_of_ulong": """
        ulong2 v = ulong2(a[i], i) * 0x100000001ul;
        v = v / (ulong2(3, 5) + ulong2(i));
        r += uint(v.x >> 7) + uint(v.y % 1009) + uint(dot(float2(v), float2(1)) > 0);
    """,
    "vectors_of_char": """
        char4 c = as_type<char4>(a[i] * 2654435761u);
        c = c * char4(3) + char4(1);
        uchar4 u = as_type<uchar4>(c);
        r += as_type<uint>(u >> uchar4(1)) + uint(c.x) + uint(u.y) + uint(short(c.z) * 300);
    """,
    "quadgroup_operations": """
        r += quad_prefix_inclusive_sum(a[i]) + quad_broadcast(a[i], 2) +
             quad_shuffle_up(a[i], 1) + quad_xor(a[i]) +
             uint(ushort(uint64_t(quad_vote::vote_t(quad_ballot(a[i] & 1)))));
    """,
    "shuffles_of_vectors": """
        half4 h = half4(a[i], i, 1, 2);
        h = simd_shuffle_xor(h, 5) + simd_broadcast(h, 0);
        r += uint(h.x) + uint(h.y);
        bfloat b = simd_sum(bfloat(lane));
        r += as_type<ushort>(b);
    """,
    "arrays_of_bool": """
        bool seen[12];
        for (uint k = 0; k < 12; ++k) seen[k] = (a[(i + k) & 511] & 1);
        seen[a[i] % 12] = !seen[a[i] % 12];
        for (uint k = 0; k < 12; ++k) r = r * 2 + uint(seen[k]);
    """,
    "a_vector_that_a_loop_carries": """
        float4 v = 0;
        for (uint k = 0; k < (a[i] & 15); ++k)
            v = v.yzwx * 0.5f + float4(a[k + i], k, i, 1);
        r += uint(v.x + v.y + v.z + v.w);
    """,
    "a_loop_with_a_flag": """
        bool done = false;
        uint k = 0;
        while (!done) {
            if (a[(i + k) & 511] % 7 == 0) {
                done = true;
                r += k;
            } else if (k > 20) {
                break;
            } else if (a[(i + k) & 511] & 1) {
                k += 2;
                continue;
            }
            ++k;
            r ^= k;
        }
    """,
    "functions_of_integers": """
        int x = int(a[i]) - 500;
        r += uint(clamp(x, -100, 100)) + uint(abs(x)) + uint(mulhi(x, x)) +
             uint(madhi(x, 77777777, 3)) + uint(rhadd(x, 9)) + uint(subsat(x, INT_MAX)) +
             uint(addsat(uint(x), 77u)) + uint(sign(float(x)));
    """,
}


@pytest.mark.parametrize("name", BODIES)
def test_engines_agree(name: str) -> None:
    (function,) = canonical(with_positions(BODIES[name]), "k")
    engines = both(function)
    a = np.random.default_rng(3).integers(0, 1000, 512).astype(np.uint32)
    for grid, threadgroup in GEOMETRIES:
        outs = [np.zeros(int(np.prod(grid)), np.uint32) for _ in engines]
        for engine, out in zip(engines, outs, strict=True):
            engine(out, a, np.zeros(11, np.uint32), grid=grid, threadgroup=threadgroup)
        np.testing.assert_array_equal(*outs, err_msg=f"grid {grid}, threadgroup {threadgroup}")
        assert len(set(outs[0].tolist())) > 1
