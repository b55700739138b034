"""`pymetal.bench`: what is measured, counted and refused. Durations themselves are not tested."""

from __future__ import annotations

import numpy as np
import pytest
from fake_device import FakeDevice, buffer

import pymetal
from pymetal.air.function import Function
from pymetal.devices import Binding
from pymetal.kernel import Kernel

COPY = Function(
    "copy", "copy", (buffer("device float* out", 0), buffer("device const float* x", 1))
)


@pytest.fixture
def fake() -> FakeDevice:
    return FakeDevice(COPY)


@pytest.fixture
def kernel(fake) -> Kernel:
    library = fake.library_from_metallib(b"MTLB", "copy")
    return Kernel(fake, library.pipeline("copy", {}))


def test_calls_are_measured_after_warming_up(kernel, fake):
    timing = pymetal.bench(
        kernel, pymetal.output(8), np.ones(8, np.float32), grid=8, threadgroup=8, seconds=0.01
    )
    assert len(timing.seconds) >= 5
    assert len(fake.launches) > len(timing.seconds)
    assert list(timing.seconds) == sorted(timing.seconds)
    assert timing.seconds[0] <= timing.quantile(0.2) <= timing.median <= timing.seconds[-1]
    assert timing.size_bytes == 64
    assert timing.gb_per_second == pytest.approx(64 / timing.median / 1e9)
    assert timing.gflop_per_second is None
    assert "copy on fake (fake): median" in str(timing)


def test_outputs_are_allocated_once(kernel, fake):
    x = np.ones(8, np.float32)
    pymetal.bench(kernel, pymetal.output(8), x, grid=8, threadgroup=8, seconds=0)
    outputs: list[Binding] = [bindings[0] for bindings, *_ in fake.launches]
    assert len({binding.array.__array_interface__["data"][0] for binding in outputs}) == 1


def test_amounts_that_are_given_count(kernel):
    timing = pymetal.bench(
        kernel,
        pymetal.output(8),
        np.ones(8, np.float32),
        grid=8,
        threadgroup=8,
        warmup_seconds=0,
        seconds=0,
        flops=1e9,
        size_bytes=5,
    )
    facts = timing.as_json()
    assert facts["calls"] == 5
    assert facts["size_bytes"] == 5
    assert facts["gflop_per_second"] == pytest.approx(1 / timing.median)


def test_caches_are_overwritten_between_calls_and_the_end_is_announced(kernel):
    done: list[float] = []
    timing = pymetal.bench(
        kernel,
        pymetal.output(8),
        np.ones(8, np.float32),
        grid=8,
        threadgroup=8,
        warmup_seconds=0,
        seconds=0.01,
        cold_cache=True,
        on_call=done.append,
    )
    assert len(done) == len(timing.seconds)
    assert done[-1] == 1.0


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_durations_that_are_none_are_refused(kernel, wrong):
    with pytest.raises(pymetal.ArgumentError, match="not a number of seconds"):
        pymetal.bench(kernel, grid=8, threadgroup=8, seconds=wrong)


def test_bad_values_are_refused_as_in_a_call(kernel):
    with pytest.raises(pymetal.ArgumentError, match="takes 2 values"):
        pymetal.bench(kernel, pymetal.output(8), grid=8, threadgroup=8)


def test_values_by_name_and_threadgroups_are_as_in_a_call(kernel, fake):
    timing = pymetal.bench(
        kernel,
        x=np.ones(8, np.float32),
        out=pymetal.output(8),
        threadgroups=2,
        threadgroup=4,
        warmup_seconds=0,
        seconds=0,
    )
    assert timing.size_bytes == 64
    assert {(grid, threadgroup) for _, _, grid, threadgroup in fake.launches} == {
        ((8, 1, 1), (4, 1, 1))
    }
    assert len({bindings[0].array.ctypes.data for bindings, *_ in fake.launches}) == 1
