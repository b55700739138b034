"""The canonical function: constants set, everything inlined, Metal's meaning made explicit.

Kernels here are written in LLVM IR, so that what each step meets is exact.
"""

from __future__ import annotations

import math
import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from canonical_launch import launch

from pymetal.air import ir
from pymetal.air.canonical import CanonicalFunction, canonical
from pymetal.air.module import Module
from pymetal.errors import ArgumentError, LibraryError, UnsupportedError

BUFFER = (
    '!{{i32 {i}, !"air.buffer", !"air.location_index", i32 {i}, i32 1, !"air.read_write", '
    '!"air.address_space", i32 {space}, !"air.arg_type_size", i32 4, '
    '!"air.arg_type_align_size", i32 4, !"air.arg_type_name", !"int", !"air.arg_name", !"b{i}"}}'
)
BUILTIN = '!{{i32 {i}, !"air.{name}", !"air.arg_type_name", !"uint", !"air.arg_name", !"b{i}"}}'


def module(text: str, *arguments: str, more: str = "") -> Module:
    """A module whose kernel @k takes these arguments: "buffer", "constant", "threadgroup", or a
    builtin's name. Metadata ids below 100 are taken."""
    spaces = {"buffer": 1, "constant": 2, "threadgroup": 3}
    nodes = [
        BUFFER.format(i=i, space=spaces[a]) if a in spaces else BUILTIN.format(i=i, name=a)
        for i, a in enumerate(arguments)
    ]
    metadata = ["!air.kernel = !{!0}", "!0 = !{ptr @k, !1, !2}", "!1 = !{}"]
    metadata.append(f"!2 = !{{{', '.join(f'!{10 + i}' for i in range(len(nodes)))}}}")
    metadata += [f"!{10 + i} = {node}" for i, node in enumerate(nodes)]
    whole = "\n".join([text, *metadata, more])
    context = llvm.create_context()
    return Module(llvm.parse_assembly(whole, context=context).as_bitcode(), "test")


def make(text: str, *arguments: str, more: str = "", constants=None) -> CanonicalFunction:  # type: ignore[no-untyped-def]
    m = module(text, *arguments, more=more)
    result = canonical(m, m.function("k"), constants)
    llvm.parse_assembly(result.ir, context=llvm.create_context()).verify()
    ir.read(result.ir)  # the vectoriser reads it, too
    return result


def run(function: CanonicalFunction, *buffers: np.ndarray, lanes: int = 1) -> None:
    """Run one simdgroup of `lanes`."""
    launch(function, buffers, (lanes,), (lanes,))


def binary(operation: str, type_: str, a: list[int], b: list[int]) -> list[int]:
    """`operation` of each pair, in a kernel with one lane for each."""
    dtype = np.dtype(f"i{int(type_[1:]) // 8}")
    text = f"""
    define void @k(ptr %out, ptr %a, ptr %b, i32 %i) {{
      %pa = getelementptr {type_}, ptr %a, i32 %i
      %pb = getelementptr {type_}, ptr %b, i32 %i
      %po = getelementptr {type_}, ptr %out, i32 %i
      %x = load {type_}, ptr %pa
      %y = load {type_}, ptr %pb
      %z = {operation} {type_} %x, %y
      store {type_} %z, ptr %po
      ret void
    }}"""
    out, x, y = np.zeros(len(a), dtype), np.array(a, dtype), np.array(b, dtype)
    function = make(text, "buffer", "buffer", "buffer", "thread_index_in_simdgroup")
    run(function, out, x, y, lanes=len(a))
    return [int(v) for v in out]


INT_MIN, INT_MAX = -(2**31), 2**31 - 1


def test_signed_division_never_traps() -> None:
    a = [7, -7, INT_MIN, INT_MIN, INT_MAX, 0, -9]
    b = [2, 2, -1, 0, 0, 0, -3]
    assert binary("sdiv", "i32", a, b) == [3, -3, INT_MIN, 0, 0, 0, 3]
    assert binary("srem", "i32", a, b) == [1, -1, 0, 0, 0, 0, 0]


def test_unsigned_division_by_zero_gives_zero() -> None:
    assert binary("udiv", "i32", [7, 7, -1], [2, 0, 0]) == [3, 0, 0]
    assert binary("urem", "i32", [7, 7, -1], [4, 0, 0]) == [3, 0, 0]


