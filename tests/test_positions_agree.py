"""Arithmetic on positions, in 8 to 64 bits and with wrap-around: both engines make the same of it.

The vectoriser keeps what follows from positions as a scalar and offsets known when compiling.
Random chains of operations with random constants find where the numbers leave their bits.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from canonical_launch import launch
from two_engines import canonical

import pymetal

SEEDS = 24
CHAINS = 12  # in a kernel
POSITIONS = ["lane", "tid.x", "tid.y", "gid.x", "gid.y", "index", "quad_lane", "quad", "sg"]
BITS = {"uchar": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "ulong": 64, "long": 64}
UNSIGNED = {"short": "ushort", "int": "uint", "long": "ulong"}
LAUNCHES = [((96, 2), (32, 2)), ((33, 3), (16, 2)), ((200,), (100,)), ((64, 6), (8, 4))]


def chain(choose: random.Random) -> tuple[str, str]:
    """An expression of positions and constants, and its type."""
    type_ = choose.choice(list(BITS))
    text = f"{type_}({choose.choice(POSITIONS)})"
    for k in range(choose.randint(1, 6)):
        # What makes numbers large and what looks at their upper bits take turns, often.
        operation = choose.choice(choose.choice(["+-*/%&|^<>cp", "**<+-" if k % 2 else "/%>&c"]))
        if operation == "c":
            type_ = choose.choice(list(BITS))
            text = f"{type_}({text})"
            continue
        bits = BITS[type_]
        whole = UNSIGNED.get(type_, type_)
        sizes = [9, 300, 70_000, 1 << bits]
        number = choose.randrange(choose.choice(sizes)) % (1 << bits)
        if choose.random() < 0.3:
            number = 1 << choose.randrange(bits)
        if operation == "p":
            text = f"{type_}({whole}({text}) + {whole}({choose.choice(POSITIONS)}))"
        elif operation in "<>":
            text = f"{type_}({whole}({text}) {2 * operation} {number % bits})"
        elif operation in "/%":
            positive = number % (1 << bits - 1) or 1
            text = f"{type_}({text} {operation} {type_}({positive}ul))"
        else:
            text = f"{type_}({whole}({whole}({text}) {operation} {whole}({number}ul)))"
    return text, type_


def source(seed: int) -> str:
    """A kernel that writes what chains come to, or what lies there."""
    choose = random.Random(seed)
    lines = []
    for k in range(CHAINS):
        text, type_ = chain(choose)
        index = text if BITS[type_] < 64 else f"uint({text})"
        uses = [f"uint({text})", f"x[uint({text}) & 4095u]"]
        uses.append(f"uint({text}) < 4096u ? x[{index}] : 7u")
        lines.append(f"out[{CHAINS} * place + {k}] = {choose.choice(uses)};")
    return f"""
    #include <metal_stdlib>
    using namespace metal;
    kernel void k(device uint* out [[buffer(0)]], device const uint* x [[buffer(1)]],
        uint3 gid [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
        uint3 tid [[thread_position_in_threadgroup]],
        uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
        uint quad_lane [[thread_index_in_quadgroup]],
        uint quad [[quadgroup_index_in_threadgroup]],
        uint sg [[simdgroup_index_in_threadgroup]])
    {{
        uint place = (gid.z * grid.y + gid.y) * grid.x + gid.x;
        {chr(10).join(lines)}
    }}"""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_chains_of_operations_on_positions_agree(seed: int) -> None:
    (function,) = canonical(source(seed), "k")
    grid, threadgroup = LAUNCHES[seed % len(LAUNCHES)]
    x = np.random.default_rng(seed).integers(0, 1 << 32, 4096, np.uint32)
    results = []
    for engine in ("reference", "vectorised"):
        out = np.zeros((int(np.prod(grid)), CHAINS), np.uint32)
        launch(function, [out, x], grid, threadgroup, engine=engine)
        results.append(out)
    lines = [line for line in source(seed).splitlines() if "out[" in line and "=" in line]
    wrong = np.flatnonzero((results[0] != results[1]).any(axis=0))
    assert not len(wrong), "\n".join(lines[k] for k in wrong)


N = 64
LANES = np.arange(N, dtype=np.uint64) % 32
KNOWN = {
    "ushort(lane * 9001) / 7": (LANES * 9001) % (1 << 16) // 7,
    "ushort(lane * 9001) % 61": (LANES * 9001) % (1 << 16) % 61,
    "(lane << 28) / 3": (LANES << np.uint64(28)) % (1 << 32) // 3,
    "(lane * 0x40000001u) >> 29": (LANES * 0x40000001) % (1 << 32) >> np.uint64(29),
}


@pytest.mark.parametrize("text", KNOWN)
def test_a_product_of_the_lane_wraps_before_it_is_divided(device, text: str) -> None:
    kernel = pymetal.compile(
        f"""kernel void k(device uint* out [[buffer(0)]], uint i [[thread_position_in_grid]],
                          uint lane [[thread_index_in_simdgroup]]) {{ out[i] = {text}; }}""",
        device=device,
    ).k
    out = pymetal.zeros(N, np.uint32)
    kernel(out, grid=N, threadgroup=32)
    np.testing.assert_array_equal(np.array(out), KNOWN[text])
