"""Values to bindings: what each declared type takes, and what it refuses in which words."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from fake_device import FakeDevice, buffer
from hypothesis import given
from hypothesis import strategies as st

from pymetal import ArgumentError
from pymetal.air.function import Argument, Field, Function
from pymetal.arguments import bind, check_overlaps

MAX_BYTES = 1 << 30
INTEGERS = {
    "char": np.int8,
    "uchar": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "long": np.int64,
    "ulong": np.uint64,
}
FLOATS = {"half": np.float16, "bfloat": ml_dtypes.bfloat16, "float": np.float32}
SCALARS = {**INTEGERS, **FLOATS, "bool": np.bool_}
PARAMS = (
    Field("n", "uint", 0, 4),
    Field("scale", "float", 4, 4),
    Field("origin", "float3", 16, 16),
    Field("strides", "long", 32, 8, array_length=2),
)


def value_of(declaration: str, value, **facts):
    """The array that `value` becomes for an argument declared so."""
    argument = buffer(declaration, 1, **facts)
    return bind(Function("k", "k", (argument,)), argument, value, MAX_BYTES).array


def refusal(declaration: str, value, **facts) -> str:
    with pytest.raises(ArgumentError) as caught:
        value_of(declaration, value, **facts)
    assert caught.value.argument == buffer(declaration, 1, **facts).name
    text = str(caught.value)
    assert text.startswith(f"k: argument '{caught.value.argument}', declared `")
    return text


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scalar", INTEGERS)
def test_ints_fill_their_whole_range_and_nothing_beyond_it(scalar):
    limits = np.iinfo(INTEGERS[scalar])
    for value in (limits.min, limits.max, np.int64(1), np.uint8(1)):
        array = value_of(f"constant {scalar}& n", value)
        assert array.dtype == INTEGERS[scalar]
        assert array[0] == value
    for value in (limits.min - 1, limits.max + 1):
        text = refusal(f"constant {scalar}& n", value)
        assert f"{value} is out of range: {scalar} holds {limits.min} to {limits.max}" in text


@given(value=st.floats())
def test_floats_become_the_nearest_of_their_type(value):
    for scalar, dtype in FLOATS.items():
        with np.errstate(over="ignore"):
            nearest = dtype(value)
        if math.isfinite(value) and not np.isfinite(nearest):
            assert f"{value} is out of range" in refusal(f"constant {scalar}& x", value)
        else:
            bound = value_of(f"constant {scalar}& x", value)
            np.testing.assert_array_equal(bound.astype(np.float64), [float(nearest)])


@pytest.mark.parametrize("value", [1.0, math.nan, math.inf, np.float32(2), ml_dtypes.bfloat16(1)])
def test_a_float_for_an_int_is_refused(value):
    assert "for uint; pass an int" in refusal("constant uint& n", value)


def test_an_int_for_a_float_must_be_exact():
    assert value_of("constant float& x", 3)[0] == 3.0
    assert value_of("constant float& x", 2**24)[0] == 2**24
    assert "is not exact in float" in refusal("constant float& x", 2**24 + 1)
    assert "is out of range" in refusal("constant half& x", 70000)
    assert "is out of range" in refusal("constant float& x", 10**400)
    assert "<int of 16610 bits> is out of range" in refusal("constant uint& n", 10**5000)


def test_bools_are_only_bools():
    assert value_of("constant bool& b", True).dtype == np.bool_
    assert value_of("constant bool& b", np.bool_(False))[0] == np.False_
    assert value_of("constant bool& b", 1)[0] == np.True_
    assert "pass True or False" in refusal("constant bool& b", 2)
    assert "pass True or False" in refusal("constant bool& b", 1.0)
    assert "pass int(True)" in refusal("constant uint& n", True)
    assert "pass int(False)" in refusal("constant float& x", np.bool_(False))


@pytest.mark.parametrize(
    "value", ["3", b"3", None, 3j, np.complex64(1), object(), np.datetime64(0, "s")]
)
def test_what_is_no_number_is_refused(value):
    assert "expected a number" in refusal("constant uint& n", value)


def test_a_number_serves_constant_pointers_and_references_but_no_device_array():
    assert value_of("constant uint* n", 7)[0] == 7
    assert value_of("device const uint& n", 7)[0] == 7
    assert "pass a NumPy array, got int 7" in refusal("device const uint* n", 7)
    assert "the kernel writes it: pass a NumPy array, got int 7" in refusal("device uint* n", 7)


# --- vectors and matrices -----------------------------------------------------------------------


def test_a_tuple_becomes_a_vector():
    np.testing.assert_array_equal(value_of("constant uint3& n", (1, 2, 3)), [1, 2, 3, 0])
    np.testing.assert_array_equal(value_of("constant packed_float3& x", [1, 2, 3]), [1, 2, 3])
    assert "uint3 takes 3 numbers, got 2" in refusal("constant uint3& n", (1, 2))
    assert "uint3 takes 3 numbers, got int 1" in refusal("constant uint3& n", 1)
    assert "-1 is out of range" in refusal("constant uint2& n", (1, -1))
    assert "takes 2 numbers, got str" in refusal("constant uint2& n", "ab")


def test_a_matrix_is_given_by_columns():
    array = value_of("constant float2x3& m", [(1, 2, 3), (4, 5, 6)])
    np.testing.assert_array_equal(array, [1, 2, 3, 0, 4, 5, 6, 0])
    assert "takes 2 columns, got 3" in refusal("constant float2x3& m", [(1, 2, 3)] * 3)
    assert "takes 3 rows, got 2" in refusal("constant float2x3& m", [(1, 2)] * 2)


def test_arrays_of_vectors_hold_whole_vectors():
    assert value_of("device const float4* x", np.ones(8, np.float32)).size == 8
    text = refusal("device const float4* x", np.ones(6, np.float32))
    assert "24 bytes, which is not a whole number of float4 (16 bytes each)" in text


def test_float3_takes_the_room_of_four():
    assert value_of("device const float3* x", np.ones((5, 4), np.float32)).size == 20
    assert value_of("device const packed_float3* x", np.ones((5, 3), np.float32)).size == 15
    for rows in (4, 5):  # 4 x 3 floats would fit by size, and be read askew
        text = refusal("device const float3* x", np.ones((rows, 3), np.float32))
        assert "float3 takes 16 bytes, the room of 4" in text
        assert "packed_float3" in text


# --- arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scalar", SCALARS)
def test_an_array_of_the_declared_dtype_is_bound_without_a_copy(scalar):
    array = np.zeros((2, 8), SCALARS[scalar])
    for declaration in (
        f"device const {scalar}* x",
        f"device {scalar}* x",
        f"constant {scalar}* x",
    ):
        assert value_of(declaration, array) is array


@pytest.mark.parametrize("scalar", SCALARS)
def test_an_array_of_any_other_dtype_is_refused(scalar):
    for other in {np.float64, *SCALARS.values()} - {SCALARS[scalar]}:
        text = refusal(f"device const {scalar}* x", np.zeros(8, other))
        assert f"got an array of {np.dtype(other)}" in text
        assert ".astype(" in text


def test_atomics_take_their_plain_type():
    argument = Argument("a", "buffer", "atomic_uint", 0, "device", "read_write", 4, 4)
    array = np.zeros(4, np.uint32)
    assert bind(Function("k", "k", (argument,)), argument, array, MAX_BYTES).array is array


def test_a_reference_takes_exactly_one_element():
    assert value_of("constant uint& n", np.array([3], np.uint32))[0] == 3
    assert value_of("constant uint& n", np.array(3, np.int64))[0] == 3
    assert "is exactly one uint (4 bytes)" in refusal("constant uint& n", np.zeros(2, np.uint32))


def test_void_takes_any_dtype():
    for dtype in (np.float32, np.uint8, np.float64):
        assert value_of("device const void* x", np.ones(3, dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4), np.float32).T[:, 1:], "np.ascontiguousarray"),
        (np.zeros((4, 4), np.float32, order="F"), "not C-contiguous"),
        (np.zeros(8, np.float32)[::2], "strides (8,)"),
        (np.zeros(8, np.float32)[::-1], "np.ascontiguousarray"),
        (np.zeros(4, object), "object array"),
        (np.zeros(4, np.complex64), "no complex type"),
        (np.array(["a"]), "array of strings"),
        (np.array([b"a"]), "array of strings"),
        (np.zeros(4, ">f4"), "big-endian array (>f4); pass x.astype(np.float32)"),
        (np.zeros(4, np.float64), "Metal has no double: pass x.astype(np.float32)"),
        (np.zeros(4, "M8[s]"), "datetime64"),
        (np.zeros((0, 3), np.float32), "is empty"),
        (np.ma.masked_array(np.zeros(2, np.float32), [0, 1]), "masked array"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_metal_cannot_take_are_refused(array, words):
    assert words in refusal("device const float* x", array)


def test_what_is_no_array_is_refused():
    for value in ([1.0, 2.0], "x", None, memoryview(b"abcd")):
        assert "pass a NumPy array, got" in refusal("device const float* x", value)


def test_memory_that_starts_off_a_vector_is_refused():
    array = np.zeros(9, np.float32)[1:]
    assert value_of("device const float* x", array) is array
    assert "multiple of 16 bytes" in refusal("device const float4* x", array)
    halfway = np.frombuffer(bytearray(17), np.uint8)[1:].view(np.float32)
    assert "multiple of 4 bytes" in refusal("device const float* x", halfway)


def test_read_only_arrays_are_inputs_only():
    array = np.zeros(4, np.float32)
    array.flags.writeable = False
    assert value_of("device const float* x", array) is array
    assert "the array is read-only" in refusal("device float* x", array)


def test_a_buffer_longer_than_the_device_allows_is_refused():
    argument = buffer("device const float* x", 1)
    with pytest.raises(ArgumentError, match="the device allows 8 a buffer"):
        bind(Function("k", "k", (argument,)), argument, np.zeros(4, np.float32), 8)


# --- structs ------------------------------------------------------------------------------------


def struct(value, declaration="constant Params& p"):
    return value_of(declaration, value, fields=PARAMS, size=48)


def struct_refusal(value) -> str:
    return refusal("constant Params& p", value, fields=PARAMS, size=48)


GOOD = {"n": 5, "scale": 0.5, "origin": (1, 2, 3), "strides": (-1, 2**40)}


def test_a_dict_becomes_a_struct():
    data = struct(GOOD).tobytes()
    assert np.frombuffer(data, np.uint32, 1)[0] == 5
    assert np.frombuffer(data, np.float32, 1, 4)[0] == 0.5
    np.testing.assert_array_equal(np.frombuffer(data, np.float32, 3, 16), [1, 2, 3])
    np.testing.assert_array_equal(np.frombuffer(data, np.int64, 2, 32), [-1, 2**40])
    assert len(data) == 48


def test_structured_scalars_and_arrays_match_by_layout():
    dtype = struct(GOOD).dtype
    values = np.zeros(3, dtype)
    values["n"] = 7
    assert struct(values[0]).tobytes() == values[0].tobytes()
    assert struct(values, "device const Params* p") is values
    raw = np.zeros(96, np.uint8)
    assert struct(raw, "device const Params* p") is raw


def test_wrong_structs_are_refused_field_by_field():
    assert "the dict lacks scale" in struct_refusal({k: GOOD[k] for k in GOOD if k != "scale"})
    assert "Params has no size" in struct_refusal({**GOOD, "size": 1})
    assert "field 'n': -1 is out of range" in struct_refusal({**GOOD, "n": -1})
    assert "field 'origin': float3 takes 3 numbers" in struct_refusal({**GOOD, "origin": (1, 2)})
    assert "field 'strides': takes 2 values, got 1" in struct_refusal({**GOOD, "strides": (1,)})
    text = struct_refusal(np.zeros((), [("n", "u4"), ("scale", "f8")])[()])
    assert "scale: float64 at byte 4" in text
    assert "scale: float32 at byte 4" in text
    assert "pass a dict or a structured scalar" in struct_refusal(5)


def test_nested_structs_and_arrays_of_vectors():
    inner = (Field("at", "float2", 0, 8), Field("hit", "bool", 8, 1))
    fields = (
        Field("inner", "Inner", 0, 16, fields=inner),
        Field("points", "float3", 16, 16, array_length=2),
    )
    value = {"inner": {"at": (1, 2), "hit": True}, "points": [(3, 4, 5), (6, 7, 8)]}
    data = value_of("constant Outer& o", value, fields=fields, size=48).tobytes()
    np.testing.assert_array_equal(np.frombuffer(data, np.float32, 2), [1, 2])
    assert data[8] == 1
    np.testing.assert_array_equal(np.frombuffer(data, np.float32, 8, 16), [3, 4, 5, 0, 6, 7, 8, 0])


# --- several at once ----------------------------------------------------------------------------


def test_overlapping_memory_is_refused_unless_it_is_the_same():
    function = Function(
        "k", "k", (buffer("device float* out", 0), buffer("device const float* x", 1))
    )
    memory = np.zeros(12, np.float32)

    def bindings(out, x):
        pairs = zip(function.arguments, (out, x), strict=True)
        return [bind(function, argument, value, MAX_BYTES) for argument, value in pairs]

    check_overlaps(function, bindings(memory, memory))
    check_overlaps(function, bindings(memory[:6], memory[6:]))
    with pytest.raises(ArgumentError, match="'out', which is written, and 'x' overlap"):
        check_overlaps(function, bindings(memory[:8], memory[4:]))


def test_a_kernel_writes_arrays_in_place_and_returns_only_outputs():
    from pymetal import Library, output

    function = Function("k", "k", (buffer("device float* out", 0), buffer("device uint* count", 1)))

    def action(arrays, grid):
        arrays["out"][:] = 2
        arrays["count"][:] = 3

    device = FakeDevice(function, action=action)
    kernel = Library(device, device.library_from_metallib(b"MTLB", ""), "").kernel("k")
    count = np.zeros(1, np.uint32)
    result = kernel(output(4), count, grid=4, threadgroup=1)
    np.testing.assert_array_equal(result, np.full(4, 2, np.float32))
    assert count[0] == 3
    assert kernel(np.zeros(4, np.float32), count, grid=4, threadgroup=1) is None
