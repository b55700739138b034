"""Checks pack what they remember of large buffers, and name the same threads afterwards."""

from __future__ import annotations

import numpy as np
import pytest

import pymetal
from pymetal.cpu.checks import pipeline

# Who writes element i of `out`, after an offset that the run chooses: `ORDER` is a permutation.
SOURCE = """
#include <metal_stdlib>
using namespace metal;
kernel void late(device TYPE* out [[buffer(0)]], constant uint& at [[buffer(1)]],
                 uint i [[thread_position_in_grid]], uint n [[threads_per_grid]]) {
    if (i + 1 < n) {
        uint j = ORDER;
        out[j] = out[j] + TYPE(i % 100);
    } else {
        out[at] = 101;
    }
}
"""
COUNT = 3 * 1024
ORDERS = {
    "in order": ("i", lambda i: i),
    "backwards": ("n - 2 - i", lambda i: COUNT - 1 - i),
    "columns": ("i % 48 * 64 + i / 48", lambda i: i % 48 * 64 + i // 48),
    "scattered": ("i * 1021 % 3072", lambda i: i * 1021 % COUNT),
    "in twos": ("i ^ 1", lambda i: i ^ 1),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("type_", ["uchar", "float"])
def test_the_other_thread_is_right_though_its_stamp_was_packed(
    monkeypatch, order: str, type_: str
) -> None:
    text, place = ORDERS[order]
    monkeypatch.setattr(pipeline, "room_bytes", lambda _: 0)  # packs after every access
    source = SOURCE.replace("TYPE", type_).replace("ORDER", text)
    kernel = pymetal.compile(source, device="cpu").late
    for writer in (0, 128, 1000, COUNT - 2):
        at = place(writer)
        out = np.zeros(COUNT + 1, kernel.dtype("out"))
        with pytest.raises(pymetal.KernelFault) as caught:
            kernel(out, at, grid=COUNT + 1, threadgroup=256, check=True)
        (report,) = caught.value.reports
        assert (report.kind, report.element) == ("race", at)
        assert report.first.thread == (COUNT, 0, 0)
        assert report.second.thread == (writer, 0, 0)
        assert report.second.threadgroup == (writer // 256, 0, 0)
        assert report.second.access == "wrote it"


def test_members_of_structs_that_different_lines_write_are_told_apart(monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "room_bytes", lambda _: 0)
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Colour { uchar r, g, b; };
    kernel void paint(device Colour* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
        uint j = i % 500;
        out[j].r = 1;
        out[j].g = 2;
        out[j].b = i < 700 ? 3 : 4;
    }
    """
    kernel = pymetal.compile(source, device="cpu").paint
    with pytest.raises(pymetal.KernelFault) as caught:
        kernel(np.zeros(1500, np.uint8), grid=1000, threadgroup=32, check=True)
    (report,) = caught.value.reports
    # Threads 500 to 699 store what is there already.
    assert (report.line, report.second.line) == (9, 9)
    assert report.first.thread == (700, 0, 0)
    assert report.second.thread == (200, 0, 0)
