"""The canonical function: everything inlined, memory laid out, what no engine has refused."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from canonical_module import make, module, run

from pymetal.air.canonical import canonical
from pymetal.air.module import Module
from pymetal.errors import LibraryError, UnsupportedError


def test_unknown_intrinsics_are_refused_by_name() -> None:
    text = """
    define void @k(ptr %out) {
      %x = call float @air.sample_texture_2d.v4f32(ptr %out)
      store float %x, ptr %out
      ret void
    }
    declare float @air.sample_texture_2d.v4f32(ptr)"""
    with pytest.raises(UnsupportedError, match=r"lacks 'air\.sample_texture_2d\.v4f32'") as info:
        make(text, "buffer")
    assert info.value.feature == "air.sample_texture_2d.v4f32"


def test_undefined_functions_that_nobody_calls_do_no_harm() -> None:
    text = """
    define void @k(ptr %out) {
      br i1 false, label %a, label %b
    a:
      call void @missing()
      br label %b
    b:
      store i32 5, ptr %out
      ret void
    }
    declare void @missing()"""
    out = np.zeros(1, np.int32)
    run(make(text, "buffer"), out)
    assert out.tolist() == [5]


def test_inline_assembly_is_refused() -> None:
    text = 'define void @k(ptr %out) {\n call void asm sideeffect "nop", ""()\n ret void\n}'
    with pytest.raises(UnsupportedError, match="inline assembly"):
        make(text, "buffer")


def test_calls_through_pointers_are_refused() -> None:
    text = """
    define void @k(ptr %out) {
      %f = load ptr, ptr %out
      call void %f()
      ret void
    }"""
    with pytest.raises(UnsupportedError, match="function pointer"):
        make(text, "buffer")


def test_helpers_marked_noinline_are_inlined() -> None:
    text = """
    define void @k(ptr %out) {
      %x = call i32 @helper(i32 20)
      store i32 %x, ptr %out
      ret void
    }
    define i32 @helper(i32 %n) noinline optnone "target-cpu"="sm_52" {
      %x = add i32 %n, 1
      ret i32 %x
    }"""
    out = np.zeros(1, np.int32)
    function = make(text, "buffer")
    run(function, out)
    assert out.tolist() == [21]
    assert "target-cpu" not in function.ir
    assert "call" not in function.ir


BARRIER = "declare void @air.wg.barrier(i32, i32) convergent\n"


def test_threadgroup_variables_become_offsets() -> None:
    text = (
        """
    @a = internal addrspace(3) global [3 x i32] undef, align 4
    @b = internal addrspace(3) global [8 x float] undef, align 4
    @unused = internal addrspace(3) global [999 x i32] undef
    define void @k(ptr addrspace(1) %out, i32 %i) {
      store i32 5, ptr addrspace(3) getelementptr ([3 x i32], ptr addrspace(3) @a, i64 0, i64 2)
      %p = getelementptr [8 x float], ptr addrspace(3) @b, i32 0, i32 %i
      store float 1.0, ptr addrspace(3) %p
      call void @air.wg.barrier(i32 2, i32 1)
      %x = load i32, ptr addrspace(3) getelementptr ([3 x i32], ptr addrspace(3) @a, i64 0, i64 2)
      store i32 %x, ptr addrspace(1) %out
      ret void
    }
    """
        + BARRIER
    )
    result = make(text, "buffer", "thread_index_in_simdgroup")
    assert result.threadgroup_bytes == 16 + 32  # each variable on a multiple of 16
    assert "addrspace" not in result.ir
    assert "@a" not in result.ir.replace("@air", "")
    head = re.search(r"define void @canon\(.*", result.ir)
    assert head
    assert "ptr noundef %threadgroup_memory" in head[0]


def test_threadgroup_arguments_are_parameters_of_their_own() -> None:
    text = "define void @k(ptr %a, ptr %b) {\n store i32 1, ptr %b\n ret void\n}"
    result = make(text, "buffer", "threadgroup")
    assert [(p.role, p.index) for p in result.parameters[3:]] == [("buffer", 0), ("threadgroup", 1)]
    assert result.threadgroup_bytes == 0


def test_structs_that_are_values_are_spelt_out() -> None:
    text = (
        """
    %"struct complex" = type { float, float }
    @last = internal addrspace(3) global [2 x %"struct complex"] undef
    define void @k(ptr %out, i32 %i) {
      %p = getelementptr %"struct complex", ptr %out, i32 %i
      %c = load %"struct complex", ptr %p
      %f = freeze %"struct complex" %c
      store %"struct complex" %f, ptr addrspace(3) @last
      call void @air.wg.barrier(i32 2, i32 1)
      %re = extractvalue %"struct complex" %f, 0
      store float %re, ptr %out
      ret void
    }
    """
        + BARRIER
    )
    make(text, "buffer", "thread_index_in_simdgroup")


def test_builtins_come_in_the_types_that_kernels_declare() -> None:
    text = """
    define void @k(ptr %out, <2 x i16> %gid, i32 %tid, <3 x i32> %size, i16 %quad, i32 %width) {
      %y = extractelement <2 x i16> %gid, i32 1
      store i16 %y, ptr %out
      %p = getelementptr i32, ptr %out, i32 %tid
      %z = extractelement <3 x i32> %size, i32 2
      %q = zext i16 %quad to i32
      %s = add i32 %z, %q
      %w = add i32 %s, %width
      store i32 %w, ptr %p
      ret void
    }"""
    result = make(
        text,
        "buffer",
        "thread_position_in_grid",
        "thread_index_in_threadgroup",
        "threads_per_grid",
        "quadgroup_index_in_threadgroup",
        "threads_per_simdgroup",
    )
    assert [(p.role, p.type) for p in result.parameters[4:]] == [
        ("thread_position_in_grid", "<3 x i32>"),
        ("threads_per_grid", "<3 x i32>"),
    ]


def test_a_builtin_that_no_engine_supplies_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"does not supply \[\[amplification_id\]\]"):
        make("define void @k(i32 %a) {\n ret void\n}", "amplification_id")


def test_two_arguments_of_one_index_are_refused() -> None:
    m = module("define void @k(ptr %a, ptr %b) {\n ret void\n}", "buffer", "buffer")
    text = m.text.replace('"air.location_index", i32 1', '"air.location_index", i32 0')
    m = Module(llvm.parse_assembly(text, context=llvm.create_context()).as_bitcode())
    with pytest.raises(LibraryError, match="two arguments have buffer index 0"):
        canonical(m, m.function("k"))


def test_a_second_module_does_not_change_the_first_ones_text() -> None:
    text = "%T = type { i32 }\ndefine void @k(ptr %a) {\n store %T { i32 1 }, ptr %a\n ret void\n}"
    first = make(text, "buffer")
    make(text, "buffer")
    assert make(text, "buffer").ir == first.ir


def test_only_what_the_kernel_reaches_is_compiled() -> None:
    text = """
    @llvm.used = appending global [1 x ptr] [ptr @other], section "llvm.metadata"
    define void @k(ptr %out) {
      store i32 1, ptr %out
      ret void
    }
    define void @other(ptr %out) {
      call void @air.unheard_of()
      ret void
    }
    declare void @air.unheard_of()"""
    assert "unheard" not in make(text, "buffer").ir


def test_loops_that_cannot_be_unrolled_as_asked_are_no_cause_for_a_warning(
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = (
        """
    define void @k(ptr %out) {
      %n = load i32, ptr %out
      br label %loop
    loop:
      %i = phi i32 [ 0, %0 ], [ %next, %loop ]
      call void @air.wg.barrier(i32 2, i32 1)
      %next = add i32 %i, 1
      %more = icmp slt i32 %next, %n
      br i1 %more, label %loop, label %done, !llvm.loop !90
    done:
      ret void
    }
    """
        + BARRIER
    )
    make(text, "buffer", more='!90 = distinct !{!90, !91}\n!91 = !{!"llvm.loop.unroll.enable"}')
    assert capfd.readouterr().err == ""
