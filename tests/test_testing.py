"""`pymetal.testing.assert_matches` and the pytest plugin: what they pass, and what they find."""

from __future__ import annotations

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import pymetal
from pymetal import ArgumentError, output, threadgroup_memory
from pymetal.testing import Case, assert_matches, edge_sizes
from pymetal.tolerance import compare, gamma

SOURCE = """\
#include <metal_stdlib>
using namespace metal;
constant int last [[function_constant(0)]];

kernel void scale(device float* out, device const float* x, constant float& factor,
                  uint i [[thread_position_in_grid]]) { out[i] = factor * x[i]; }

kernel void scale_but_lane_31(device float* out, device const float* x, constant float& factor,
    uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]])
{
    if (lane == 31)
        out[i] = x[i];
    else
        out[i] = factor * x[i];
}

kernel void forgets_the_last(device float* out, device const float* x,
    uint i [[thread_position_in_grid]], uint n [[threads_per_grid]])
{
    if (i + 1 < n) out[i] = x[i];
}

kernel void sum_rows(device float* out, device const float* x, constant uint& n,
                     uint i [[thread_position_in_grid]])
{
    float sum = 0;
    for (uint k = 0; k < n; ++k) sum += x[i * n + k];
    out[i] = sum;
}

kernel void add_in_place(device int* x, constant int2& step,
                         uint i [[thread_position_in_grid]]) { x[i] += step.x * step.y; }

kernel void halve(device half* low, device bfloat* high, device const half* x,
                  uint i [[thread_position_in_grid]])
{
    low[i] = x[i] / 2;
    high[i] = bfloat(float(x[i]) * 3);
}

kernel void reversed(device float* out, threadgroup float* tile [[threadgroup(0)]],
                     device const float* x, uint i [[thread_position_in_grid]],
                     uint t [[thread_position_in_threadgroup]])
{
    tile[t] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[7 - t];
}

kernel void inverse(device float* out, device const float* x,
                    uint i [[thread_position_in_grid]]) { out[i] = 1 / x[i]; }

kernel void up_to(device int* out, uint i [[thread_position_in_grid]])
{
    out[i] = min(int(i), last);
}
"""


@pytest.fixture(scope="module")
def libraries():
    return {name: pymetal.compile(SOURCE, device=name) for name in pymetal.device_names()}


@pytest.fixture
def library(device, libraries):
    return libraries[device]


def scaled(n, rng):
    return Case(output(n), rng.standard_normal(n, np.float32), 1.1, grid=n, threadgroup=64)


def failure(*arguments, **named) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_matches(*arguments, **named)
    return str(caught.value)


# --- what matches -------------------------------------------------------------------------------


def test_a_right_kernel_matches_at_every_edge(library):
    seen = []

    def reference(x, factor):
        seen.append(x.size)
        assert x.dtype == np.float64
        assert factor == float(np.float32(1.1))  # as the kernel sees it
        return factor * x

    assert_matches(library.scale, reference, scaled)
    assert seen == [1, 31, 32, 33, 255, 256, 257, 10_007] == list(edge_sizes())
    seen.clear()
    assert_matches(library.scale, reference, scaled, sizes=edge_sizes(64))
    assert {63, 64, 65} <= set(seen)


def test_several_results_and_narrow_types_have_their_own_tolerance(library):
    x = np.linspace(-3, 3, 64).astype(np.float16)
    case = Case(output(64), output(64), x, grid=64, threadgroup=32)
    assert_matches(library.halve, lambda x: (x / 2, 3 * x), [case])
    # Ten roundings of half are more than one.
    text = failure(library.halve, lambda x: (x / 2 * (1 + 2.0**-8), 3 * x), [case])
    assert "'low' has" in text
    assert_matches(
        library.halve,
        lambda x: (x / 2 * (1 + 2.0**-8), 3 * x),
        [case],
        arithmetic=np.float16,
    )


def test_longer_sums_may_be_further_off(library):
    n = 4096
    x = np.random.default_rng(0).random((8, n), np.float32)
    sums = (output(8), x, n)
    right = Case(*sums, grid=8, threadgroup=8, terms=n)
    assert_matches(library.sum_rows, lambda x, n: x.sum(axis=1), [right])
    strict = Case(*sums, grid=8, threadgroup=8)
    assert "'out' has" in failure(
        library.sum_rows, lambda x, n: x.sum(axis=1), [strict], roundings=0
    )
    # Even so a term must not be missing.
    assert "'out' has" in failure(library.sum_rows, lambda x, n: x[:, 1:].sum(axis=1), [strict])


