"""Compiled once, called many times: how values and sizes are given, and warm calls."""

from __future__ import annotations

import inspect
import itertools
import pydoc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fake_device import FakeDevice, buffer
from hypothesis import given
from hypothesis import strategies as st

import pymetal
from pymetal import ArgumentError, LaunchError, output, threadgroup_memory
from pymetal.air.function import Function

SOURCE = """\
#include <metal_stdlib>
using namespace metal;

kernel void scale(device float* out [[buffer(0)]],
                  device const float* x [[buffer(1)]],
                  constant float& factor [[buffer(2)]],
                  constant uint& n [[buffer(3)]],
                  uint i [[thread_position_in_grid]])
{
    if (i < n) out[i] = factor * x[i];
}

kernel void sizes(device uint3* out [[buffer(0)]],
                  uint3 size [[threads_per_threadgroup]],
                  uint3 count [[threads_per_grid]],
                  uint3 i [[thread_position_in_grid]])
{
    if (all(i == 0)) { out[0] = size; out[1] = count; }
}

kernel void reversed(device float* out [[buffer(0)]],
                     threadgroup float* tile [[threadgroup(0)]],
                     device const float* x [[buffer(1)]],
                     uint i [[thread_position_in_threadgroup]],
                     uint n [[threads_per_threadgroup]])
{
    tile[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[n - 1 - i];
}

kernel void split(device const float* x [[buffer(0)]],
                  device float* low [[buffer(1)]],
                  device half* high [[buffer(2)]],
                  uint i [[thread_position_in_grid]])
{
    low[i] = floor(x[i]);
    high[i] = half(x[i] - floor(x[i]));
}
"""
X = np.arange(8, dtype=np.float32)


@pytest.fixture(scope="module")
def libraries():
    return {name: pymetal.compile(SOURCE, device=name) for name in pymetal.device_names()}


@pytest.fixture
def library(device, libraries):
    return libraries[device]


def refusal(kernel, *values, **named) -> str:
    with pytest.raises(ArgumentError) as caught:
        kernel(*values, **{"grid": 8, "threadgroup": 8, **named})
    return str(caught.value)


# --- values -------------------------------------------------------------------------------------


def test_values_by_place_by_name_and_both(library):
    for _ in range(2):  # cold, then warm
        for call in (
            lambda: library.scale(output(8), X, 2.0, 8, grid=8, threadgroup=8),
            lambda: library.scale(n=8, factor=2.0, x=X, out=output(8), grid=8, threadgroup=8),
            lambda: library.scale(output(8), X, n=8, factor=2.0, grid=8, threadgroup=8),
        ):
            np.testing.assert_array_equal(call(), 2 * X)


def test_outputs_at_any_index_come_in_declared_order(library):
    low, high = library.split(X + 0.5, high=output(8), low=output((2, 4)), grid=8, threadgroup=8)
    np.testing.assert_array_equal(low, X.reshape(2, 4))
    assert (low.dtype, high.dtype) == (np.float32, np.float16)
    assert (high == 0.5).all()
    given = np.zeros(8, np.float32)
    high = library.split(X, given, output(8), grid=8, threadgroup=8)
    np.testing.assert_array_equal(given, X)
    assert (high == 0).all()


def test_wrong_names_are_told_with_the_signature(library):
    text = refusal(library.scale, output(8), X, factr=2.0, n=8)
    assert "scale: there is no argument 'factr'; did you mean 'factor'?" in text
    assert "constant uint& n [[buffer(3)]]" in text
    text = refusal(library.scale, output(8), X, 2.0, 8, n=8)
    assert "argument 'n' is given twice, by place and by name" in text
    text = refusal(library.scale, output(8), X, factor=2.0)
    assert "no value for argument 'n', declared `constant uint& n [[buffer(3)]]`" in text
    text = refusal(library.scale, output(8), X, 2.0, 8, i=3)
    assert "'i' is [[thread_position_in_grid]], which the device supplies" in text
    assert "takes 4 values (out, x, factor, n), got 2" in refusal(library.scale, output(8), X)
    assert "takes 4 values (out, x, factor, n), got 5" in refusal(library.scale, *[X] * 5)


def test_an_output_marker_for_what_is_only_read_is_refused(library):
    assert "output 'x': `device const float* x [[buffer(1)]]` cannot be written" in refusal(
        library.scale, output(8), output(8), 2.0, 8
    )


