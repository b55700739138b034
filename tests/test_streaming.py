"""Outputs larger than the caches, which are stored past them: the same results, and when."""

from __future__ import annotations

import numpy as np
import pytest
from two_engines import canonical

import pymetal
from pymetal import _native
from pymetal.cpu import jit
from pymetal.cpu.engines import compile_kernel
from pymetal.cpu.vectorise.target import Target

KERNELS = """
#include <metal_stdlib>
using namespace metal;

template <typename T>
kernel void twice(device T* out [[buffer(0)]], device const T* x [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) {
    out[i] = x[i] + x[i];
}
template [[host_name("twice_float")]] kernel decltype(twice<float>) twice<float>;
template [[host_name("twice_half")]] kernel decltype(twice<half>) twice<half>;
template [[host_name("twice_uchar")]] kernel decltype(twice<uchar>) twice<uchar>;
template [[host_name("twice_long")]] kernel decltype(twice<long>) twice<long>;

// Rows of 16, some threads of which do nothing; lanes meet again before the store.
kernel void rows(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                 device float* sums [[buffer(2)]], constant uint& n [[buffer(3)]],
                 uint2 group [[threadgroup_position_in_grid]],
                 uint t [[thread_index_in_threadgroup]], uint2 size [[threads_per_threadgroup]]) {
    threadgroup float part[1024];
    float sum = 0;
    for (uint i = t; i < n; i += size.x) {
        float v = x[group.y * n + i];
        out[group.y * n + i] = 2 * v;
        sum += v;
    }
    part[t] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t == 0) {
        for (uint i = 1; i < size.x; ++i) {
            sum += part[i];
        }
        sums[group.y] = sum;
    }
}

kernel void fours(device float4* out [[buffer(0)]], device const float4* x [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) {
    out[i] = x[i] + float4(0, 1, 2, 3);
}
kernel void fours_apart(device float4* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[2 * i] = float4(0, 1, 2, 3);
}
kernel void through_a_loop(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint group [[threadgroup_position_in_grid]]) {
    device float* to = out + group * 256 + lane;
    for (uint k = 0; k < 8; ++k, to += 32) {
        *to = x[group * 256 + k * 32 + lane];
    }
}
kernel void reads_it(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i] = out[i] + 1;
}
kernel void counts(device float* out [[buffer(0)]], device atomic_uint* count [[buffer(1)]],
                   uint i [[thread_position_in_grid]]) {
    out[i] = 1;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}
kernel void scatters(device float* out [[buffer(0)]], device const uint* at [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
    out[at[i]] = 1;
}
kernel void either(device float* a [[buffer(0)]], device float* b [[buffer(1)]],
                   constant uint& first [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    device float* out = first ? a : b;
    out[i] = 1;
}
"""
FROM = 1 << 14  # bytes from which outputs are large here


@pytest.fixture
def _large_from():
    """Outputs of 16 KiB count as large."""
    _native.set_streamed_from(FROM)
    yield
    _native.set_streamed_from(0)


@pytest.fixture(scope="module")
def library():
    return pymetal.compile(KERNELS, device="cpu")


@pytest.mark.usefixtures("_large_from")
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("twice_float", np.float32),
        ("twice_half", np.float16),
        ("twice_uchar", np.uint8),
        ("twice_long", np.int64),
    ],
)
@pytest.mark.parametrize("count", [1, 33, 2048, 4095, 4096, 4097, 8191, 16384, 16385, 100_003])
@pytest.mark.parametrize("first", [0, 1, 15, 16, 32])
def test_large_outputs_are_whole_wherever_they_start(library, name, dtype, count, first) -> None:
    x = (np.arange(count) % 100).astype(dtype)
    memory = np.full(first + count + 64, 77, dtype)
    out = memory[first : first + count]
    getattr(library, name)(out, x, grid=count)
    assert np.array_equal(out, x + x)
    assert (memory[:first] == 77).all()
    assert (memory[first + count :] == 77).all()


@pytest.mark.usefixtures("_large_from")
@pytest.mark.parametrize("count", [1, 31, 32, 1000, 1024, 1025, 9999])
@pytest.mark.parametrize("first", [0, 1, 4, 5])
def test_vectors_of_four_are_whole_wherever_they_start(library, count, first) -> None:
    x = np.random.default_rng(2).random((count, 4), np.float32)
    memory = np.full((first + count + 16, 4), 77, np.float32)
    library.fours(memory[first : first + count], x, grid=count)
    assert np.array_equal(memory[first : first + count], x + np.arange(4, dtype=np.float32))
    assert (memory[:first] == 77).all()
    assert (memory[first + count :] == 77).all()
    apart = np.full((2 * count, 4), 77, np.float32)
    library.fours_apart(apart, grid=count)
    assert (apart[::2] == np.arange(4)).all()
    assert (apart[1::2] == 77).all()


