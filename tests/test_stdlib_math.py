"""<metal_math>: Metal Shading Language Specification, section 6.5.

Accuracy is that of its tables 8.1 (float, precise) and 8.3 (half): so many ULP of the exact result.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from metal_calls import (
    DTYPES,
    FLOATS,
    Call,
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

# NumPy warns of every signaling NaN among the drawn bit patterns.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")

ONE = (
    "acos acosh asin asinh atan atanh ceil cos cosh cospi exp exp2 exp10 fabs abs floor fract log "
    "log2 log10 rint round rsqrt sin sinh sinpi sqrt tan tanh tanpi trunc"
)
TWO = "atan2 copysign divide fdim fmax max fmin min fmod nextafter pow powr"
THREE = "fma fmax3 max3 fmedian3 median3 fmin3 min3"
NAMESPACES = ("metal::", "metal::fast::", "metal::precise::")


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("math_mode", ["safe", "fast"])
def test_every_function_compiles_at_every_width(device, namespace, math_mode):
    every = []
    for t in FLOATS:
        every += calls(ONE, t, t, prefix=namespace)
        every += calls(TWO, t, t, t, prefix=namespace)
        every += calls(THREE, t, t, t, t, prefix=namespace)
        for w in ("", "2", "3", "4"):
            v, i = t + w, "int" + w
            every += [
                Call(v, f"{namespace}frexp(a, b)", (v, f"thread {i}&")),
                Call(i, f"{namespace}ilogb(a)", (v,)),
                Call(v, f"{namespace}ldexp(a, b)", (v, i)),
                Call(v, f"{namespace}modf(a, b)", (v, f"thread {v}&")),
                Call(v, f"{namespace}sincos(a, b)", (v, f"thread {v}&")),
            ]
    compile_calls(every, device, math_mode=math_mode)


def test_a_bfloat_argument_is_computed_in_float(device):
    compile_calls([*calls(f"{ONE} ilogb", "float", "bfloat", widths=[""])], device)
    compile_calls([*calls(TWO, "float", "bfloat", "bfloat", widths=[""])], device)


@pytest.mark.parametrize(
    "call",
    ["max(1, 1.0f)", "sin(1)", "pow(float2(1), float3(1))", "fma(1.0f, 2.0f)", "sin(float2x2(1))"],
)
def test_what_is_ambiguous_or_mismatched_is_a_compile_error(device, call):
    with pytest.raises(pymetal.CompileError):
        compile_calls([Call("float", call)], device)


@pytest.mark.parametrize("name", ["cbrt", "tgamma", "fast::frobnicate", "precise::sinn"])
def test_a_function_that_metal_lacks_is_a_compile_error_that_names_it(device, name):
    with pytest.raises(pymetal.CompileError, match=name.split("::")[-1]):
        compile_calls([Call("float", f"metal::{name}(a)", ("float",))], device)


# ---- accuracy ---------------------------------------------------------------------------------


def _rsqrt(x):
    return 1 / np.sqrt(x)


def _half_turns(function):
    """sin(pi x) exactly: reduce x before multiplying, as float64 multiples of pi are inexact."""

    def reduced(x):
        x = np.fmod(x, 2.0)
        return function(np.where(np.isfinite(x), x, np.nan))

    return reduced


def _sinpi(x):
    x = np.where(x > 1, x - 2, np.where(x < -1, x + 2, x))  # now in [-1, 1]
    x = np.where(x > 0.5, 1 - x, np.where(x < -0.5, -1 - x, x))
    return np.sin(np.pi * x)


def _cospi(x):
    x = np.abs(x)
    x = np.where(x > 1, 2 - x, x)
    return np.where(x == 0.5, 0.0, np.cos(np.pi * x))


def _tanpi(x):
    x = x - np.round(x)  # in [-1/2, 1/2]
    return np.where(np.abs(x) == 0.5, np.copysign(np.inf, x), np.tan(np.pi * x))


# name: (float64 reference, ULP in float)
FUNCTIONS = {
    "acos": (np.arccos, 4),
    "acosh": (np.arccosh, 4),
    "asin": (np.arcsin, 4),
    "asinh": (np.arcsinh, 4),
    "atan": (np.arctan, 5),
    "atanh": (np.arctanh, 5),
    "cos": (np.cos, 4),
    "cosh": (np.cosh, 4),
    "cospi": (_half_turns(_cospi), 4),
    "exp": (np.exp, 4),
    "exp2": (np.exp2, 4),
    "exp10": (lambda x: np.power(10.0, x), 4),
    "log": (np.log, 4),
    "log2": (np.log2, 4),
    "log10": (np.log10, 4),
    "rsqrt": (_rsqrt, 2),
    "sin": (np.sin, 4),
    "sinh": (np.sinh, 4),
    "sinpi": (_half_turns(_sinpi), 4),
    "sqrt": (np.sqrt, 0.5),
    "tan": (np.tan, 6),
    "tanh": (np.tanh, 5),
}


@pytest.mark.parametrize(
    ("t", "namespace"), [("half", "metal::"), *(("float", namespace) for namespace in NAMESPACES)]
)
def test_functions_of_one_argument_are_accurate(device, t, namespace):
    x = float_values(DTYPES[t])
    expressions = {name: f"{namespace}{name}(a)" for name in FUNCTIONS}
    results = evaluate(expressions, t, [(t, x)], device, widths=namespace == "metal::")
    for name, (reference, ulps) in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            exact = reference(x.astype(np.float64))
        # Half is a float result rounded: at most one step.
        assert_ulps(name, results[name], exact, ulps if t == "float" else 1, x)


def test_tanpi_is_accurate_away_from_its_poles(device):
    x = np.linspace(-3, 3, 1201).astype(np.float32)
    x = x[np.abs(np.abs(x - np.round(x)) - 0.5) > 1e-6]
    result = evaluate({"tanpi": "tanpi(a)"}, "float", [("float", x)], device)["tanpi"]
    assert_ulps("tanpi", result, _tanpi(x.astype(np.float64)), 6, x)


@pytest.mark.parametrize("t", FLOATS)
def test_pow_and_atan2_are_accurate(device, t):
    x, y = pairs(float_edges(DTYPES[t]), float_edges(DTYPES[t]))
    drawn = float_values(DTYPES[t])
    x, y = np.concatenate([x, drawn[1:]]), np.concatenate([y, drawn[:-1]])
    results = evaluate({"pow": "pow(a, b)", "atan2": "atan2(a, b)"}, t, [(t, x), (t, y)], device)
    with np.errstate(all="ignore"):
        power = np.power(x.astype(np.float64), y.astype(np.float64))
        angle = np.arctan2(x.astype(np.float64), y.astype(np.float64))
    assert_ulps("pow", results["pow"], power, 16 if t == "float" else 1, x, y)
    assert_ulps("atan2", results["atan2"], angle, 6 if t == "float" else 1, x, y)


def test_powr_is_pow_of_numbers_that_are_not_negative(device):
    x, y = pairs(np.array([0.25, 0.5, 1, 2, 10]), np.array([-3, -0.5, 0.0, 1, 2.5]))
    result = evaluate({"powr": "powr(a, b)"}, "float", [("float", x), ("float", y)], device)
    assert_ulps("powr", result["powr"], np.power(x, y), 16, x, y)


def test_sincos_gives_both(device):
    x = np.linspace(-10, 10, 401).astype(np.float32)
    body = "floatWIDTH c; floatWIDTH s = sincos(a, c); return "
    results = evaluate(
        {"sine": body + "s;", "cosine": body + "c;"}, "float", [("float", x)], device
    )
    assert_ulps("sincos", results["sine"], np.sin(x.astype(np.float64)), 4, x)
    assert_ulps("sincos", results["cosine"], np.cos(x.astype(np.float64)), 4, x)


# ---- exact functions --------------------------------------------------------------------------


def _round_half_away(x):
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _fract(x):
    largest_below_one = 1 - float(np.finfo(x.dtype).epsneg)
    fraction = np.where(np.isinf(x), 0, x - np.floor(x))
    return np.minimum(fraction, largest_below_one).astype(x.dtype)


@pytest.mark.parametrize("t", FLOATS)
def test_rounding_functions_are_exact(device, t):
    x = float_values(DTYPES[t])
    wide = x.astype(np.float64)  # in which |x| + 1/2 is exact wherever x has a fraction
    expected = {
        "abs": np.abs(x),
        "fabs": np.abs(x),
        "ceil": np.ceil(x),
        "floor": np.floor(x),
        "rint": np.rint(x),
        "round": _round_half_away(wide),
        "trunc": np.trunc(x),
    }
    with np.errstate(invalid="ignore"):
        expected["fract"] = _fract(x)
    results = evaluate({name: f"{name}(a)" for name in expected}, t, [(t, x)], device)
    for name, exact in expected.items():
        if name == "fract":  # the sign of a zero fraction is open
            results[name], exact = np.abs(results[name]), np.abs(exact)
        assert_same(name, results[name], exact, x)


@pytest.mark.parametrize("t", FLOATS)
def test_functions_of_two_arguments_are_exact(device, t):
    x, y = pairs(float_edges(DTYPES[t]), float_edges(DTYPES[t]))
    drawn = float_values(DTYPES[t])
    x, y = np.concatenate([x, drawn[1:]]), np.concatenate([y, drawn[:-1]])
    names = "copysign divide fdim fmax max fmin min fmod nextafter"
    results = evaluate(
        {name: f"{name}(a, b)" for name in names.split()}, t, [(t, x), (t, y)], device
    )
    with np.errstate(all="ignore"):
        expected = {
            "copysign": np.copysign(x, y),
            "divide": x / y,
            "fdim": np.where(x <= y, x.dtype.type(0), x - y),
            "fmod": np.fmod(x, y),
            "nextafter": np.where(x == y, y, np.nextafter(x, y)),
        }
    for name, exact in expected.items():
        assert_same(name, results[name], exact, x, y)
    for name in ("fmax", "max", "fmin", "min"):
        exact = (np.fmax if "max" in name else np.fmin)(x, y)
        zeros = (x == 0) & (y == 0)  # either zero may be the larger one
        result = np.where(zeros, exact, results[name])
        assert_same(name, result, exact, x, y)


@pytest.mark.parametrize("t", FLOATS)
def test_functions_of_three_arguments_are_exact(device, t):
    edges = np.array([0.0, -1, 1, 2.5, np.nan, np.inf, -np.inf, 3e-5], DTYPES[t])
    x, y, z = (v.ravel() for v in np.meshgrid(edges, edges, edges, indexing="ij"))
    names = "fmax3 max3 fmin3 min3 fmedian3 median3"
    results = evaluate(
        {name: f"{name}(a, b, c)" for name in names.split()}, t, [(t, x), (t, y), (t, z)], device
    )
    greatest = np.fmax(x, np.fmax(y, z))
    least = np.fmin(x, np.fmin(y, z))
    with np.errstate(all="ignore"):
        several_nans = (np.isnan(x).astype(int) + np.isnan(y) + np.isnan(z)) >= 1
    for name in ("fmax3", "max3"):
        assert_same(name, np.abs(results[name]), np.abs(greatest), x, y, z)
    for name in ("fmin3", "min3"):
        assert_same(name, np.abs(results[name]), np.abs(least), x, y, z)
    for name in ("fmedian3", "median3"):
        middle = np.sort(np.stack([x, y, z]), axis=0)[1]
        numbers = ~several_nans
        assert_same(name, np.abs(results[name][numbers]), np.abs(middle[numbers]))
        # With a NaN: one of the numbers that are left; NaN only if none is.
        left = np.stack([x, y, z])
        is_one = (results[name] == left).any(axis=0)
        assert (is_one | (np.isnan(left).all(axis=0) & np.isnan(results[name]))).all()


@pytest.mark.parametrize("t", FLOATS)
def test_fma_rounds_once(device, t):
    dtype = DTYPES[t]
    rng = np.random.default_rng(3)
    x, y = (rng.standard_normal(2000).astype(dtype) for _ in range(2))
    # c near -a*b cancels all but the product's low bits; a tiny c decides ties.
    c = np.concatenate([-(x[:1000] * y[:1000]), (x[1000:] * dtype.type(2.0**-10)).astype(dtype)])
    result = evaluate({"fma": "fma(a, b, c)"}, t, [(t, x), (t, y), (t, c)], device)["fma"]
    exact = np.array(
        [
            dtype.type(math_fma(float(p), float(q), float(r), dtype))
            for p, q, r in zip(x, y, c, strict=True)
        ]
    )
    assert_same("fma", result, exact, x, y, c)


def math_fma(a: float, b: float, c: float, dtype: np.dtype) -> np.floating:
    """a * b + c rounded to `dtype` once: exact rational arithmetic, then the nearest number."""
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    near = dtype.type(float(exact))
    around = [near, np.nextafter(near, dtype.type(-np.inf)), np.nextafter(near, dtype.type(np.inf))]
    even = [int(v.view(f"u{dtype.itemsize}")) % 2 for v in around]
    distance = [abs(Fraction(float(v)) - exact) for v in around]
    return min(zip(distance, even, around, strict=True), key=lambda item: item[:2])[2]


@pytest.mark.parametrize("t", FLOATS)
def test_frexp_and_ldexp_take_apart_and_put_together(device, t):
    x = float_values(DTYPES[t])
    body = f"intWIDTH e; {t}WIDTH m = frexp(a, e); return "
    mantissa = evaluate({"m": body + "m;"}, t, [(t, x)], device)["m"]
    ints = evaluate({"e": body + "e;", "ilogb": "ilogb(a)"}, "int", [(t, x)], device)
    expected_mantissa, expected_exponent = np.frexp(x)
    assert_same("frexp", mantissa, expected_mantissa, x)
    finite = np.isfinite(x)
    assert_same("frexp", ints["e"][finite], expected_exponent[finite], x[finite])
    numbers = finite & (x != 0)
    assert_same("ilogb", ints["ilogb"][numbers], expected_exponent[numbers] - 1, x[numbers])
    assert set(ints["ilogb"][x == 0]) == {-(2**31)}  # FP_ILOGB0
    assert set(ints["ilogb"][~finite]) == {2**31 - 1}  # FP_ILOGBNAN

    k = np.resize(
        np.array([0, 1, -1, 10, -10, 24, -30, 127, -126, 150, -160, 2**31 - 1, -(2**31)]), x.shape
    ).astype(np.int32)
    scaled = evaluate({"ldexp": "ldexp(a, b)"}, t, [(t, x), ("int", k)], device)["ldexp"]
    with np.errstate(over="ignore"):
        # float64 holds every product exactly, once k is where the result is neither 0 nor inf.
        exact = np.ldexp(x.astype(np.float64), np.clip(k, -400, 400)).astype(x.dtype)
    assert_same("ldexp", scaled, exact, x, k)


@pytest.mark.parametrize("t", FLOATS)
def test_modf_keeps_the_sign_in_both_parts(device, t):
    x = float_values(DTYPES[t])
    body = f"{t}WIDTH i; {t}WIDTH f = modf(a, i); return "
    results = evaluate({"fraction": body + "f;", "whole": body + "i;"}, t, [(t, x)], device)
    fraction, whole = np.modf(x)
    assert_same("modf", results["fraction"], fraction, x)
    assert_same("modf", results["whole"], whole, x)


def test_constants_have_their_values(device):
    constants = {
        "M_E": math.e,
        "M_LOG2E": math.log2(math.e),
        "M_LOG10E": math.log10(math.e),
        "M_LN2": math.log(2),
        "M_LN10": math.log(10),
        "M_PI": math.pi,
        "M_PI_2": math.pi / 2,
        "M_PI_4": math.pi / 4,
        "M_1_PI": 1 / math.pi,
        "M_2_PI": 2 / math.pi,
        "M_2_SQRTPI": 2 / math.sqrt(math.pi),
        "M_SQRT2": math.sqrt(2),
        "M_SQRT1_2": math.sqrt(0.5),
    }
    nothing = [("float", np.zeros(1))]
    for t, suffix in (("float", "_F"), ("half", "_H"), ("bfloat", "_BF")):
        results = evaluate(
            {name: name + suffix for name in constants}, t, nothing, device, widths=False
        )
        for name, value in constants.items():
            assert results[name][0] == DTYPES[t].type(value), name + suffix
    largest = evaluate(
        {"MAXFLOAT": "MAXFLOAT", "HUGE_VALF": "HUGE_VALF", "INFINITY": "INFINITY", "NAN": "NAN"},
        "float",
        nothing,
        device,
        widths=False,
    )
    assert largest["MAXFLOAT"][0] == np.finfo(np.float32).max
    assert largest["HUGE_VALF"][0] == largest["INFINITY"][0] == np.inf
    assert np.isnan(largest["NAN"][0])
    largest = evaluate(
        {"MAXHALF": "MAXHALF", "HUGE_VALH": "HUGE_VALH"}, "half", nothing, device, widths=False
    )
    assert largest["MAXHALF"][0] == 65504
    assert largest["HUGE_VALH"][0] == np.inf
