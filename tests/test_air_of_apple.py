"""AIR as Apple's compiler writes it and our front end does not: newer forms, recursion.

Each is a small module in LLVM IR of what PyTorch's and MLX's compiled kernels contain.
"""

from __future__ import annotations

import numpy as np
import pytest
from canonical_launch import launch
from canonical_module import make, run

from pymetal.errors import UnsupportedError

ENGINES = ["reference", "vectorised"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("turned", [False, True])
def test_matrices_in_memory_are_described_by_strides(engine: str, turned: bool) -> None:
    # AIR 2.8: extents, strides and origin, by (column, row).
    strides = "<i64 12, i64 1>" if turned else "<i64 1, i64 12>"
    memory = "ptr addrspace(1), <2 x i64>, <2 x i64>, <2 x i64>"
    text = f"""
    define void @k(ptr addrspace(1) %out, ptr addrspace(1) %in) {{
      %a = call <64 x float> @air.simdgroup_matrix_8x8_load.v64f32.p1f32(
        ptr addrspace(1) %in, <2 x i64> <i64 12, i64 10>, <2 x i64> {strides},
        <2 x i64> <i64 1, i64 2>)
      call void @air.simdgroup_matrix_8x8_store.v64f32.p1f32(<64 x float> %a,
        ptr addrspace(1) %out, <2 x i64> <i64 8, i64 8>, <2 x i64> <i64 1, i64 8>,
        <2 x i64> zeroinitializer)
      ret void
    }}
    declare <64 x float> @air.simdgroup_matrix_8x8_load.v64f32.p1f32({memory})
    declare void @air.simdgroup_matrix_8x8_store.v64f32.p1f32(<64 x float>, {memory})"""
    x = np.arange(144, dtype=np.float32).reshape(12, 12)
    out = np.zeros((8, 8), np.float32)
    launch(make(text, "buffer", "buffer"), [out, x], (32,), (32,), engine=engine)
    at = x.T if turned else x
    np.testing.assert_array_equal(out, at[2:10, 1:9])


def test_the_bits_of_a_matrix_are_looked_at_one_by_one() -> None:
    text = """
    define void @k(ptr addrspace(1) %out, ptr addrspace(1) %at) {
      %p = load <2 x float>, ptr addrspace(1) %out
      %m = shufflevector <2 x float> %p, <2 x float> poison, <64 x i32> <MASK>
      %b = bitcast <64 x float> %m to <64 x i32>
      %i = load i32, ptr addrspace(1) %at
      %e = extractelement <64 x i32> %b, i32 %i
      store i32 %e, ptr addrspace(1) %at
      ret void
    }""".replace("MASK", ", ".join(["i32 0", "i32 1"] + ["i32 poison"] * 62))
    pair, at = np.float32([1.5, -2.0]), np.int32([1])
    run(make(text, "buffer", "buffer"), pair, at)
    assert at.view(np.float32).tolist() == [-2.0]


def test_the_cosine_goes_where_sincos_is_told() -> None:
    text = """
    define void @k(ptr addrspace(1) %out) {
      %c = alloca float
      %x = load float, ptr addrspace(1) %out
      %s = call float @air.sincos.f32(float %x, ptr %c)
      store float %s, ptr addrspace(1) %out
      %v = load float, ptr %c
      %p = getelementptr float, ptr addrspace(1) %out, i32 1
      store float %v, ptr addrspace(1) %p
      ret void
    }
    declare float @air.sincos.f32(float, ptr)"""
    out = np.float32([0.75, 0])
    run(make(text, "buffer"), out)
    # The specification allows 4 units in the last place.
    np.testing.assert_allclose(out, [np.sin(0.75), np.cos(0.75)], rtol=4 * 2**-23)


@pytest.mark.parametrize(
    ("type_", "dtype", "bits", "tiny", "largest"),
    [
        ("float", np.float32, "f32", -1e-9, 1 - 2**-24),
        ("half", np.float16, "f16", -1e-7, 1 - 2**-11),
    ],
)
def test_a_fraction_stays_below_one(
    type_: str, dtype: type, bits: str, tiny: float, largest: float
) -> None:
    text = f"""
    define void @k(ptr addrspace(1) %out, i32 %i) {{
      %p = getelementptr {type_}, ptr addrspace(1) %out, i32 %i
      %x = load {type_}, ptr addrspace(1) %p
      %y = call {type_} @air.fract.{bits}({type_} %x)
      store {type_} %y, ptr addrspace(1) %p
      ret void
    }}
    declare {type_} @air.fract.{bits}({type_})"""
    x = np.array([2.25, -0.25, tiny, np.inf, np.nan, 5], dtype)
    run(make(text, "buffer", "thread_index_in_simdgroup"), x, lanes=6)
    np.testing.assert_array_equal(x, np.array([0.25, 0.75, largest, 0, np.nan, 0], dtype))


def test_vectors_of_bool_are_all_or_any() -> None:
    text = """
    define void @k(ptr addrspace(1) %out) {
      %v = load <3 x i32>, ptr addrspace(1) %out
      %b = icmp ne <3 x i32> %v, zeroinitializer
      %all = call i1 @air.all.v3i1(<3 x i1> %b)
      %any = call i1 @air.any.v3i1(<3 x i1> %b)
      %x = zext i1 %all to i32
      %y = zext i1 %any to i32
      store i32 %x, ptr addrspace(1) %out
      %p = getelementptr i32, ptr addrspace(1) %out, i32 1
      store i32 %y, ptr addrspace(1) %p
      ret void
    }
    declare i1 @air.all.v3i1(<3 x i1>)
    declare i1 @air.any.v3i1(<3 x i1>)"""
    for values, expected in (([1, 1, 1], [1, 1]), ([0, 0, 1], [0, 1]), ([0, 0, 0], [0, 0])):
        out = np.array([*values, 0], np.int32)
        run(make(text, "buffer"), out)
        assert out[:2].tolist() == expected


def test_floats_are_compared_and_exchanged() -> None:
    text = """
    define void @k(ptr addrspace(1) %at, ptr addrspace(1) %out) {
      %e = alloca float
      %x = load float, ptr addrspace(1) %out
      store float %x, ptr %e
      %r = call float @air.atomic.global.cmpxchg.weak.f32(
        ptr addrspace(1) %at, ptr %e, float 7.0, i32 0, i32 0, i32 2, i1 true)
      store float %r, ptr addrspace(1) %out
      ret void
    }
    declare float @air.atomic.global.cmpxchg.weak.f32(
      ptr addrspace(1), ptr, float, i32, i32, i32, i1)"""
    for expected, left in ((3.0, 7.0), (4.0, 3.0)):
        at, out = np.float32([3]), np.float32([expected])
        run(make(text, "buffer", "buffer"), at, out)
        assert (at[0], out[0]) == (left, 3)


FACTORIAL = """
    define void @k(ptr %out, i32 %i) {
      %p = getelementptr i32, ptr %out, i32 %i
      %n = load i32, ptr %p
      %x = call i32 @factorial(i32 %n)
      store i32 %x, ptr %p
      ret void
    }
    define i32 @factorial(i32 %n) {
      %last = icmp eq i32 %n, 0
      br i1 %last, label %done, label %more
    more:
      %m = sub i32 %n, 1
      %r = call i32 @factorial(i32 %m)
      %p = mul i32 %r, %n
      ret i32 %p
    done:
      ret i32 1
    }"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_function_may_call_itself_some_calls_deep(engine: str) -> None:
    function = make(FACTORIAL, "buffer", "thread_index_in_simdgroup")
    out = np.arange(8, dtype=np.int32)
    launch(function, [out], (8,), (8,), engine=engine)
    assert out.tolist() == [1, 1, 2, 6, 24, 120, 720, 5040]
    with pytest.raises(AssertionError, match="write 0x1008"):
        launch(function, [np.int32([1, 1, 20])], (3,), (3,), engine=engine)


def test_a_function_that_calls_itself_too_often_is_refused() -> None:
    calls = "\n".join(f"%r{i} = call i32 @f(i32 %m)" for i in range(40))
    text = f"""
    define void @k(ptr %out) {{
      %n = load i32, ptr %out
      %x = call i32 @f(i32 %n)
      store i32 %x, ptr %out
      ret void
    }}
    define i32 @f(i32 %n) {{
      %last = icmp eq i32 %n, 0
      br i1 %last, label %done, label %more
    more:
      %m = sub i32 %n, 1
      {calls}
      ret i32 %r0
    done:
      ret i32 1
    }}"""
    with pytest.raises(UnsupportedError, match="'f' calls itself") as caught:
        make(text, "buffer")
    assert caught.value.feature == "recursion"
