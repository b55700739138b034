"""Arrays on shared memory, other libraries' arrays, and what of them kernels take."""

from __future__ import annotations

import gc
import importlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pymetal
from pymetal import ArgumentError, _native, packing

ADD_ONE = """\
#include <metal_stdlib>
using namespace metal;
kernel void add_one(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) { out[i] = x[i] + 1; }
kernel void halve(device bfloat* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    x[i] = bfloat(float(x[i]) / 2);
}
kernel void copy_bytes(device uchar* out [[buffer(0)]], device const uchar* x [[buffer(1)]],
                       uint i [[thread_position_in_grid]]) { out[i] = x[i]; }
"""
PAGE = 4096
NARROW = [
    name
    for name in (
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3",
        "float8_e3m4",
        "float8_e8m0fnu",
        "int4",
        "uint4",
        "float4_e2m1fn",
    )
    if hasattr(ml_dtypes, name)
]


@pytest.fixture(scope="module")
def library():
    return {name: pymetal.compile(ADD_ONE, device=name) for name in pymetal.device_names()}


def other(name: str):
    """Another array library, or a skip that says why."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported: {error}")


# --- memory of our own --------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(0, 40), max_size=4).map(tuple),
    dtype=st.sampled_from([np.float32, np.float16, np.uint8, np.int64, ml_dtypes.bfloat16]),
)
def test_arrays_are_zero_aligned_and_like_any_other(shape, dtype):
    made = pymetal.zeros(shape, dtype)
    assert (made.shape, made.dtype) == (shape, np.dtype(dtype))
    assert made.ctypes.data % PAGE == 0
    assert made.flags.c_contiguous
    assert made.flags.writeable
    assert pymetal.is_shared(made)
    assert not made.astype(np.float32).any()
    made[...] = 1  # the memory goes back dirty, and must come clean
    assert not pymetal.empty(shape, dtype).astype(np.float32).any()


@pytest.mark.parametrize("size", [PAGE - 1, PAGE, PAGE + 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_memory_is_whole_pages_on_both_sides_of_every_limit(size):
    memory = _native.Memory(size)
    assert memory.size_bytes == size
    assert memory.room_bytes >= size
    assert memory.room_bytes % PAGE == 0
    view = np.frombuffer(memory, np.uint8)
    assert view.size == size
    assert not view.any()
    view[...] = 255


def test_a_view_keeps_the_memory_and_dropping_it_frees_it():
    whole = pymetal.array(np.arange(1 << 20, dtype=np.float32))
    part = whole[7:9]
    del whole
    gc.collect()
    others = [pymetal.zeros(1 << 20) for _ in range(3)]
    assert part.tolist() == [7, 8]
    assert pymetal.is_shared(part)
    assert not any(x.any() for x in others)


def test_memory_is_used_again():
    addresses = {pymetal.zeros(64).ctypes.data for _ in range(1000)}
    assert len(addresses) < 10


def test_what_is_not_on_shared_memory_says_so():
    assert not pymetal.is_shared(np.zeros(4))
    assert not pymetal.is_shared(pymetal.zeros(4).copy())


def test_array_copies_and_asarray_does_not():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    copied, same = pymetal.array(x), pymetal.asarray(x)
    x[0, 0] = 9
    assert same is x
    assert copied[0, 0] == 0
    assert pymetal.is_shared(copied)
    assert pymetal.array(x.T).flags.c_contiguous
    np.testing.assert_array_equal(pymetal.array(x.T), x.T)
    assert pymetal.asarray(x, np.float16).dtype == np.float16
    assert pymetal.asarray(x, np.float32) is x


def test_python_numbers_become_what_metal_has():
    assert pymetal.array([1.5, 2]).dtype == np.float32
    assert pymetal.array([[1, 2], [3, 4]]).dtype == np.int32
    assert pymetal.array([True]).dtype == np.bool_
    assert pymetal.array(3).shape == ()
    assert pymetal.array([1, 2], ml_dtypes.bfloat16).dtype == ml_dtypes.bfloat16
    assert pymetal.array(np.arange(3)).dtype == np.int64  # an array's dtype is the caller's choice
    with pytest.raises(ArgumentError, match="int32 cannot hold; name a dtype"):
        pymetal.array([1 << 40])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pymetal.zeros(-1), r"shape \(-1,\) has a negative dimension"),
        (lambda: pymetal.zeros(2.0), "is not an int or a tuple of ints"),
        (lambda: pymetal.zeros((1 << 40, 1 << 20)), "more than memory holds"),
        (lambda: pymetal.zeros((1,) * 70), "shape"),
        (lambda: pymetal.zeros(3, "no such"), "dtype 'no such' is not a NumPy dtype"),
        (lambda: pymetal.zeros(3, object), "holds Python objects"),
        (lambda: pymetal.array([[1], [2, 3]]), "makes no array"),
        (lambda: pymetal.array("text"), "not of numbers"),
        (lambda: pymetal.array(None), "not of numbers"),
    ],
)
def test_what_makes_no_array_is_refused(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


# --- in kernels ---------------------------------------------------------------------------------


def test_results_are_shared_arrays_so_that_chains_never_copy(device, library):
    x = np.zeros(100, np.float32)
    for _ in range(3):
        x = library[device].add_one(pymetal.output(100), x, grid=100, threadgroup=32)
        assert pymetal.is_shared(x)
    assert (x == 3).all()


def test_a_read_only_array_cannot_be_an_output(device, library):
    out = pymetal.zeros(4)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match=r"'out'.* read-only"):
        library[device].add_one(out, np.zeros(4, np.float32), grid=4, threadgroup=4)


class Interface:
    """An array by `__array_interface__` only."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