def test_sums_that_cancel_are_measured_by_their_terms(library):
    x = np.array([[1e8, 1.0, -1e8, 0.0]], np.float32)
    case = {"grid": 1, "threadgroup": 1, "terms": 4}
    wide = Case(output(1), x, 4, magnitude=abs(x).sum(axis=1), **case)
    assert_matches(library.sum_rows, lambda x, n: x.sum(axis=1), [wide])
    assert "first at [0]: 0, expected 1" in failure(
        library.sum_rows, lambda x, n: x.sum(axis=1), [Case(output(1), x, 4, **case)]
    )


def test_arrays_that_are_written_in_place_are_copied_and_compared(library):
    x = np.arange(40, dtype=np.int32)
    case = Case(x, (2, -3), grid=40, threadgroup=32)
    for _ in range(2):
        assert_matches(library.add_in_place, lambda x, step: x + step[0] * step[1], [case])
    assert x[0] == 0
    assert "first at [0]: -6, expected -5" in failure(
        library.add_in_place, lambda x, step: x - 5, [case]
    )


def test_cases_say_what_calls_say(library):
    x = np.arange(16, dtype=np.float32)
    cases = [
        Case(output(16), threadgroup_memory(32), x, threadgroups=2, threadgroup=8),
        Case(x=x, out=output(16), tile=threadgroup_memory(32), grid=16, threadgroup=8),
        Case(output(16), x, grid=16, threadgroup=8, threadgroup_memory={0: 32}),
    ]
    assert_matches(library.reversed, lambda x: x.reshape(2, 8)[:, ::-1].ravel(), cases)


def test_nan_and_infinity_must_be_where_the_reference_has_them(library):
    x = np.array([0.0, -0.0, np.nan, np.inf, 1e-45, 2.0], np.float32)
    case = Case(output(6), x, grid=6, threadgroup=6)
    assert_matches(library.inverse, lambda x: 1 / x, [case])  # 1 / 1e-45 is beyond float
    assert "first at [2]: nan, expected 7" in failure(
        library.inverse,
        lambda x: np.nan_to_num(1 / x, nan=7, posinf=np.inf, neginf=-np.inf),
        [case],
    )
    assert "first at [0]: inf, expected 1" in failure(
        library.inverse, lambda x: np.where(x == 0, 1, 1 / x), [case]
    )


def test_a_kernel_may_be_a_name(kernels, device):
    (kernels / "up.metal").write_text(SOURCE)
    case = Case(output(50), grid=50, threadgroup=32)
    (kernels / "up_to.metal").write_text(SOURCE)
    for name in ("up:up_to", kernels / "up_to.metal"):
        assert_matches(
            name,
            lambda: np.minimum(np.arange(50), 20),
            [case],
            device=device,
            constants={"last": 20},
        )


# --- what does not ------------------------------------------------------------------------------


def test_the_first_difference_is_told_with_index_thread_and_line(library, device):
    text = failure(library.scale_but_lane_31, lambda x, factor: factor * x, scaled)
    # Sizes 1 and 31 have no such lane; in size 32 it is the last element.
    assert text.startswith(
        "scale_but_lane_31, case 2 (size 32): 'out' has 1 of 32 elements wrong\n  first at [31]: "
    )
    assert "grid 32, threadgroup 64" in text
    if device == "cpu":
        assert (
            "  written by thread (31, 0, 0), simdgroup 0 lane 31, threadgroup (0, 0, 0), at "
            "<source>:12\n" in text
        )
    else:
        assert "run it on device cpu" in text


def test_threads_are_found_in_two_dimensions_too(library, device):
    if device == "metal":
        pytest.skip("only the software device knows who wrote an element")
    x = np.ones((4, 64), np.float32)
    case = Case(output((4, 64)), x, 2.0, grid=256, threadgroup=(64, 1))
    text = failure(library.scale_but_lane_31, lambda x, factor: factor * x, [case])
    assert "'out' has 8 of 256 elements wrong\n  first at [0, 31]: 1, expected 2" in text
    case = Case(output((4, 64)), x, 2.0, grid=256, threadgroup=(64, 1))
    shifted = failure(
        library.scale, lambda x, factor: np.where(np.arange(256).reshape(4, 64) < 200, 2, 3), [case]
    )
    assert "first at [3, 8]: 2, expected 3" in shifted
    assert "written by thread (200, 0, 0), simdgroup 0 lane 8, threadgroup (3, 0, 0)" in shifted


