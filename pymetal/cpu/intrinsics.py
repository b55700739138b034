"""What each intrinsic of docs/air.md means to the engines. Both read names here and nowhere else.

Every name parses to one of the dataclasses below; None is an intrinsic that no engine knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pymetal.air.vocabulary import CONVERGE

# AIR's spelling of a scalar type -> LLVM's.
LLVM_TYPES = {"f32": "float", "f16": "half", "bf16": "bfloat", "i1": "i1"} | {
    f"{sign}.i{bits}": f"i{bits}" for sign in "su" for bits in (8, 16, 32, 64)
}
# AIR's spelling -> the name in native `simd_types()`.
_SIMD_TYPES = {air: air.replace(".i", "") for air in LLVM_TYPES}
# AIR's operations whose native name differs.
_OPERATIONS = {"and": "bit_and", "or": "bit_or", "xor": "bit_xor", "broadcast": "shuffle"}


@dataclass(frozen=True)
class Barrier:
    """`scope` "threadgroup": all its threads meet; "simdgroup": the active lanes do."""

    scope: Literal["threadgroup", "simdgroup"]


@dataclass(frozen=True)
class CrossLane:
    """A simdgroup (`width` 32) or quadgroup (4) operation.

    `operation` and `type` are names in native `simd_operations()` and `simd_types()`; `value` and
    `result` are LLVM's types, `value` "" where there is none. `operands` follow the value: "lane"
    (also a delta or mask), "fill", "modulo".
    """

    operation: str
    type: str
    width: int
    value: str
    result: str
    operands: tuple[Literal["lane", "fill", "modulo"], ...] = ()


@dataclass(frozen=True)
class Matrix:
    """An 8x8 matrix operation on elements of `llvm_type`."""

    operation: Literal["load", "store", "init_filled", "init_diag", "multiply_accumulate"]
    llvm_type: str


@dataclass(frozen=True)
class Mathematics:
    """A pure scalar function: `symbol` is what the runtime calls it, `llvm_type` its type."""

    name: str
    symbol: str
    llvm_type: str


@dataclass(frozen=True)
class Position:
    """A value of the thread's context: a field of native `layout()`."""

    field: str


@dataclass(frozen=True)
class Log:
    """`os_log`: subsystem, category, type, format, words of arguments and their count."""


Intrinsic = Barrier | CrossLane | Matrix | Mathematics | Position | Log

_POSITIONS = {
    "air.get_thread_index_in_simdgroup.i32": "thread_index_in_simdgroup",
    "air.get_simdgroup_index_in_threadgroup.i32": "simdgroup_index_in_threadgroup",
    "air.get_thread_index_in_quadgroup.i32": "thread_index_in_quadgroup",
    "air.get_quadgroup_index_in_threadgroup.i32": "quadgroup_index_in_threadgroup",
}
# Mathematics of the vocabulary that the runtime has under another name than C's.
_OWN_SYMBOLS = {name: f"pymetal_{name}" for name in ("sinpi", "cospi", "tanpi", "rsqrt", "powr")}
_C_FUNCTIONS = (
    "acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp10 exp2 expm1 fdim fmod "
    "hypot lgamma log log10 log1p log2 nextafter pow remainder sin sinh tan tanh tgamma"
)
_TYPE = r"(?P<type>f32|f16|bf16|i1|[su]\.i(?:8|16|32|64))"
_CROSS_LANE = re.compile(
    rf"air\.(?P<group>simd|quad)_(?P<operation>(?:prefix_(?:in|ex)clusive_)?(?:sum|product)|min|max"
    rf"|and|or|xor|broadcast_first|broadcast|shuffle(?:_up|_down|_xor|_rotate_up|_rotate_down"
    rf"|_and_fill_up|_and_fill_down)?)\.{_TYPE}"
)
_VOTE = re.compile(
    r"air\.(?P<group>simd|quad)_(?P<operation>all|any|is_first|ballot|active_threads_mask)"
    r"(?:\.(?P<result>i\d+))?"
)
_MATRIX = re.compile(
    r"air\.simdgroup_matrix_8x8_(?P<operation>load|store|init_filled|init_diag"
    r"|multiply_accumulate)\.v64(?P<type>f32|f16|bf16)\..*"
)
_MATHEMATICS = re.compile(r"air\.(?:fast_|precise_)?(?P<name>[a-z]\w*)\.(?P<type>f32|f16|bf16)")


@cache
def meaning(name: str) -> Intrinsic | None:
    """What `air.…` name means; None if it is not of the vocabulary."""
    if name in ("air.wg.barrier", "air.simdgroup.barrier", CONVERGE):
        return Barrier("threadgroup" if ".wg." in name else "simdgroup")
    if name == "air.os_log":
        return Log()
    if name in _POSITIONS:
        return Position(_POSITIONS[name])
    if match := _CROSS_LANE.fullmatch(name):
        return _cross_lane(match["operation"], match["group"], match["type"])
    if match := _VOTE.fullmatch(name):
        return _vote(match["operation"], match["group"], match["result"] or "i1")
    if match := _MATRIX.fullmatch(name):
        return Matrix(match["operation"], LLVM_TYPES[match["type"]])  # type: ignore[arg-type]
    if match := _MATHEMATICS.fullmatch(name):
        return _mathematics(match["name"], LLVM_TYPES[match["type"]])
    return None


def is_private(what: Intrinsic) -> bool:
    """Whether a thread can do it alone, waiting for no other."""
    if isinstance(what, Matrix):
        return what.operation.startswith("init")
    return isinstance(what, Mathematics | Position)


def _width(group: str) -> int:
    return 32 if group == "simd" else 4


def _cross_lane(operation: str, group: str, air_type: str) -> CrossLane:
    type_ = LLVM_TYPES[air_type]
    operands: tuple[Literal["lane", "fill", "modulo"], ...] = ()
    if operation.startswith("shuffle_and_fill"):
        operands = ("fill", "lane", "modulo")
    elif operation == "broadcast" or operation.startswith("shuffle"):
        operands = ("lane",)
    name = _OPERATIONS.get(operation, operation)
    return CrossLane(name, _SIMD_TYPES[air_type], _width(group), type_, type_, operands)


def _vote(operation: str, group: str, result: str) -> CrossLane:
    if operation == "active_threads_mask":  # a ballot in which every active lane says yes
        return CrossLane("ballot", "i1", _width(group), "", result)
    value = "" if operation == "is_first" else "i1"
    return CrossLane(operation, "i1", _width(group), value, result)


def _mathematics(name: str, llvm_type: str) -> Mathematics | None:
    if name == "nextafter" and llvm_type != "float":
        return Mathematics(name, f"pymetal_nextafter_{llvm_type}", llvm_type)
    if name in _OWN_SYMBOLS:
        return Mathematics(name, _OWN_SYMBOLS[name], llvm_type)
    if name in _C_FUNCTIONS.split():
        return Mathematics(name, f"{name}f", llvm_type)
    return None
