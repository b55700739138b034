"""Every mathematical function stays within its bound; conversions; subnormal numbers."""

from __future__ import annotations

from pathlib import Path

import numerics
import numpy as np
import pytest

import pymetal

COUNT = 8192
WIDE = ("sin", "exp", "pow", "x / y", "fma", "atan2")  # the others are element-wise alike


@pytest.fixture(params=["auto", "reference"])
def kernels(device: str, request, monkeypatch) -> pymetal.Library:
    if device != "cpu" and request.param != "auto":
        pytest.skip("one of the software device's engines")
    monkeypatch.setenv("PYMETAL_ENGINE", request.param)
    return numerics.library(device, request.param)


@pytest.mark.parametrize("type_", numerics.DTYPES)
@pytest.mark.parametrize("name", numerics.FUNCTIONS)
def test_a_function_stays_within_its_bound(kernels, name: str, type_: str) -> None:
    function = numerics.FUNCTIONS[name]
    bound = function.float_bound if type_ == "float" else function.half_bound
    for width in (1, 4) if name in WIDE else (1,):
        error, at, result = numerics.worst(kernels, name, type_, COUNT, width)
        # The reference is rounded to float64, which may tip a tie.
        assert error <= bound + 1e-6, f"{name}{at} is {result}, {error:.3g} ULP off"


def test_the_document_shows_every_function_within_its_bound() -> None:
    text = (Path(__file__).parents[1] / "docs" / "numerics.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    assert [row[0].strip(" `") for row in rows] == list(numerics.FUNCTIONS)
    for row in rows:
        float_bound, *floats, half_bound, half = (float(cell) for cell in row[1:])
        assert all(error <= float_bound + 1e-6 for error in floats), row
        assert half <= half_bound + 1e-6, row


def convert(
    device: str, expression: str, source: str, target: str, values: np.ndarray
) -> np.ndarray:
    text = (
        "#include <metal_stdlib>\nusing namespace metal;\n"
        f"kernel void k(device {target}* out [[buffer(0)]], device const {source}* x [[buffer(1)]],"
        f" uint i [[thread_position_in_grid]]) {{ out[i] = {expression}; }}"
    )
    kernel = pymetal.compile(text, device=device)["k"]
    return kernel(pymetal.output(values.shape), values, grid=len(values), threadgroup=64)


@pytest.mark.parametrize(
    ("target", "dtype"),
    [("int", np.int32), ("uint", np.uint32), ("short", np.int16), ("uchar", np.uint8)],
)
def test_conversion_to_integers_truncates_and_saturates(
    device: str, target: str, dtype: type
) -> None:
    x = np.float32([0, -0.0, 0.99, -0.99, 1.5, -1.5, 3e9, -3e9, 1e30, np.inf, -np.inf, np.nan, 300])
    info = np.iinfo(dtype)
    wide = np.clip(np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0), info.min, info.max)
    if info.bits < 32:  # through int: LLVM saturates each step alike
        wide = np.clip(wide, info.min, info.max)
    np.testing.assert_array_equal(
        convert(device, f"{target}(x[i])", "float", target, x), wide.astype(dtype)
    )


def test_conversions_between_types_round_to_nearest_even(device: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 1 << 32, 4096, dtype=np.uint32)
    np.testing.assert_array_equal(
        convert(device, "float(x[i])", "uint", "float", x), x.astype(np.float32)
    )
    floats = x.view(np.float32)
    with np.errstate(over="ignore"):
        half = floats.astype(np.float16)
    np.testing.assert_array_equal(convert(device, "half(x[i])", "float", "half", floats), half)


def test_subnormal_numbers_are_kept(device: str) -> None:
    x = np.float32([1e-40, -1e-45, 1.1754944e-38, 3e-39])
    np.testing.assert_array_equal(
        convert(device, "x[i] * 0.5f", "float", "float", x), x * np.float32(0.5)
    )
    tiny = np.float16([6e-8, 3e-5])
    np.testing.assert_array_equal(convert(device, "x[i] + x[i]", "half", "half", tiny), tiny + tiny)
