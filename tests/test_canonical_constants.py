"""Function constants in the canonical function: set, followed, asked for, or missing."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
import pytest
from canonical_module import make, module, run

from pymetal.air.canonical import CanonicalFunction, canonical
from pymetal.air.module import Module
from pymetal.errors import ArgumentError

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
