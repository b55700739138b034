"""Functions that a kernel declares by their AIR names: copies by a simdgroup, and wrong types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from metal_calls import only_on_the_software_device

import pymetal

HEAD = """#include <metal_stdlib>
using namespace metal;
struct event_t;
thread event_t* copy_2d(ulong, ulong, threadgroup void*, ulong, ulong, ulong2, const device void*,
    ulong, ulong, ulong2, long2, int) __asm("air.simdgroup_async_copy_2d.p3i8.p1i8");
thread event_t* copy_2d(ulong, ulong, device void*, ulong, ulong, ulong2, const threadgroup void*,
    ulong, ulong, ulong2, long2, int) __asm("air.simdgroup_async_copy_2d.p1i8.p3i8");
thread event_t* copy_1d(ulong, ulong, threadgroup void*, const device void*, ulong)
    __asm("air.simdgroup_async_copy_1d.p3i8.p1i8");
void wait(int, thread event_t**) __asm("air.wait_simdgroup_events");
"""
TILES = (
    HEAD
    + """
template <typename T>
kernel void tile(device const T* x [[buffer(0)]], device T* out [[buffer(1)]],
                 constant ulong4& size [[buffer(2)]], constant int& mode [[buffer(3)]]) {
    threadgroup T inside[16 * 16];
    thread event_t* event = copy_2d(sizeof(T), alignof(T), inside, 16, 1, ulong2(16), x, size.x, 1,
                                    size.yz, long2(0), mode);
    wait(1, &event);
    event = copy_2d(sizeof(T), alignof(T), out, 16, 1, ulong2(16), inside, 16, 1, ulong2(16),
                    long2(0), 0);
    wait(1, &event);
}
template [[host_name("tile_float")]] kernel void tile<float>(
    device const float*, device float*, constant ulong4&, constant int&);
template [[host_name("tile_half")]] kernel void tile<half>(
    device const half*, device half*, constant ulong4&, constant int&);
template [[host_name("tile_uchar")]] kernel void tile<uchar>(
    device const uchar*, device uchar*, constant ulong4&, constant int&);

kernel void row(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
                uint i [[thread_position_in_grid]]) {
    threadgroup float inside[64];
    thread event_t* event = copy_1d(4, 4, inside, x, 50);
    wait(1, &event);
    out[i] = inside[i] + (i < 18 ? inside[i + 32] : 0);
}
"""
)


@pytest.fixture(params=["reference", "vectorised"])
def engine(request: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    only_on_the_software_device(device)
    monkeypatch.setenv("PYMETAL_ENGINE", request.param)
    return device


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
@pytest.mark.parametrize("edge", [False, True], ids=["zero", "edge"])
def test_a_simdgroup_copies_a_tile_and_fills_what_lies_beyond(
    engine: Any, dtype: Any, edge: bool
) -> None:
    x = np.arange(400).reshape(20, 20).astype(dtype)
    out = np.zeros((16, 16), dtype)
    name = {"float32": "float", "float16": "half", "uint8": "uchar"}[np.dtype(dtype).name]
    kernel = pymetal.compile(TILES, device=engine).kernel(f"tile_{name}")
    kernel(x, out, np.uint64([20, 11, 13, 0]), int(edge), grid=32, threadgroup=32)
    beyond = (16 - 13, 16 - 11)
    padding = ((0, beyond[0]), (0, beyond[1]))
    expected = np.pad(x[:13, :11], padding, mode="edge" if edge else "constant")
    np.testing.assert_array_equal(out, expected)


def test_a_simdgroup_copies_a_row(engine: Any) -> None:
    x, out = np.arange(50, dtype=np.float32), np.zeros(32, np.float32)
    pymetal.compile(TILES, device=engine).row(x, out, grid=32, threadgroup=32)
    np.testing.assert_array_equal(out, x[:32] + np.pad(x[32:], (0, 14)))


@pytest.mark.parametrize(
    "label",
    [
        "air.wg.barrier",
        "air.simd_sum.s.i32",
        "air.simd_shuffle.f32",
        "air.os_log",
        "air.simd_ballot.i64",
        "air.nextafter.f16",
        "air.sincos.f32",
        "air.dot.v4f32",
        "air.simdgroup_matrix_8x8_load.v64f32.p1f32",
    ],
)
def test_intrinsics_declared_with_other_types_are_refused(engine: Any, label: str) -> None:
    source = f"""float f(float) __asm("{label}");
    kernel void k(device float* x [[buffer(0)]]) {{ x[0] = f(x[0]); }}"""
    with pytest.raises(pymetal.LibraryError):
        pymetal.compile(source, device=engine).k(np.zeros(1, np.float32), grid=1)


def test_an_air_name_that_nobody_knows_is_refused_by_name(engine: Any) -> None:
    source = """float f(float) __asm("air.no_such_thing.f32");
    kernel void k(device float* x [[buffer(0)]]) { x[0] = f(x[0]); }"""
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(source, device=engine).k(np.zeros(1, np.float32), grid=1)
    assert caught.value.feature == "air.no_such_thing.f32"
