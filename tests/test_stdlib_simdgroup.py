"""<metal_simdgroup> and <metal_quadgroup>: Metal Shading Language Specification, 6.9.2 and 6.9.3.

What the operations themselves do, under divergence too, is tested on the engine; here it is that
every function reaches the right one, for scalars and vectors of every type.
"""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import DTYPES, INTEGERS, PREAMBLE, WIDTHS, Call, calls, compile_calls

import pymetal

FLOATS = ("float", "half", "bfloat")
CROSSING = tuple(t for t in INTEGERS if t not in ("long", "ulong"))  # which Metal refuses
GROUPS = {"simd": 32, "quad": 4}
PREFIXES = (
    "prefix_inclusive_sum prefix_exclusive_sum prefix_inclusive_product prefix_exclusive_product"
)
REDUCTIONS = "sum product min max"
BITS = "and or xor"
SHUFFLES = (
    "broadcast shuffle shuffle_up shuffle_down shuffle_xor shuffle_rotate_up shuffle_rotate_down"
)
FILLS = "shuffle_and_fill_up shuffle_and_fill_down"


@pytest.mark.parametrize("group", GROUPS)
def test_every_function_compiles_for_every_type(device, group):
    every = [
        Call("bool", f"{group}_all(a)", ("bool",)),
        Call("bool", f"{group}_any(a)", ("bool",)),
        Call("bool", f"{group}_is_first()"),
        Call("bool", f"{group}_ballot(a).all()", ("bool",)),
        Call("bool", f"{group}_active_threads_mask().any()"),
        Call("ulong", f"({group}_vote::vote_t){group}_ballot(a)", ("bool",)),
        Call("ulong", f"static_cast<{group}_vote::vote_t>({group}_vote(3))"),
    ]
    for t in (*FLOATS, *CROSSING):
        names = f"{REDUCTIONS} {PREFIXES} broadcast_first" + (f" {BITS}" if t in CROSSING else "")
        every += calls(names, t, t, prefix=f"{group}_")
        for w in WIDTHS:
            v = t + w
            every += [Call(v, f"{group}_{n}(a, b)", (v, "ushort")) for n in SHUFFLES.split()]
            for n in FILLS.split():
                every.append(Call(v, f"{group}_{n}(a, b, c)", (v, v, "ushort")))
                every.append(Call(v, f"{group}_{n}(a, b, c, d)", (v, v, "ushort", "ushort")))
    compile_calls(every, device)


@pytest.mark.parametrize(
    ("call", "t"),
    [
        ("simd_and(a)", "float"),
        ("quad_xor(a)", "half2"),
        ("simd_sum(a)", "bool"),
        ("simd_shuffle(a, 0)", "float2x2"),
        ("simd_scan(a)", "float"),
        ("quad_prefix_inclusive_max(a)", "int"),
    ],
)
def test_what_metal_lacks_is_a_compile_error_that_names_it(device, call, t):
    with pytest.raises(pymetal.CompileError, match=call.split("(")[0]):
        compile_calls([Call("void", call, (t,))], device)


def run(t: str, functions: dict[str, str], x: np.ndarray, device: str, v: str = "") -> dict:
    """`functions` of a (this thread's element or vector) and lane, in whole threadgroups of 64."""
    lanes = int(v) if v else 1
    stores = ""
    for i, expression in enumerate(functions.values()):
        stores += f"{{ {t}{v} r = {expression}; "
        for k in range(lanes):
            element = f"r[{k}]" if v else "r"
            stores += f"out[({i} * n + i) * {lanes} + {k}] = {element}; "
        stores += "}\n"
    parts = ", ".join(f"x[i * {lanes} + {k}]" for k in range(lanes))
    kernel = pymetal.compile(
        PREAMBLE
        + f"""
        kernel void k(device {t}* out [[buffer(0)]], device const {t}* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]], uint n [[threads_per_grid]],
                      uint lane [[thread_index_in_simdgroup]]) {{
            {t}{v} a = {f"{t}{v}({parts})" if v else parts};
            {stores}
        }}""",
        device=device,
    ).kernel("k")
    threads = x.size // lanes
    out = pymetal.output((len(functions), threads, lanes))
    return dict(zip(functions, kernel(out, x, grid=threads, threadgroup=64), strict=True))


