"""What a math mode decides, on both engines: subnormal numbers, rounding, contraction."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void product(device float* out, device const float* x, device const float* y,
                    uint i [[thread_position_in_grid]]) { out[i] = x[i] * y[i]; }
kernel void halves(device half* out, device const half* x, device const half* y,
                   uint i [[thread_position_in_grid]]) { out[i] = x[i] * y[i]; }
kernel void total(device float* out, device const float* x, device const float* y,
                  uint i [[thread_position_in_grid]]) { out[i] = x[i] + y[i]; }
kernel void together(device float* out, device const float* x, device const float* y,
                     uint i [[thread_position_in_grid]]) { out[i] = x[i] * x[i] + y[i]; }
kernel void apart(device float* out, device const float* x, device const float* y,
                  uint i [[thread_position_in_grid]]) {
    float square = x[i] * x[i];
    out[i] = square + y[i];
}
"""
N = 50  # a full simdgroup and a part of one


@pytest.fixture(params=["reference", "vectorised"])
def kernel(request, monkeypatch):
    pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")
    monkeypatch.setenv("PYMETAL_ENGINE", request.param)

    def run(name: str, mode: str, x: float, y: float) -> float:
        """The kernel's one result, for the same arguments in every lane."""
        dtype = np.float16 if name == "halves" else np.float32
        library = pymetal.compile(SOURCE, math_mode=mode, device="cpu")
        out = np.ones(N, dtype)
        library.kernel(name)(out, np.full(N, x, dtype), np.full(N, y, dtype), grid=N, threadgroup=N)
        assert len(set(out.tolist())) == 1
        return float(out[0])

    return run


def test_safe_keeps_subnormal_numbers(kernel) -> None:
    assert kernel("product", "safe", 2.0**-100, 2.0**-40) == 2.0**-140
    assert kernel("product", "safe", 2.0**-140, 2.0**100) == 2.0**-40


@pytest.mark.parametrize("mode", ["relaxed", "fast"])
def test_the_other_modes_take_them_for_zero_but_not_those_of_half(kernel, mode: str) -> None:
    assert kernel("product", mode, 2.0**-100, 2.0**-40) == 0
    assert kernel("product", mode, 2.0**-140, 2.0**100) == 0
    assert kernel("product", mode, 2.0**-100, 2.0**-20) == 2.0**-120
    assert kernel("halves", mode, 2.0**-10, 2.0**-12) == 2.0**-22


@pytest.mark.parametrize("mode", ["safe", "relaxed", "fast"])
def test_results_are_rounded_to_nearest_and_ties_to_even(kernel, mode: str) -> None:
    ulp = 2.0**-23
    assert kernel("total", mode, 1, 0.5 * ulp) == 1
    assert kernel("total", mode, 1 + ulp, 0.5 * ulp) == 1 + 2 * ulp
    assert kernel("total", mode, 1, 0.75 * ulp) == 1 + ulp
    assert kernel("total", mode, -1, -0.5 * ulp) == -1
    assert kernel("halves", mode, 1 + 2.0**-10, 1 + 2.0**-10) == 1 + 2.0**-9


def test_safe_contracts_within_an_expression_only(kernel) -> None:
    x = 1 + 2.0**-12
    y = -(1 + 2.0**-11)  # x * x without its last bit, 2^-24
    # One rounding where the processor has fused instructions, two where it has none.
    assert kernel("together", "safe", x, y) in (2.0**-24, 0)
    assert kernel("apart", "safe", x, y) == 0
