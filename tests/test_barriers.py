"""Threadgroup and simdgroup barriers: where they open, and what happens where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from canonical_ir import CanonicalKernel

DECLARATIONS = """
declare void @air.wg.barrier(i32, i32)
declare void @air.simdgroup.barrier(i32, i32)
declare i32 @air.simd_sum.u.i32(i32)"""
BARRIER = "call void @air.wg.barrier(i32 2, i32 1)"


def reverse_in_threadgroup() -> CanonicalKernel:
    """out[i] = the number of the thread at the other end of its threadgroup."""
    return CanonicalKernel(
        f"""
  %here = getelementptr i32, ptr %threadgroup_memory, i32 %thread_index_in_threadgroup
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  store i32 %x, ptr %here
  {BARRIER} {{site 1}}
  %n = extractelement <3 x i32> %threads_per_threadgroup, i32 0
  %last = sub i32 %n, 1
  %other = sub i32 %last, %thread_index_in_threadgroup
  %there = getelementptr i32, ptr %threadgroup_memory, i32 %other
  %v = load i32, ptr %there
  %p = getelementptr i32, ptr %b0, i32 %x
  store i32 %v, ptr %p
  ret void""",
        1,
        DECLARATIONS,
        threadgroup_bytes=4096,
    )


@pytest.mark.parametrize("threadgroup", [1, 31, 32, 33, 256, 1024])
def test_threads_see_what_others_wrote_before_the_barrier(threadgroup: int) -> None:
    groups = 5
    out = np.zeros(threadgroup * groups, np.uint32)
    fault = reverse_in_threadgroup()(out, grid=out.shape, threadgroup=(threadgroup,))
    assert fault is None
    rows = np.arange(out.size).reshape(groups, threadgroup)
    np.testing.assert_array_equal(out.reshape(groups, threadgroup), rows[:, ::-1])


def test_a_barrier_in_a_loop_opens_once_an_iteration() -> None:
    """Each round, every thread adds its neighbour's last value: Pascal's triangle modulo 2^32."""
    kernel = CanonicalKernel(
        f"""
entry:
  %n = extractelement <3 x i32> %threads_per_threadgroup, i32 0
  %mine = getelementptr i32, ptr %threadgroup_memory, i32 %thread_index_in_threadgroup
  %next = add i32 %thread_index_in_threadgroup, 1
  %neighbour = urem i32 %next, %n
  %theirs = getelementptr i32, ptr %threadgroup_memory, i32 %neighbour
  store i32 %thread_index_in_threadgroup, ptr %mine
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %more, %loop ]
  {BARRIER} {{site 1}}
  %a = load i32, ptr %mine
  %b = load i32, ptr %theirs
  %sum = add i32 %a, %b
  {BARRIER} {{site 2}}
  store i32 %sum, ptr %mine
  %more = add i32 %i, 1
  %again = icmp ult i32 %more, 40
  br i1 %again, label %loop, label %done
done:
  %p = getelementptr i32, ptr %b0, i32 %thread_index_in_threadgroup
  store i32 %sum, ptr %p
  ret void""",
        1,
        DECLARATIONS,
        threadgroup_bytes=4096,
    )
    out = np.zeros(100, np.uint32)
    assert kernel(out, grid=(100,), threadgroup=(100,)) is None
    expected = np.arange(100, dtype=np.uint32)
    for _ in range(40):
        expected = expected + np.roll(expected, -1)
    np.testing.assert_array_equal(out, expected)


def test_simdgroup_operations_and_barriers_mix() -> None:
    """The sum of a threadgroup: a simd_sum a simdgroup, then one over their results."""
    kernel = CanonicalKernel(
        f"""
entry:
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %s = call i32 @air.simd_sum.u.i32(i32 %x) {{site 1}}
  %slot = getelementptr i32, ptr %threadgroup_memory, i32 %simdgroup
  %first = icmp eq i32 %lane, 0
  br i1 %first, label %put, label %meet
put:
  store i32 %s, ptr %slot
  br label %meet
meet:
  {BARRIER} {{site 2}}
  %is_first = icmp eq i32 %simdgroup, 0
  br i1 %is_first, label %total, label %done
total:
  %from = getelementptr i32, ptr %threadgroup_memory, i32 %lane
  %part = load i32, ptr %from
  %all = call i32 @air.simd_sum.u.i32(i32 %part) {{site 3}}
  %g = extractelement <3 x i32> %threadgroup_position_in_grid, i32 0
  %p = getelementptr i32, ptr %b0, i32 %g
  store i32 %all, ptr %p
  br label %done