def test_what_nobody_wrote_is_said(library, device):
    if device == "metal":
        pytest.skip("only the software device knows who wrote an element")
    x = np.ones(33, np.float32)
    case = Case(output(33), x, grid=33, threadgroup=32, label="a line")
    text = failure(library.forgets_the_last, lambda x: x, [case])
    assert "case 0 (a line)" in text
    assert "first at [32]: 0, expected 1" in text
    assert "no thread wrote it" in text


@pytest.mark.parametrize(
    ("reference", "cases", "words"),
    [
        (lambda x, f: x, [], "there are no cases"),
        (lambda x, f: x[:3], None, r"'out' has shape \(4,\), the reference gives \(3,\)"),
        (lambda x, f: (x, x), None, r"gives 2 results, the kernel 1 \(out\)"),
        (lambda x, f: "text", None, "are to be numbers"),
    ],
)
def test_what_compares_nothing_is_refused(library, reference, cases, words):
    some = [Case(output(4), np.ones(4, np.float32), 1.0, grid=4, threadgroup=4)]
    with pytest.raises(ArgumentError, match=words):
        assert_matches(library.scale, reference, some if cases is None else cases)


@pytest.mark.parametrize("terms", [0, -1, 1.5, True])
def test_a_result_has_one_term_at_least(terms):
    with pytest.raises(ArgumentError, match="terms is"):
        Case(terms=terms)


def test_bad_values_are_refused_as_in_a_call(library):
    with pytest.raises(ArgumentError, match="takes 3 values"):
        assert_matches(library.scale, lambda: 0, [Case(output(4), grid=4, threadgroup=4)])


# --- tolerance ----------------------------------------------------------------------------------


def test_one_rounding_of_the_dtype_is_allowed_and_two_are_not():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32):
        exact = np.array([1.0])
        step = float(ml_dtypes.finfo(dtype).eps)
        assert not compare(np.array([1 + step], dtype), exact + step / 2).wrong
        assert compare(np.array([1 + step], dtype), exact).wrong == 1


def test_large_integers_that_round_equal_still_differ():
    assert compare(np.array([2**62 + 1]), np.array([2**62])).wrong == 1


def test_sums_longer_than_the_precision_allow_anything():
    assert gamma(1 << 24) == float("inf")
    assert gamma(10) == pytest.approx(10 * 2.0**-24, rel=1e-5)


# --- the plugin ---------------------------------------------------------------------------------

TEST = """
def test_it(metal_device):
    import pymetal
    assert metal_device in pymetal.device_names()
"""


@pytest.fixture
def run_pytest(tmp_path):
    """Runs pytest on a test of its own, with the plugin loaded as an installation loads it."""

    def run(*arguments: str, conftest: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(TEST)
        (tmp_path / "conftest.py").write_text(conftest)
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
                *("-p", "pymetal.pytest_plugin", *arguments),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_fixture_runs_a_test_on_every_device(run_pytest):
    done = run_pytest()
    assert done.returncode == 0, done.stdout
    for name in pymetal.device_names():
        assert f"test_it.py::test_it[{name}] PASSED" in done.stdout


def test_the_option_chooses_devices_once_each(run_pytest):
    done = run_pytest("--device", "cpu", "--device=cpu")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "--device=NAME" in run_pytest("--help").stdout.replace("--device NAME", "--device=NAME")


def test_an_unknown_device_is_a_wrong_use_of_pytest(run_pytest):
    done = run_pytest("--device", "gpu")
    assert done.returncode == 4 or "ERROR" in done.stdout
    assert "--device gpu: there is no such device; there are" in done.stdout + done.stderr


def test_a_project_with_an_option_of_that_name_keeps_it(run_pytest):
    conftest = (
        "def pytest_addoption(parser):\n"
        "    parser.getgroup('theirs').addoption('--device', choices=['cuda', 'mps'])\n"
        "def pytest_report_header(config):\n"
        "    return f'their device is {config.getoption(\"--device\")}'\n"
    )
    done = run_pytest("--device", "cuda", conftest=conftest)
    assert "their device is cuda" in done.stdout
    assert f"{len(pymetal.device_names())} passed" in done.stdout


def test_a_conftest_may_name_the_plugin_that_is_there_already(run_pytest):
    done = run_pytest("--device=cpu", conftest='pytest_plugins = ["pymetal.pytest_plugin"]\n')
    assert "1 passed" in done.stdout, done.stdout