def test_small_integers_divide_too() -> None:
    assert binary("sdiv", "i8", [-128, 100], [-1, 0]) == [-128, 0]
    assert binary("sdiv", "i64", [-(2**63), 9], [-1, 2]) == [-(2**63), 4]


def test_shift_counts_are_masked_to_the_width() -> None:
    assert binary("shl", "i32", [1, 1, 1], [31, 32, 33]) == [INT_MIN, 1, 2]
    assert binary("ashr", "i32", [-8, -8], [1, 34]) == [-4, -2]
    assert binary("lshr", "i16", [256, 256], [8, 17]) == [1, 128]


def test_vectors_divide_and_shift_like_their_elements() -> None:
    text = """
    define void @k(ptr %out, ptr %a, ptr %b) {
      %x = load <4 x i32>, ptr %a
      %y = load <4 x i32>, ptr %b
      %q = sdiv <4 x i32> %x, %y
      %s = shl <4 x i32> %q, %y
      %h = sdiv <4 x i32> %s, <i32 1, i32 2, i32 0, i32 -1>
      store <4 x i32> %h, ptr %out
      ret void
    }"""
    out = np.zeros(4, np.int32)
    a, b = np.array([8, -8, 8, INT_MIN], np.int32), np.array([1, 33, 0, -1], np.int32)
    run(make(text, "buffer", "buffer", "buffer"), out, a, b)
    # 8/1<<1 = 16; -8/33 = 0; 8/0 = 0; INT_MIN/-1 = INT_MIN, << 31 = 0
    assert out.tolist() == [16, 0, 0, 0]


@pytest.mark.parametrize("source", ["float", "half", "bfloat"])
@pytest.mark.parametrize(("target", "sign"), [("i32", "s"), ("i8", "s"), ("i16", "u")])
def test_float_to_integer_saturates_and_nan_gives_zero(source: str, target: str, sign: str) -> None:
    text = f"""
    define void @k(ptr %out, ptr %a, i32 %i) {{
      %pa = getelementptr float, ptr %a, i32 %i
      %po = getelementptr {target}, ptr %out, i32 %i
      %w = load float, ptr %pa
      %x = {"fptrunc float %w to " + source if source != "float" else "fadd float %w, -0.0"}
      %z = fpto{sign}i {source} %x to {target}
      store {target} %z, ptr %po
      ret void
    }}"""
    dtype = np.dtype(f"{'i' if sign == 's' else 'u'}{int(target[1:]) // 8}")
    values = np.array([1.75, -1.75, math.nan, math.inf, -math.inf, 60000, -60000], np.float32)
    out = np.zeros(len(values), dtype)
    function = make(text, "buffer", "buffer", "thread_index_in_simdgroup")
    run(function, out, values, lanes=len(values))
    info = np.iinfo(dtype)
    # bfloat has 8 bits of precision: 60000 is 59904 there.
    large = {"half": 60000, "float": 60000, "bfloat": 59904}[source]
    clamp = [min(max(v, info.min), info.max) for v in (large, -large)]
    assert out.tolist() == [1, max(-1, info.min), 0, info.max, info.min, *clamp]


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


# ---- function constants -----------------------------------------------------------------------

CONSTANTS = """
@scale = external constant i32
@flag = external constant i8
@ratio = external constant float
@both = internal global i8 0
@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }]
  [{ i32, ptr, ptr } { i32 65535, ptr @init, ptr null }]
define internal void @init() {
  %f = load i8, ptr @flag
  %n = load i32, ptr @scale
  %large = icmp sgt i32 %n, 10
  %l = zext i1 %large to i8
  %b = and i8 %f, %l
  store i8 %b, ptr @both
  ret void
}
define void @k(ptr %out, ptr %extra) {
  %n = load i32, ptr @scale
  %b = load i8, ptr @both
  %w = zext i8 %b to i32
  %r = load float, ptr @ratio
  %i = fptosi float %r to i32
  %s = add i32 %n, %i
  store i32 %s, ptr %out
  %p = getelementptr i32, ptr %out, i32 1
  store i32 %w, ptr %p
  %on = icmp ne i8 %b, 0
  br i1 %on, label %more, label %done
more:
  store i32 7, ptr %extra
  br label %done
done:
  ret void
}
"""
CONSTANT_NODES = """
!air.function_constants = !{!50, !51, !52}
!50 = !{ptr @scale, !"int", !"scale", i32 3, i1 true}
!51 = !{ptr @flag, !"bool", !"flag", i32 4, i1 true}
!52 = !{ptr @ratio, !"float", !"ratio", i32 5, i1 false}
"""


