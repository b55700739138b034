"""Threads that read and write several neighbouring elements: vectors, structs, x[4 * i + k]."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pymetal

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
SIZES = [1, 31, 32, 33, 64, 100]
TYPES = {
    "float": np.float32,
    "int": np.int32,
    "half": np.float16,
    "bfloat": ml_dtypes.bfloat16,
    "ushort": np.uint16,
    "uchar": np.uint8,
    "char": np.int8,
    "long": np.int64,
}


def compiled(source: str, device: str):
    return pymetal.compile(HEAD + source, device=device).k


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("width", [2, 3, 4])
@pytest.mark.parametrize("t", TYPES)
def test_vectors_are_read_and_written_whole(device, t, width, n):
    dtype = TYPES[t]
    kernel = compiled(
        f"""
        kernel void k(device {t}{width}* out [[buffer(0)]],
                      device const {t}{width}* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {{
            {t}{width} v = x[i];
            out[i] = v + v.{"yxzw"[:width]};
        }}""",
        device,
    )
    stored = 4 if width == 3 else width
    x = np.random.default_rng(n).integers(0, 50, (n, stored)).astype(dtype)
    out = pymetal.zeros((n, stored), dtype)
    kernel(out, x, grid=n, threadgroup=32)
    order = [1, 0, 2, 3][:width]
    expected = x[:, :width] + x[:, order]
    np.testing.assert_array_equal(np.array(out)[:, :width], expected)


@pytest.mark.parametrize("n", [1, 33, 100])
@pytest.mark.parametrize("stride", [2, 3, 4, 5, 6, 8, 9, 16, 17])
@pytest.mark.parametrize("t", TYPES)
def test_neighbours_at_any_stride_are_each_threads_own(device, t, stride, n):
    lines = "\n".join(f"out[i * {stride} + {k}] = x[i * {stride} + {stride - 1 - k}] + {k};"
                      for k in range(stride))  # fmt: skip
    kernel = compiled(
        f"""
        kernel void k(device {t}* out [[buffer(0)]], device const {t}* x [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {{ {lines} }}""",
        device,
    )
    x = np.random.default_rng(n).integers(-100 if t == "char" else 0, 100, (n, stride))
    x = x.astype(TYPES[t])
    out = pymetal.zeros((n, stride), TYPES[t])
    kernel(out, x, grid=n, threadgroup=64)
    np.testing.assert_array_equal(np.array(out), x[:, ::-1] + np.arange(stride).astype(TYPES[t]))


INDICES = {
    "unsigned": "4 * i + {k}",
    "signed": "int(i) * 4 + {k}",
    "bits": "(i << 2) | {k}",
    "behind_a_row": "row[0] * 4 + 4 * i + {k}",
    "before_its_own": "4 * (i + 1) + {k} - 4",
    "twice": "2 * i + {k} + 2 * i",
}


@pytest.mark.parametrize("n", [32, 33, 100])
@pytest.mark.parametrize("index", INDICES)
def test_neighbours_are_found_through_indices_of_32_bits(device, index, n):
    four = [f"x[{INDICES[index].format(k=k)}]" for k in range(4)]
    kernel = compiled(
        f"""
        kernel void k(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                      constant uint* row [[buffer(2)]], uint i [[thread_position_in_grid]]) {{
            out[i] = {four[0]} + 10 * {four[1]} + 100 * {four[2]} + 1000 * {four[3]};
        }}""",
        device,
    )
    row = 3 if index == "behind_a_row" else 0
    x = np.random.default_rng(n).integers(0, 10, (n + row, 4)).astype(np.float32)
    out = pymetal.zeros(n)
    kernel(out, x, np.array([row], np.uint32), grid=n, threadgroup=64)
    np.testing.assert_array_equal(np.array(out), x[row:] @ np.array([1, 10, 100, 1000], "f4"))


@pytest.mark.parametrize("n", SIZES)
def test_elements_that_a_thread_skips_are_left_alone(device, n):
    kernel = compiled(
        """
        kernel void k(device int* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
            device int* own = x + 8 * i;
            own[1] = 1; own[2] = 2; own[3] = 3; own[6] = 6;
        }""",
        device,
    )
    x = pymetal.array(np.full((n, 8), -1, np.int32))
    kernel(x, grid=n, threadgroup=32)
    np.testing.assert_array_equal(np.array(x), np.tile([-1, 1, 2, 3, -1, -1, 6, -1], (n, 1)))


def test_what_is_written_between_two_reads_is_read(device):
    kernel = compiled(
        """
        kernel void k(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
            device float* own = x + 4 * i;
            float a = own[0];
            own[1] = a + 1;
            float b = own[1];
            own[2] = b + 1;
            own[3] = own[2] + 1;
            own[0] = own[3] + own[1];
        }""",
        device,
    )
    start = np.arange(64, dtype=np.float32)
    x = pymetal.array(np.stack([start, *[np.full(64, 99, np.float32)] * 3], axis=1))
    kernel(x, grid=64, threadgroup=64)
    a = start
    expected = np.stack([a + 3 + a + 1, a + 1, a + 2, a + 3], axis=1)
    np.testing.assert_array_equal(np.array(x), expected)


def test_the_last_of_two_writes_to_one_place_stays(device):
    kernel = compiled(
        """
        kernel void k(device uint* x [[buffer(0)]], device const uint* y [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
            x[2 * i] = 1;
            x[2 * i + 1] = 2;
            x[2 * i] = y[0];
        }""",
        device,
    )
    x = pymetal.zeros((32, 2), np.uint32)
    kernel(x, np.array([7], np.uint32), grid=32, threadgroup=32)
    np.testing.assert_array_equal(np.array(x), np.tile([7, 2], (32, 1)))


@pytest.mark.parametrize("n", SIZES)
def test_structs_of_several_types_keep_their_fields(device, n):
    kernel = compiled(
        """
        struct S { float x, y; int count; half h; uchar a, b; float w[3]; };
        kernel void k(device S* out [[buffer(0)]], device const S* in [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
            S s = in[i];
            if (s.count % 2 == 0) { s.x = s.y + 1; s.count += 10; }
            s.w[1] += s.x;
            s.b = s.a;
            out[i] = s;
        }""",
        device,
    )
    layout = np.dtype(
        [("x", "f4"), ("y", "f4"), ("count", "i4"), ("h", "f2"), ("a", "u1"), ("b", "u1"),
         ("w", "f4", 3)]
    )  # fmt: skip
    rng = np.random.default_rng(n)
    s = np.zeros(n, layout)
    for name in layout.names:
        s[name] = rng.integers(0, 100, s[name].shape)
    out = pymetal.zeros(n, layout)
    kernel(out, s, grid=n, threadgroup=32)
    expected = s.copy()
    even = expected["count"] % 2 == 0
    expected["x"][even] = expected["y"][even] + 1
    expected["count"][even] += 10
    expected["w"][:, 1] += expected["x"]
    expected["b"] = expected["a"]
    np.testing.assert_array_equal(np.array(out).view(np.uint8), expected.view(np.uint8))
