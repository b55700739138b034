"""<metal_simdgroup_matrix>: Metal Shading Language Specification, section 6.7."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import DTYPES, PREAMBLE, Call, compile_calls
from tolerance import gamma, unit_roundoff

import pymetal

TYPES = ("float", "half", "bfloat")
SPACES = ("device", "threadgroup")


def test_every_function_compiles_for_every_type_and_address_space(device):
    every = []
    for t in TYPES:
        m = f"simdgroup_matrix<{t}, 8, 8>"
        every += [
            Call(m, "simdgroup_matrix<" + t + ", 8, 8>(a)", (t,)),
            Call(f"simdgroup_{t}8x8", "a", (m,)),
            Call(m, f"make_filled_simdgroup_matrix<{t}, 8, 8>(a)", (t,)),
            Call(m, f"make_filled_simdgroup_matrix<{t}, 8>(a)", (t,)),
            Call(m, f"make_diagonal_simdgroup_matrix<{t}, 8, 8>(a)", (t,)),
            Call("void", "simdgroup_multiply(a, b, c)", (f"thread {m}&", m, m)),
            Call("void", "simdgroup_multiply_accumulate(a, b, c, d)", (f"thread {m}&", m, m, m)),
            Call(m, "a * b", (m, m)),
            Call(t, "a.thread_elements()[1]", (m,)),
            Call("void", "a.thread_elements() = b", (f"thread {m}&", f"vec<{t}, 2>")),
        ]
        for space in SPACES:
            for extra in ("", ", 16", ", 16, ulong2(0)", ", 16, 0, true"):
                every.append(
                    Call(
                        "void",
                        f"simdgroup_load(a, b{extra})",
                        (f"thread {m}&", f"const {space} {t}*"),
                    )
                )
                every.append(Call("void", f"simdgroup_store(a, b{extra})", (m, f"{space} {t}*")))
    accumulator, factor = "simdgroup_float8x8", "simdgroup_half8x8"
    every.append(
        Call(
            "void",
            "simdgroup_multiply_accumulate(a, b, c, d)",
            (f"thread {accumulator}&", factor, factor, accumulator),
        )
    )
    compile_calls(every, device)


@pytest.mark.parametrize(
    ("call", "parameters", "name"),
    [
        ("simdgroup_matrix<int, 8, 8>(1)", (), "float, half or bfloat"),
        ("simdgroup_matrix<float, 4, 4>(1)", (), "8 columns and 8 rows"),
        (
            "simdgroup_load(a, b)",
            ("thread simdgroup_float8x8&", "device half*"),
            "simdgroup_load",
        ),
        ("simdgroup_transpose(a)", ("simdgroup_float8x8",), "simdgroup_transpose"),
    ],
)
def test_what_metal_lacks_is_a_compile_error(device, call, parameters, name):
    with pytest.raises(pymetal.CompileError, match=name):
        compile_calls([Call("void", call, parameters)], device)


def run(t: str, body: str, device: str, *inputs: np.ndarray, out: tuple[int, ...]) -> np.ndarray:
    arguments = "".join(
        f", device const {t}* {name} [[buffer({i + 1})]]"
        for i, name in enumerate("abc"[: len(inputs)])
    )
    source = (
        PREAMBLE
        + f"""
        kernel void k(device {t}* out [[buffer(0)]]{arguments},
                      uint lane [[thread_index_in_simdgroup]]) {{
            typedef simdgroup_matrix<{t}, 8, 8> M;
            {body}
        }}"""
    )
    kernel = pymetal.compile(source, device=device).kernel("k")
    return kernel(pymetal.output(out), *inputs, grid=32, threadgroup=32)


def numbers(t: str, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(DTYPES[t])


@pytest.mark.parametrize("t", TYPES)
def test_a_product_agrees_with_float64(device, t):
    a, b, c = (numbers(t, 8, 8, seed=s) for s in range(3))
    body = """M x, y, z, d; simdgroup_load(x, a); simdgroup_load(y, b); simdgroup_load(z, c);
        simdgroup_multiply_accumulate(d, x, y, z); simdgroup_store(d, out);
        simdgroup_multiply(d, x, y); simdgroup_store(d, out + 64);
        simdgroup_store(x * y, out + 128);"""
    result = run(t, body, device, a, b, c, out=(3, 8, 8)).astype(np.float64)
    A, B, C = (x.astype(np.float64) for x in (a, b, c))  # noqa: N806
    # Nine terms up to 1 accumulated in float, then rounded to t.
    for got, exact in ((result[0], A @ B + C), (result[1], A @ B), (result[2], A @ B)):
        bound = gamma(9) * 9 + unit_roundoff(DTYPES[t]) * np.abs(exact)
        assert (np.abs(got - exact) <= bound).all()


def test_half_factors_accumulate_in_float(device):
    a, b = (numbers("half", 8, 8, seed=s) for s in range(2))
    kernel = pymetal.compile(
        PREAMBLE
        + """
        kernel void k(device float* out [[buffer(0)]], device const half* a [[buffer(1)]],
                      device const half* b [[buffer(2)]]) {
            simdgroup_half8x8 x, y;
            simdgroup_float8x8 d = make_filled_simdgroup_matrix<float, 8, 8>(100.0f);
            simdgroup_load(x, a);
            simdgroup_load(y, b);
            simdgroup_multiply_accumulate(d, x, y, d);
            simdgroup_store(d, out);
        }""",
        device=device,
    ).kernel("k")
    result = kernel(pymetal.output((8, 8)), a, b, grid=32, threadgroup=32)
    exact = a.astype(np.float64) @ b.astype(np.float64) + 100
    assert (np.abs(result - exact) <= gamma(9) * 110).all()


@pytest.mark.parametrize("outer", [1, 3])
def test_sums_that_go_on_and_sums_that_are_kept_stay_apart(device, outer):
    """A sum that others still need must not be written over, nor the next one's factors."""
    a, b = (numbers("float", 8, 8, seed=s) for s in range(2))
    body = f"""M x, y; simdgroup_load(x, a); simdgroup_load(y, b);
        M start = make_diagonal_simdgroup_matrix<float, 8, 8>(1.0f);
        for (int i = 0; i < {outer}; ++i) {{
            M sum = start, other = y;
            for (int j = 0; j < a[0] * 0 + 3; ++j) {{
                M before = sum;
                simdgroup_multiply_accumulate(sum, x, y, sum);
                simdgroup_multiply_accumulate(other, x, before, other);
                simdgroup_multiply_accumulate(start, x, x, start);
            }}
            simdgroup_store(sum, out); simdgroup_store(other, out + 64);
        }}
        simdgroup_store(start, out + 128);"""
    result = run("float", body, device, a, b, out=(3, 8, 8))
    A, B = a.astype(np.float64), b.astype(np.float64)  # noqa: N806
    start = np.eye(8)
    for _ in range(outer):
        total, other = start, B
        for _ in range(3):
            before = total
            total, other, start = total + A @ B, other + A @ before, start + A @ A
    # Sums of up to 72 * outer terms; magnitudes grow with each product.
    magnitude = 8**3 * outer
    for got, exact in zip(result, (total, other, start), strict=True):
        assert (np.abs(got - exact) <= gamma(9 * 3 * outer) * magnitude).all()


