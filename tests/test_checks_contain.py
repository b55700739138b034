"""Under `check=True` what is out of bounds is reported and not done, whatever makes the address."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void store(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                  constant uint& far [[buffer(2)]]) {
    simdgroup_float8x8 m;
    simdgroup_load(m, a, 8);
    simdgroup_store(m, out + far, 8);
}

kernel void load(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                 constant uint& far [[buffer(2)]]) {
    simdgroup_float8x8 m;
    simdgroup_load(m, a, far, ulong2(1, 2), true);
    simdgroup_store(m, out, 8);
}

kernel void either(device float* out [[buffer(0)]], device float* a [[buffer(1)]],
                   constant uint& far [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    device float* p = far & 1 ? out : a;
    p[i + far] = 1;
}

kernel void in_turn(device float* out [[buffer(0)]], device float* a [[buffer(1)]],
                    constant uint& far [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    device float* to = out;
    device float* from = a;
    for (uint k = 0; k < 3; ++k) {
        to[(i + k * far) ^ 1] = from[i + k * far] + 1;
        device float* last = to;
        to = from;
        from = last;
    }
}

struct Page { float x[2000]; };

kernel void copy(device Page* out [[buffer(0)]], device const Page* a [[buffer(1)]],
                 constant uint& far [[buffer(2)]]) {
    out[far] = a[far];
}

kernel void alternate(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                      constant uint& far [[buffer(2)]], uint i [[thread_index_in_threadgroup]]) {
    threadgroup float one[64], two[64];
    threadgroup float* to = one;
    threadgroup float* from = two;
    from[i] = a[i];
    for (uint step = 1; step < 64; step *= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        to[i] = from[i] + (i >= step ? from[i - step] : 0);
        threadgroup float* last = to;
        to = from;
        from = last;
    }
    out[i + far] = from[i];
}
"""
OUT, IN = 64, 90  # elements; memory behind them is the kernel's too, but not its arrays


@pytest.fixture(scope="module")
def library():
    return pymetal.compile(SOURCE, device="cpu")


def run(kernel, far: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """The memory that both arrays begin, after a checked run."""
    out, a = pymetal.zeros(1 << 12, np.float32), pymetal.zeros(1 << 12, np.float32)
    a[:IN] = np.arange(IN)
    try:
        kernel(out[:OUT], a[:IN], far, grid=threads, threadgroup=threads, check=True)
    finally:
        np.testing.assert_array_equal(out[OUT:], 0)
        np.testing.assert_array_equal(a[IN:], 0)
    return out[:OUT], a[:IN]


@pytest.mark.parametrize("far", [1, 56, 64, 1 << 20, (1 << 32) - 1])
@pytest.mark.parametrize("name", ["store", "load", "either", "in_turn", "alternate"])
def test_nothing_outside_of_arrays_is_touched(library, name: str, far: int) -> None:
    if (name, far) == ("load", 1):
        far = 60  # a stride of 1 is within
    with pytest.raises(pymetal.KernelFault, match="element") as caught:
        run(library[name], far, 64 if name in ("in_turn", "alternate", "either") else 32)
    assert "out-of-bounds" in {report.kind for report in caught.value.reports}


def test_matrices_within_are_loaded_and_stored_as_without_checks(library) -> None:
    out, a = run(library["load"], 9, 32)
    tile = a[2 * 9 + 1 :]
    rows = np.lib.stride_tricks.as_strided(tile, (8, 8), (36, 4))
    np.testing.assert_array_equal(out.reshape(8, 8), rows.T)
    out, a = run(library["store"], 0, 32)
    np.testing.assert_array_equal(out, a[:64])


def test_pointers_that_take_turns_are_as_good_as_others(library) -> None:
    out, a = run(library["alternate"], 0, 64)
    np.testing.assert_array_equal(out, np.cumsum(a[:64]))


def test_a_large_struct_is_not_copied_to_where_none_is(library) -> None:
    kernel = library["copy"]
    dtype = np.dtype([("x", np.float32, 2000)])
    out, a = pymetal.zeros(8, dtype), pymetal.zeros(8, dtype)
    a["x"] = 1
    with pytest.raises(pymetal.KernelFault, match="which has 2"):
        kernel(out[:2], a[:2], 2, grid=1, threadgroup=1, check=True)
    assert not out["x"].any()
    kernel(out[:2], a[:2], 1, grid=1, threadgroup=1, check=True)
    assert (out["x"][1] == 1).all()
    assert not out["x"][2:].any()
