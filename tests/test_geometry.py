"""Grids, threadgroups and threadgroup memory: what is refused, and what is suggested instead."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from fake_device import FakeDevice, buffer
from hypothesis import given
from hypothesis import strategies as st

from pymetal import LaunchError, Library, output
from pymetal.air.function import Argument, Function

SCRATCH = Argument("scratch", "threadgroup", "float", 0, "threadgroup", "read_write", 4, 4)


def launch(grid, threadgroup, *, scratch=False, memory=None, **limits):
    """Launch on the fake device; gives the geometry that reached it."""
    out = buffer("device float* out", 0)
    function = Function("softmax", "softmax", (out, SCRATCH) if scratch else (out,))
    device = FakeDevice(function)
    vars(device).update(limits)
    kernel = Library(device, device.library_from_metallib(b"MTLB", ""), "").kernel("softmax")
    kernel(output(4), grid=grid, threadgroup=threadgroup, threadgroup_memory=memory)
    (_, lengths, grid, threadgroup) = device.launches[0]
    return lengths, grid, threadgroup


def refusal(*arguments, **facts) -> str:
    with pytest.raises(LaunchError) as caught:
        launch(*arguments, **facts)
    return str(caught.value)


@pytest.mark.parametrize(
    "size", [7, (7,), [7, 2], (7, 2, 3), np.array([7, 2]), np.int64(7), (np.uint8(7), 2)]
)
def test_one_to_three_numbers_are_x_y_z(size):
    _, grid, threadgroup = launch(size, size)
    expected = tuple(np.ravel(size).tolist())
    assert grid == threadgroup == (*expected, 1, 1)[:3]


def test_a_grid_must_be_given():
    assert "grid is missing: give 1 to 3 numbers of threads" in refusal(None, 1)


@pytest.mark.parametrize("which", ["grid", "threadgroup"])
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "each dimension must be at least 1"),
        ((4, 0), "each dimension must be at least 1"),
        (-1, "each dimension must be at least 1"),
        ((), "has 0 dimensions"),
        ((1, 1, 1, 1), "has 4 dimensions"),
        (2.0, "2.0 is float, not an int"),
        ((4, "2"), "'2' is str, not an int"),
        ("444", "is str, not an int"),
        ((True, 1), "True is bool, not an int"),
        (2**32, "at most 4294967295"),
    ],
)
def test_sizes_that_are_none_are_refused_by_name(which, size, words):
    arguments = (size, 1) if which == "grid" else (4, size)
    text = refusal(*arguments)
    assert text.startswith(which)
    assert words in text


def test_a_threadgroup_over_the_pipelines_limit_is_refused_with_one_that_fits():
    assert refusal((4096, 4), (1024, 2, 1)) == (
        "threadgroup (1024, 2, 1) is 2048 threads; pipeline 'softmax' allows 1024. "
        "Try (1024, 1, 1)."
    )
    assert "Try (32, 26, 1)." in refusal((64, 64), (32, 32), max_total_threads=832)


def test_a_threadgroup_too_long_in_one_dimension_is_refused():
    assert "the device allows in each dimension. Try (1, 1, 64)." in refusal(1, (1, 1, 65))


@given(st.tuples(*[st.integers(1, 2048)] * 3), st.integers(1, 1024))
def test_the_suggested_threadgroup_can_be_launched(threadgroup, most):
    try:
        _, _, launched = launch(1, threadgroup, max_total_threads=most)
        assert launched == threadgroup
    except LaunchError as error:
        text = str(error)
        suggested = tuple(map(int, re.search(r"Try \((.+)\)", text)[1].split(",")))
        assert math.prod(suggested) <= most
        assert launch(1, suggested, max_total_threads=most)[2] == suggested


def test_the_largest_grid_is_passed_on_and_a_larger_one_refused():
    assert launch(2**32 - 1, 1)[1] == (2**32 - 1, 1, 1)
    assert "threads; at most" in refusal((2**32 - 1,) * 3, 1)


def test_threadgroup_arguments_need_a_length():
    assert launch(1, 1, scratch=True, memory={0: 64})[0] == {0: 64}
    assert "pass threadgroup_memory={0: bytes}" in refusal(1, 1, scratch=True)


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({0: 0}, "Try 16"),
        ({0: -16}, "Try 16"),
        ({0: 17}, "Try 32"),
        ({0: 16.0}, "not a number of bytes"),
        ({0: True}, "not a number of bytes"),
        ({0: 16, 1: 16}, "has no [[threadgroup(1)]] argument; it has 0"),
        ({0: 32784}, "the device has 32768"),
        ({0: 10**5000}, "is <int of 16610 bits> bytes"),
        ({0: -(10**5000)}, "is <int of 16610 bits> bytes"),
        (64, "is int, not a dict"),
    ],
)
def test_wrong_threadgroup_memory_is_refused(memory, words):
    assert words in refusal(1, 1, scratch=True, memory=memory)


def test_threadgroup_memory_counts_what_the_kernel_declares():
    assert launch(1, 1, scratch=True, memory={0: 768}, static_memory=32000)
    text = refusal(1, 1, scratch=True, memory={0: 784}, static_memory=32000)
    assert "32784 bytes of threadgroup memory (32000 declared in the kernel, 784 by" in text