def expected(name: str, size: int, x: np.ndarray) -> np.ndarray:
    """x as (groups, size, ...): the operation over axis 1, in x's own type."""
    one = x.dtype.type(1)
    lane = np.arange(size)
    shift = 3
    if name in ("sum", "product", "min", "max", "and", "or", "xor"):
        ufunc = {
            "sum": np.add, "product": np.multiply, "min": np.minimum, "max": np.maximum,
            "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
        }[name]  # fmt: skip
        return np.broadcast_to(ufunc.reduce(x, axis=1, keepdims=True, dtype=x.dtype), x.shape)
    if name.startswith("prefix"):
        ufunc = np.multiply if "product" in name else np.add
        inclusive = ufunc.accumulate(x, axis=1, dtype=x.dtype)
        if "inclusive" in name:
            return inclusive
        first = np.full_like(x[:, :1], one if "product" in name else 0)
        return np.concatenate([first, inclusive[:, :-1]], axis=1)
    source = {
        "broadcast_first": np.zeros(size, int),
        "broadcast": np.full(size, 2),
        "shuffle": (lane * 3 + 1) % size,
        "shuffle_up": np.where(lane >= shift, lane - shift, lane),
        "shuffle_down": np.where(lane + shift < size, lane + shift, lane),
        "shuffle_xor": lane ^ shift,
        "shuffle_rotate_up": (lane - shift) % size,
        "shuffle_rotate_down": (lane + shift) % size,
    }[name]
    return x[:, source]


def call_of(group: str, name: str, size: int) -> str:
    if name not in SHUFFLES.split():
        return f"{group}_{name}(a)"
    argument = {"broadcast": "2", "shuffle": f"(lane * 3 + 1) % {size}"}.get(name, "3")
    return f"{group}_{name}(a, {argument})"


@pytest.mark.parametrize("t", [*FLOATS, *CROSSING])
@pytest.mark.parametrize("group", GROUPS)
def test_functions_act_over_their_group(device, group, t):
    size = GROUPS[group]
    rng = np.random.default_rng(1)
    names = f"{REDUCTIONS} {PREFIXES} broadcast_first {SHUFFLES}".split()
    if t in CROSSING:
        info = np.iinfo(DTYPES[t])
        x = rng.integers(info.min, info.max, 128, DTYPES[t], endpoint=True)
        names += BITS.split()
    else:  # powers of two: every sum and product of a quad or a simdgroup is exact
        x = np.where(rng.random(128) < 0.5, 1, 2).astype(DTYPES[t])
        x[rng.random(128) < 0.2] = 0.5
        names.remove("sum")
        names = [n for n in names if not n.endswith("product") or t == "float"]
    functions = {name: call_of(group, name, size) for name in names}
    results = run(t, functions, x, device)
    grouped = x.reshape(-1, size)
    for name in names:
        with np.errstate(over="ignore"):
            exact = expected(name, size, grouped).ravel()
        assert (results[name][:, 0] == exact).all(), name


@pytest.mark.parametrize("v", ["2", "3", "4"])
@pytest.mark.parametrize("group", GROUPS)
def test_vectors_are_taken_lane_by_lane(device, group, v):
    size, lanes = GROUPS[group], int(v)
    x = np.random.default_rng(2).integers(-(2**31), 2**31, 128 * lanes, np.int32)
    names = f"{REDUCTIONS} {PREFIXES} {BITS} broadcast_first {SHUFFLES}".split()
    functions = {name: call_of(group, name, size) for name in names}
    functions["fill"] = f"{group}_shuffle_and_fill_down(a, a * 2, 1)"
    results = run("int", functions, x, device, v)
    grouped = x.reshape(-1, size, lanes)
    with np.errstate(over="ignore"):
        for name in names:
            exact = expected(name, size, grouped).reshape(-1, lanes)
            assert (results[name] == exact).all(), name
        filled = np.concatenate([grouped[:, 1:], grouped[:, :1] * np.int32(2)], axis=1)
    assert (results["fill"] == filled.reshape(-1, lanes)).all()


