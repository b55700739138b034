"""Cross-lane operations against NumPy: every type, under divergence, in partial simdgroups."""

from __future__ import annotations

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from canonical_ir import CanonicalKernel
from hypothesis import given, settings
from hypothesis import strategies as st

LANES = 32
TYPES = {
    "f32": ("float", np.float32),
    "f16": ("half", np.float16),
    "bf16": ("bfloat", ml_dtypes.bfloat16),
    **{
        f"{sign}.i{bits}": (f"i{bits}", np.dtype(f"{'int' if sign == 's' else 'uint'}{bits}").type)
        for sign in "su"
        for bits in (8, 16, 32, 64)
    },
}
FLOATS = ["f32", "f16", "bf16"]
INTEGERS = [name for name in TYPES if "." in name]


@cache
def unary(operation: str, air_type: str) -> CanonicalKernel:
    """out[i] = operation(in[i]) where the bit of lane i is set in the mask of its simdgroup."""
    type_, _ = TYPES[air_type]
    return CanonicalKernel(
        f"""
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %i = zext i32 %x to i64
  %pm = getelementptr i32, ptr %b2, i32 %simdgroup
  %mask = load i32, ptr %pm
  %shifted = lshr i32 %mask, %lane
  %on = trunc i32 %shifted to i1
  br i1 %on, label %active, label %done
active:
  %pi = getelementptr {type_}, ptr %b1, i64 %i
  %v = load {type_}, ptr %pi
  %r = call {type_} @air.{operation}.{air_type}({type_} %v) {{site 1}}
  %po = getelementptr {type_}, ptr %b0, i64 %i
  store {type_} %r, ptr %po
  br label %done
done:
  ret void""",
        3,
        f"declare {type_} @air.{operation}.{air_type}({type_}) convergent",
    )


@cache
def shuffle(operation: str, air_type: str) -> CanonicalKernel:
    """out[i] = operation(in[i], lanes[i])."""
    type_, _ = TYPES[air_type]
    return CanonicalKernel(
        f"""
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %i = zext i32 %x to i64
  %pi = getelementptr {type_}, ptr %b1, i64 %i
  %v = load {type_}, ptr %pi
  %pl = getelementptr i16, ptr %b2, i64 %i
  %l = load i16, ptr %pl
  %r = call {type_} @air.{operation}.{air_type}({type_} %v, i16 %l) {{site 1}}
  %po = getelementptr {type_}, ptr %b0, i64 %i
  store {type_} %r, ptr %po
  ret void""",
        3,
        f"declare {type_} @air.{operation}.{air_type}({type_}, i16) convergent",
    )


