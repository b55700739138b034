"""Code for processors with fewer instructions than this one: the same kernels, as correct."""

from __future__ import annotations

import platform

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

import llvmlite.binding as llvm
from random_kernels import SHAPES
from two_engines import both, canonical, differences

from pymetal.cpu import jit

if platform.machine() != "x86_64":
    pytest.skip("the levels are those of x86-64", allow_module_level=True)

# The levels of x86-64's ABI as LLVM calls them, and what of them the vectoriser asks for.
LEVELS = {
    "x86-64": "+sse2,-avx2,-fma",
    "x86-64-v2": "+sse2,-avx2,-fma",
    "x86-64-v3": "+sse2,+avx2,+fma",
}
SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void functions(device float* out [[buffer(0)]],
                      device const float* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]])
{
    float v = x[i];
    out[6 * i] = sin(v);
    out[6 * i + 1] = cos(v);
    out[6 * i + 2] = log(fabs(v));
    out[6 * i + 3] = floor(v);
    out[6 * i + 4] = trunc(v);
    out[6 * i + 5] = rint(v);
}
"""


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """Compile for that level, as if the processor had no more."""
    jit.target_machine()  # initialises LLVM
    host = jit.target_features().split(",")
    if not {f for f in LEVELS[request.param].split(",") if f[0] == "+"} <= set(host):
        pytest.skip(f"this processor is below {request.param}")
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    machines = {
        speed: target.create_target_machine(
            cpu=request.param, opt=speed, reloc="pic", codemodel="small", jit=False
        )
        for speed in (0, 1, 2)
    }
    monkeypatch.setattr(jit, "target_machine", lambda speed=2: machines[speed])
    monkeypatch.setattr(jit, "target_features", lambda: LEVELS[request.param])


def test_functions_are_as_exact(level):
    x = np.random.default_rng(0).uniform(-1, 1, 4096) * 10.0 ** (np.arange(4096) % 9)
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    exact = [f(wide) for f in (np.sin, np.cos, lambda v: np.log(np.abs(v)))]
    whole = [f(wide) for f in (np.floor, np.trunc, np.rint)]
    for engine in both(canonical(SOURCE, "functions")[0]):
        out = np.zeros((len(x), 6), np.float32)
        engine(out, x, grid=x.shape, threadgroup=(64,))
        # The specification's 4 units of the last place, at results of 0.5 and more; absolute below.
        error = np.abs(out[:, :3].T - exact) / np.maximum(np.abs(exact), 0.5)
        assert error.max() < 4 * 2.0**-23
        np.testing.assert_array_equal(out[:, 3:].T, whole)


def test_random_kernels_run_alike_on_both_engines(level):
    """Loads and stores of some lanes, gathers, votes, shuffles: written for what there is."""
    assert differences(range(6), 3, [SHAPES[0]]) == []
