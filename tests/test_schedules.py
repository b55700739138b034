"""`check="schedules"`: launches in several orders of threads find what depends on the order."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal

SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void last_one_wins(device uint* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    out[i / 100] = i;
}
kernel void place_by_arrival(device uint* out [[buffer(0)]], device atomic_uint* next [[buffer(1)]],
                             uint i [[thread_position_in_grid]]) {
    uint place = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
    out[place] = i;
}
kernel void float_sum(device atomic_float* sum [[buffer(0)]], device const float* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(sum, x[i], memory_order_relaxed);
}
kernel void neighbour_in_place(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    x[i] = x[i] + (i > 0 ? x[i - 1] : 0);
}
kernel void no_barrier(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                       uint i [[thread_position_in_grid]],
                       uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = x[i];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[63 - t];
}
kernel void histogram_(device atomic_uint* bins [[buffer(0)]], device const uint* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(&bins[x[i] % 7], 1, memory_order_relaxed);
}
kernel void reversed_in_tiles(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                              uint i [[thread_position_in_grid]],
                              uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = simd_sum(tile[63 - t]);
}
kernel void add_one(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    x[i] += 1;
}
kernel void past_the_end(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    x[long(i) << 32] += 1;
}
"""


@pytest.fixture(scope="module")
def library() -> pymetal.Library:
    return pymetal.compile(SOURCE, device="cpu")


X = np.random.default_rng(0).standard_normal(1000, np.float32)


def faults(kernel: pymetal.Kernel, *values, threadgroup: int = 64) -> list:
    with pytest.raises(pymetal.KernelFault, match="depend on the order") as caught:
        kernel(*values, grid=1000, threadgroup=threadgroup, check="schedules")
    return list(caught.value.reports)


def test_the_last_writer_wins_and_both_are_named(library) -> None:
    (report,) = faults(library.last_one_wins, pymetal.output(10))
    assert (report.kind, report.argument, report.element) == ("order-dependent", "out", 0)
    assert "is 99 in order and 0 backwards; 10 of 10 numbers differ" in report.message
    assert report.first.thread == (99, 0, 0)
    assert report.second.thread == (0, 0, 0)
    line = SOURCE.split("\n").index("    out[i / 100] = i;") + 1
    assert (report.line, report.second.line) == (line, line)


@pytest.mark.parametrize("name", ["place_by_arrival", "float_sum", "no_barrier"])
def test_an_order_dependence_is_found(library, name: str) -> None:
    values = {
        "place_by_arrival": (pymetal.output(1000), np.zeros(1, np.uint32)),
        "float_sum": (pymetal.output(1), X),
        "no_barrier": (pymetal.output(1024), np.resize(X, 1024)),
    }[name]
    reports = faults(library.kernel(name), *values)
    assert reports[0].kind == "order-dependent"


def test_a_dependence_between_threadgroups_is_found_in_memory_changed_in_place(library) -> None:
    x = np.ones(1000, np.float32)
    (report,) = faults(library.neighbour_in_place, x, threadgroup=1)
    assert report.argument == "x"
    np.testing.assert_array_equal(x[:4], [1, 2, 3, 4])  # what the usual order gives remains


def test_right_kernels_are_silent_and_give_their_results(library) -> None:
    ones = np.arange(1000, dtype=np.uint32)
    keywords = {"grid": 1000, "threadgroup": 64, "check": "schedules"}
    bins = library.histogram_(pymetal.output(7), ones, **keywords)
    np.testing.assert_array_equal(bins, np.bincount(ones % 7))
    x = np.zeros(1000, np.float32)
    library.add_one(x, **keywords)
    assert (x == 1).all()
    padded = np.resize(X, 1024)
    keywords["grid"] = 1024
    plain = library.reversed_in_tiles(pymetal.output(1024), padded, grid=1024, threadgroup=64)
    scheduled = library.reversed_in_tiles(pymetal.output(1024), padded, **keywords)
    np.testing.assert_array_equal(plain, scheduled)


def test_a_shipped_kernel_runs_in_every_order() -> None:
    a = np.random.default_rng(1).standard_normal((8, 300), np.float32)
    arguments = ("softmax:softmax_threadgroup", [a, 300], (8, 300), (64, 8), (64, 1))
    plain = pymetal.run_metal_kernel(*arguments, device="cpu")
    scheduled = pymetal.run_metal_kernel(*arguments, device="cpu", check="schedules")
    # The engines compute exp in ways of their own: 3 ULP each by the specification, in what is
    # divided and in the sum.
    np.testing.assert_allclose(plain, scheduled, rtol=2 * (3 + 3) * 2.0**-23)


def test_another_fault_is_raised_as_ever(library) -> None:
    with pytest.raises(pymetal.KernelFault, match="address"):
        library.past_the_end(pymetal.zeros(64), grid=64, threadgroup=64, check="schedules")


def test_the_environment_asks_for_schedules(library, monkeypatch) -> None:
    monkeypatch.setenv("PYMETAL_CHECK", "schedules")
    with pytest.raises(pymetal.KernelFault, match="depend on the order"):
        library.last_one_wins(pymetal.output(10), grid=1000, threadgroup=64)
