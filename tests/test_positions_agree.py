"""What kernels compute from positions, where it may wrap around, is the same on both engines."""

from __future__ import annotations

import os

import numpy as np
import pytest
from canonical_launch import launch
from random_positions import ELEMENTS, LAUNCHES, STATEMENTS, RandomPositions
from two_engines import canonical

import pymetal

SEEDS = int(os.environ.get("PYMETAL_SEEDS", 32))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_follows_from_positions_agrees(seed: int) -> None:
    kernel = RandomPositions(seed)
    (function,) = canonical(kernel.source, "k")
    grid, threadgroup = LAUNCHES[seed % len(LAUNCHES)]
    x = np.random.default_rng(seed).integers(0, 1 << 32, ELEMENTS, np.uint32)
    n = np.array([kernel.n], np.uint32)
    results = []
    for engine in ("reference", "vectorised"):
        out = np.zeros((int(np.prod(grid)), STATEMENTS), np.uint32)
        launch(function, [out, x, n], grid, threadgroup, engine=engine)
        results.append(out)
    wrong = np.flatnonzero((results[0] != results[1]).any(axis=0))
    assert not len(wrong), "\n".join(kernel.statements[k] for k in wrong)


N = 64
LANES = np.arange(N, dtype=np.uint64) % 32
KNOWN = {  # with x[k] = k + 1
    "out[i] = ushort(lane * 9001) / 7;": LANES * 9001 % (1 << 16) // 7,
    "out[i] = ushort(lane * 9001) % 61;": LANES * 9001 % (1 << 16) % 61,
    "out[i] = (lane << 28) / 3;": LANES * (1 << 28) % (1 << 32) // 3,
    "out[i] = (lane * 0x40000001u) >> 29;": LANES * 0x40000001 % (1 << 32) // (1 << 29),
    "ushort q = ushort(lane) / 4; q *= 16384; if (short(x[2] & 99) < short(q)) out[i] = 1;": LANES
    // 4
    % 4
    == 1,
    "uint at = (lane << 31) + x[4]; if (at < 8) out[i] = x[at];": np.where(LANES % 2, 0, 6),
}


@pytest.mark.parametrize("body", KNOWN)
def test_multiples_of_the_lane_wrap_before_they_are_used(device, body: str) -> None:
    kernel = pymetal.compile(
        f"""kernel void k(device uint* out [[buffer(0)]], device const uint* x [[buffer(1)]],
                          uint i [[thread_position_in_grid]],
                          uint lane [[thread_index_in_simdgroup]]) {{ {body} }}""",
        device=device,
    ).k
    out = pymetal.zeros(N, np.uint32)
    kernel(out, np.arange(1, 9, dtype=np.uint32), grid=N, threadgroup=32)
    np.testing.assert_array_equal(np.array(out), KNOWN[body])
