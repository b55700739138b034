"""Whatever is passed, wherever: a result, or an error of ours that says which argument it was."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from fake_device import FakeDevice, buffer
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pymetal import Error, Library, output, run_metal_kernel
from pymetal.air.function import Field, Function, FunctionConstant
from pymetal.datatypes import argument_dtype

FIELDS = (Field("n", "uint", 0, 4), Field("v", "float3", 16, 16), Field("a", "half", 32, 2, 3))
KINDS = ["bool", "uchar", "int", "ulong", "half", "bfloat", "float", "float3", "packed_half3"]
FUNCTIONS = [
    Function(
        "k",
        "k",
        (
            buffer("device float* out", 0),
            buffer(f"device const {kind}* x", 1),
            buffer(f"constant {kind}& y", 2),
            buffer("constant P& p", 3, fields=FIELDS, size=48),
            buffer("device int* counts", 4),
        ),
        (FunctionConstant("c", 0, "short", required=False),),
    )
    for kind in KINDS
]

NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.fractions(),
    st.decimals(),
    st.sampled_from(["", "x", b"x", object(), print, int, Fraction(1, 3), ml_dtypes.bfloat16(2)]),
)
ARRAYS = st.one_of(
    arrays.arrays(
        arrays.scalar_dtypes() | arrays.array_dtypes(max_size=3),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ).map(lambda array: array[::2] if array.ndim and array.shape[0] % 3 == 2 else array),
    st.builds(
        np.zeros,
        st.integers(0, 12),
        st.sampled_from([np.dtype(object), np.dtype(ml_dtypes.bfloat16), np.dtype(ml_dtypes.int4)]),
    ),
)
VALUES = st.recursive(
    NUMBERS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.sampled_from(["n", "v", "a", 0, "c"]), inner, max_size=4)
    ),
    max_leaves=6,
)


def refusal(call, *arguments, **facts) -> Error | None:
    """Our error that the call raises, if any; another kind of error fails the test."""
    try:
        call(*arguments, **facts)
    except Error as error:
        return error
    return None


@pytest.fixture(autouse=True)
def _kernel_file(kernels_once, monkeypatch):
    monkeypatch.chdir(kernels_once)


@pytest.fixture(scope="module")
def kernels_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    (folder / "kernels").mkdir()
    (folder / "kernels" / "k.metal").write_text("kernel void k(")
    return folder


@settings(max_examples=50)
@given(st.sampled_from(FUNCTIONS), st.lists(VALUES, min_size=4, max_size=4))
def test_any_values_for_a_kernels_arguments(function, values):
    device = FakeDevice(function)
    kernel = Library(device, device.library_from_metallib(b"MTLB", ""), "").kernel("k")
    x, y = function.arguments[1:3]
    good = [
        np.ones(12, argument_dtype(x)),
        (1, 2, 3) if y.type_name[-1] == "3" else True if y.type_name == "bool" else 1,
        {"n": 1, "v": (1, 2, 3), "a": (1, 2, 3)},
        np.zeros(2, np.int32),
    ]
    for i, value in enumerate(values):
        given_values = [*good[:i], value, *good[i + 1 :]]
        error = refusal(kernel, output(4), *given_values, grid=4, threadgroup=4)
        assert error is None or error.argument == function.arguments[i + 1].name


@settings(max_examples=50)
@given(
    name=st.just("k") | st.text(max_size=5) | NUMBERS,
    inputs=VALUES,
    rest=st.lists(VALUES, min_size=6, max_size=6),
)
def test_any_values_for_the_function_itself(name, inputs, rest):
    function = Function("k", "k", (buffer("device float* out", 0),), FUNCTIONS[0].constants)
    device = FakeDevice(function)
    shape, grid, threadgroup, dtype, constants, memory = rest
    for arguments, facts in [
        ((name, inputs, 4, 4, 4), {}),
        (("k", [], shape, 4, 4), {}),
        (("k", [], 4, grid, threadgroup), {}),
        (("k", [], 4, 4, 4), {"output_dtype": dtype}),
        (("k", [], 4, 4, 4), {"constants": constants}),
        (("k", [], 4, 4, 4), {"threadgroup_memory": memory}),
        (("k", [], 4, 4, 4), {"kernel_dirs": constants}),
    ]:
        error = refusal(run_metal_kernel, *arguments, device=device, **facts)
        assert error is None or len(str(error)) < 2000