def with_constants(values: dict) -> CanonicalFunction:  # type: ignore[type-arg]
    return make(CONSTANTS, "buffer", "buffer", more=CONSTANT_NODES, constants=values)


def test_constants_are_set_by_name_or_index() -> None:
    out, extra = np.zeros(2, np.int32), np.zeros(1, np.int32)
    run(with_constants({"scale": 40, 4: True, "ratio": 2.5}), out, extra)
    assert (out.tolist(), extra.tolist()) == ([42, 1], [7])


def test_constants_that_follow_from_others_are_evaluated() -> None:
    out, extra = np.zeros(2, np.int32), np.zeros(1, np.int32)
    function = with_constants({"scale": 3, "flag": np.bool_(True)})
    run(function, out, extra)
    assert (out.tolist(), extra.tolist()) == ([3, 0], [0])
    assert "br " not in function.ir  # what a constant decides is decided


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flag": True}, r"function constant 'scale' \(index 3, int\) needs a value"),
        ({"scale": 1, "flag": True, "size": 2}, r"no function constant 'size'; it has scale \(3\)"),
        ({"scale": 1, 3: 1, "flag": True}, "'scale' .3. is given twice"),
        ({"scale": 2**31, "flag": True}, "takes -2147483648 to 2147483647, got 2147483648"),
        ({"scale": 1.0, "flag": True}, r"takes an integer, got 1\.0"),
        ({"scale": True, "flag": True}, "takes an integer, got True"),
        ({"scale": 1, "flag": 1}, "takes True or False, got 1"),
        ({"scale": 1, "flag": True, "ratio": "2"}, "takes a number, got '2'"),
        ({"scale": 1, "flag": True, "ratio": 1e300}, "cannot hold 1e[+]300"),
    ],
)
def test_constants_that_do_not_fit_are_refused(values: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ArgumentError, match=message):
        with_constants(values)


def test_a_kernel_can_ask_whether_a_constant_is_given() -> None:
    text = CONSTANTS.replace(
        "@ratio = external constant float",
        "@ratio = external constant float\n@ratio.is_defined = external constant i8",
    ).replace(
        "%w = zext i8 %b to i32", "%d = load i8, ptr @ratio.is_defined\n%w = zext i8 %d to i32"
    )
    for given in (False, True):
        values = {"scale": 1, "flag": False} | ({"ratio": 0.5} if given else {})
        out, extra = np.zeros(2, np.int32), np.zeros(1, np.int32)
        run(make(text, "buffer", "buffer", more=CONSTANT_NODES, constants=values), out, extra)
        assert out.tolist() == [1, int(given)]


SWITCHED = """
@flag = external constant i8
define void @k(ptr %out, ptr %extra) {
  %f = load i8, ptr @flag
  %on = icmp ne i8 %f, 0
  br i1 %on, label %more, label %done
more:
  %e = load i32, ptr %extra
  store i32 %e, ptr %out
  br label %done
done:
  ret void
}
"""


@pytest.mark.parametrize("on", [False, True])
def test_an_argument_that_a_constant_switches_off_is_dropped(on: bool) -> None:
    m = module(
        SWITCHED,
        "buffer",
        "buffer",
        more='!air.function_constants = !{!50}\n!50 = !{ptr @flag, !"bool", !"flag", i32 0, i1 1}',
    )
    text = m.text.replace(
        '!{i32 1, !"air.buffer"', '!{i32 1, !"air.function_constant", !60, !"air.buffer"'
    )
    text += '!60 = !{ptr @flag, !"bool", !"flag"}\n'
    m = Module(llvm.parse_assembly(text, context=llvm.create_context()).as_bitcode())
    result = canonical(m, m.function("k"), {"flag": on})
    llvm.parse_assembly(result.ir, context=llvm.create_context()).verify()
    assert [p.index for p in result.parameters[3:]] == ([0, 1] if on else [0])
    assert [a.name for a in result.function.arguments] == (["b0", "b1"] if on else ["b0"])


