"""`run_metal_kernel` on each device, and what it refuses: inputs, outputs, constants."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from fake_device import FakeDevice, buffer
from run_scale import SCALE, run, scale_device, write

from pymetal import ArgumentError, run_metal_kernel
from pymetal.air.function import Argument, Function


@pytest.fixture
def fake():
    return scale_device()


def test_inputs_follow_the_output_in_declared_order(kernels, device):
    write(kernels, "scale", SCALE)
    x = np.arange(100, dtype=np.float32)
    result = run_metal_kernel("scale", [x, 0.5], (100,), 100, 32, device=device)
    np.testing.assert_array_equal(result, x * np.float32(0.5))


def test_the_output_has_the_declared_dtype_and_the_given_shape(kernels, device):
    for scalar, dtype in (("half", np.float16), ("bfloat", ml_dtypes.bfloat16), ("int", np.int32)):
        write(
            kernels,
            "count",
            "#include <metal_stdlib>\nusing namespace metal;\n"
            f"kernel void count(device {scalar}* out [[buffer(0)]],\n"
            "    uint i [[thread_position_in_grid]]) { out[i] = "
            f"{scalar}(i); }}\n",
        )
        result = run_metal_kernel("count", [], (3, 4), 12, 12, device=device)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.astype(int), np.arange(12).reshape(3, 4))


def test_a_list_of_shapes_gives_a_tuple_of_outputs(kernels, device):
    write(
        kernels,
        "split",
        """#include <metal_stdlib>
using namespace metal;
kernel void split(device float* whole [[buffer(0)]], device int* twice [[buffer(1)]],
    device const float* x [[buffer(2)]], uint i [[thread_position_in_grid]])
{
    whole[i] = floor(x[i]);
    twice[i] = int(2 * x[i]);
}
""",
    )
    x = np.linspace(0, 5, 8, dtype=np.float32)
    whole, twice = run_metal_kernel("split", [x], [(8,), (2, 4)], 8, 8, device=device)
    np.testing.assert_array_equal(whole, np.floor(x))
    np.testing.assert_array_equal(twice.ravel(), (2 * x).astype(np.int32))
    assert twice.shape == (2, 4)
    # Given as an array, the second one is written in place.
    mine = np.full(8, -1, np.int32)
    (whole,) = run_metal_kernel("split", [mine, x], [(8,)], 8, 8, device=device)
    np.testing.assert_array_equal(mine, twice.ravel())


def test_structs_vectors_and_bools_reach_the_kernel(kernels, device):
    write(
        kernels,
        "fields",
        """#include <metal_stdlib>
using namespace metal;
struct Params { uint n; float scale; float3 origin; };
kernel void fields(device float* out [[buffer(0)]], constant Params& p [[buffer(1)]],
    constant int2& v [[buffer(2)]], constant bool& flag [[buffer(3)]],
    device const half* h [[buffer(4)]])
{
    out[0] = p.n; out[1] = p.scale; out[2] = p.origin.z; out[3] = v.y; out[4] = flag;
    out[5] = h[1];
}
""",
    )
    params = {"n": 7, "scale": 0.25, "origin": (1, 2, 3)}
    h = np.array([1, 1.5], np.float16)
    result = run_metal_kernel("fields", [params, (4, -5), True, h], 6, 1, 1, device=device)
    np.testing.assert_array_equal(result, [7, 0.25, 3, -5, 1, 1.5])


def test_function_constants_by_name_and_index(kernels, device):
    write(
        kernels,
        "power",
        """#include <metal_stdlib>
using namespace metal;
constant uint exponent [[function_constant(3)]];
kernel void power(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]])
{
    float value = 1;
    for (uint k = 0; k < exponent; ++k) value *= i;
    out[i] = value;
}
""",
    )
    for constants, exponent in (({"exponent": 2}, 2), ({3: 3}, 3)):
        result = run_metal_kernel("power", [], 5, 5, 5, constants=constants, device=device)
        np.testing.assert_array_equal(result, np.arange(5.0) ** exponent)


def test_threadgroup_memory_of_the_callers_choosing(kernels, device):
    write(
        kernels,
        "reverse",
        """#include <metal_stdlib>
