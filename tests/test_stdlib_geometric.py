"""<metal_geometric>: Metal Shading Language Specification, section 6.8, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import FLOATS, Call, calls, compile_calls, evaluate
from tolerance import gamma, unit_roundoff

import pymetal

VECTORS = ("2", "3", "4")


def test_every_function_compiles_for_every_vector(device):
    every = []
    for t in FLOATS:
        for w in VECTORS:
            v = t + w
            for name in ("distance", "distance_squared", "dot"):
                every.append(Call(t, f"{name}(a, b)", (v, v)))
            for name in ("length", "length_squared"):
                every.append(Call(t, f"{name}(a)", (v,)))
            for namespace in ("fast", "precise"):
                every.append(Call(t, f"{namespace}::distance(a, b)", (v, v)))
                every.append(Call(t, f"{namespace}::length(a)", (v,)))
                every.append(Call(v, f"{namespace}::normalize(a)", (v,)))
            every.append(Call(v, "refract(a, b, c)", (v, v, t)))
        every += calls("normalize", t, t, widths=VECTORS)
        every += calls("reflect", t, t, t, widths=VECTORS)
        every += calls("faceforward", t, t, t, t, widths=VECTORS)
        every += calls("cross", t, t, t, widths=["3"])
    # Packed vectors convert to vectors.
    every.append(Call("float", "dot(a, b)", ("packed_float3", "float3")))
    every.append(Call("float3", "normalize(a)", ("packed_float3",)))
    compile_calls(every, device)


@pytest.mark.parametrize(
    "call", ["cross(float2(1), float2(1))", "dot(float2(1), float3(1))", "length(int2(1))"]
)
def test_other_vectors_are_a_compile_error(device, call):
    with pytest.raises(pymetal.CompileError, match=call.split("(")[0]):
        compile_calls([Call("float", call)], device)


def test_a_function_that_metal_lacks_is_a_compile_error_that_names_it(device):
    with pytest.raises(pymetal.CompileError, match="outer"):
        compile_calls([Call("float2x2", "outer(a, b)", ("float2", "float2"))], device)


def _vectors(t: str, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-2, 2, (500, 4))
    return values.astype(np.float32 if t == "float" else np.float16)


def _run(t: str, functions: dict[str, str], x: np.ndarray, y: np.ndarray, device: str):
    """Functions of vectors, whose elements arrive as planes: plane k is x[:, k], y[:, k] after."""
    n = x.shape[1]
    packed = np.concatenate([x, y], axis=1)
    load = (
        f"device const {t}* p = a + i * {2 * n}; "
        f"{t}{n} x = {t}{n}({', '.join(f'p[{k}]' for k in range(n))}); "
        f"{t}{n} y = {t}{n}({', '.join(f'p[{k + n}]' for k in range(n))}); "
    )
    # Every result has room for four elements.
    stores = ""
    for f, expression in enumerate(functions.values()):
        stores += f"{{ {t}4 r = {t}4(0); {expression} for (int k = 0; k < 4; k++) "
        stores += f"out[({f} * n + i) * 4 + k] = r[k]; }}\n"
    source = f"""#include <metal_stdlib>
        using namespace metal;
        kernel void k(device {t}* out [[buffer(0)]], device const {t}* a [[buffer(1)]],
                      uint i [[thread_position_in_grid]], uint n [[threads_per_grid]]) {{
            {load} {stores}
        }}"""
    kernel = pymetal.compile(source, device=device).kernel("k")
    out = pymetal.output((len(functions), len(x), 4))
    got = kernel(out, packed, grid=len(x), threadgroup=50)
    return dict(zip(functions, got.astype(np.float64), strict=True))


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("t", FLOATS)
def test_functions_agree_with_float64(device, t, n):
    x, y = _vectors(t, 1)[:, :n], _vectors(t, 2)[:, :n]
    scalars = {
        "dot": "dot(x, y)",
        "length": "length(x)",
        "length_squared": "length_squared(x)",
        "distance": "distance(x, y)",
        "distance_squared": "distance_squared(x, y)",
    }
    whole = {3: "r.xyz", 2: "r.xy", 4: "r"}[n]
    vectors = {
        "normalize": "normalize(x)",
        "reflect": "reflect(x, y)",
        "faceforward": "faceforward(x, y, x)",
        "refract": f"refract(normalize(x), normalize(y), {t}(0.75))",
    }
    functions = {name: f"r.x = {e};" for name, e in scalars.items()}
    functions |= {name: f"{whole} = {e};" for name, e in vectors.items()}
    results = _run(t, functions, x, y, device)

    X, Y = x.astype(np.float64), y.astype(np.float64)  # noqa: N806
    dot = (X * Y).sum(axis=1)
    square = (X * X).sum(axis=1)
    apart = ((X - Y) ** 2).sum(axis=1)
    # n products and n - 1 sums; x - y rounds first where half subtracts in half. Half results
    # round once more at the end.
    dtype = np.float32 if t == "float" else np.float16
    u, size = unit_roundoff(dtype), (np.abs(X) * np.abs(Y)).sum(axis=1)
    final = 0 if t == "float" else u
    bound = {
        "dot": gamma(n) * size + final * np.abs(dot),
        "length": (gamma(n + 8) + 2 * u) * np.sqrt(square),
        "length_squared": (gamma(n) + final) * square,
        "distance": (gamma(n + 8) + 4 * u) * np.sqrt(apart),
        "distance_squared": (gamma(n) + 5 * u) * apart,
    }
    exact = {
        "dot": dot,
        "length": np.sqrt(square),
        "length_squared": square,
        "distance": np.sqrt(apart),
        "distance_squared": apart,
    }
    for name, expected in exact.items():
        error = np.abs(results[name][:, 0] - expected)
        assert (error <= bound[name]).all(), (name, error.max())

    unit_x = X / np.sqrt(square)[:, None]
    unit_y = Y / np.linalg.norm(Y, axis=1)[:, None]
    reflected = X - 2 * dot[:, None] * Y
    facing = np.where(dot[:, None] < 0, X, -X)
    cosine = (unit_x * unit_y).sum(axis=1)
    k = 1 - 0.75**2 * (1 - cosine**2)
    refracted = 0.75 * unit_x - (0.75 * cosine + np.sqrt(k))[:, None] * unit_y
    steps = 16 * u  # a handful of roundings of numbers of the result's size
    for name, expected, scale in (
        ("normalize", unit_x, 1),
        ("reflect", reflected, 1 + 2 * np.abs(dot).max() * 2),
        ("refract", refracted, 2 / np.sqrt(k.min())),
    ):
        error = np.abs(results[name][:, :n] - expected)
        assert (error <= steps * scale).all(), (name, error.max())
    certain = np.abs(dot) > 1e-2  # where rounding cannot turn the sign
    assert (results["faceforward"][certain, :n] == facing[certain]).all()


@pytest.mark.parametrize("t", FLOATS)
def test_cross_is_perpendicular_to_both(device, t):
    x, y = _vectors(t, 3)[:, :3], _vectors(t, 4)[:, :3]
    result = _run(t, {"cross": "r.xyz = cross(x, y);"}, x, y, device)["cross"][:, :3]
    exact = np.cross(x.astype(np.float64), y.astype(np.float64))
    u = unit_roundoff(np.float32 if t == "float" else np.float16)
    assert (np.abs(result - exact) <= 4 * u * 8).all()  # products are at most 4, two of them


def test_refract_is_zero_at_total_reflection(device):
    x = np.tile(np.array([[0.99, 0.14106735, 0.0]], np.float32), (4, 1))
    y = np.tile(np.array([[0.0, 1.0, 0.0]], np.float32), (4, 1))
    result = _run("float", {"refract": "r.xyz = refract(x, y, 1.5);"}, x, y, device)["refract"]
    assert (result == 0).all()


def test_dot_of_zero_length_vectors_does_not_trap(device):
    zero = np.zeros(8, np.float32)
    result = evaluate(
        {"length": "length(float2(a, a))"}, "float", [("float", zero)], device, widths=False
    )
    assert (result["length"] == 0).all()
