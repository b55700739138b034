"""Reflection: what a module's metadata says of its kernels."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from pymetal.air.function import Field, FunctionConstant
from pymetal.air.metadata import Node, Symbol, operands
from pymetal.air.module import Module
from pymetal.errors import LibraryError, UnsupportedError

# As Apple's compiler writes it: a device buffer, a reference to a struct, a switched buffer,
# threadgroup memory, a builtin.
APPLE = """
@fc = internal addrspace(2) constant i8 undef
@pred = internal addrspace(2) global i8 0
define void @scale(ptr addrspace(1) %0, ptr addrspace(2) %1, ptr addrspace(1) %2,
                   ptr addrspace(3) %3, <3 x i32> %4) {
  ret void
}
!air.kernel = !{!0}
!air.function_constants = !{!9}
!air.compile_options = !{!10, !11}
!0 = !{ptr @scale, !1, !2, !8}
!1 = !{}
!2 = !{!3, !4, !5, !6, !7}
!3 = !{i32 0, !"air.buffer", !"air.location_index", i32 0, i32 1, !"air.read_write",
       !"air.address_space", i32 1, !"air.arg_type_size", i32 8, !"air.arg_type_align_size", i32 8,
       !"air.arg_type_name", !"float2", !"air.arg_name", !"out"}
!4 = !{i32 1, !"air.buffer", !"air.buffer_size", i32 24, !"air.location_index", i32 3, i32 1,
       !"air.read", !"air.address_space", i32 2, !"air.struct_type_info", !12,
       !"air.arg_type_size", i32 24, !"air.arg_type_align_size", i32 8,
       !"air.arg_type_name", !"Params", !"air.arg_name", !"params"}
!5 = !{i32 2, !"air.function_constant", !13, !"air.buffer", !"air.location_index", i32 1, i32 1,
       !"air.read", !"air.address_space", i32 1, !"air.arg_type_size", i32 4,
       !"air.arg_type_align_size", i32 4, !"air.arg_type_name", !"float", !"air.arg_name", !"bias"}
!6 = !{i32 3, !"air.buffer", !"air.location_index", i32 0, i32 1, !"air.read_write",
       !"air.address_space", i32 3, !"air.arg_type_size", i32 4, !"air.arg_type_align_size", i32 4,
       !"air.arg_type_name", !"float", !"air.arg_name", !"scratch"}
!7 = !{i32 4, !"air.thread_position_in_grid", !"air.arg_type_name", !"uint3",
       !"air.arg_name", !"gid"}
!8 = !{!"air.max_work_group_size", i32 256}
!9 = !{ptr addrspace(2) @fc, !"bool", !"has_bias", i32 7, i1 true}
!10 = !{!"air.compile.denorms_disable"}
!11 = !{!"air.compile.fast_math_disable"}
!12 = !{i32 0, i32 4, i32 0, !"int", !"n",
        !"air.struct_type_info", !14, i32 8, i32 8, i32 2, !"Inner", !"inner"}