def test_arrays_that_overlap_are_refused_unless_they_are_the_same(library):
    memory = np.arange(12, dtype=np.float32)
    for _ in range(2):
        library.scale(memory[:8], memory[:8], 2.0, 8, grid=8, threadgroup=8)
        text = refusal(library.scale, memory[:8], memory[4:], 2.0, 8)
        assert "the arrays of 'out', which is written, and 'x' overlap without being the" in text
    np.testing.assert_array_equal(memory[:8], 4 * X)


# --- threadgroup memory -------------------------------------------------------------------------


def test_threadgroup_memory_at_its_place_or_by_name_or_by_index(library):
    kernel, memory = library.reversed, threadgroup_memory(32)
    size = {"grid": 8, "threadgroup": 8}
    for result in (
        kernel(output(8), memory, X, **size),
        kernel(output(8), X, tile=memory, **size),
        kernel(x=X, tile=memory, out=output(8), **size),
        kernel(output(8), X, threadgroup_memory={0: 32}, **size),
    ):
        np.testing.assert_array_equal(result, X[::-1])
    assert [a.name for a in kernel.threadgroup_arguments] == ["tile"]


def test_threadgroup_memory_in_a_wrong_place_is_refused(library):
    kernel, memory = library.reversed, threadgroup_memory(32)
    assert "argument 'x', declared `device const float* x [[buffer(1)]]`, is a buffer" in refusal(
        kernel, output(8), memory, memory
    )
    assert "'tile', declared" in refusal(kernel, output(8), X, tile=32)
    assert "pass pymetal.threadgroup_memory(bytes), got int 32" in refusal(
        kernel, output(8), X, tile=32
    )
    assert "takes 3 values (out, tile, x), got 2" in refusal(kernel, output(8), memory)
    assert "is given twice, as a value and in threadgroup_memory" in refusal(
        kernel, output(8), memory, X, threadgroup_memory={0: 32}
    )
    with pytest.raises(LaunchError, match=r"positive multiples of 16\. Try 48"):
        kernel(output(8), threadgroup_memory(33), X, grid=8, threadgroup=8)
    with pytest.raises(LaunchError, match="not a number of bytes"):
        kernel(output(8), threadgroup_memory("33"), X, grid=8, threadgroup=8)


# --- sizes --------------------------------------------------------------------------------------


def test_threadgroups_count_threadgroups(library):
    out = library.sizes(output((2, 4)), threadgroups=(3, 2), threadgroup=(4, 2))
    assert out[:, :3].tolist() == [[4, 2, 1], [12, 4, 1]]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"threadgroups": 2}, "pass it with threadgroup and without grid"),
        ({"threadgroups": 2, "threadgroup": 2, "grid": 4}, "and without grid"),
        ({"threadgroups": 0, "threadgroup": 2}, "threadgroups 0: each dimension"),
        ({"threadgroups": (1 << 31, 1), "threadgroup": 2}, "make a grid of"),
        ({"threadgroup": 2}, "grid is missing"),
        ({}, "grid is missing"),
    ],
)
def test_sizes_that_contradict_are_refused(library, sizes, words):
    with pytest.raises(LaunchError, match=words):
        library.sizes(output((2, 4)), **sizes)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (1, (1, 1, 1)),
        (33, (64, 1, 1)),
        (10_000, (256, 1, 1)),
        ((512, 512), (32, 8, 1)),
        ((512, 2), (128, 2, 1)),
        ((3, 1000), (4, 64, 1)),
        ((5, 5, 5), (8, 8, 4)),
        ((1, 1, 1000), (1, 1, 256)),
    ],
)
def test_threadgroup_none_picks_a_good_size_and_says_which(library, grid, expected):
    kernel = library.kernel("sizes")
    assert kernel.threadgroup_for(grid) == expected
    for _ in range(2):
        out = kernel(output((2, 4)), grid=grid)
        # Where the grid is smaller, that is all the threads there are.
        whole = (*(grid if isinstance(grid, tuple) else (grid,)), 1, 1)[:3]
        assert out[0, :3].tolist() == [min(a, b) for a, b in zip(expected, whole, strict=True)]
    assert kernel.report.notes.count(f"threadgroup=None picked {expected}") == 1


@given(
    grid=st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=3).map(tuple),
    most=st.integers(1, 1024),
)
def test_picked_threadgroups_keep_every_limit(grid, most):
    function = Function("k", "k", (buffer("device float* out", 0),))
    device = FakeDevice(function)
    device.max_total_threads = most
    library = pymetal.Library(device, device.library_from_metallib(b"MTLB", ""), "")
    x, y, z = library.k.threadgroup_for(grid)
    assert 1 <= x * y * z <= min(most, 256)
    assert z <= device.limits.max_threadgroup_size[2]