def test_array_interface_in(device, library):
    x, out = Interface(np.arange(4, dtype=np.float32)), Interface(np.zeros(4, np.float32))
    library[device].add_one(out, x, grid=4, threadgroup=4)
    assert out.array.tolist() == [1, 2, 3, 4]


def test_the_buffer_protocol_in(device, library):
    import array

    out = array.array("f", [0] * 4)
    library[device].add_one(out, array.array("f", range(4)), grid=4, threadgroup=4)
    assert out.tolist() == [1, 2, 3, 4]


def test_what_offers_dlpack_and_breaks_its_word_is_refused():
    class Broken:
        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, **options):
            raise BufferError("not today")

    class Elsewhere(Broken):
        def __dlpack_device__(self):
            return (2, 0)

    class Nonsense(Broken):
        def __dlpack__(self, **options):
            return 7

    with pytest.raises(ArgumentError, match="does not share its memory: not today"):
        pymetal.asarray(Broken())
    with pytest.raises(ArgumentError, match=r"another device .*; move it to the CPU first"):
        pymetal.asarray(Elsewhere())
    with pytest.raises(ArgumentError, match="does not share its memory"):
        pymetal.asarray(Nonsense())


def test_dlpack_from_numpy_and_back():
    x = np.arange(12, dtype=np.int16).reshape(3, 4)
    seen = pymetal.arrays._borrowed(x[:, 1:])
    np.testing.assert_array_equal(seen, x[:, 1:])
    assert np.shares_memory(seen, x)
    made = pymetal.zeros((2, 2))
    again = np.from_dlpack(made)
    again[0, 0] = 5
    assert made[0, 0] == 5


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"])
def test_narrow_floats_are_handed_over_without_a_copy(name):
    x = pymetal.array(np.arange(1, 7).reshape(2, 3), getattr(ml_dtypes, name))
    again = pymetal.asarray(pymetal.dlpack(x))  # as any library sees it
    assert (again.dtype, again.shape) == (x.dtype, x.shape)
    assert np.shares_memory(again, x)
    np.testing.assert_array_equal(pymetal.asarray(pymetal.dlpack(x[:, ::2])), x[:, ::2])
    x.flags.writeable = False
    assert not pymetal.asarray(pymetal.dlpack(x)).flags.writeable


def test_what_is_handed_over_keeps_its_memory():
    lent = pymetal.dlpack(pymetal.array(np.full(1 << 16, 7), ml_dtypes.bfloat16))
    gc.collect()
    others = [pymetal.zeros(1 << 16, ml_dtypes.bfloat16) for _ in range(3)]
    assert (pymetal.asarray(lent) == 7).all()
    del others


def test_numpys_own_arrays_are_handed_over_as_they_are():
    x = pymetal.zeros(3)
    assert pymetal.dlpack(x) is x
    with pytest.raises(ArgumentError, match="DLPack has no dtype int4"):
        pymetal.dlpack(np.zeros(2, ml_dtypes.int4))


def test_torch_tensors_are_seen_and_written_without_a_copy(device, library):
    torch = other("torch")
    x, out = torch.arange(4, dtype=torch.float32), torch.zeros(4)
    library[device].add_one(out, x, grid=4, threadgroup=4)
    assert out.tolist() == [1, 2, 3, 4]
    narrow = torch.tensor([2, 4], dtype=torch.bfloat16)
    library[device].halve(narrow, grid=2, threadgroup=2)
    assert narrow.tolist() == [1, 2]
    assert pymetal.asarray(torch.zeros(2, dtype=torch.float8_e4m3fn)).dtype == (
        ml_dtypes.float8_e4m3fn
    )
    shared = pymetal.zeros((2, 3))
    torch.from_dlpack(shared)[0, 0] = 3
    assert shared[0, 0] == 3
    brief = pymetal.zeros((2, 3), ml_dtypes.bfloat16)
    tensor = torch.from_dlpack(pymetal.dlpack(brief))
    assert tensor.dtype == torch.bfloat16
    tensor[1, 2] = 5
    assert brief[1, 2] == 5
    with pytest.raises(ArgumentError, match=r"requires? grad"):
        pymetal.asarray(torch.zeros(2, requires_grad=True))
    with pytest.raises(ArgumentError, match="not C-contiguous"):
        library[device].add_one(out, torch.zeros(8)[::2], grid=4, threadgroup=4)


