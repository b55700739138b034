"""reduction, scan and histogram against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from tolerance import assert_within, ceil_to, gamma, random

from pymetal import run_metal_kernel

SIZES = [1, 31, 32, 33, 255, 256, 257, 3000]
INTEGERS = {"_int": np.int32, "_uint": np.uint32}


def exact_sum(x):
    x = x.astype(np.float64)
    return x.sum(keepdims=True), gamma(x.size) * abs(x).sum()


def tree(device, x, suffix, threadgroup=256):
    """Launches of reduction_tree until one element is left."""
    while True:
        groups = ceil_to(x.size, threadgroup) // threadgroup
        name = f"reduction:reduction_tree{suffix}"
        x = run_metal_kernel(name, [x], groups, x.size, threadgroup, device=device)
        suffix = "" if suffix in ("_half", "_bfloat") else suffix  # sums are float
        if groups == 1:
            return x


@pytest.mark.parametrize("suffix", ["", "_half", "_bfloat"])
@pytest.mark.parametrize("n", SIZES)
def test_every_reduction_of_floats_is_right(device, n, suffix):
    x = random(np.random.default_rng(n), n, suffix)
    atomic = run_metal_kernel(f"reduction:reduction{suffix}", [x], 1, n, 256, device=device)
    simd = run_metal_kernel(f"reduction:reduction_simd{suffix}", [x, n], 1, 512, 256, device=device)
    for result in (atomic, simd, tree(device, x, suffix)):
        assert result.dtype == np.float32
        assert_within(result, *exact_sum(x))


@pytest.mark.parametrize("suffix", INTEGERS)
@pytest.mark.parametrize("n", SIZES)
def test_every_reduction_of_integers_is_exact_and_wraps(device, n, suffix):
    dtype = INTEGERS[suffix]
    info = np.iinfo(dtype)
    x = np.random.default_rng(n).integers(info.min, info.max, n, dtype, endpoint=True)
    exact = x.sum(keepdims=True, dtype=dtype)
    atomic = run_metal_kernel(f"reduction:reduction{suffix}", [x], 1, n, 256, device=device)
    simd = run_metal_kernel(f"reduction:reduction_simd{suffix}", [x, n], 1, 512, 256, device=device)
    for result in (atomic, simd, tree(device, x, suffix)):
        np.testing.assert_array_equal(result, exact)


@pytest.mark.parametrize("threadgroup", [1, 33, 100, 1024])
def test_reduction_tree_takes_any_threadgroup(device, threadgroup):
    # 1 makes as many sums as elements: only one launch of it makes sense.
    x = random(np.random.default_rng(0), 1500)
    if threadgroup == 1:
        parts = run_metal_kernel("reduction:reduction_tree", [x], 1500, 1500, 1, device=device)
        np.testing.assert_array_equal(parts, x)
    else:
        assert_within(tree(device, x, "", threadgroup), *exact_sum(x))


def test_reduction_tree_is_the_same_every_time(device):
    x = random(np.random.default_rng(1), 3000)
    first = tree(device, x, "")
    for _ in range(3):
        np.testing.assert_array_equal(tree(device, x, ""), first)


@pytest.mark.parametrize("launch", [(32, 32), (96, 96), (70, 70), (200, 64), (1024, 1024)])
def test_reduction_simd_takes_any_grid_and_threadgroup(device, launch):
    grid, threadgroup = launch
    x = random(np.random.default_rng(2), 777)
    name = "reduction:reduction_simd"
    result = run_metal_kernel(name, [x, 777], 1, grid, threadgroup, device=device)
    assert_within(result, *exact_sum(x))


SCANS = {
    "scan": lambda rows: (rows, 64),
    "scan_simd": lambda rows: ((32, rows), (32, 2)),
    "scan_threadgroup": lambda rows: ((96, rows), (96, 1)),
}


@pytest.mark.parametrize("n", [1, 31, 32, 33, 95, 96, 97, 500])
@pytest.mark.parametrize("name", SCANS)
def test_every_scan_of_rows_is_right(device, name, n):
    x = random(np.random.default_rng(n), (3, n))
    grid, threadgroup = SCANS[name](3)
    result = run_metal_kernel(f"scan:{name}", [x, n], x.shape, grid, threadgroup, device=device)
    wide = x.astype(np.float64)
    assert_within(result, wide.cumsum(axis=1), gamma(n) * abs(wide).cumsum(axis=1))


@pytest.mark.parametrize("suffix", INTEGERS)
@pytest.mark.parametrize("name", SCANS)
def test_every_scan_of_integers_is_exact_and_wraps(device, name, suffix):
    dtype = INTEGERS[suffix]
    info = np.iinfo(dtype)
    x = np.random.default_rng(3).integers(info.min, info.max, (2, 200), dtype, endpoint=True)
    grid, threadgroup = SCANS[name](2)
    result = run_metal_kernel(
        f"scan:{name}{suffix}", [x, 200], x.shape, grid, threadgroup, device=device
    )
    np.testing.assert_array_equal(result, x.cumsum(axis=1, dtype=dtype))


def scan_long(device, x, threadgroup, suffix=""):
    """The totals of chunks, their scan, and with it the scan of each chunk."""
    n = x.size
    chunks = ceil_to(n, 512) // 512
    size = 32 * chunks, threadgroup
    totals = run_metal_kernel(f"scan:scan_totals{suffix}", [x, n], chunks, *size, device=device)
    totals = run_metal_kernel(
        f"scan:scan_simd{suffix}", [totals, chunks], chunks, (32, 1), (32, 1), device=device
    )
    return run_metal_kernel(f"scan:scan_chunks{suffix}", [x, totals, n], n, *size, device=device)


@pytest.mark.parametrize("threadgroup", [32, 256])
@pytest.mark.parametrize("n", [1, 31, 511, 512, 513, 7000])
def test_a_long_scan_over_many_threadgroups_is_right(device, n, threadgroup):
    x = random(np.random.default_rng(n), n)
    wide = x.astype(np.float64)
    result = scan_long(device, x, threadgroup)
    assert_within(result, wide.cumsum(), gamma(n) * abs(wide).cumsum())


@pytest.mark.parametrize("suffix", INTEGERS)
def test_a_long_scan_of_integers_is_exact_and_wraps(device, suffix):
    dtype = INTEGERS[suffix]
    info = np.iinfo(dtype)
    x = np.random.default_rng(4).integers(info.min, info.max, 5000, dtype, endpoint=True)
    np.testing.assert_array_equal(scan_long(device, x, 128, suffix), x.cumsum(dtype=dtype))


@pytest.mark.parametrize("n", [1, 31, 1000, 5000])
def test_histogram_counts_every_byte(device, n):
    x = np.random.default_rng(n).integers(0, 256, n, dtype=np.uint8)
    exact = np.bincount(x, minlength=256)
    plain = run_metal_kernel("histogram", [x], 256, n, 256, device=device)
    private = run_metal_kernel(
        "histogram:histogram_threadgroup", [x, n], 256, 512, 256, device=device
    )
    for counts in (plain, private):
        assert counts.dtype == np.uint32
        np.testing.assert_array_equal(counts, exact)


@pytest.mark.parametrize("launch", [(1, 1), (33, 33), (100, 64), (2048, 1024)])
def test_histogram_threadgroup_takes_any_grid_and_threadgroup(device, launch):
    grid, threadgroup = launch
    x = np.random.default_rng(5).integers(100, 110, 2000, dtype=np.uint8)
    counts = run_metal_kernel(
        "histogram:histogram_threadgroup", [x, 2000], 256, grid, threadgroup, device=device
    )
    np.testing.assert_array_equal(counts, np.bincount(x, minlength=256))
