"""The IR reader and writer: what LLVM prints comes back as the same module."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetal.air import ir
from pymetal.air.ir import types
from pymetal.air.ir.layout import Layout
from pymetal.air.ir.values import as_integer, element_of, float_constant, integer_constant
from pymetal.errors import LibraryError

llvm = pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

SAMPLE = r"""
%pair = type { i32, [3 x float] }
%"odd name" = type <{ i8, %pair }>
$inline = comdat any
@tile = internal addrspace(3) global [4 x i32] undef, section "air.threadgroup", align 16
@text = private unnamed_addr constant [4 x i8] c"a\22;\00", align 1
@table = constant [2 x ptr] [ptr @text, ptr getelementptr inbounds (i8, ptr @text, i64 1)]
@missing = external constant %pair
@nested = constant <{ i8, %pair }> <{ i8 3, %pair { i32 4, [3 x float] zeroinitializer } }>
define weak_odr void @kernel(ptr noundef "x" %0, i32 range(i32 0, 7) %b, <3 x float> %v) #0 {
  %q = getelementptr inbounds nuw %pair, ptr %0, i64 1, i32 1, i64 2
  %z = load <4 x float>, ptr %q, align 4, !tag !1
  %t = trunc nuw nsw i32 %b to i8
  %l = load i32, ptr addrspace(3) getelementptr inbounds (i8, ptr addrspace(3) @tile, i64 8)
  %w = ptrtoint ptr addrspace(3) @tile to i64
  %2 = tail call fast noundef float @mix(float noundef nofpclass(nan) 1.5, half 0xH3C01) #1
  call void (ptr, ...) @log(ptr @text, i32 3) convergent "pymetal.site"="4"
  %x = cmpxchg weak volatile ptr %q, i32 0, i32 %b syncscope("agent") monotonic monotonic, align 4
  %ok = extractvalue { i32, i1 } %x, 1
  %old = insertvalue { i32, i1 } %x, i32 9, 0
  %y = atomicrmw fadd ptr %q, float %2 monotonic, align 4
  %y2 = load atomic volatile i32, ptr %q syncscope("agent") acquire, align 4
  store atomic i32 %y2, ptr %q release, align 4
  store <2 x i1> <i1 true, i1 poison>, ptr %q
  %many = icmp samesign ult <3 x i32> splat (i32 4), <i32 1, i32 -2, i32 3>
  %f1 = fcmp nnan olt float %2, 0x7FF0000000000000
  %sel = select nsz i1 %f1, float %2, float 0x36A0000000000000
  %cc = addrspacecast ptr addrspace(3) @tile to ptr
  %neg = fneg contract float %sel
  %fr = freeze float %neg
  switch i8 %t, label %a [ i8 0, label %"e e"
    i8 3, label %a ]
a:                                      ; preds = here; too
  %p = phi float [ 0x3FB99999A0000000, %1 ], [ %p2, %"e e" ], [ 0x3FB99999A0000000, %1 ]
  %in = insertelement <4 x float> <float 1.0, float poison, float 2.0, float 3.0>, float %p, i32 2
  %sh = shufflevector <4 x float> %in, <4 x float> splat (float 1.0), <2 x i32> <i32 0, i32 5>
  %ex = extractelement <2 x float> %sh, i32 %b
  %so = or disjoint i32 %b, 64
  %sl = shl nuw nsw i32 %so, 3
  %bf = fptrunc float %ex to bfloat
  fence acq_rel
  ret void
"e e":
  %p2 = phi nnan float [ 0x3FB99999A0000000, %1 ]
  %sp = alloca [4 x i32], i32 2, align 8
  %sf = alloca i32, align 4
  call void @llvm.lifetime.start.p0(ptr %sf)
  br i1 %ok, label %a, label %dead, !prof !2
dead:
  unreachable
}
declare float @mix(float, half)
declare void @log(ptr, ...)
declare void @llvm.lifetime.start.p0(ptr captures(none))
attributes #0 = { convergent nounwind memory(argmem: readwrite) "a"="b" }
attributes #1 = { convergent "pymetal.site"="7" }
!air.kernel = !{!0}
!0 = !{ptr @kernel, !"a;\22b"}
!1 = !{!1}
!2 = !{!"branch_weights", i32 1, i32 2}
"""


def printed(text: str) -> str:
    """`text` as LLVM prints it, in a context of its own so that names stay."""
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return str(module)


def test_every_construct_comes_back_as_the_same_module() -> None:
    before = printed(SAMPLE)
    module = ir.read(before)
    assert all(f.blocks for f in module.functions.values() if not f.is_declaration)
    assert printed(str(module)) == before


def test_unread_bodies_are_written_as_they_were() -> None:
    before = printed(SAMPLE)
    module = ir.read(before)
    assert module.functions["kernel"].unread_body is not None
    assert printed(str(module)) == before


def test_instructions_know_their_parts() -> None:
    module = ir.read(printed(SAMPLE))
    by_name = {i.name: i for i in module.functions["kernel"].instructions}
    assert by_name["q"].source_type == types.named("pair")
    assert by_name["q"].flags == ("inbounds", "nuw")
    assert by_name["z"].align == 4
    assert by_name["x"].type == types.struct((types.I32, types.I1))
    assert by_name["ok"].type == types.I1
    assert by_name["y"].predicate == "fadd"
    assert by_name["many"].type == types.vector(3, types.I1)
    assert by_name["p"].labels == ["1", '"e e"', "1"]
    call = by_name["2"]
    assert call.callee == "mix"
    assert module.attributes(call) == {"convergent": "", "pymetal.site": "7"}
    entry = module.functions["kernel"].blocks[0]
    assert entry.terminator.successors == ["a", '"e e"']
    assert module.globals["tile"].section == "air.threadgroup"


def test_unnamed_values_are_numbered_again_after_an_edit() -> None:
    text = "define i32 @f(i32 %0) {\n  %2 = add i32 %0, 1\n  %3 = mul i32 %2, %2\n  ret i32 %3\n}\n"
    module = ir.read(text)
    function = module.functions["f"]
    entry = function.blocks[0]
    first = entry.instructions[0]
    new = ir.Instruction("sub", function.fresh("new"), types.I32, list(first.operands))
    entry.instructions.insert(0, new)
    entry.instructions[2].operands[0] = new.result
    del entry.instructions[1]
    entry.instructions[1].operands[1] = new.result
    after = printed(str(module))
    assert "mul i32 %new..1, %new..1" in after
    assert "ret i32 %2" in after


def test_fresh_names_are_fresh_in_text_read_back() -> None:
    module = ir.read("define void @f(i32 %a) {\n  %x..7 = add i32 %a, 1\n  ret void\n}\n")
    assert module.functions["f"].fresh("x") == "x..8"


def test_constant_expressions_become_instructions() -> None:
    text = """