# --- warm calls ---------------------------------------------------------------------------------

VALUES = [
    *(0, 1, -1, 8, 2**31, 2**32, 2**63, 2**64, True, 1.0, 1.5, 1e39, -1e300, float("nan")),
    *(float("inf"), np.int64(8), np.uint8(3), np.uint32(8), np.float32(2), np.float32("inf")),
    *(np.float16(2), np.int16(-3), np.uint64(2**63), np.bool_(True), ml_dtypes.bfloat16(2)),
    *(
        "8",
        None,
        (1, 2),
        (1, 2, 3),
        [1],
        {},
        X[:1],
        X,
        X[::2],
        X.astype(np.float64),
        X.reshape(2, 4).T,
        X[:0],
    ),
    *(np.float32(3).reshape(()), X.view(np.uint8)[1:5], np.zeros((2, 3), np.float32), output(8)),
    *(output(0), output(8, np.float16), output(3), threadgroup_memory(16), X.astype(">f4")),
]
SCALARS = ["char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "bfloat"]
TYPES = [
    *(f"constant {scalar}& v" for scalar in [*SCALARS, "bool", "float", "float2", "float3"]),
    *(f"device const {t}* v" for t in ("float", "float2", "float3", "packed_float3", "uchar")),
    *(
        "device float* v",
        "device float4* v",
        "device float& v",
        "constant int* v",
        "device half* v",
    ),
]


class NativeDevice(FakeDevice):
    """The fake device with a route for warm calls, as the software device has."""

    def library_from_metallib(self, data, name):
        library = super().library_from_metallib(data, name)
        make = library.pipeline

        def pipeline(name, constants):
            made = make(name, constants)
            made.route = lambda grid, threadgroup: (self, tuple(a.index for a in made.arguments))
            made.arguments = made.function.bindable
            return made

        library.pipeline = pipeline
        return library

    def launch_bound(self, bound, timeout=None):
        assert bound.grid == [8, 1, 1]


@pytest.mark.parametrize("declaration", TYPES)
def test_a_warm_call_takes_what_a_cold_one_takes_and_refuses_the_rest(declaration):
    function = Function("k", "k", (buffer(declaration, 0),))
    outcomes = []
    for device in (FakeDevice(function), NativeDevice(function)):
        kernel = pymetal.Library(device, device.library_from_metallib(b"MTLB", ""), "").k
        if isinstance(device, NativeDevice):
            kernel.remember((8, 1, 1), (8, 1, 1), False, device, [0])
            bind = kernel.bind
        texts = []
        for value in VALUES:
            try:
                kernel(value, grid=8, threadgroup=8)
                texts.append("taken")
            except ArgumentError as error:
                texts.append(str(error))
        outcomes.append(texts)
    assert outcomes[0] == outcomes[1]
    assert "taken" in outcomes[0]
    if declaration in ("constant uint& v", "device float* v", "device const float* v"):
        assert any(bind((value,), 8, 8) is not None for value in VALUES)  # some calls are warm


def test_sizes_of_another_type_do_not_pass_for_warm_ones(library):
    call = library.scale
    for _ in range(2):
        call(output(8), X, 1.0, 8, grid=(8, 1, 1), threadgroup=8)
    for wrong in (8.0, True, (8.0,), "8", (8, 1, 1, 1), ()):
        with pytest.raises(LaunchError):
            call(output(8), X, 1.0, 8, grid=wrong, threadgroup=8)
        with pytest.raises(LaunchError):
            call(output(8), X, 1.0, 8, grid=8, threadgroup=wrong)


def test_words_that_say_nothing_keep_a_call_warm(library, monkeypatch):
    """run_metal_kernel passes them all; Python binding them takes three times as long."""
    options = {
        name: parameter.default
        for name, parameter in inspect.signature(library.scale).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    given = {**options, "grid": 8, "threadgroup": 8}
    library.scale(output(8), X, 1.0, 8, **given)
    monkeypatch.setattr(pymetal.Kernel, "call", None)  # where a call that is not warm goes
    for check in (None, False):
        given["check"] = check
        np.testing.assert_array_equal(library.scale(output(8), X, 2.0, 8, **given), 2 * X)


@pytest.mark.parametrize(
    ("real", "whole"),
    [(np.float32, np.uint32), (np.float64, np.int64), (np.float16, np.int8), (float, np.uint64)],
)
def test_numpy_scalars_keep_a_call_warm(library, monkeypatch, real, whole):
    library.scale(output(8), X, 1.0, 8, grid=8, threadgroup=8)
    monkeypatch.setattr(pymetal.Kernel, "call", None)  # where a call that is not warm goes
    for factor, count in ((2, 8), (-3, 5)):
        out = library.scale(output(8), X, real(factor), whole(count), grid=8, threadgroup=8)
        np.testing.assert_array_equal(out[:count], factor * X[:count])


def test_calls_that_stay_cold_do_not_make_others_forget(library, monkeypatch):
    cold = {"grid": 16, "threadgroup": 8}
    library.scale(output(8), X, 1.0, 8, grid=8, threadgroup=8)
    for _ in range(100):
        library.scale(output(8), X, np.array(2.0, np.float32), 8, **cold)  # 0-d arrays are
    monkeypatch.setattr(pymetal.Kernel, "call", None)
    assert library.scale(output(8), X, 2.0, 8, grid=8, threadgroup=8)[3] == 2 * X[3]


def test_many_geometries_each_run_right(library):
    for _ in range(2):
        for n in range(1, 100):  # more than are remembered
            out = library.sizes(output((2, 4)), grid=n, threadgroup=min(n, 32))
            assert out[:, 0].tolist() == [min(n, 32), n]


# --- what a library and a kernel show -----------------------------------------------------------


def test_a_library_is_a_mapping_with_attributes(library):
    assert set(library) == {"scale", "sizes", "reversed", "split"}
    assert {"scale", "sizes", "kernel", "device"} <= set(dir(library))
    assert library["scale"] is library.scale is library.kernel("scale")
    assert "scale" in repr(library)
    with pytest.raises(AttributeError, match="scale"):
        _ = library.scael


def test_a_kernel_shows_its_signature_and_limits(library):
    kernel = library.scale
    assert repr(kernel).startswith("kernel void scale(\n    device float* out [[buffer(0)]],\n")
    assert [(a.name, a.index, a.type_name, a.access, a.size_bytes) for a in kernel.arguments][
        1
    ] == ("x", 1, "float", "read", 4)
    assert kernel.max_total_threads_per_threadgroup <= kernel.limits.max_threads_per_threadgroup
    assert kernel.report.engine
    assert kernel.source_location == "<source>:4"


def test_a_kernel_of_a_file_names_its_line(tmp_path, device):
    path = tmp_path / "k.metal"
    path.write_text("// a comment\nkernel void k(device float* x) { x[0] = 1; }\n")
    kernel = pymetal.compile(path, device=device).k
    assert kernel.source_location == f"{path}:2"


def test_the_environment_is_heeded_by_warm_calls_too(library, monkeypatch):
    def call():
        return library.scale(output(8), X, 1.0, 8, grid=8, threadgroup=8)

    call()
    for variable in ("PYMETAL_TIMEOUT", "PYMETAL_CHECK"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "nonsense")
            with pytest.raises(pymetal.DeviceError, match=f"{variable} is 'nonsense'"):
                call()
        np.testing.assert_array_equal(call(), X)


def test_editors_see_what_a_call_takes(library):
    parameters = inspect.signature(library.scale).parameters
    assert list(parameters)[:3] == ["values", "grid", "threadgroup"]
    assert "device" in inspect.signature(pymetal.Kernel).parameters
    assert "threadgroups" in pydoc.render_doc(pymetal.Kernel)


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is asked of Linux")
def test_many_launches_take_no_memory(library):
    """bench/launch.py prints the figure for a million."""

    def launch(times: int) -> None:
        for _ in range(times):
            library.scale(output(8), X, 2.0, 8, grid=8, threadgroup=8)
            library.scale(out, x=X, factor=2.0, n=8, grid=8)  # by name: cold
        with queue.batch():
            for _ in range(times):
                library.scale(out, X, 2.0, 8, grid=8, threadgroup=8, queue=queue)
        queue.wait()

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    out = pymetal.zeros(8)
    with pymetal.Queue() as queue:
        launch(1000)
        seen = [pages()]
        for _ in range(5):
            launch(1000)
            seen.append(pages())
    # Allocators grow or trim in a round or two; 16 bytes kept by each of a round's 3,000 launches
    # are 11 pages in every round.
    growth = sorted(after - before for before, after in itertools.pairwise(seen))
    assert growth[len(growth) // 2] < 8, growth
