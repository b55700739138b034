"""Vectors of the language itself: constructors, conversions, swizzles, comparisons, packed types.

What is constant is asserted while compiling; what needs run-time values runs on the device and is
compared with NumPy, exactly: none of it rounds differently.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from front_end import HEADER, compile_text, compiles

import pymetal

ELEMENTS = [
    "char",
    "uchar",
    "short",
    "ushort",
    "int",
    "uint",
    "long",
    "ulong",
    "half",
    "bfloat",
    "float",
]


def accepted(device: str, *statements: str) -> None:
    """Compile the statements in a function of their own, and again inside a template."""
    body = "\n".join(statements)
    text = (
        f"inline void plain(device float* out) {{\n{body}\n}}\n"
        f"template <typename Any> inline void generic(device Any* out) {{\n{body}\n}}\n"
        "kernel void k(device float* out) { plain(out); generic<float>(out); }"
    )
    if device == "cpu":
        compile_text(text)
    else:
        pymetal.compile(HEADER + text, device=device)


def refused(device: str, statement: str) -> None:
    """A function with this statement does not compile."""
    assert not compiles(f"kernel void k(device float* out) {{ {statement} }}", device)


def run(device: str, body: str, inputs, shape, dtype, head: str = "") -> np.ndarray:
    """Run `body` once, with `out` of `dtype` and inputs a, b, ... as device pointers."""
    names = {np.dtype(np.float32): "float", np.dtype(np.int32): "int", np.dtype(bool): "bool"}
    names |= {np.dtype(np.float16): "half", np.dtype(ml_dtypes.bfloat16): "bfloat"}
    names |= {np.dtype(np.uint8): "uchar", np.dtype(np.uint32): "uint", np.dtype(np.int8): "char"}
    arrays = [np.ascontiguousarray(value) for value in inputs]
    parameters = [f"device {names[np.dtype(dtype)]}* out"]
    parameters += [
        f"device const {names[a.dtype]}* {n}" for n, a in zip("abcd", arrays, strict=False)
    ]
    text = f"{HEADER}{head}\nkernel void k({', '.join(parameters)}) {{\n{body}\n}}"
    kernel = pymetal.compile(text, device=device).kernel("k")
    return kernel(pymetal.output(shape), *arrays, grid=1, threadgroup=1)


@pytest.mark.parametrize("t", ELEMENTS)
def test_sizes_and_alignments_are_metals(device, t):
    sizes = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "half": 2, "bfloat": 2}
    size = sizes.get(t, 8 if "long" in t else 4)
    lines = [f"static_assert(sizeof({t}) == {size});"]
    for n, padded in ((2, 2), (3, 4), (4, 4)):
        lines.append(f"static_assert(sizeof({t}{n}) == {padded * size});")
        lines.append(f"static_assert(alignof({t}{n}) == {padded * size});")
        lines.append(f"static_assert(sizeof(packed_{t}{n}) == {n * size});")
        lines.append(f"static_assert(alignof(packed_{t}{n}) == {size});")
        lines.append(f"static_assert(is_same_v<{t}{n}, vec<{t}, {n}>>);")
    assert compiles("\n".join(lines), device)


def test_vectors_of_bool_have_a_byte_a_lane(device):
    accepted(
        device,
        "static_assert(sizeof(bool2) == 2 && sizeof(bool3) == 4 && sizeof(bool4) == 4);",
        "static_assert(sizeof(packed_bool3) == 3);",
        "bool4 m(true, bool2(false), true); vec<bool, 4> n = m; m.xy = n.zw; m[2] = !m[0];",
        "bool b = m.x && any(m) && all(!m.xyz);",
    )


@pytest.mark.parametrize("t", ELEMENTS)
def test_every_constructor_of_every_vector(device, t):
    accepted(
        device,
        f"{t} s = {t}(1); {t}2 a({t}(1), {t}(2)); {t}3 b(a, s); {t}4 c(a, a); c = {t}4(s, b);",
        f"c = {t}4(b, s); c = {t}4(a, s, s); c = {t}4(s, a, s); c = {t}4(s, s, a); c = {t}4(s);",
        f"c = {t}4(s, s, s, s); c = {t}4(c); b = {t}3(s, a); b = {t}3(b); a = {t}2(); c = 0;",
        f"c = {t}4(1, 2, 3, 4); c = {t}4{{1, 2, 3, 4}}; c = {t}4(uchar4(1)); a = vec<{t}, 2>(s);",
        f"{t}4 d = {t}4(packed_{t}3(s, s, s), s); packed_{t}3 p = d.xyz; p = packed_{t}3(a, s);",
        f"vec<{t}, 3> e = vec<{t}, 3>(a, s); {t}4 f = {{s, s, s, s}}; c = {t}4(float4(1.5));",
        f"{t}4 g = {t}4(a < a, s, s); c = metal::{t}4(s); {t}2 h{{s, s}};",
        f"{t}4 array[2] = {{c, d}}; {t}2 i{{s, s,}}; i = {t}2{{s, s,}};",
    )


@pytest.mark.parametrize("to", ELEMENTS)
def test_conversions_are_explicit_between_element_types(device, to):
    accepted(
        device,
        *(
            f"{{ {of}4 v = {of}4(1); {to}4 a = {to}4(v); a = ({to}4)v; a = static_cast<{to}4>(v);"
            f" {to} s = {to}(v.x); s = ({to})v.y; s = static_cast<{to}>(v.z); }}"
            for of in ELEMENTS
        ),
    )
    other = "float" if to != "float" else "half"
    refused(device, f"{to}4 v = {other}4(1);")
    refused(device, f"{to}4 v = {to}3(1);")


@pytest.mark.parametrize(
    "statement",
    [
        "int4 v = int4(1) * float4(1);",
        "float4 v = float4(1) + float3(1);",
        "float4 v = float4(1, 2, 3);",
        "float2 v = float2(1, 2, 3);",
        "float2 v = float2(float3(1));",
        "float2 v = float4(1);",
        "float4 v = float4(out);",
        "float2 v; float x = v.z;",
        "float4 v; v.xx = float2(1);",
        "float4 v; thread float2& r = v.xy;",
        "float4 v; thread float* p = &v.x;",
        "float4 v = as_type<float4>(1);",
        "bool2 m = bool3(true);",
        "if (float4(1) < 2) {}",
    ],
)
def test_what_metal_refuses_of_vectors(device, statement):
    refused(device, statement)


def test_operators_of_vectors_and_scalars(device):
    accepted(
        device,
        "float4 v = 1; v += 2; v = 2 * v - v / 3 + 1.0h; v *= v; v = -v; v.xy += 1;",
        "half4 h = 1.0h; h = h * 2.0h; int4 i = 1; i = i % 3 << 2 & ~i | 1; i ^= 3;",
        "i++; --i; int4 j = i++ + --i; int t = 0; t++; for (int4 q = 0; t < 2; q++) t++;",
        "uint3 u = uint3(1, 2, 3) >> 1; bfloat2 b = bfloat2(1); b = b * bfloat(2) + b;",
        "v = v < 2 ? v : 0; bool4 m = v < v && i == 1 || !(v > 1); bool2 n = v.xy >= v.zw;",
    )


def test_packed_vectors_compute_as_vectors(device):
    accepted(
        device,
        "packed_float3 p(1, 2, 3), q = p; p += q; p = p * 2 + q / 3; float3 v = p; v = v * p;",
        "p.xy = p.yx; p.zx = float2(1, 2); p[1] = p.z; float2 w = p.rg; p = v; p = -p;",
        "packed_half4 h = half4(1); half4 k = h * h.wzyx; h = packed_half4(float4(p, 1));",
        "float d = dot(p, q) + length(float3(p)); bool3 m = p < q; p = packed_float3(q.xy, 1);",
    )


SWIZZLES = [
    ("v.wzyx", [4, 3, 2, 1]),
    ("v.bgra", [3, 2, 1, 4]),
    ("float4(v.xx, v.yy)", [1, 1, 2, 2]),
    ("float4(v.xyzw).zwxy.yxwz", [4, 3, 2, 1]),
    ("float4(v.zyx, v.w).xzyw", [3, 1, 2, 4]),
]


@pytest.mark.parametrize("kind", ["float4", "packed_float4"])
@pytest.mark.parametrize(("expression", "expected"), SWIZZLES)
def test_swizzles_read_lanes(device, kind, expression, expected):
    head = f"template <typename V> float4 pick(V v) {{ return float4({expression}); }}"
    body = (
        f"{kind} v(a[0], a[1], a[2], a[3]); float4 r = float4({expression});"
        f"for (int i = 0; i < 4; i++) {{ out[i] = r[i]; out[4 + i] = pick<{kind}>(v)[i]; }}"
    )
    got = run(device, body, [np.array([1, 2, 3, 4], np.float32)], (8,), np.float32, head)
    np.testing.assert_array_equal(got, expected * 2)


@pytest.mark.parametrize("kind", ["float4", "packed_float4"])
def test_swizzles_write_their_own_lanes_only(device, kind):
    head = """template <typename V> void change(thread V& v, float2 w) {
        v.wy = w; v.xz += 10; v.yx = v.xy; v.w *= 2; v.zyx = float3(v.xyz) + 1;
    }"""
    body = f"""{kind} v(a[0], a[1], a[2], a[3]); change(v, float2(7, 8));
        for (int i = 0; i < 4; i++) out[i] = v[i];"""
    got = run(device, body, [np.array([1, 2, 3, 4], np.float32)], (4,), np.float32, head)
    # (1,2,3,4) -> wy=(7,8): (1,8,3,7) -> xz+=10: (11,8,13,7) -> yx=xy: (8,11,13,7) -> w*2 -> 14
    # -> zyx = xyz + 1 = (9,12,14): z=9, y=12, x=14
    np.testing.assert_array_equal(got, [14, 12, 9, 14])


def test_comparisons_count_as_zero_and_one(device):
    a = np.array([1, 5, 3, np.nan], np.float32)
    b = np.array([2, 2, 3, 0], np.float32)
    body = """
    float4 x(a[0], a[1], a[2], a[3]), y(b[0], b[1], b[2], b[3]);
    bool4 m = x < y;
    auto deduced = x >= y;
    int4 both = int4(m) + int4(x == y) * 2;
    float4 direct = float4(x != y);
    float4 cast = (float4)(x <= y && y > 0);
    for (int i = 0; i < 4; i++) {
        out[i] = both[i];
        out[4 + i] = direct[i];
        out[8 + i] = cast[i] + 4 * int(deduced[i]);
    }
    out[12] = any(x < y) + 2 * all(x < y) + 4 * all(x != x || y == y) + 8 * sizeof(deduced);
    out[13] = (x < y).x + int((x > y).y) * 2;
    out[14] = select(x, y, x < y).x + select(x, y, m).y;
    """
    got = run(device, body, [a, b], (15,), np.float32)
    expected = [
        *((a < b) + 2 * (a == b)),
        *(a != b),
        *(((a <= b) & (b > 0)) + 4 * (a >= b)),
        1 + 4 + 32,
        1 + 2,
        2 + 5,
    ]
    np.testing.assert_array_equal(got, np.array(expected, np.float32))


def test_lanes_of_bool_vectors_are_deduced_and_cast(device):
    head = """
    template <uint N>
    inline int count(metal::vec<bool, N> v) {
        vec<ushort, N> w = (vec<ushort, N>)v;
        vec<bool, N> back = (vec<bool, N>)(w * ushort(2));
        int sum = 0;
        for (uint i = 0; i < N; i++) sum += 10 * w[i] + back[i];
        return sum + 100 * N;
    }
    template <typename T> inline int count(T v) { return -1; }
    """
    body = """
    out[0] = count(bool3(true, false, true));
    out[1] = count(vec<bool, 2>(int2(0, 7)));
    out[2] = count(int2(1));
    """
    np.testing.assert_array_equal(run(device, body, [], (3,), np.int32, head), [322, 211, -1])


def test_a_shift_to_the_right_is_no_comparison(device):
    a = np.array([9, 100, -7, 3], np.int32)
    body = """
    int4 x(a[0], a[1], a[2], a[3]), n(0, 1, 2, 3);
    auto deduced = x >> n;
    int4 direct = int4(x >> 1), cast = (int4)(x >> n);
    int4 inner = int4(int4(x) >> n) + int4(uint4(x) >> 30) + int4(int4(n) > 1);
    int first = (x >> 1).x;
    for (int i = 0; i < 4; i++) {
        out[i] = deduced[i];
        out[4 + i] = direct[i];
        out[8 + i] = cast[i];
        out[12 + i] = inner[i];
    }
    out[16] = first;
    """
    n = np.arange(4, dtype=np.int32)
    inner = (a >> n) + (a.view(np.uint32) >> 30).astype(np.int32) + (n > 1)
    expected = [*(a >> n), *(a >> 1), *(a >> n), *inner, 4]
    np.testing.assert_array_equal(run(device, body, [a], (17,), np.int32), expected)


def test_vectors_of_bool_in_memory_are_bytes(device):
    body = """device bool4* o = (device bool4*)out; device const bool4* i = (device const bool4*)a;
    o[0] = i[0] && !i[1]; o[1] = i[0] || i[1]; o[2] = i[0] != i[1]; o[2].yx = i[0].xy;"""
    a = np.array([[1, 0, 1, 0], [1, 1, 0, 0]], bool)
    got = run(device, body, [a], (3, 4), bool)
    differ = a[0] ^ a[1]
    differ[[1, 0]] = a[0][:2]
    np.testing.assert_array_equal(got, [a[0] & ~a[1], a[0] | a[1], differ])


def test_conversions_truncate_and_round_as_scalars_do(device):
    a = np.array([1.5, -2.75, 100.4, 0.3], np.float32)
    body = """float4 v(a[0], a[1], a[2], a[3]); int4 i = (int4)v; i += int4(half4(v)) * 1000;
    half4 h = half4(bfloat4(v)); short4 s = static_cast<short4>(h);
    for (int n = 0; n < 4; n++) { out[n] = i[n]; out[4 + n] = s[n]; out[8 + n] = bool4(v)[n]; }"""
    got = run(device, body, [a], (12,), np.int32)
    bf = a.astype(ml_dtypes.bfloat16).astype(np.float16).astype(np.int32)
    expected = [*(a.astype(np.int32) * 1001), *bf, 1, 1, 1, 1]
    np.testing.assert_array_equal(got, expected)


def test_as_type_copies_bits(device):
    a = np.array([1.0, -0.0], np.float32)
    body = """out[0] = as_type<uint>(a[0]); out[1] = as_type<uint2>(float2(a[0], a[1])).y;
    out[2] = as_type<uint>(half2(1, 2)); out[3] = as_type<uint>(uchar4(1, 2, 3, 4));
    out[4] = as_type<uint>(as_type<float>(0x7fc00001u));"""
    got = run(device, body, [a], (5,), np.uint32)
    assert list(got) == [0x3F800000, 0x80000000, 0x40003C00, 0x04030201, 0x7FC00001]


def test_packed_vectors_lie_without_padding(device):
    body = """device packed_float3* o = (device packed_float3*)out;
    device const packed_float3* i = (device const packed_float3*)a;
    o[1] = i[0] + float3(i[1]); o[0] = o[1].zyx; o[0].y *= 2;"""
    a = np.arange(6, dtype=np.float32)
    got = run(device, body, [a], (6,), np.float32)
    total = a[:3] + a[3:]
    np.testing.assert_array_equal(got, [total[2], 2 * total[1], total[0], *total])


def test_braces_initialise_vector_parameters_and_results(device):
    head = """float sum(float3 v, float2 w) { return v.x + v.y * 10 + v.z * 100 + w.y; }
    float3 make_one(float x) { return {x, 2, 3}; }
    struct pair { int a; half b; }; float add(pair p) { return p.a + p.b; }"""
    body = "out[0] = sum({a[0], 2, 3}, {0, 4}) + make_one(a[0]).z; out[1] = add({1, 2.5h});"
    got = run(device, body, [np.array([1], np.float32)], (2,), np.float32, head)
    np.testing.assert_array_equal(got, [1 + 20 + 300 + 4 + 3, 3.5])


def test_literals_have_metals_types(device):
    accepted(
        device,
        "static_assert(is_same_v<decltype(1.0), float>); static_assert(sizeof(1e3) == 4);",
        "static_assert(is_same_v<decltype(1.0h), half>);",
        "static_assert(is_same_v<decltype(1.5bf), bfloat>);",
        "static_assert(is_same_v<decltype(1.0h * 2.0), float>);",
        "static_assert(0.1 == 0.1f); float v = 1.0h + 0x1p-3;",
    )


def test_vectors_are_deduced_and_dependent(device):
    assert compiles(
        """
        template <typename T, int N> T first(vec<T, N> v) { return v[0]; }
        template <typename T> struct cell { typedef vec<T, 4> row; using lane = T;
                                            row get(T x) { return row(x, x, lane(1), T(2)); } };
        template <typename V> V twice(V v) { return V(v) * V(2) + (V)v - static_cast<V>(v); }
        template <typename U, typename T> U to(T x) { return U(x) + (U)x + static_cast<U>(x); }
        kernel void k(device float4* out) {
            out[0] = first(float4(1)) + first(half2(1, 2)) + cell<float>().get(1);
            out[1] = twice(out[0]) + float4(twice(half4(1))) + twice(3);
            out[2] = to<float4>(int4(1)) + to<float>(bfloat(1)) + float4(to<half4>(bfloat4(1)));
        }
        """
    )


def test_arrays_of_the_widest_vectors_need_no_more_than_16_bytes_alignment(device):
    source = """#include <metal_stdlib>
    using namespace metal;
    kernel void k(device ulong4* out [[buffer(0)]], constant ulong4& x [[buffer(1)]]) {
        out[0] = x + x;
    }"""
    kernel = pymetal.compile(source, device=device).kernel("k")
    for start in (0, 2):  # one of the two is no multiple of 32 bytes, which ulong4 has in Metal
        x, out = np.arange(8, dtype=np.uint64), np.zeros(8, np.uint64)
        kernel(out[start : start + 4], x[start : start + 4], grid=1)
        np.testing.assert_array_equal(out[start : start + 4], 2 * x[start : start + 4])