@g = external global [8 x i32]
define i32 @f(i1 %c) {
entry:
  br i1 %c, label %a, label %b
a:
  br label %b
b:
  %p = phi ptr [ getelementptr (i8, ptr @g, i64 4), %entry ], [ @g, %a ]
  %x = load i32, ptr getelementptr (i8, ptr @g, i64 8)
  %y = load i32, ptr %p
  %v = extractelement <2 x i64> <i64 1, i64 ptrtoint (ptr @g to i64)>, i32 0
  %s = add i32 %x, %y
  ret i32 %s
}
"""
    module = ir.read(printed(text))
    function = module.functions["f"]
    ir.expand_constant_expressions(function)
    after = printed(str(module))
    assert "(i8, ptr @g" not in after
    assert "ptrtoint (" not in after
    assert function.block("entry").instructions[0].opcode == "getelementptr"


@pytest.mark.parametrize(
    "line",
    [
        "%x = frobnicate i32 1, 2",
        "%x = add i32 1",
        "%x = add i33 1, 2, 3",
        "%x = load i32, ptr %p, weird 3",
        'call void asm sideeffect "nop", ""()',
        "%x = getelementptr i8, ptr %p, i64 (",
        "br label a",
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(line: str) -> None:
    module = ir.read(f"define void @f(ptr %p) {{\n  {line}\n  ret void\n}}\n")
    with pytest.raises(LibraryError) as caught:
        _ = module.functions["f"].blocks
    assert line in str(caught.value)


def test_unknown_top_level_lines_are_refused() -> None:
    with pytest.raises(LibraryError, match="hello"):
        ir.read("hello world\n")


SCALARS = st.sampled_from(
    [
        *(types.integer(n) for n in (1, 8, 16, 32, 64)),
        types.HALF,
        types.BFLOAT,
        types.FLOAT,
        types.PTR,
    ]
)
TYPES = st.recursive(
    SCALARS | st.builds(types.vector, st.integers(1, 9), SCALARS),
    lambda inner: (
        st.builds(types.array, st.integers(0, 4), inner)
        | st.builds(types.struct, st.lists(inner, max_size=4).map(tuple), st.booleans())
    ),
    max_leaves=8,
)


@given(TYPES)
def test_types_come_back_as_the_same_object(type_: types.Type) -> None:
    module = ir.read(printed(f"@g = external global {type_}\n"))
    assert module.globals["g"].value_type is type_


@given(TYPES)
def test_sizes_are_those_of_llvm(type_: types.Type) -> None:
    target = llvm.create_target_data(
        "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
    )
    module = llvm.parse_assembly(f"@g = external global {type_}\n", llvm.create_context())
    variable = module.get_global_variable("g")
    assert Layout({}).size(type_) == target.get_abi_size(variable.global_value_type)


@given(st.floats(width=32) | st.floats(width=16), st.sampled_from(["half", "bfloat", "float"]))
def test_float_constants_keep_their_bits(value: float, kind: str) -> None:
    type_ = {"half": types.HALF, "bfloat": types.BFLOAT, "float": types.FLOAT}[kind]
    if kind == "half" and math.isfinite(value) and abs(value) > 65504:
        return
    constant = float_constant(type_, value)
    module = ir.read(printed(f"@g = constant {constant.typed}\n"))
    again = module.globals["g"].initializer
    assert again is not None
    assert printed(f"@g = constant {again.typed}\n") == printed(f"@g = constant {constant.typed}\n")
    if kind == "float" and not math.isnan(value):
        # Decimal or hexadecimal, LLVM spells the very same number.
        literal = again.text
        bits = int(literal, 16) if literal.startswith("0x") else None
        number = struct.unpack("<d", struct.pack("<Q", bits))[0] if bits else float(literal)
        assert number == value


@given(st.sampled_from([1, 8, 16, 32, 64]), st.integers(-(2**70), 2**70))
def test_integer_constants_wrap_to_their_width(bits: int, value: int) -> None:
    number = as_integer(integer_constant(types.integer(bits), value))
    assert number is not None
    assert (number - value) % (1 << bits) == 0


def test_elements_of_constants() -> None:
    module = ir.read(
        "@a = constant <2 x i32> <i32 1, i32 2>\n@b = constant <2 x i32> splat (i32 7)\n"
        "@c = constant { i32, float } zeroinitializer\n@d = constant [2 x i8] poison\n"
    )
    values = {n: g.initializer for n, g in module.globals.items()}
    texts = {n: str(v and (e := element_of(v, 1)) and e.typed) for n, v in values.items()}
    assert texts == {
        "a": "i32 2",
        "b": "i32 7",
        "c": "float 0x0000000000000000",
        "d": "i8 poison",
    }