!13 = !{ptr addrspace(2) @pred, !"bool", !"has_bias"}
!14 = !{i32 0, i32 4, i32 0, !"float", !"alpha", i32 4, i32 4, i32 0, !"float", !"beta"}
"""


def bitcode(text: str) -> bytes:
    context = llvm.create_context()
    data: bytes = llvm.parse_assembly(text, context=context).as_bitcode()
    return data


@pytest.fixture(scope="module")
def apple() -> Module:
    return Module(bitcode(APPLE), "scale.metallib")


def test_arguments_are_described_in_declared_order(apple: Module) -> None:
    function = apple.function("scale")
    assert str(function) == (
        "kernel void scale(\n"
        "    device float2* out [[buffer(0)]],\n"
        "    constant Params& params [[buffer(3)]],\n"
        "    device const float* bias [[buffer(1)]],\n"
        "    threadgroup float* scratch [[threadgroup(0)]],\n"
        "    uint3 gid [[thread_position_in_grid]])"
    )
    assert [a.name for a in function.bindable] == ["out", "params", "bias"]
    assert function.max_total_threads_per_threadgroup == 256
    out, params = function.arguments[:2]
    assert (out.size_bytes, out.align_bytes, out.access) == (8, 8, "read_write")
    assert (params.size_bytes, params.address_space, params.is_reference) == (24, "constant", True)


def test_structs_are_described_with_their_nested_members(apple: Module) -> None:
    alpha, beta = Field("alpha", "float", 0, 4), Field("beta", "float", 4, 4)
    assert apple.function("scale").arguments[1].fields == (
        Field("n", "int", 0, 4),
        Field("inner", "Inner", 8, 8, array_length=2, fields=(alpha, beta)),
    )


def test_function_constants_and_what_they_switch_on_are_described(apple: Module) -> None:
    function = apple.function("scale")
    assert function.constants == (FunctionConstant("has_bias", 7, "bool", required=True),)
    assert [a.enabled_by for a in function.arguments] == ["", "", "has_bias", "", ""]
    assert apple.predicates("scale") == {2: "pred"}


def test_a_function_has_the_name_that_callers_use(apple: Module) -> None:
    function = apple.function("scale", "scale_float2")
    assert (function.name, function.symbol) == ("scale_float2", "scale")


def test_compile_options_are_read(apple: Module) -> None:
    assert apple.compile_options == {"denorms_disable", "fast_math_disable"}


def test_a_module_without_the_kernel_says_which_it_has(apple: Module) -> None:
    with pytest.raises(LibraryError, match=r"scale\.metallib.*no kernel 'add'; it has scale"):
        apple.function("add")


def test_bitcode_that_llvm_cannot_read_is_an_error() -> None:
    with pytest.raises(LibraryError, match=r"x\.metallib: LLVM \d+ cannot read the bitcode"):
        Module(b"BC\xc0\xde" + bytes(100), "x.metallib")


def test_argument_kinds_that_the_device_lacks_are_named() -> None:
    text = APPLE.replace('!"air.thread_position_in_grid"', '!"air.visible_function_table"')
    with pytest.raises(UnsupportedError, match="'gid' uses visible function tables"):
        Module(bitcode(text)).function("scale")


def test_a_struct_that_contains_itself_is_an_error() -> None:
    text = APPLE.replace('"air.struct_type_info", !14', '"air.struct_type_info", !12')
    with pytest.raises(LibraryError, match="contains itself"):
        Module(bitcode(text)).function("scale")


def test_a_kernel_has_the_constants_that_it_reaches_only() -> None:
    text = """
    @mine = external constant i32
    @others = external constant i32
    @source = external constant i32
    @derived = internal global i32 0
    define void @a() {
      call void @helper()
      ret void
    }
    define internal void @helper() {
      %x = load i32, ptr @mine
      %y = load i32, ptr @derived
      ret void
    }
    define void @b() {
      %x = load i32, ptr @others
      ret void
    }
    define internal void @init() {
      %x = load i32, ptr @source
      store i32 %x, ptr @derived
      ret void
    }
    !air.kernel = !{!0, !1}
    !air.function_constants = !{!3, !4, !5}
    !0 = !{ptr @a, !2, !2}
    !1 = !{ptr @b, !2, !2}
    !2 = !{}
    !3 = !{ptr @mine, !"int", !"mine", i32 0, i1 true}
    !4 = !{ptr @others, !"int", !"others", i32 1, i1 true}
    !5 = !{ptr @source, !"int", !"source", i32 2, i1 true}
    """
    module = Module(bitcode(text))
    assert [c.name for c in module.function("a").constants] == ["mine", "source"]
    assert [c.name for c in module.function("b").constants] == ["others"]


def test_operands_of_a_node_are_taken_apart() -> None:
    text = r'ptr addrspace(2) @"a b", !"say \22hi\22, !3", !4, i32 -5, i1 true, null, ptr @f'
    assert operands(text) == (
        Symbol("a b"),
        'say "hi", !3',
        Node(4),
        -5,
        1,
        None,
        Symbol("f"),
    )