done:
  ret void""",
        1,
        DECLARATIONS,
        threadgroup_bytes=128,
    )
    out = np.zeros(3, np.uint32)
    assert kernel(out, grid=(3 * 500,), threadgroup=(500,)) is None
    np.testing.assert_array_equal(out, np.arange(1500).reshape(3, 500).sum(1))


def test_a_simdgroup_barrier_waits_for_the_simdgroup_only() -> None:
    """Lanes swap through threadgroup memory; odd simdgroups never reach the barrier."""
    kernel = CanonicalKernel(
        """
entry:
  %odd = trunc i32 %simdgroup to i1
  br i1 %odd, label %done, label %swap
swap:
  %here = getelementptr i32, ptr %threadgroup_memory, i32 %thread_index_in_threadgroup
  store i32 %lane, ptr %here
  call void @air.simdgroup.barrier(i32 2, i32 1) {site 1}
  %other = xor i32 %thread_index_in_threadgroup, 31
  %there = getelementptr i32, ptr %threadgroup_memory, i32 %other
  %v = load i32, ptr %there
  %p = getelementptr i32, ptr %b0, i32 %thread_index_in_threadgroup
  store i32 %v, ptr %p
  br label %done
done:
  ret void""",
        1,
        DECLARATIONS,
        threadgroup_bytes=512,
    )
    out = np.full(128, 99, np.uint32)
    assert kernel(out, grid=(128,), threadgroup=(128,)) is None
    swapped, untouched = np.arange(32)[::-1], np.full(32, 99)
    np.testing.assert_array_equal(out, np.concatenate([swapped, untouched] * 2))


def early_return(threads: str) -> CanonicalKernel:
    """Threads for which `threads` (an icmp of %t) holds return before the barrier."""
    return CanonicalKernel(
        f"""
  %t = add i32 %thread_index_in_threadgroup, 0
  %leaves = icmp {threads}
  br i1 %leaves, label %done, label %stays
stays:
  {BARRIER} {{site 7}}
  br label %done
done:
  ret void""",
        0,
        DECLARATIONS,
    )


def test_a_barrier_that_only_some_threads_reach_is_a_fault_not_a_hang() -> None:
    fault = early_return("ult i32 %t, 40")(grid=(64,), threadgroup=(64,))
    assert fault is not None
    assert fault.site == 7
    assert fault.threadgroup_position_in_grid == [0, 0, 0]
    assert list(fault.waiting) == list(range(40, 64))
    assert list(fault.absent) == list(range(40))
    assert list(fault.elsewhere) == []


def test_one_absent_thread_of_1024_is_found() -> None:
    fault = early_return("eq i32 %t, 1000")(grid=(1024,), threadgroup=(1024,))
    assert fault is not None
    assert list(fault.absent) == [1000]


def test_threads_at_two_barriers_are_a_fault_that_names_both() -> None:
    kernel = CanonicalKernel(
        f"""
  %odd = trunc i32 %lane to i1
  br i1 %odd, label %then, label %else
then:
  {BARRIER} {{site 3}}
  br label %join
else:
  {BARRIER} {{site 4}}
  br label %join
join:
  ret void""",
        0,
        DECLARATIONS,
    )
    fault = kernel(grid=(64,), threadgroup=(64,))
    assert fault is not None
    assert (fault.site, fault.elsewhere_site) == (3, 4)
    assert list(fault.waiting) == list(range(1, 64, 2))
    assert list(fault.elsewhere) == list(range(0, 64, 2))


def test_a_launch_after_a_fault_is_a_launch_like_any_other() -> None:
    faulty, good = early_return("ult i32 %t, 1"), reverse_in_threadgroup()
    for _ in range(20):
        assert faulty(grid=(4096,), threadgroup=(128,)) is not None
        out = np.zeros(256, np.uint32)
        assert good(out, grid=(256,), threadgroup=(256,)) is None
        np.testing.assert_array_equal(out, np.arange(256)[::-1])


def test_the_fault_of_a_later_threadgroup_names_its_position() -> None:
    kernel = CanonicalKernel(
        f"""
  %g = extractelement <3 x i32> %threadgroup_position_in_grid, i32 0
  %h = extractelement <3 x i32> %threadgroup_position_in_grid, i32 1
  %is_it = icmp eq i32 %g, 5
  %is_row = icmp eq i32 %h, 2
  %first = icmp eq i32 %thread_index_in_threadgroup, 0
  %both = and i1 %is_it, %is_row
  %leaves = and i1 %both, %first
  br i1 %leaves, label %done, label %stays
stays:
  {BARRIER} {{site 1}}
  br label %done
done:
  ret void""",
        0,
        DECLARATIONS,
    )
    fault = kernel(grid=(8 * 32, 4), threadgroup=(32, 1))
    assert fault is not None
    assert fault.threadgroup_position_in_grid == [5, 2, 0]
