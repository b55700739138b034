"""What becomes of `air.*` functions in the canonical function."""

from __future__ import annotations

import math

import numpy as np
import pytest
from canonical_module import make, run


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
