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


def test_a_name_may_be_a_type_in_one_template_and_a_function_in_another(device: Any) -> None:
    only_on_the_software_device(device)
    text = """#include <metal_stdlib>
    struct twice { float operator()(float x) const { return 2 * x; } };
    void halve(thread float& x, float by) { x /= by; }
    typedef void (*change)(thread float&, float);
    float square(float x) { return x * x; }
    template <typename op> float called(float x) { return op()(x); }
    template <void (*op)(thread float&, float)> float changed(float x) { op(x, 2); return x; }
    template <change op> float aliased(float x) { op(x, 4); return x; }
    template <typename T, T op(T)> T of_type(T x) { return op(x); }
    template <float (*op)(float)>
    kernel void k(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
        x[i] = op(x[i]) + called<twice>(100) + changed<halve>(2000) + aliased<halve>(80000)
            + of_type<float, square>(1000);
    }
    template [[host_name("of_square")]] kernel void k<square>(device float*, uint);
    """
    x = np.float32([1, 2, 3])
    pymetal.compile(text, device=device).of_square(x, grid=3)
    assert x.tolist() == [1021201, 1021204, 1021209]


def test_visible_functions_are_called_as_others(device: Any) -> None:
    only_on_the_software_device(device)
    text = """#include <metal_stdlib>
    [[visible]] float half_of(float x) { return x / 2; }
    [[visible]] float twice(float x);
    kernel void k(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
        float (*chosen)(float) = i % 2 == 0 ? half_of : twice;
        x[i] = chosen(x[i]) + half_of(2);
    }
    float twice(float x) { return 2 * x; }
    """
    x = np.float32([4, 4])
    pymetal.compile(text, device=device).k(x, grid=2)
    assert x.tolist() == [3, 9]


def test_a_call_through_a_null_pointer_is_a_fault(library: Any) -> None:
    with pytest.raises(pymetal.KernelFault, match="points to no function"):
        library.wild(np.zeros(4, np.float32), grid=4)
