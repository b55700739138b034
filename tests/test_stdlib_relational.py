"""<metal_relational>: Metal Shading Language Specification, section 6.4."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from metal_calls import (
    DTYPES,
    FLOATS,
    INTEGERS,
    WIDTHS,
    Call,
    assert_same,
    calls,
    compile_calls,
    evaluate,
    float_edges,
    float_values,
    integer_values,
    pairs,
)

import pymetal

# NumPy warns of every signaling NaN among the drawn bit patterns.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")

TYPES = (*FLOATS, "bfloat")
ONE = "isfinite isinf isnan isnormal signbit"


def test_every_function_compiles_at_every_width(device):
    every = calls("not", "bool", "bool") + [
        Call("bool", f"{name}(a)", ("bool" + w,)) for name in ("all", "any") for w in WIDTHS
    ]
    for t in TYPES:
        every += calls(ONE, "bool", t) + calls("isordered isunordered", "bool", t, t)
    for t in ("bool", *TYPES, *INTEGERS):
        every += calls("select", t, t, t, "bool")
    for t in (*TYPES, *INTEGERS):
        every += [Call(t + w, "select(a, b, a < b)", (t + w, t + w)) for w in WIDTHS]
        every += [Call("bool", "all(a < b) || any(a == b)", (t + w, t + w)) for w in WIDTHS]
    compile_calls(every, device)


def test_a_function_that_metal_lacks_is_a_compile_error_that_names_it(device):
    with pytest.raises(pymetal.CompileError, match="isnanf"):
        compile_calls([Call("bool", "isnanf(a)", ("float",))], device)


@pytest.mark.parametrize("t", TYPES)
@pytest.mark.parametrize("math_mode", ["safe", "relaxed"])  # "fast" may assume finite numbers
def test_numbers_are_classified(device, t, math_mode):
    x = float_values(DTYPES[t])
    results = evaluate(
        {name: f"{name}(a)" for name in ONE.split()}, "bool", [(t, x)], device, math_mode=math_mode
    )
    normal = np.isfinite(x) & (np.abs(x) >= ml_dtypes.finfo(x.dtype).smallest_normal)
    expected = [np.isfinite(x), np.isinf(x), np.isnan(x), normal, np.signbit(x)]
    for name, exact in zip(ONE.split(), expected, strict=True):
        assert_same(name, results[name], exact, x)


@pytest.mark.parametrize("t", TYPES)
def test_isordered_is_false_where_either_is_nan(device, t):
    x, y = pairs(float_edges(DTYPES[t]), float_edges(DTYPES[t]))
    functions = {name: f"{name}(a, b)" for name in ("isordered", "isunordered")}
    results = evaluate(functions, "bool", [(t, x), (t, y)], device)
    ordered = ~(np.isnan(x) | np.isnan(y))
    assert_same("isordered", results["isordered"], ordered, x, y)
    assert_same("isunordered", results["isunordered"], ~ordered, x, y)


@pytest.mark.parametrize("t", ["float", "half", "char", "ushort", "int", "long"])
def test_select_takes_the_second_where_the_condition_is_true(device, t):
    dtype = DTYPES[t]
    values = float_edges(dtype) if t in FLOATS else integer_values(dtype, 16)
    x, y = pairs(values, values)
    # By a mask, by a bool vector, by one bool for all.
    functions = {
        "mask": "select(a, b, a < b)",
        "bools": "select(a, b, boolWIDTH(a < b))",
        "one": "select(a, b, true)",
    }
    results = evaluate(functions, t, [(t, x), (t, y)], device)
    expected = np.where(x < y, y, x)
    assert_same("select", results["mask"], expected, x, y)
    assert_same("select", results["bools"], expected, x, y)
    assert_same("select", results["one"], y, x, y)


def test_all_and_any_ask_every_component(device):
    x = np.array([[i >> k & 1 for k in range(4)] for i in range(16)], np.int32).ravel()
    body = "int4 v = int4(a, b, c, d); return "
    lanes = [("int", x[k::4].copy()) for k in range(4)]
    functions = {
        "all": body + "int(all(v != 0));",
        "any": body + "int(any(v != 0));",
        "all of 3": body + "int(all(v.xyz != 0));",
        "any of 2": body + "int(any(bool2(v.x != 0, v.y != 0)));",
        "not": body + "int(all(not(v != 0)));",
    }
    results = evaluate(functions, "int", lanes, device, widths=False)
    bits = x.reshape(16, 4).astype(bool)
    assert_same("all", results["all"], bits.all(axis=1))
    assert_same("any", results["any"], bits.any(axis=1))
    assert_same("all of 3", results["all of 3"], bits[:, :3].all(axis=1))
    assert_same("any of 2", results["any of 2"], bits[:, :2].any(axis=1))
    assert_same("not", results["not"], (~bits).all(axis=1))