@pytest.mark.parametrize("t", TYPES)
def test_load_and_store_take_a_stride_an_origin_and_a_transposition(device, t):
    a = numbers(t, 24, 20)
    body = """M x; simdgroup_load(x, a, 20, ulong2(5, 9)); simdgroup_store(x, out);
        simdgroup_load(x, a, 20, ulong2(3, 2), true); simdgroup_store(x, out + 64);
        simdgroup_load(x, a, 20); simdgroup_store(x, out + 128, 16, ulong2(8, 4));
        simdgroup_load(x, a, 20); simdgroup_store(x, out + 128, 16, ulong2(0, 4), true);"""
    result = run(t, body, device, a, out=(128 + 16 * 12,))
    assert (result[:64].reshape(8, 8) == a[9:17, 5:13]).all()
    assert (result[64:128].reshape(8, 8) == a[2:10, 3:11].T).all()
    stored = result[128:].reshape(12, 16)
    assert (stored[4:12, 8:] == a[:8, :8]).all()
    assert (stored[4:12, :8] == a[:8, :8].T).all()


@pytest.mark.parametrize("t", TYPES)
def test_filled_and_diagonal_matrices(device, t):
    body = f"""simdgroup_store(make_filled_simdgroup_matrix<{t}, 8, 8>({t}(2.5)), out);
        simdgroup_store(M({t}(3)), out + 64);
        simdgroup_store(make_diagonal_simdgroup_matrix<{t}, 8, 8>({t}(4)), out + 128);"""
    result = run(t, body, device, out=(3, 8, 8))
    assert (result[0] == 2.5).all()
    assert (result[1] == np.eye(8) * 3).all()
    assert (result[2] == np.eye(8) * 4).all()


@pytest.mark.parametrize("t", TYPES)
def test_every_lane_sees_two_elements_of_its_row(device, t):
    a = np.arange(64).reshape(8, 8).astype(DTYPES[t])
    body = f"""M x; simdgroup_load(x, a);
        out[2 * lane] = x.thread_elements()[0]; out[2 * lane + 1] = x.thread_elements()[1];
        x.thread_elements() = x.thread_elements() * {t}(2);
        simdgroup_store(x, out + 64);"""
    result = run(t, body, device, a, out=(2, 64))
    lane = np.arange(32)
    row = (lane // 4 & 4) + lane // 2 % 4  # docs/air.md, section 2
    column = (lane // 4 & 2) * 2 + lane % 2 * 2
    assert (result[0].reshape(32, 2) == np.stack([a[row, column], a[row, column + 1]], 1)).all()
    assert (result[1].reshape(8, 8) == a * 2).all()


def test_threadgroup_memory_holds_matrices_too(device):
    a = numbers("float", 8, 8)
    body = """threadgroup float tile[64];
        for (uint i = lane; i < 64; i += 32) tile[i] = a[i] * 2;
        simdgroup_barrier(mem_flags::mem_threadgroup);
        M x; simdgroup_load(x, tile, 8, 0, true); simdgroup_store(x, tile);
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint i = lane; i < 64; i += 32) out[i] = tile[i];"""
    result = run("float", body, device, a, out=(8, 8))
    assert (result == a.T * 2).all()