# ---- threadgroup memory, sites, matrices ------------------------------------------------------

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


def test_each_inlined_cross_lane_call_has_a_site_of_its_own() -> None:
    text = """
    define void @k(ptr %out, i32 %i) {
      %low = icmp ult i32 %i, 16
      br i1 %low, label %a, label %b
    a:
      %x = call float @total(float 1.0)
      br label %c
    b:
      %y = call float @total(float 2.0)
      br label %c
    c:
      %z = phi float [ %x, %a ], [ %y, %b ]
      store float %z, ptr %out
      ret void
    }
    define float @total(float %v) convergent {
      %s = call float @air.simd_sum.f32(float %v)
      ret float %s
    }
    declare float @air.simd_sum.f32(float) convergent"""
    result = make(text, "buffer", "thread_index_in_simdgroup")
    assert result.sites == 2
    assert result.intrinsics == ("air.simd_sum.f32",)
    read = ir.read(result.ir)
    sites = [
        read.attributes(i)[
            "pymetal.site" if "pymetal.site" in read.attributes(i) else '"pymetal.site"'
        ]
        for i in read.functions["canon"].instructions
        if i.callee == "air.simd_sum.f32"
    ]
    assert sorted(sites) == ["0", "1"]


def test_cross_lane_operations_on_vectors_are_split() -> None:
    text = """
    define void @k(ptr %out) {
      %v = load <2 x i32>, ptr %out
      %s = call <2 x i32> @air.simd_shuffle_down.u.v2i32(<2 x i32> %v, i16 4)
      store <2 x i32> %s, ptr %out
      ret void
    }
    declare <2 x i32> @air.simd_shuffle_down.u.v2i32(<2 x i32>, i16) convergent"""
    result = make(text, "buffer")
    assert result.sites == 2
    assert result.intrinsics == ("air.simd_shuffle_down.u.i32",)


def test_apples_matrices_are_two_elements_a_lane() -> None:
    mma = "air.simdgroup_matrix_8x8_multiply_accumulate"
    text = f"""
    define void @k(ptr addrspace(1) %out, ptr addrspace(1) %in) {{
      %a = call <64 x half> @air.simdgroup_matrix_8x8_load.v64f16.p3f16(
        ptr addrspace(1) %in, i64 8, <2 x i64> zeroinitializer, i1 false)
      %pair = load <2 x float>, ptr addrspace(1) %out
      %c = shufflevector <2 x float> %pair, <2 x float> poison, <64 x i32> <{
        ", ".join(["i32 0", "i32 1"] + ["i32 poison"] * 62)
    }>
      %d = call <64 x float> @{mma}.v64f32.v64f16.v64f16.v64f32(
        <64 x half> %a, <64 x half> %a, <64 x float> %c)
      %e = shufflevector <64 x float> %d, <64 x float> poison, <2 x i32> <i32 1, i32 0>
      store <2 x float> %e, ptr addrspace(1) %out
      ret void
    }}
    declare <64 x half> @air.simdgroup_matrix_8x8_load.v64f16.p3f16(
      ptr addrspace(1), i64, <2 x i64>, i1)
    declare <64 x float> @{mma}.v64f32.v64f16.v64f16.v64f32(
      <64 x half>, <64 x half>, <64 x float>)"""
    result = make(text, "buffer", "buffer")
    assert "<64 x" not in result.ir
    assert set(result.intrinsics) == {
        "air.simdgroup_matrix_8x8_load.v64f16.p1f16",
        f"{mma}.v64f32.v64f32.v64f32.v64f32",
    }


def test_constant_matrices_keep_their_first_two_elements() -> None:
    zeros = ", ".join(["float 1.0", "float 2.0"] + ["float poison"] * 62)
    first = ", ".join(["i32 0", "i32 65"])
    text = f"""
    define void @k(ptr addrspace(1) %out) {{
      %a = load <2 x float>, ptr addrspace(1) %out
      %m = shufflevector <2 x float> %a, <2 x float> poison, <64 x i32> <{
        ", ".join(["i32 0", "i32 1"] + ["i32 poison"] * 62)
    }>
      %e = shufflevector <64 x float> <{zeros}>, <64 x float> %m, <2 x i32> <{first}>
      store <2 x float> %e, ptr addrspace(1) %out
      ret void
    }}"""
    out = np.array([7, 8], np.float32)
    run(make(text, "buffer"), out)
    assert out.tolist() == [1, 8]


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