def test_jax_arrays_are_seen_without_a_copy_and_never_written(device, library):
    jax = other("jax")
    x = jax.numpy.arange(4, dtype=jax.numpy.float32)
    result = library[device].add_one(pymetal.output(4), x, grid=4, threadgroup=4)
    assert result.tolist() == [1, 2, 3, 4]
    with pytest.raises(ArgumentError, match=r"'out'.* read-only"):
        library[device].add_one(x, x, grid=4, threadgroup=4)
    assert pymetal.asarray(jax.numpy.ones(3, jax.numpy.bfloat16)).dtype == ml_dtypes.bfloat16
    assert jax.numpy.from_dlpack(result).tolist() == [1, 2, 3, 4]
    brief = pymetal.array([1, 2], ml_dtypes.bfloat16)
    assert jax.numpy.from_dlpack(pymetal.dlpack(brief)).dtype == jax.numpy.bfloat16


def test_mlx_arrays_are_seen_without_a_copy(device, library):
    mx = other("mlx.core")
    x = mx.arange(4).astype(mx.float32)
    result = library[device].add_one(pymetal.output(4), x, grid=4, threadgroup=4)
    assert result.tolist() == [1, 2, 3, 4]
    assert mx.array(result).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", NARROW)
def test_narrow_types_are_bytes_for_kernels(device, library, name):
    x = pymetal.array(np.array([0, 1, 2, 0.5, 4]), getattr(ml_dtypes, name))
    result = library[device].copy_bytes(pymetal.output(5), x, grid=5, threadgroup=5)
    np.testing.assert_array_equal(result, x.view(np.uint8))
    with pytest.raises(ArgumentError, match="got an array of"):
        library[device].add_one(x, x, grid=5, threadgroup=5)


# --- several to a byte --------------------------------------------------------------------------

PACKED = [name for name in packing.NARROW if hasattr(ml_dtypes, name)]
UNPACK = """\
#include <metal_stdlib>
using namespace metal;
kernel void widen(device int* out, device const uint* x, uint i [[thread_position_in_grid]])
{
    uint four = x[i / 8] >> 4 * (i % 8) & 15;
    out[i] = int(four << 28) >> 28;
}
"""


def every_value(name: str, count: int = 64) -> np.ndarray:
    bits = 2 if name.endswith("2") else 4
    values = (np.arange(count) * 7 % (1 << bits)).astype(np.uint8)
    return values.view(getattr(ml_dtypes, name))


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("word", ["u1", "u2", "u4", "u8"])
def test_packed_numbers_come_back_as_they_were(name, word):
    values = every_value(name).reshape(2, 32)
    packed = pymetal.pack(values, word)
    bits = 2 if name.endswith("2") else 4
    assert packed.shape == (2, 32 * bits // (8 * packed.itemsize))
    assert packed.dtype == word
    assert pymetal.is_shared(packed)
    again = pymetal.unpack(packed, values.dtype)
    assert again.dtype == values.dtype
    np.testing.assert_array_equal(again.view(np.uint8), values.view(np.uint8))


def test_the_first_number_has_the_lowest_bits():
    values = np.array([1, -2, 3, 4], ml_dtypes.int4)
    assert pymetal.pack(values).tolist() == [0xE1, 0x43]
    assert pymetal.pack(values, np.uint16).tolist() == [0x43E1]
    assert pymetal.unpack(np.array([0xE1], np.uint8), ml_dtypes.int4).tolist() == [1, -2]


def test_kernels_read_packed_numbers(device):
    values = every_value("int4")
    kernel = pymetal.compile(UNPACK, device=device).widen
    result = kernel(pymetal.output(64), pymetal.pack(values, np.uint32), grid=64, threadgroup=32)
    np.testing.assert_array_equal(result, values.astype(np.int32))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pymetal.pack(np.arange(8)), "dtype int64 is none of"),
        (lambda: pymetal.pack(np.arange(8, dtype=np.int8)), "dtype int8 is none of"),
        (lambda: pymetal.pack(every_value("int4", 3)), "last axis must be a multiple of 2"),
        (lambda: pymetal.pack(every_value("int4", 12), "u4"), "must be a multiple of 8"),
        (lambda: pymetal.pack(every_value("int4"), np.int8), "word is int8"),
        (lambda: pymetal.unpack(np.zeros(4, np.int32), ml_dtypes.int4), "packed is an array of"),
        (lambda: pymetal.unpack(np.zeros(4, np.uint8), np.int8), "dtype int8 is none of"),
    ],
)
def test_what_cannot_be_packed_is_refused(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()