@pytest.mark.usefixtures("_large_from")
@pytest.mark.parametrize("width", [32, 50, 64, 256])
@pytest.mark.parametrize("columns", [1, 100, 1000, 4096])
def test_rows_are_whole_under_loops_barriers_and_partial_simdgroups(
    library, columns, width
) -> None:
    rows = 37
    x = np.random.default_rng(1).integers(0, 9, (rows, columns)).astype(np.float32)
    out, sums = np.zeros_like(x), np.zeros(rows, np.float32)
    library.rows(out, x, sums, np.uint32(columns), grid=(width, rows), threadgroup=(width, 1))
    assert np.array_equal(out, 2 * x)
    assert np.array_equal(sums, x.sum(axis=1))  # small integers: exact in any order


@pytest.mark.usefixtures("_large_from")
def test_an_output_that_is_the_input_too_is_read_before_it_is_written(library) -> None:
    x = np.arange(100_000, dtype=np.float32)
    library.twice_float(x, x, grid=x.size)
    assert np.array_equal(x, 2 * np.arange(100_000, dtype=np.float32))


@pytest.mark.usefixtures("_large_from")
def test_what_was_stored_past_the_caches_is_there_for_the_next_launch(library) -> None:
    a = pymetal.array(np.arange(1 << 20, dtype=np.float32))
    b = pymetal.zeros(1 << 20)
    for _ in range(10):
        library.twice_float(b, a, grid=a.size)
        library.through_a_loop(a, b, grid=a.size // 8, threadgroup=32)
    assert np.array_equal(a, np.arange(1 << 20, dtype=np.float32) * 1024)


@pytest.mark.parametrize(
    ("name", "streams"),
    [
        ("twice_float", (0,)),
        ("twice_uchar", ()),  # 32 of them are half a line
        ("rows", (0,)),  # of sums a threadgroup stores one
        ("through_a_loop", (0,)),
        ("fours", (0,)),
        ("fours_apart", ()),
        ("reads_it", ()),
        ("counts", ()),  # another threadgroup may wait for the count
        ("scatters", ()),
        ("either", ()),  # nobody knows which
    ],
)
def test_lines_go_past_the_caches_where_nobody_reads_them(name, streams) -> None:
    if not Target.of_features(jit.target_features()).non_temporal:
        pytest.skip("this processor's stores all go through the caches")
    (function,) = canonical(KERNELS, name)
    compiled = compile_kernel(function, "vectorised")
    assert tuple(compiled.buffers[slot] for slot in compiled.streams) == streams


def asks_the_launch(streams: int) -> _native.Pipeline:
    """A kernel whose every thread stores what the launch says of its buffers to the second."""
    layout = _native.layout()
    code = f"""
define void @entry(ptr %thread) {{
  %t = getelementptr i8, ptr %thread, i64 {layout["thread"]["threadgroup"]}
  %threadgroup = load ptr, ptr %t
  %l = getelementptr i8, ptr %threadgroup, i64 {layout["threadgroup"]["launch"]}
  %launch = load ptr, ptr %l
  %s = getelementptr i8, ptr %launch, i64 {layout["launch"]["streamed"]}
  %streamed = load i64, ptr %s
  %b = getelementptr i8, ptr %launch, i64 {layout["launch"]["buffers"]}
  %buffers = load ptr, ptr %b
  %second = getelementptr ptr, ptr %buffers, i64 1
  %out = load ptr, ptr %second
  store i64 %streamed, ptr %out
  ret void
}}"""
    native = jit.compile_ir([code], "entry", kernel="asks")
    return _native.Pipeline(_native.Code(native.code), "entry", "thread", False, 0, streams=streams)


@pytest.mark.usefixtures("_large_from")
@pytest.mark.parametrize(
    ("sizes", "threads", "streams", "expected"),
    [
        ([FROM, 8], 1024, 0b11, 0b01),
        ([FROM - 1, 8], 1024, 0b11, 0b00),
        ([FROM, FROM], 1024, 0b11, 0b11),
        ([FROM, FROM], 1024, 0b10, 0b10),  # the code may not for the first
        ([FROM, FROM], 1024, 0, 0),
        ([FROM, 8], FROM // 1024, 0b11, 0b01),
        ([FROM, 8], FROM // 1024 - 1, 0b11, 0b00),  # so few threads write a part of it
        ([], 1024, 0b11, 0b00),
    ],
)
def test_a_launch_says_whose_outputs_are_large(sizes, threads, streams, expected) -> None:
    first, said = np.zeros(1, np.uint64), np.full(1, 77, np.uint64)
    fault = asks_the_launch(streams).launch(
        [first.ctypes.data, said.ctypes.data], [], (threads, 1, 1), (1, 1, 1), sizes=sizes
    )
    assert fault is None
    assert said[0] == expected
