"""Metal's meaning of what LLVM leaves undefined or a processor traps on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from canonical_module import make, run


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