using namespace metal;
kernel void reverse(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
    threadgroup float* scratch [[threadgroup(0)]], uint i [[thread_position_in_threadgroup]],
    uint n [[threads_per_threadgroup]])
{
    scratch[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = scratch[n - 1 - i];
}
""",
    )
    x = np.arange(64, dtype=np.float32)
    result = run_metal_kernel(
        "reverse", [x], 64, 64, 64, threadgroup_memory={0: 256}, device=device
    )
    np.testing.assert_array_equal(result, x[::-1])


def test_another_function_of_a_file(kernels, device):
    write(kernels, "scale", SCALE + SCALE.replace("void scale", "void scale_again"))
    x = np.ones(4, np.float32)
    result = run_metal_kernel("scale:scale_again", [x, 3.0], 4, 4, 4, device=device)
    np.testing.assert_array_equal(result, 3 * x)


def refusal(fake, inputs, shape, **facts) -> str:
    with pytest.raises(ArgumentError) as caught:
        run_metal_kernel("scale", inputs, shape, 4, 4, device=fake, **facts)
    return str(caught.value)


X = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "scale takes 2 inputs (x, factor) beside its output, got 0"),
        ([X], "got 1"),
        ([X, 1.0, 2.0], "got 3"),
    ],
)
def test_a_wrong_number_of_inputs_shows_the_signature(kernels, fake, inputs, words):
    write(kernels, "scale", SCALE)
    text = refusal(fake, inputs, 4)
    assert words in text
    assert "kernel void scale(\n    device float* out [[buffer(0)]]," in text


def test_inputs_must_be_a_list(kernels, fake):
    write(kernels, "scale", SCALE)
    assert "inputs is a list of values, got ndarray: write [x]" in refusal(fake, X, 4)
    assert "got str" in refusal(fake, "xy", 4)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (-1, "negative"),
        ((4, -1), "output shape (4, -1) has a negative dimension"),
        ((1 << 40, 1 << 40), "bytes; the device allows 1073741824 a buffer"),
        (10**15, "the device allows"),
        ((10**5000,), "output shape (<int of 16610 bits>,) is more than any memory holds"),
        (0, "is empty"),
        ((4, 0), "is empty"),
        (2.0, "not an int or a tuple of ints"),
        ((2, "x"), "'x' is str"),
        (None, "not an int or a tuple of ints"),
        ("4", "not an int or a tuple of ints"),
        ((True,), "True is bool"),
        ((1,) * 65, "maximum supported dimension"),
        ([], "empty list"),
        ([4, 4], "pass (4, 4) for one, [(4,), (4,)] for 2"),
        ([(4,), (4,)], "scale takes 1 input (factor) beside its outputs, got 2"),
        ([(4,)] * 4, "too few for 4 outputs"),
    ],
)
def test_wrong_output_shapes_are_refused(kernels, fake, shape, words):
    write(kernels, "scale", SCALE)
    assert words in refusal(fake, [X, 1.0], shape)


def test_what_the_kernel_cannot_write_is_no_output(kernels, fake):
    write(kernels, "scale", SCALE)
    text = refusal(fake, [1.0], [(4,), (4,)])
    assert "output 'x'" in text
    assert "cannot be written" in text


def test_an_output_dtype_must_be_the_declared_one(kernels, fake):
    write(kernels, "scale", SCALE)
    assert run(fake, output_dtype="float32").dtype == np.float32
    assert "dtype float64 does not fit" in refusal(fake, [X, 1.0], 4, output_dtype=float)
    assert "is not a NumPy dtype" in refusal(fake, [X, 1.0], 4, output_dtype="flaot")
    assert "has 2 dtypes" in refusal(fake, [X, 1.0], [(4,)], output_dtype=["f4", "f4"])
    assert "names one output" in refusal(fake, [X, 1.0], 4, output_dtype=["f4"])


def test_a_void_output_needs_a_dtype_and_vectors_whole_elements(kernels):
    write(kernels, "fill", "kernel void fill(")
    void = FakeDevice(Function("fill", "fill", (buffer("device void* out", 0),)))
    with pytest.raises(ArgumentError, match="has no dtype of its own"):
        run_metal_kernel("fill", [], 4, 1, 1, device=void)
    result = run_metal_kernel("fill", [], 4, 1, 1, output_dtype=np.int16, device=void)
    assert result.dtype == np.int16
    vectors = FakeDevice(Function("fill", "fill", (buffer("device float4* out", 0),)))
    assert run_metal_kernel("fill", [], (2, 4), 1, 1, device=vectors).shape == (2, 4)
    with pytest.raises(ArgumentError, match="needs a multiple of 4"):
        run_metal_kernel("fill", [], 6, 1, 1, device=vectors)


def test_outputs_are_the_buffers_of_lowest_index_wherever_declared(kernels):
    write(kernels, "late", "kernel void late(")
    function = Function(
        "late", "late", (buffer("device const int* x", 1), buffer("device float* out", 0))
    )
    result = run_metal_kernel("late", [np.zeros(2, np.int32)], 4, 1, 1, device=FakeDevice(function))
    assert result.dtype == np.float32


def test_constants_are_checked_against_their_declarations(kernels):
    from pymetal.air.function import FunctionConstant

    write(kernels, "c", "kernel void c(")
    optional = Argument(
        "extra", "buffer", "float", 1, "device", "read", 4, 4, enabled_by="with_extra"
    )
    function = Function(
        "c",
        "c",
        (buffer("device float* out", 0), optional),
        (
            FunctionConstant("with_extra", 0, "bool"),
            FunctionConstant("n", 1, "ushort", required=False),
            FunctionConstant("size", 2, "uint2", required=False),
        ),
    )
    fake = FakeDevice(function)

    def go(inputs, constants):
        return run_metal_kernel("c", inputs, 4, 1, 1, constants=constants, device=fake)

    go([], {"with_extra": False})
    go([X], {"with_extra": True, 1: 3, "size": (2, 3)})
    go([X], {"with_extra": True, 1: 3, "size": (2, 3)})
    assert len(fake.pipelines) == 2
    for constants, words in [
        ({}, "needs function constant bool 'with_extra'"),
        ({"with_extra": 2}, "function constant 'with_extra': got int 2 for bool"),
        ({0: True, "with_extra": True}, "is given twice"),
        ({0: True, "m": 1}, "has no function constant 'm'; it has bool with_extra (0), ushort n"),
        ({0: True, 1: 70000}, "70000 is out of range: ushort holds 0 to 65535"),
        ({0: True, 2: (1, 2, 3)}, "uint2 takes 2 numbers"),
        (5, "constants is int, not a dict"),
    ]:
        with pytest.raises(ArgumentError) as caught:
            go([], constants)
        assert words in str(caught.value)
