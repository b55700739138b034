"""Checked runs of kernels that look odd and are right: no report, and the same bits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pymetal
from pymetal.errors import KernelFault

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"


def checked(source: str, *values, grid: int, threadgroup: int):
    """The results of the kernel `k` under checks."""
    kernel = pymetal.compile(HEAD + source, device="cpu").kernel("k")
    return kernel(*values, grid=grid, threadgroup=threadgroup, check=True)


@pytest.mark.parametrize("type_", ["half", "bfloat", "half4", "bfloat2", "bfloat3", "bfloat4"])
def test_copies_keep_every_bit_also_of_signalling_nans(type_: str) -> None:
    source = f"""using T = {type_};
    kernel void k(device T* out [[buffer(0)]], device const T* x [[buffer(1)]],
        uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {{
        threadgroup T tile[64];
        tile[t] = x[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        out[i] = tile[t];
    }}"""
    bits = np.arange(65536, dtype=np.uint16)
    width = {"3": 4}.get(type_[-1], int(type_[-1]) if type_[-1].isdigit() else 1)
    x = bits.view(np.float16 if "half" in type_ else ml_dtypes.bfloat16).reshape(-1, width)
    out = np.zeros_like(x)
    checked(source, out, x, grid=len(x), threadgroup=64)
    read = slice(0, 3) if type_[-1] == "3" else slice(None)
    np.testing.assert_array_equal(out.view(np.uint16)[:, read], x.view(np.uint16)[:, read])


@pytest.mark.parametrize("type_", ["float", "float2", "float4", "half4", "uchar4", "short2"])
@pytest.mark.parametrize("space", ["device", "threadgroup"])
def test_equal_values_of_several_threads_are_no_race(type_: str, space: str) -> None:
    body = {
        "device": "out[0] = {value};",
        "threadgroup": "threadgroup T tile[2]; tile[0] = {value};"
        " threadgroup_barrier(mem_flags::mem_threadgroup); if (t == 0) {{ out[0] = tile[0]; }}",
    }[space]
    source = f"using T = {type_};\n" + (
        "kernel void k(device T* out [[buffer(0)]], uint t [[thread_index_in_threadgroup]]) {{\n"
        f"    {body}\n}}}}"
    )
    kernel = pymetal.compile(HEAD + source.format(value="T(7)"), device="cpu").kernel("k")
    array = np.zeros(16 // kernel.dtype("out").itemsize * 4, kernel.dtype("out"))
    kernel(array, grid=64, threadgroup=64, check=True)
    other = pymetal.compile(HEAD + source.format(value="T(t)"), device="cpu").kernel("k")
    with pytest.raises(KernelFault) as caught:
        other(array, grid=64, threadgroup=64, check=True)
    assert {report.kind for report in caught.value.reports} == {"race"}


SUM = """kernel void k(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
        constant uint& n [[buffer(2)]], uint i [[thread_position_in_grid]],
        uint lane [[thread_index_in_simdgroup]]) {{
    if (i >= n) {{
        return;
    }}
    float sum = x[i];
    sum += simd_shuffle_down(sum, 2);
    sum += simd_shuffle_down(sum, 1);
    if ({who}) {{
        out[i / 4] = sum;
    }}
}}"""


def test_an_absent_lane_may_be_read_where_the_value_is_not_used() -> None:
    x = np.arange(24, dtype=np.float32)
    out = checked(
        SUM.format(who="lane % 4 == 0"), pymetal.output(6), x, 24, grid=32, threadgroup=32
    )
    np.testing.assert_array_equal(out, x.reshape(6, 4).sum(axis=1))


def test_an_absent_lane_whose_value_is_used_is_reported() -> None:
    x = np.arange(24, dtype=np.float32)
    source = SUM.format(who="lane % 4 == 3")
    with pytest.raises(KernelFault) as caught:
        checked(source, pymetal.output(6), x, 24, grid=32, threadgroup=32)
    kinds = [report.kind for report in caught.value.reports]
    assert "inactive-lane" in kinds
