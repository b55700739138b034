"""Calls through pointers to functions: whichever function they point to is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from metal_calls import only_on_the_software_device

import pymetal

SOURCE = """#include <metal_stdlib>
using namespace metal;
float add(float a, float b) { return a + b; }
float multiply(float a, float b) { return a * b; }
static float subtract(float a, float b) { return a - b; }
float3 twice(float3 a) { return a * 2; }
void store(device float* to, float x) { *to = x; }
typedef float (*Operation)(float, float);
constant Operation table[3] = {add, multiply, subtract};
struct Step { Operation operation; float operand; };
template <typename F> float apply(F f, float x) { return f(x, 2.0f); }

kernel void k(device float* out [[buffer(0)]], device const int* which [[buffer(1)]],
              uint i [[thread_position_in_grid]]) {
    Operation local[3] = {add, multiply, subtract};
    Operation chosen = which[i] == 0 ? add : multiply;
    float3 (*of_vectors)(float3) = twice;
    void (*put)(device float*, float) = store;
    Step step{subtract, 3};
    float x = i;
    x = local[which[i]](x, 10) + chosen(x, 3) + step.operation(x, step.operand)
        + apply(add, x) + apply([](float a, float b) { return a - b; }, x)
        + of_vectors(float3(x)).y;
    put(out + i, x + table[which[i]](x, 1));
}

kernel void wild(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    Operation chosen = out[i] > 0 ? add : nullptr;
    out[i] = chosen(out[i], 1);
}
"""


@pytest.fixture(params=["reference", "vectorised"])
def library(request: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    only_on_the_software_device(device)
    monkeypatch.setenv("PYMETAL_ENGINE", request.param)
    return pymetal.compile(SOURCE, device=device)


def test_pointers_choose_among_functions(library: Any) -> None:
    which = np.int32(np.arange(70) % 3)
    out = np.zeros(70, np.float32)
    library.k(out, which, grid=70)

    def operation(n: int, a: float, b: float) -> float:
        return (a + b, a * b, a - b)[n]

    for i, n in enumerate(which.tolist()):
        x = operation(n, i, 10) + operation(min(n, 1), i, 3) + (i - 3) + (i + 2) + (i - 2) + 2 * i
        assert out[i] == x + operation(n, x, 1)  # small whole numbers: exact


def test_a_call_through_a_null_pointer_is_a_fault(library: Any) -> None:
    with pytest.raises(pymetal.KernelFault, match="points to no function"):
        library.wild(np.zeros(4, np.float32), grid=4)
