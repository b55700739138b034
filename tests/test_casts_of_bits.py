"""Casts between vectors of other elements, as LLVM makes them: bits of integers as booleans, and
back. Both engines, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from canonical_launch import launch

from pymetal.air.canonical import CanonicalFunction
from pymetal.air.function import Function
from pymetal.air.wrapper import Parameter

LANES = 32
PARAMETERS = (
    Parameter("buffer", "b0", "ptr", 0),
    Parameter("buffer", "b1", "ptr", 1),
    Parameter("lane", "lane", "i32"),
)


def run(body: str, given: np.ndarray, engine: str) -> np.ndarray:
    """What each lane makes of its element: an i32 called %word becomes one called %result."""
    text = f"""define void @canon(ptr %b0, ptr %b1, i32 %lane) {{
      %at = zext i32 %lane to i64
      %from = getelementptr i32, ptr %b1, i64 %at
      %word = load i32, ptr %from, align 4
      {body}
      %to = getelementptr i32, ptr %b0, i64 %at
      store i32 %result, ptr %to, align 4
      ret void
    }}"""
    out = np.zeros(LANES, np.uint32)
    function = CanonicalFunction(text, PARAMETERS, Function("test", "test"), 0, 0, ())
    launch(function, [out, given], (LANES,), (LANES,), engine=engine)
    return out


@pytest.fixture(params=["reference", "vectorised"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def words() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 1 << 32, LANES, np.uint32)


@pytest.mark.parametrize("bit", [0, 7, 8, 31])
def test_a_bit_of_an_integer_is_an_element_of_booleans(bit, words, engine):
    body = f"""%bits = bitcast i32 %word to <32 x i1>
      %bit = extractelement <32 x i1> %bits, i64 {bit}
      %result = zext i1 %bit to i32"""
    np.testing.assert_array_equal(run(body, words, engine), words >> bit & 1)


def test_a_bit_of_a_vector_is_counted_through_its_elements(words, engine):
    body = """%two = insertelement <2 x i32> zeroinitializer, i32 %word, i64 1
      %bits = bitcast <2 x i32> %two to <64 x i1>
      %low = extractelement <64 x i1> %bits, i64 5
      %high = extractelement <64 x i1> %bits, i64 37
      %a = select i1 %low, i32 2, i32 0
      %b = zext i1 %high to i32
      %result = or i32 %a, %b"""
    np.testing.assert_array_equal(run(body, words, engine), words >> 5 & 1)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_few_bits_of_a_vector_are_an_element(bits, words, engine):
    vector = f"<{96 // bits} x i{bits}>"
    body = f"""%three = insertelement <3 x i32> zeroinitializer, i32 %word, i64 1
      %pieces = bitcast <3 x i32> %three to {vector}
      %piece = extractelement {vector} %pieces, i64 {32 // bits + 3}
      %next = add i{bits} %piece, 1
      %result = zext i{bits} %next to i32"""
    expected = ((words >> 3 * bits) + 1) % (1 << bits)
    np.testing.assert_array_equal(run(body, words, engine), expected)


@pytest.mark.parametrize("elements", [8, 16])
def test_booleans_become_the_bits_of_integers(elements, words, engine):
    # Element k tells whether the word has bit 31 - k.
    bits = ", ".join(f"i32 {1 << 31 - k}" for k in range(elements))
    body = f"""%one = insertelement <{elements} x i32> poison, i32 %word, i64 0
      %all = shufflevector <{elements} x i32> %one, <{elements} x i32> poison,
          <{elements} x i32> zeroinitializer
      %of = and <{elements} x i32> %all, <{bits}>
      %set = icmp ne <{elements} x i32> %of, zeroinitializer
      %mask = bitcast <{elements} x i1> %set to i{elements}
      %result = zext i{elements} %mask to i32"""
    expected = sum((words >> (31 - k) & 1) << k for k in range(elements))
    np.testing.assert_array_equal(run(body, words, engine), expected)


def test_booleans_become_several_integers(words, engine):
    body = """%pieces = bitcast i32 %word to <32 x i1>
      %not = xor <32 x i1> %pieces, splat (i1 true)
      %bytes = bitcast <32 x i1> %not to <4 x i8>
      %third = extractelement <4 x i8> %bytes, i64 2
      %result = zext i8 %third to i32"""
    np.testing.assert_array_equal(run(body, words, engine), ~words >> 16 & 0xFF)


@pytest.mark.parametrize(
    "operation",
    [
        "and i16 %high, -16384",
        "or i16 %high, 1",
        "lshr i16 %high, 0",
        "xor i16 %high, 1",
        "urem i16 %high, 40000",
    ],
)
def test_a_lanes_highest_bit_is_its_sign(operation, words, engine):
    body = f"""%short = trunc i32 %lane to i16
      %high = shl i16 %short, 11
      %number = {operation}
      %result = sext i16 %number to i32"""
    high = np.arange(LANES) << 11
    known = {"and": high & 0xC000, "or": high | 1, "lshr": high, "xor": high ^ 1,
             "urem": high % 40000}  # fmt: skip
    expected = known[operation.split()[0]].astype(np.uint16).astype(np.int16).astype(np.int32)
    np.testing.assert_array_equal(run(body, words, engine).view(np.int32), expected)
