"""The reference engine: native code, conversions, mathematics, what it refuses and faults on."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import cache

import ml_dtypes
import numpy as np
import pytest
from canonical_ir import CanonicalKernel

import pymetal
from pymetal import _native
from pymetal.cpu.compiled import Compiled
from pymetal.errors import KernelFault, UnsupportedError


@cache
def convert(symbol: str, source: str, target: str) -> CanonicalKernel:
    """out[i] = symbol(in[i]), called by name even where the processor has an instruction."""
    return CanonicalKernel(
        f"""
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %i = zext i32 %x to i64
  %pi = getelementptr {source}, ptr %b1, i64 %i
  %v = load {source}, ptr %pi
  %r = call {target} @{symbol}({source} %v)
  %po = getelementptr {target}, ptr %b0, i64 %i
  store {target} %r, ptr %po
  ret void""",
        2,
        f"declare {target} @{symbol}({source})",
    )


def floats_around_every_half() -> np.ndarray:
    """Each half, the float above and below it, and the ties between neighbours."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = halves[np.isfinite(halves)]
    ties = (finite[:-1] + finite[1:]) / 2
    values = np.concatenate([finite, ties])
    around = [np.nextafter(values, np.float32(direction)) for direction in (-np.inf, np.inf)]
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 200_000, np.uint32).view(np.float32)
    return np.concatenate([values, *around, halves, bits]).astype(np.float32)


def assert_same_bits_or_nan(actual: np.ndarray, expected: np.ndarray) -> None:
    nan = np.isnan(expected.astype(np.float64))
    np.testing.assert_array_equal(np.isnan(actual.astype(np.float64)), nan)
    assert actual[~nan].tobytes() == expected[~nan].tobytes()


@pytest.mark.parametrize(
    ("symbol", "source", "target"),
    [
        ("__truncsfhf2", np.float32, np.float16),
        ("__truncdfhf2", np.float64, np.float16),
        ("__extendhfsf2", np.float16, np.float32),
        ("__extendhfdf2", np.float16, np.float64),
        ("__truncsfbf2", np.float32, ml_dtypes.bfloat16),
        ("__extendbfsf2", ml_dtypes.bfloat16, np.float32),
    ],
)
def test_conversions_of_small_floats_are_exact_to_the_bit(symbol, source, target) -> None:
    llvm = {2: "half", 4: "float", 8: "double"}
    names = [
        "bfloat" if t is ml_dtypes.bfloat16 else llvm[np.dtype(t).itemsize]
        for t in (source, target)
    ]
    if np.dtype(source).itemsize == 2:
        values = np.arange(1 << 16, dtype=np.uint16).view(source)
    else:
        with np.errstate(invalid="ignore"):
            values = floats_around_every_half().astype(source)
    if source is np.float64:  # what double rounding through float would get wrong
        tie = np.float64(1 + 2**-11)
        values = np.concatenate([values, [tie + 2**-40, tie - 2**-40, tie]])
    out = np.zeros(values.shape, target)
    convert(symbol, *names)(out, values, grid=values.shape, threadgroup=(256,))
    with np.errstate(over="ignore", invalid="ignore"):
        assert_same_bits_or_nan(out, values.astype(target))


def test_double_to_bfloat_rounds_once() -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(1, 10_000).astype(ml_dtypes.bfloat16).astype(np.float64)
    step = 2.0 ** (np.floor(np.log2(values)) - 8)  # half of bfloat's, which has 7 fraction bits
    tie = values + step  # half way to the next bfloat, give or take far less than a float's step
    above, below = tie + step * 2**-30, tie - step * 2**-30
    kernel = convert("__truncdfbf2", "double", "bfloat")
    results = []
    for inputs in (above, below):
        out = np.zeros(inputs.shape, ml_dtypes.bfloat16)
        kernel(out, inputs, grid=inputs.shape, threadgroup=(100,))
        results.append(out.astype(np.float64))
    np.testing.assert_array_equal(results[0], values + 2 * step)
    np.testing.assert_array_equal(results[1], values)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sinpi", lambda x: np.sin(np.pi * np.fmod(x, 2))),
        ("cospi", lambda x: np.cos(np.pi * np.fmod(x, 2))),
        ("acosh", lambda x: np.arccosh(np.abs(x) + 1)),
        ("asinh", np.arcsinh),
        ("atanh", lambda x: np.arctanh(np.fmod(x, 1))),
        ("erf", None),
        ("cbrt", np.cbrt),
        ("expm1", np.expm1),
    ],
)
def test_mathematics_agrees_with_float64(name, function) -> None:
    import math

    kernel = convert(f"air.{name}.f32", "float", "float")
    values = np.random.default_rng(0).uniform(-30, 30, 4096).astype(np.float32)
    if name == "acosh":
        values = np.abs(values) + 1
        function = np.arccosh
    if name == "atanh":
        values = np.fmod(values, 1).astype(np.float32)
        function = np.arctanh
    if function is None:
        function = np.vectorize(math.erf)
    out = np.zeros_like(values)
    kernel(out, values, grid=values.shape, threadgroup=(256,))
    exact = function(values.astype(np.float64))
    # The C library's float functions are within 2 units in the last place of the result; near
    # the zeros of sinpi and cospi NumPy's own reduction of pi * x leaves 2^-52 * 2 pi.
    np.testing.assert_allclose(out, exact, rtol=2 * np.finfo(np.float32).eps, atol=1e-14)


