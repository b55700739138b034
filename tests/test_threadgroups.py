"""Positions and sizes in grids of one to three dimensions, edges included; threadgroup memory."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from canonical_ir import CanonicalKernel
from hypothesis import given, settings
from hypothesis import strategies as st

VECTORS = [
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threads_per_grid",
    "threads_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "threadgroups_per_grid",
]
SCALARS = [
    "thread_index_in_threadgroup",
    "lane",
    "simdgroup",
    "simdgroups_per_threadgroup",
    "thread_index_in_quadgroup",
    "quadgroup_index_in_threadgroup",
]
WORDS = 3 * len(VECTORS) + len(SCALARS) + 1  # the last counts the visits


@cache
def positions(with_barrier: bool) -> CanonicalKernel:
    """Each thread writes all it knows of itself to its own row of out[z][y][x]."""
    lines = []
    for i, name in enumerate(VECTORS):
        for axis in range(3):
            lines += [
                f"%v{i}{axis} = extractelement <3 x i32> %{name}, i32 {axis}",
                f"%pv{i}{axis} = getelementptr i32, ptr %row, i64 {3 * i + axis}",
                f"store i32 %v{i}{axis}, ptr %pv{i}{axis}",
            ]
    for i, name in enumerate(SCALARS):
        lines += [
            f"%ps{i} = getelementptr i32, ptr %row, i64 {3 * len(VECTORS) + i}",
            f"store i32 %{name}, ptr %ps{i}",
        ]
    body = "\n  ".join(lines)
    barrier = "call void @air.wg.barrier(i32 2, i32 1) {site 1}" if with_barrier else ""
    return CanonicalKernel(
        f"""
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %y = extractelement <3 x i32> %thread_position_in_grid, i32 1
  %z = extractelement <3 x i32> %thread_position_in_grid, i32 2
  %w = extractelement <3 x i32> %threads_per_grid, i32 0
  %h = extractelement <3 x i32> %threads_per_grid, i32 1
  %zh = mul i32 %z, %h
  %zy = add i32 %zh, %y
  %zyw = mul i32 %zy, %w
  %index = add i32 %zyw, %x
  %words = mul i32 %index, {WORDS}
  %offset = zext i32 %words to i64
  %row = getelementptr i32, ptr %b0, i64 %offset
  {body}
  {barrier}
  %pn = getelementptr i32, ptr %row, i64 {WORDS - 1}
  %n = load i32, ptr %pn
  %more = add i32 %n, 1
  store i32 %more, ptr %pn
  ret void""",
        1,
        "declare void @air.wg.barrier(i32, i32)",
    )


def check_positions(grid: tuple[int, int, int], group: tuple[int, int, int], barrier: bool) -> None:
    width, height, depth = grid
    out = np.zeros((depth, height, width, WORDS), np.uint32)
    assert positions(barrier)(out, grid=grid, threadgroup=group) is None
    z, y, x = (axis.astype(np.int64) for axis in np.indices((depth, height, width)))
    position = np.stack([x, y, z], -1)
    size = np.array(group)
    origin = position // size
    within = position % size
    existing = np.minimum(size, np.array(grid) - origin * size)
    index = within[..., 0] + existing[..., 0] * (within[..., 1] + existing[..., 1] * within[..., 2])
    threads = existing.prod(-1)
    whole = np.broadcast_to
    expected = np.concatenate(
        [
            within,
            origin,
            whole(grid, position.shape),
            existing,
            whole(group, position.shape),
            whole(-(-np.array(grid) // size), position.shape),
            np.stack(
                [index, index % 32, index // 32, -(-threads // 32), index % 4, index // 4], -1
            ),
            np.ones((*position.shape[:3], 1), np.int64),
        ],
        -1,
    )
    np.testing.assert_array_equal(out, expected)


@given(
    group=st.tuples(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4)),
    groups=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
    missing=st.tuples(st.integers(0, 39), st.integers(0, 5), st.integers(0, 3)),
    barrier=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_every_thread_of_a_grid_knows_where_it_is(
    group: tuple[int, int, int],
    groups: tuple[int, int, int],
    missing: tuple[int, int, int],
    barrier: bool,
) -> None:
    """Threadgroups at the edges hold what is left of the grid."""
    grid = tuple(
        size * count - gap % size for size, count, gap in zip(group, groups, missing, strict=True)
    )
    check_positions(grid, group, barrier)


@pytest.mark.parametrize("barrier", [False, True])
@pytest.mark.parametrize(
    ("grid", "group"),
    [
        ((1, 1, 1), (1, 1, 1)),
        ((1, 1, 1), (1024, 1, 1)),
        ((1025, 1, 1), (1024, 1, 1)),
        ((33, 33, 1), (32, 32, 1)),
        ((1, 1, 70), (1, 1, 64)),
        ((5000, 1, 1), (1, 1, 1)),
    ],
)
def test_grids_at_the_limits(
    grid: tuple[int, int, int], group: tuple[int, int, int], barrier: bool
) -> None:
    check_positions(grid, group, barrier)


def test_threadgroup_memory_is_zero_at_the_start_of_every_threadgroup() -> None:
    kernel = CanonicalKernel(
        """
  %here = getelementptr i32, ptr %threadgroup_memory, i32 %thread_index_in_threadgroup
  %was = load i32, ptr %here
  store i32 -1, ptr %here
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %p = getelementptr i32, ptr %b0, i32 %x
  store i32 %was, ptr %p
  ret void""",
        1,
        threadgroup_bytes=256,
    )
    out = np.ones(64 * 100, np.uint32)
    kernel(out, grid=out.shape, threadgroup=(64,))
    assert not out.any()


def test_threadgroup_arguments_follow_the_variables_and_do_not_overlap() -> None:
    kernel = CanonicalKernel(
        """
  store i64 11, ptr %threadgroup_memory
  store i64 22, ptr %t0
  store i64 33, ptr %t1
  %a = load i64, ptr %threadgroup_memory
  %b = load i64, ptr %t0
  %p1 = getelementptr i64, ptr %b0, i32 1
  store i64 %a, ptr %b0
  store i64 %b, ptr %p1
  %i0 = ptrtoint ptr %threadgroup_memory to i64
  %i1 = ptrtoint ptr %t0 to i64
  %i2 = ptrtoint ptr %t1 to i64
  %p2 = getelementptr i64, ptr %b0, i32 2
  %p3 = getelementptr i64, ptr %b0, i32 3
  %p4 = getelementptr i64, ptr %b0, i32 4
  store i64 %i0, ptr %p2
  store i64 %i1, ptr %p3
  store i64 %i2, ptr %p4
  ret void""",
        1,
        threadgroup_arguments=2,
        threadgroup_bytes=20,
    )
    out = np.zeros(5, np.int64)
    kernel(out, grid=(1,), threadgroup=(1,), threadgroup_arguments=(100, 8))
    a, b, base, first, second = out.tolist()
    assert (a, b) == (11, 22)
    assert base % 16 == first % 16 == second % 16 == 0
    assert base + 20 <= first
    assert first + 100 <= second


def test_a_grid_of_many_threads_in_one_dimension_counts_in_64_bits() -> None:
    """The last of 2^32 - 1 columns by 2^20 rows would take for ever; the first fault ends it."""
    kernel = CanonicalKernel(
        """
  %x = extractelement <3 x i32> %threadgroups_per_grid, i32 0
  %y = extractelement <3 x i32> %threadgroups_per_grid, i32 1
  %is_first = icmp eq i32 %thread_index_in_threadgroup, 0
  br i1 %is_first, label %leave, label %stay
leave:
  %p = getelementptr i32, ptr %b0, i32 1
  store i32 %x, ptr %b0
  store i32 %y, ptr %p
  br label %done
stay:
  call void @air.wg.barrier(i32 2, i32 1) {site 1}
  br label %done
done:
  ret void""",
        1,
        "declare void @air.wg.barrier(i32, i32)",
    )
    out = np.zeros(2, np.uint32)
    fault = kernel(out, grid=(2**32 - 1, 2**20), threadgroup=(2, 1))
    assert fault is not None
    assert out.tolist() == [2**31, 2**20]


def test_geometry_beyond_the_runtime_is_refused() -> None:
    kernel = positions(False)
    out = np.zeros(WORDS, np.uint32)
    with pytest.raises(ValueError, match="1024 threads"):
        kernel(out, grid=(1, 1, 1), threadgroup=(1025, 1, 1))
    with pytest.raises(ValueError, match="no threads"):
        kernel(out, grid=(0, 1, 1), threadgroup=(1, 1, 1))
    with pytest.raises(ValueError, match=r"2\^62"):
        kernel(out, grid=(2**32 - 1, 2**32 - 1, 2**32 - 1), threadgroup=(1, 1, 1))
