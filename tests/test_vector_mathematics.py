"""Elementary functions on vectors: as the C library's on the reference engine, and as documented.

Ours compute in double and round once, or are within the specification by polynomials in float;
tests/test_numerics.py has the specification's bounds, and both engines are held to them. Here the
engines are beside each other: 3 units apart at most, as both are within 1.5 (tanh: 3), and the same
for zeros and their signs, infinities and NaN.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from two_engines import both, canonical

NAMES = """acos acosh asin asinh atan atanh cos cosh cospi exp exp2 exp10 log log2 log10
sin sinh sinpi tan tanh tanpi"""
ONE = NAMES.split()
TWO = ["atan2", "fmod", "pow", "powr"]
SPECIAL = np.array([0, 1e-45, 1e-39, 1e-10, 0.5, 1, 1.5, 2, 2.5, 3, 7, 1e6, 1e20], np.float32)
# The float nearest to a multiple of pi/2: Muller, "Elementary Functions", on range reduction.
NEAR_QUARTER = 16367173 * 2.0**72
MORE = np.array([0.9999999, 1.0000001, 1e7, 16777217, 1e10, NEAR_QUARTER, 3e38, np.inf], np.float32)
SPECIAL = np.concatenate([SPECIAL, MORE])
SPECIAL = np.concatenate([SPECIAL, -SPECIAL, [np.float32(np.nan)]])


@pytest.fixture(scope="module")
def kernels():
    parameters = (
        "device float* out [[buffer(0)]], device const float* x [[buffer(1)]],"
        "device const float* y [[buffer(2)]], uint i [[thread_position_in_grid]]"
    )
    calls = {name: f"{name}(x[i])" for name in ONE} | {n: f"{n}(x[i], y[i])" for n in TWO}
    text = "#include <metal_stdlib>\nusing namespace metal;\n" + "\n".join(
        f"kernel void {name}_({parameters}) {{ out[i] = {call}; }}" for name, call in calls.items()
    )
    functions = canonical(text, *(f"{name}_" for name in calls))
    return {name: both(function) for name, function in zip(calls, functions, strict=True)}


def arguments(name: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)

    def some(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, 8192).astype(np.float32)

    anything = [random.integers(0, 2**32, 8192, np.uint32).view(np.float32) for _ in range(2)]
    if name in ONE:
        # Each special argument fills a simdgroup, so that vectors of good ones are common.
        near = (10 ** random.uniform(-8, 5, 8192)).astype(np.float32)
        parts = [np.repeat(SPECIAL, 32), anything[0], some(-1, 1), some(-100, 100), some(1, 2)]
        x = np.concatenate([*parts, near, -near])
        return x, x
    x, y = np.array(list(itertools.product(SPECIAL, SPECIAL)), np.float32).T
    base, power = some(-20, 20), some(-20, 20)
    x = np.concatenate([x, anything[0], np.abs(base), base])
    return x, np.concatenate([y, anything[1], power, np.rint(power)])


def order(x: np.ndarray) -> np.ndarray:
    """Floats as integers whose difference counts the floats between them."""
    bits = x.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_vectors_give_what_the_c_library_gives(kernels, name: str) -> None:
    x, y = arguments(name)
    results = []
    for engine in kernels[name]:
        results.append(np.zeros_like(x))
        engine(results[-1], x, y, grid=x.shape, threadgroup=(256,))
    reference, vectorised = results
    assert np.array_equal(np.isnan(reference), np.isnan(vectorised))
    number = ~np.isnan(reference)
    zero = number & (reference == 0) & (vectorised == 0)
    assert np.array_equal(np.signbit(reference[zero]), np.signbit(vectorised[zero]))
    apart = np.where(number, np.abs(order(reference) - order(vectorised)), 0)
    worst = int(np.argmax(apart))
    assert apart[worst] <= (0 if name == "fmod" else 3), (
        f"{name}({x[worst]!r}, {y[worst]!r}): {reference[worst]!r}, {vectorised[worst]!r}"
    )


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_a_lane_with_a_large_angle_changes_no_other(kernels, name: str) -> None:
    x = np.random.default_rng(1).uniform(-1e6, 1e6, 4096).astype(np.float32)
    mixed = x.copy()
    mixed[::8] = 1e9
    alone, beside = np.zeros_like(x), np.zeros_like(x)
    vectorised = kernels[name][1]
    vectorised(alone, x, x, grid=x.shape, threadgroup=(256,))
    vectorised(beside, mixed, mixed, grid=x.shape, threadgroup=(256,))
    others = np.arange(x.size) % 8 != 0
    assert np.array_equal(alone[others].view(np.uint32), beside[others].view(np.uint32))