@pytest.mark.parametrize("modulo", [2, 4, 8, 32])
def test_fill_shifts_within_vectors_of_modulo_lanes(device, modulo):
    x = np.arange(64, dtype=np.int32)
    argument = "" if modulo == 32 else f", {modulo}"
    results = run(
        "int",
        {
            "up": f"simd_shuffle_and_fill_up(a, a + 1000, 1{argument})",
            "down": f"simd_shuffle_and_fill_down(a, a + 1000, 1{argument})",
        },
        x,
        device,
    )
    vectors = x.reshape(-1, modulo)
    up = np.concatenate([vectors[:, -1:] + 1000, vectors[:, :-1]], axis=1)
    down = np.concatenate([vectors[:, 1:], vectors[:, :1] + 1000], axis=1)
    assert (results["up"][:, 0] == up.ravel()).all()
    assert (results["down"][:, 0] == down.ravel()).all()


def test_votes_hold_a_bit_for_each_lane(device):
    x = np.arange(64, dtype=np.uint64)
    results = run(
        "ulong",
        {
            "ballot": "ulong((simd_vote::vote_t)simd_ballot(a % 3 == 0))",
            "all": "ulong(simd_all(a < 64)) + 2 * ulong(simd_all(a < 63))",
            "any": "ulong(simd_any(a == 5)) + 2 * ulong(simd_ballot(a == 40).any())",
            "mask": "ulong((simd_vote::vote_t)simd_active_threads_mask())",
            "first": "ulong(simd_is_first())",
            "quad ballot": "ulong((quad_vote::vote_t)quad_ballot(a % 3 == 0))",
            "quad first": "ulong(quad_is_first())",
            "quad mask": "ulong((quad_vote::vote_t)quad_active_threads_mask())",
            "vote": "ulong(simd_vote(0xffffffff).all()) + 2 * ulong(quad_vote(31).all())",
        },
        x,
        device,
    )
    thirds = (x % 3 == 0).reshape(2, 32)
    ballots = [sum(1 << k for k in range(32) if row[k]) for row in thirds]
    assert (results["ballot"][:, 0] == np.repeat(ballots, 32)).all()
    assert (results["all"][:, 0] == np.repeat([3, 1], 32)).all()
    assert (results["any"][:, 0] == np.repeat([1, 2], 32)).all()
    assert (results["mask"] == 0xFFFFFFFF).all()
    assert (results["first"][:, 0] == (x % 32 == 0)).all()
    quads = [sum(1 << k for k in range(4) if (4 * q + k) % 3 == 0) for q in range(16)]
    assert (results["quad ballot"][:, 0] == np.repeat(quads, 4)).all()
    assert (results["quad first"][:, 0] == (x % 4 == 0)).all()
    assert (results["quad mask"] == 15).all()
    assert (results["vote"] == 3).all()


def test_only_active_lanes_take_part(device):
    x = np.arange(64, dtype=np.int32)
    kernel = pymetal.compile(
        PREAMBLE
        + """
        kernel void k(device int* out [[buffer(0)]], device const int* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
            out[i] = -1;
            if (x[i] % 2 == 1) out[i] = simd_sum(x[i]);
        }""",
        device=device,
    ).kernel("k")
    result = kernel(pymetal.output(64), x, grid=64, threadgroup=64)
    odd = x.reshape(2, 32)[:, 1::2].sum(axis=1)
    assert (result.reshape(2, 32)[:, 1::2] == odd[:, None]).all()
    assert (result[::2] == -1).all()