def values(air_type: str, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Anything for integers; numbers around 1 for floats, so that products stay finite."""
    dtype = np.dtype(TYPES[air_type][1])
    rng = np.random.default_rng(seed)
    if air_type in FLOATS:
        return (1 + rng.standard_normal(count) / 8).astype(dtype)
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).copy()


def computed_in(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats are computed in float32 and rounded once; integers wrap in their own type."""
    return array.astype(np.float32) if array.dtype.kind not in "iu" else array


def halve(lanes: np.ndarray[Any, Any], function: Any) -> Any:
    """The documented order of a reduction: lane i takes op(i, i + offset), offset halving."""
    lanes = lanes.copy()
    offset = len(lanes) // 2
    while offset:
        lanes[:offset] = function(lanes[:offset], lanes[offset : 2 * offset])
        offset //= 2
    return lanes[0]


def double(lanes: np.ndarray[Any, Any], function: Any) -> np.ndarray[Any, Any]:
    """The documented order of an inclusive scan."""
    offset = 1
    while offset < len(lanes):
        lanes = np.concatenate([lanes[:offset], function(lanes[:-offset], lanes[offset:])])
        offset *= 2
    return lanes


FUNCTIONS = {
    "sum": (np.add, 0),
    "product": (np.multiply, 1),
    "min": (np.minimum, None),
    "max": (np.maximum, None),
    "and": (np.bitwise_and, -1),
    "or": (np.bitwise_or, 0),
    "xor": (np.bitwise_xor, 0),
}


def identity_of(name: str, dtype: np.dtype[Any]) -> Any:
    if name in ("min", "max"):
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        if dtype.kind == "f":
            return np.inf if name == "min" else -np.inf
        return limits.max if name == "min" else limits.min
    value = FUNCTIONS[name][1]
    return np.array(value).astype(dtype)


def expected(
    operation: str, array: np.ndarray[Any, Any], mask: int, width: int
) -> np.ndarray[Any, Any]:
    """What each lane of one simdgroup gets; inactive ones keep 0."""
    wide = computed_in(array)
    active = np.array([mask >> i & 1 for i in range(LANES)], bool)
    name = operation.removeprefix("prefix_inclusive_").removeprefix("prefix_exclusive_")
    function = FUNCTIONS[name][0]
    identity = identity_of(name, wide.dtype)
    filled = np.where(active, wide, identity).astype(wide.dtype)
    result = np.zeros(LANES, wide.dtype)
    with np.errstate(over="ignore"):
        for start in range(0, LANES, width):
            group = filled[start : start + width]
            if operation.startswith("prefix_inclusive"):
                scanned = double(group, function)
            elif operation.startswith("prefix_exclusive"):
                scanned = np.concatenate([[identity], double(group, function)[:-1]])
            else:
                scanned = halve(group, function)
            result[start : start + width] = scanned
    return np.where(active, result, 0).astype(array.dtype)


def run_unary(
    operation: str, air_type: str, masks: list[int], threads: int, seed: int = 0
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    array = values(air_type, threads, seed)
    out = np.zeros_like(array)
    kernel = unary(operation, air_type)
    fault = kernel(out, array, np.array(masks, np.uint32), grid=(threads,), threadgroup=(threads,))
    assert fault is None
    return out, array


@pytest.mark.parametrize("air_type", TYPES)
@pytest.mark.parametrize("group", ["simd", "quad"])
def test_reductions_and_scans_agree_bit_by_bit_with_the_documented_order(
    group: str, air_type: str
) -> None:
    operations = ["sum", "product", "min", "max"]
    operations += [
        f"prefix_{kind}_{op}" for kind in ("inclusive", "exclusive") for op in ("sum", "product")
    ]
    if air_type in INTEGERS:
        operations += ["and", "or", "xor"]
    masks = [0xFFFFFFFF, 0x00010000, 0xA5F00F3C, 0x7FFFFFFE]
    for operation in operations:
        out, array = run_unary(f"{group}_{operation}", air_type, masks, 4 * LANES)
        width = LANES if group == "simd" else 4
        for i, mask in enumerate(masks):
            lanes = slice(i * LANES, (i + 1) * LANES)
            reference = expected(operation, array[lanes], mask, width)
            assert out[lanes].tobytes() == reference.tobytes(), (operation, hex(mask))


@given(
    mask=st.integers(1, 2**32 - 1),
    threads=st.sampled_from([1, 2, 31, 32]),
    air_type=st.sampled_from(["f32", "s.i32", "u.i8"]),
    operation=st.sampled_from(["sum", "max", "prefix_inclusive_sum", "prefix_exclusive_product"]),
)
@settings(max_examples=150, deadline=None)
def test_any_set_of_active_lanes_in_a_partial_simdgroup(
    mask: int, threads: int, air_type: str, operation: str
) -> None:
    mask &= (1 << threads) - 1
    out, array = run_unary(f"simd_{operation}", air_type, [mask], threads)
    padded = np.zeros(LANES, array.dtype)
    padded[:threads] = array
    reference = expected(operation, padded, mask, LANES)[:threads]
    assert out.tobytes() == reference.tobytes()


def test_float_min_and_max_ignore_nan_unless_all_are() -> None:
    kernel = unary("simd_max", "f32")
    array = np.full(LANES, np.nan, np.float32)
    array[7] = -3
    out = np.zeros_like(array)
    full = np.array([0xFFFFFFFF], np.uint32)
    kernel(out, array, full, grid=(LANES,), threadgroup=(LANES,))
    assert np.all(out == -3)
    array[7] = np.nan
    kernel(out, array, full, grid=(LANES,), threadgroup=(LANES,))
    assert np.all(np.isnan(out))


def source_lane(operation: str, lane: int, argument: int, width: int) -> int:
    base, position = lane // width * width, lane % width
    source = {
        "broadcast": argument,
        "shuffle": argument,
        "shuffle_up": position - argument,
        "shuffle_down": position + argument,
        "shuffle_xor": position ^ argument,
        "shuffle_rotate_up": (position - argument) % width,
        "shuffle_rotate_down": (position + argument) % width,
    }[operation]
    return base + source if 0 <= source < width else lane


@pytest.mark.parametrize("air_type", TYPES)
@pytest.mark.parametrize("group", ["simd", "quad"])
def test_shuffles_read_the_source_lane_or_their_own(group: str, air_type: str) -> None:
    width = LANES if group == "simd" else 4
    array = values(air_type, LANES)
    rng = np.random.default_rng(1)
    suffixes = ["", "_up", "_down", "_xor", "_rotate_up", "_rotate_down"]
    for operation in ["broadcast", *(f"shuffle{suffix}" for suffix in suffixes)]:
        lanes = rng.integers(0, 2 * width, LANES).astype(np.uint16)
        lanes[-1] = 65535
        out = np.zeros_like(array)
        kernel = shuffle(f"{group}_{operation}", air_type)
        assert kernel(out, array, lanes, grid=(LANES,), threadgroup=(LANES,)) is None
        sources = [source_lane(operation, i, int(lanes[i]), width) for i in range(LANES)]
        assert out.tobytes() == array[sources].tobytes(), operation


def test_a_shuffle_from_a_lane_that_does_not_exist_gives_the_own_value() -> None:
    kernel = shuffle("simd_shuffle_down", "f32")
    array = values("f32", 20)
    out = np.zeros_like(array)
    kernel(out, array, np.full(20, 5, np.uint16), grid=(20,), threadgroup=(20,))
    np.testing.assert_array_equal(out, np.concatenate([array[5:], array[15:]]))


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("modulo", [2, 4, 8, 16, 32])
def test_shuffle_and_fill_takes_from_the_other_end_of_the_fill(direction: str, modulo: int) -> None:
    name = f"air.simd_shuffle_and_fill_{direction}.u.i32"
    kernel = CanonicalKernel(
        f"""
  %i = zext i32 %lane to i64
  %pd = getelementptr i32, ptr %b1, i64 %i
  %data = load i32, ptr %pd
  %pf = getelementptr i32, ptr %b2, i64 %i
  %fill = load i32, ptr %pf
  %delta = load i16, ptr %b3
  %r = call i32 @{name}(i32 %data, i32 %fill, i16 %delta, i16 {modulo}) {{site 1}}
  %po = getelementptr i32, ptr %b0, i64 %i
  store i32 %r, ptr %po
  ret void""",
        4,
        f"declare i32 @{name}(i32, i32, i16, i16)",
    )
    data = np.arange(LANES, dtype=np.uint32)
    fill = data + 100
    for delta in range(modulo + 1):
        out = np.zeros_like(data)
        kernel(out, data, fill, np.array([delta], np.uint16), grid=(LANES,), threadgroup=(LANES,))
        shift = -delta if direction == "up" else delta
        for lane in range(LANES):
            section, within = lane // modulo * modulo, lane % modulo + shift
            source = data if 0 <= within < modulo else fill
            assert out[lane] == source[section + within % modulo], (lane, delta)


def test_votes_see_active_lanes_only() -> None:
    kernel = CanonicalKernel(
        """
  %pm = load i32, ptr %b1
  %shifted = lshr i32 %pm, %lane
  %on = trunc i32 %shifted to i1
  br i1 %on, label %active, label %done
active:
  %odd = trunc i32 %lane to i1
  %ballot = call i64 @air.simd_ballot.i64(i1 %odd) {site 1}
  %mask = call i64 @air.simd_active_threads_mask.i64() {site 2}
  %all = call i1 @air.simd_all(i1 %odd) {site 3}
  %any = call i1 @air.simd_any(i1 %odd) {site 4}
  %first = call i1 @air.simd_is_first() {site 5}
  %quad = call i16 @air.quad_ballot.i16(i1 %odd) {site 6}
  %v0 = getelementptr [6 x i64], ptr %b0, i32 %lane
  store i64 %ballot, ptr %v0
  %v1 = getelementptr i64, ptr %v0, i32 1
  store i64 %mask, ptr %v1
  %x2 = zext i1 %all to i64
  %v2 = getelementptr i64, ptr %v0, i32 2
  store i64 %x2, ptr %v2
  %x3 = zext i1 %any to i64
  %v3 = getelementptr i64, ptr %v0, i32 3
  store i64 %x3, ptr %v3
  %x4 = zext i1 %first to i64
  %v4 = getelementptr i64, ptr %v0, i32 4
  store i64 %x4, ptr %v4
  %x5 = zext i16 %quad to i64
  %v5 = getelementptr i64, ptr %v0, i32 5
  store i64 %x5, ptr %v5
  br label %done
done:
  ret void""",
        2,
        """
declare i64 @air.simd_ballot.i64(i1)
declare i64 @air.simd_active_threads_mask.i64()
declare i1 @air.simd_all(i1)
declare i1 @air.simd_any(i1)
declare i1 @air.simd_is_first()
declare i16 @air.quad_ballot.i16(i1)""",
    )
    odd = 0xAAAAAAAA
    for mask in (0xFFFFFFFF, 0xAAAA0000, 0x55550000, 0x00F0F001):
        out = np.full((LANES, 6), -1, np.int64)
        kernel(out, np.array([mask], np.uint32), grid=(LANES,), threadgroup=(LANES,))
        first = (mask & -mask).bit_length() - 1
        for lane in range(LANES):
            if not mask >> lane & 1:
                assert np.all(out[lane] == -1)
                continue
            votes, quad = mask & odd, lane // 4 * 4
            assert out[lane].tolist() == [
                votes, mask, votes == mask, votes != 0, lane == first, votes >> quad & 15
            ]  # fmt: skip


def test_lanes_on_both_sides_of_a_branch_act_apart_and_meet_again() -> None:
    kernel = CanonicalKernel(
        """
  %odd = trunc i32 %lane to i1
  br i1 %odd, label %then, label %else
then:
  %a = call i32 @air.simd_sum.u.i32(i32 1) {site 1}
  br label %join
else:
  %b = call i32 @air.simd_sum.u.i32(i32 %lane) {site 2}
  br label %join
join:
  %c = phi i32 [ %a, %then ], [ %b, %else ]
  %d = call i32 @air.simd_sum.u.i32(i32 1) {site 3}
  %e = mul i32 %d, 1000
  %f = add i32 %c, %e
  %p = getelementptr i32, ptr %b0, i32 %lane
  store i32 %f, ptr %p
  ret void""",
        1,
        "declare i32 @air.simd_sum.u.i32(i32)",
    )
    out = np.zeros(LANES, np.uint32)
    kernel(out, grid=(LANES,), threadgroup=(LANES,))
    even_sum = sum(range(0, LANES, 2))
    assert out.tolist() == [32016 if lane % 2 else 32000 + even_sum for lane in range(LANES)]


def test_a_loop_with_a_different_count_per_lane_sums_those_still_in_it() -> None:
    kernel = CanonicalKernel(
        """
  br label %loop
loop:
  %i = phi i32 [ 0, %0 ], [ %next, %loop ]
  %t = phi i32 [ 0, %0 ], [ %total, %loop ]
  %s = call i32 @air.simd_sum.u.i32(i32 1) {site 1}
  %total = add i32 %t, %s
  %next = add i32 %i, 1
  %more = icmp ule i32 %next, %lane
  br i1 %more, label %loop, label %done
done:
  %p = getelementptr i32, ptr %b0, i32 %lane
  store i32 %total, ptr %p
  ret void""",
        1,
        "declare i32 @air.simd_sum.u.i32(i32)",
    )
    out = np.zeros(LANES, np.uint32)
    kernel(out, grid=(LANES,), threadgroup=(LANES,))
    assert out.tolist() == [sum(LANES - i for i in range(lane + 1)) for lane in range(LANES)]


@pytest.mark.parametrize(
    ("air_type", "element"), [("f32", "float"), ("f16", "half"), ("bf16", "bfloat")]
)
@pytest.mark.parametrize("transpose", [False, True])
def test_matrices_load_multiply_and_store(air_type: str, element: str, transpose: bool) -> None:
    """D = A · B + C with A from the middle of a wider array, transposed or not."""
    flag = "true" if transpose else "false"
    convert = element != "float"
    widen = [
        f"%w{n} = fpext <2 x {element}> %{n} to <2 x float>" if convert
        else f"%w{n} = fadd <2 x float> %{n}, splat (float -0.0)"
        for n in "abc"
    ]  # fmt: skip
    narrow = (
        f"%d = fptrunc <2 x float> %wide to <2 x {element}>"
        if convert
        else "%d = fadd <2 x float> %wide, splat (float -0.0)"
    )
    load = f"air.simdgroup_matrix_8x8_load.v64{air_type}.p1{air_type}"
    store = f"air.simdgroup_matrix_8x8_store.v64{air_type}.p1{air_type}"
    mma = "air.simdgroup_matrix_8x8_multiply_accumulate.v64f32.v64f32.v64f32.v64f32"
    lines = "\n  ".join(widen)
    plain = "<2 x i64> zeroinitializer, i1 false"
    kernel = CanonicalKernel(
        f"""
  %a = call <2 x {element}> @{load}(ptr %b1, i64 20, <2 x i64> <i64 3, i64 5>, i1 {flag}) {{site 1}}
  %b = call <2 x {element}> @{load}(ptr %b2, i64 8, {plain}) {{site 2}}
  %c = call <2 x {element}> @{load}(ptr %b3, i64 8, {plain}) {{site 3}}
  {lines}
  %wide = call <2 x float> @{mma}(<2 x float> %wa, <2 x float> %wb, <2 x float> %wc) {{site 4}}
  {narrow}
  call void @{store}(<2 x {element}> %d, ptr %b0, i64 8, {plain}) {{site 5}}
  ret void""",
        4,
        f"""
declare <2 x {element}> @{load}(ptr, i64, <2 x i64>, i1)
declare void @{store}(<2 x {element}>, ptr, i64, <2 x i64>, i1)
declare <2 x float> @{mma}(<2 x float>, <2 x float>, <2 x float>)""",
    )
    dtype = TYPES[air_type][1]
    rng = np.random.default_rng(3)
    # Small integers: exact in every type, so that nothing but the right elements passes.
    wide = rng.integers(-3, 4, (16, 20)).astype(dtype)
    b, c = (rng.integers(-3, 4, (8, 8)).astype(dtype) for _ in range(2))
    out = np.zeros((8, 8), dtype)
    assert kernel(out, wide, b, c, grid=(LANES,), threadgroup=(LANES,)) is None
    a = wide[5:13, 3:11].astype(np.float64)
    exact = (a.T if transpose else a) @ b.astype(np.float64) + c.astype(np.float64)
    np.testing.assert_array_equal(out.astype(np.float64), exact)


def test_matrices_are_filled_and_diagonal() -> None:
    store = "air.simdgroup_matrix_8x8_store.v64f32.p1f32"
    names = [f"air.simdgroup_matrix_8x8_init_{kind}.v64f32.f32" for kind in ("filled", "diag")]
    plain = "<2 x i64> zeroinitializer, i1 false"
    kernel = CanonicalKernel(
        f"""
  %f = call <2 x float> @{names[0]}(float 2.5) {{site 1}}
  %d = call <2 x float> @{names[1]}(float -4.0) {{site 2}}
  call void @{store}(<2 x float> %f, ptr %b0, i64 8, {plain}) {{site 3}}
  call void @{store}(<2 x float> %d, ptr %b1, i64 8, {plain}) {{site 4}}
  ret void""",
        2,
        f"""
declare <2 x float> @{names[0]}(float)
declare <2 x float> @{names[1]}(float)
declare void @{store}(<2 x float>, ptr, i64, <2 x i64>, i1)""",
    )
    filled, diagonal = np.zeros((2, 8, 8), np.float32)
    kernel(filled, diagonal, grid=(LANES,), threadgroup=(LANES,))
    np.testing.assert_array_equal(filled, np.full((8, 8), 2.5))
    np.testing.assert_array_equal(diagonal, np.eye(8) * -4)