def test_relaxed_atomics_become_llvms() -> None:
    text = """
    define void @k(ptr addrspace(1) %out, ptr addrspace(1) %f) {
      %a = call i32 @air.atomic.global.max.u.i32(
        ptr addrspace(1) %out, i32 9, i32 0, i32 2, i1 true)
      %b = call float @air.atomic.global.add.f32(
        ptr addrspace(1) %f, float 1.5, i32 0, i32 2, i1 true)
      %p = getelementptr i32, ptr addrspace(1) %out, i32 1
      store i32 %a, ptr addrspace(1) %p
      ret void
    }
    declare i32 @air.atomic.global.max.u.i32(ptr addrspace(1), i32, i32, i32, i1)
    declare float @air.atomic.global.add.f32(ptr addrspace(1), float, i32, i32, i1)"""
    out, f = np.array([4, 0], np.uint32), np.array([0.25], np.float32)
    run(make(text, "buffer", "buffer"), out, f)
    assert (out.tolist(), f.tolist()) == ([9, 4], [1.75])


@pytest.mark.parametrize(
    ("name", "types", "values", "expected"),
    [
        ("air.clamp.s.i32", "i32 i32 i32", (9, -3, 5), 5),
        ("air.abs.s.i32", "i32", (-9,), 9),
        ("air.max.u.i32", "i32 i32", (-1, 5), -1),
        ("air.mul_hi.s.i32", "i32 i32", (2**30, 8), 2),
        ("air.popcount.i32", "i32", (255,), 8),
        ("air.clz.i32", "i32", (0,), 32),
        ("air.convert.s.i32.u.i8", "i8", (-1,), 255),
    ],
)
def test_integer_functions_have_bodies(name: str, types: str, values: tuple, expected: int) -> None:  # type: ignore[type-arg]
    operands = ", ".join(f"{t} {v}" for t, v in zip(types.split(), values, strict=True))
    text = f"""
    define void @k(ptr %out) {{
      %x = call i32 @{name}({operands})
      store i32 %x, ptr %out
      ret void
    }}
    declare i32 @{name}({", ".join(types.split())})"""
    out = np.zeros(1, np.int32)
    run(make(text, "buffer"), out)
    assert out.tolist() == [expected]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("air.fmax", (math.nan, 2.0), 2.0),
        ("air.fast_fmin", (3.0, -1.0), -1.0),
        ("air.rsqrt", (4.0,), 0.5),
        ("air.fast_rsqrt", (4.0,), 0.5),
        ("air.clamp", (7.0, 0.0, 2.0), 2.0),
        ("air.saturate", (-7.0,), 0.0),
        ("air.mix", (1.0, 3.0, 0.25), 1.5),
        ("air.fma", (2.0, 3.0, 4.0), 10.0),
    ],
)
@pytest.mark.parametrize("type_", ["float", "half", "bfloat"])
def test_float_functions_have_bodies(name: str, values: tuple, expected: float, type_: str) -> None:  # type: ignore[type-arg]
    name = f"{name}.{ {'float': 'f32', 'half': 'f16', 'bfloat': 'bf16'}[type_] }"
    lines, operands = [], []
    for i, value in enumerate(values):
        bits = np.float64(value).view(np.uint64)
        lines.append(f"%a{i} = fptrunc double 0x{bits:016X} to {type_}")
        operands.append(f"{type_} %a{i}")
    text = f"""
    define void @k(ptr %out) {{
      {chr(10).join(lines)}
      %x = call {type_} @{name}({", ".join(operands)})
      %w = {"fpext " + type_ + " %x to float" if type_ != "float" else "fadd float %x, -0.0"}
      store float %w, ptr %out
      ret void
    }}
    declare {type_} @{name}({", ".join([type_] * len(values))})"""
    out = np.zeros(1, np.float32)
    run(make(text, "buffer"), out)
    assert out.tolist() == [expected]


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