def test_sinpi_and_cospi_are_exact_at_halves_and_integers() -> None:
    values = np.array([0, 0.5, 1, 1.5, 2, -0.5, -1, 2**25, 2.0**23 + 1, np.inf], np.float32)
    results = {}
    for name in ("sinpi", "cospi"):
        out = np.zeros_like(values)
        convert(f"air.{name}.f32", "float", "float")(
            out, values, grid=values.shape, threadgroup=(32,)
        )
        results[name] = out
    np.testing.assert_array_equal(results["sinpi"], [0, 1, 0, -1, 0, -1, 0, 0, 0, np.nan])
    np.testing.assert_array_equal(results["cospi"], [1, 0, -1, 0, 1, 0, -1, 1, -1, np.nan])


@pytest.mark.parametrize(("name", "dtype"), [("f16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_nextafter_of_small_floats_steps_in_their_own_type(name: str, dtype) -> None:
    type_ = {"f16": "half", "bf16": "bfloat"}[name]
    kernel = CanonicalKernel(
        f"""
  %x = extractelement <3 x i32> %thread_position_in_grid, i32 0
  %p1 = getelementptr {type_}, ptr %b1, i32 %x
  %p2 = getelementptr {type_}, ptr %b2, i32 %x
  %p0 = getelementptr {type_}, ptr %b0, i32 %x
  %a = load {type_}, ptr %p1
  %b = load {type_}, ptr %p2
  %r = call {type_} @air.nextafter.{name}({type_} %a, {type_} %b)
  store {type_} %r, ptr %p0
  ret void""",
        3,
        f"declare {type_} @air.nextafter.{name}({type_}, {type_})",
    )
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 16, (2, 5000), np.uint16)
    bits[:, :4] = [[0, 0x8000, 0, 1], [1, 1, 0x8000, 0]]
    a, b = bits.view(dtype)
    out = np.zeros_like(a)
    kernel(out, a, b, grid=a.shape, threadgroup=(100,))
    with np.errstate(invalid="ignore"):
        expected = np.nextafter(a, b)
    np.testing.assert_array_equal(out.astype(np.float32), expected.astype(np.float32))


def test_code_that_is_damaged_is_refused_not_run() -> None:
    code = convert("__truncsfhf2", "float", "half").compiled.code
    _native.Code(code)
    for length in range(0, len(code), 7):
        with pytest.raises(ValueError, match="object code"):
            _native.Code(code[:length])
    rng = np.random.default_rng(0)
    for _ in range(3000):  # loaded, never run: loading must neither crash nor read elsewhere
        damaged = bytearray(code)
        for _ in range(rng.integers(1, 8)):
            damaged[rng.integers(len(code))] = rng.integers(256)
        with suppress(ValueError, MemoryError):
            _native.Code(bytes(damaged))


def test_a_function_that_nobody_defines_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"air\.no_such_thing\.f32"):
        convert("air.no_such_thing.f32", "float", "float")


def test_compiled_kernels_survive_the_cache() -> None:
    compiled = convert("__truncsfhf2", "float", "half").compiled
    again = Compiled.from_bytes(compiled.to_bytes())
    assert again == compiled
    values, out = np.ones(1, np.float32), np.zeros(1, np.float16)
    fault = again.load().launch([out.ctypes.data, values.ctypes.data], [], (1, 1, 1), (1, 1, 1))
    assert fault is None
    assert out[0] == 1


SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void partial(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    if (i % 64 == 5)
        return;
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = i;
}

kernel void total(device uint* out [[buffer(0)]],
                  device const uint* in [[buffer(1)]],
                  threadgroup uint* parts [[threadgroup(0)]],
                  uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint group [[threadgroup_position_in_grid]]) {
    threadgroup atomic_uint visits;
    atomic_fetch_add_explicit(&visits, 1u, memory_order_relaxed);
    uint sum = simd_sum(in[i]);
    if (lane == 0)
        parts[simdgroup] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simdgroup != 0)
        return;
    uint all = simd_sum(lane < simdgroups ? parts[lane] : 0u);
    if (lane == 0) {
        out[2 * group] = all;
        out[2 * group + 1] = atomic_load_explicit(&visits, memory_order_relaxed);
    }
}
"""


def test_metal_source_runs_with_static_and_dynamic_threadgroup_memory() -> None:
    kernel = pymetal.compile(SOURCE, device="cpu").total
    assert kernel.report.engine in ("reference", "vectorised")
    values = np.random.default_rng(0).integers(0, 1 << 30, 1000, np.uint32)
    out = np.zeros((4, 2), np.uint32)
    kernel(out, values, grid=1000, threadgroup=300, threadgroup_memory={0: 128})
    ends = [0, 300, 600, 900, 1000]
    for i in range(4):
        part = values[ends[i] : ends[i + 1]]
        assert out[i].tolist() == [part.sum(dtype=np.uint32), part.size]


PRIVATE = """
#include <metal_stdlib>
using namespace metal;

