"""<metal_common>: Metal Shading Language Specification, section 6.2."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import (
    DTYPES,
    FLOATS,
    assert_same,
    assert_ulps,
    calls,
    compile_calls,
    evaluate,
    float_edges,
    float_values,
    pairs,
)

import pymetal


def test_every_function_compiles_at_every_width(device):
    for t in FLOATS:
        every = calls("saturate sign", t, t) + calls("step", t, t, t)
        every += calls("clamp mix smoothstep", t, t, t, t)
        for prefix in ("fast::", "precise::"):
            every += calls("saturate", t, t, prefix=prefix)
            every += calls("clamp", t, t, t, t, prefix=prefix)
        compile_calls(every, device)


def test_a_scalar_serves_for_a_vector(device):
    x = np.linspace(-2, 2, 64).astype(np.float32)
    functions = {
        "clamp": "clamp(a, -1.0f, 1.0f)",
        "mix": "mix(a, -a, 0.25f)",
        "step": "step(0.5f, a)",
        "max": "max(a, 0.0f)",
    }
    results = evaluate(functions, "float", [("float", x)], device)
    assert_same("clamp", results["clamp"], np.clip(x, -1, 1), x)
    assert_same("mix", results["mix"], x * np.float32(0.5), x)
    assert_same("step", results["step"], np.where(x < 0.5, 0, 1), x)
    assert_same("max", results["max"], np.maximum(x, 0) + 0, x)


def test_a_function_that_metal_lacks_is_a_compile_error_that_names_it(device):
    with pytest.raises(pymetal.CompileError, match="smootherstep"):
        compile_calls(calls("smootherstep", "float", "float", widths=[""]), device)


@pytest.mark.parametrize("t", FLOATS)
def test_clamp_saturate_sign_and_step_are_exact(device, t):
    dtype = DTYPES[t]
    x = float_values(dtype)
    functions = {
        "clamp": f"clamp(a, {t}WIDTH(-1), {t}WIDTH(2))",
        "saturate": "abs(saturate(a))",  # of -0 it may be either zero
        "sign": "sign(a)",
    }
    results = evaluate(functions, t, [(t, x)], device)
    # fmin(fmax(x, low), high): a NaN becomes the lower bound.
    assert_same("clamp", results["clamp"], np.fmin(np.fmax(x, dtype.type(-1)), dtype.type(2)), x)
    saturated = np.fmin(np.fmax(x, dtype.type(0)), dtype.type(1))
    assert_same("saturate", results["saturate"], np.abs(saturated), x)
    signs = np.where(np.isnan(x), dtype.type(0), np.where(x == 0, x, np.sign(x)))
    assert_same("sign", results["sign"], signs, x)  # keeps -0

    x, edge = pairs(float_edges(dtype), float_edges(dtype))
    stepped = evaluate({"step": "step(a, b)"}, t, [(t, edge), (t, x)], device)["step"]
    assert_same("step", stepped, np.where(x < edge, 0, 1), edge, x)


def test_mix_and_smoothstep_follow_their_formulas(device):
    rng = np.random.default_rng(1)
    x, y = (rng.uniform(-10, 10, 1000).astype(np.float32) for _ in range(2))
    a = rng.uniform(0, 1, 1000).astype(np.float32)
    arguments = [("float", x), ("float", y), ("float", a)]
    result = evaluate({"mix": "mix(a, b, c)"}, "float", arguments, device)["mix"]
    X, Y, A = (v.astype(np.float64) for v in (x, y, a))  # noqa: N806
    # Three roundings of numbers no larger than |x| + |y - x|.
    bound = 3 * 2.0**-24 * (np.abs(X) + np.abs(Y - X))
    assert (np.abs(result - (X + (Y - X) * A)) <= bound).all()

    x = np.linspace(-1, 3, 401).astype(np.float32)
    edges = {"smoothstep": "smoothstep(floatWIDTH(0.5f), floatWIDTH(2.0f), a)"}
    result = evaluate(edges, "float", [("float", x)], device)["smoothstep"]
    t = np.clip((x.astype(np.float64) - 0.5) / 1.5, 0, 1)
    # x - edge0 is exact or rounds once, then five more roundings of numbers that are at most 3 t^2.
    assert_ulps("smoothstep", result, t * t * (3 - 2 * t), 8, x)
    assert set(result[x <= 0.5]) == {0}
    assert set(result[x >= 2]) == {1}