kernel void reverse(device uint* out [[buffer(0)]], constant uint& n [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {
    uint own[SIZE];
    for (uint k = 0; k < n; ++k)
        own[(k * 7 + i) % SIZE] = k;
    BARRIER;
    uint last = 0;
    for (uint k = 0; k < n; ++k)
        last = last * 31 + own[(k * 13) % SIZE];
    out[i] = last;
}
"""


@pytest.mark.parametrize("barrier", ["(void)0", "threadgroup_barrier(mem_flags::mem_none)"])
@pytest.mark.parametrize("size", [1009, 300_007])
def test_arrays_of_a_thread_may_be_larger_than_a_usual_stack(barrier: str, size: int) -> None:
    """Written and read all over; launched from a thread whose own stack is small."""
    macros = {"SIZE": size, "BARRIER": barrier}
    kernel = pymetal.compile(PRIVATE, macros=macros, device="cpu").reverse
    out = np.zeros(3, np.uint32)
    threading.stack_size(256 * 1024)
    try:
        launch = threading.Thread(target=lambda: kernel(out, size, grid=3, threadgroup=3))
        launch.start()
        launch.join()
    finally:
        threading.stack_size(0)
    k = np.arange(size, dtype=np.int64)
    for i in range(3):
        own = np.zeros(size, np.int64)
        own[(k * 7 + i) % size] = k
        expected = 0
        for value in own[(k * 13) % size].tolist():
            expected = (expected * 31 + value) & 0xFFFFFFFF
        assert out[i] == expected


def test_arrays_beyond_reason_are_refused_with_their_size() -> None:
    macros = {"SIZE": 5_000_011, "BARRIER": "(void)0"}
    with pytest.raises(UnsupportedError, match=r"\d{8} bytes"):
        _ = pymetal.compile(PRIVATE, macros=macros, device="cpu").kernel("reverse")


def test_a_kernel_fault_says_which_threads_wait_and_which_never_came() -> None:
    kernel = pymetal.compile(SOURCE, device="cpu").partial
    with pytest.raises(KernelFault) as caught:
        kernel(np.zeros(128, np.float32), grid=128, threadgroup=64)
    fault = caught.value
    assert fault.kernel == "partial"
    assert fault.absent == (5,)
    assert fault.threadgroup == (0, 0, 0)
    assert "threads 0-4, 6-63 (63) waiting" in str(fault)
    assert "thread 5" in str(fault)


def test_the_engine_can_be_chosen_by_environment(monkeypatch) -> None:
    monkeypatch.setenv("PYMETAL_ENGINE", "reference")
    assert pymetal.compile(SOURCE, device="cpu").total.report.engine == "reference"
    monkeypatch.setenv("PYMETAL_ENGINE", "steam")
    with pytest.raises(pymetal.DeviceError, match="steam"):
        _ = pymetal.compile(SOURCE, device="cpu").partial
