"""Bad input on a real device: a typed error that says what, where and what to do; and afterwards
the process is as well as before."""

from __future__ import annotations

import re

import numpy as np
import pytest

import pymetal
from pymetal import (
    ArgumentError,
    CompileError,
    FunctionNotFoundError,
    LaunchError,
    LibraryError,
    ToolchainError,
    UnsupportedError,
    run_metal_kernel,
)

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
ADD = (
    HEADER
    + """kernel void add(
    device float* out [[buffer(0)]],
    device const float* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    threadgroup float* scratch [[threadgroup(0)]],
    uint i [[thread_position_in_grid]])
{
    scratch[0] = 0;
    out[i] = x[i] + n;
}
"""
)
X = np.arange(64, dtype=np.float32)


@pytest.fixture(autouse=True)
def healthy(kernels, device):
    """Whatever went wrong, the next launch works."""
    (kernels / "add.metal").write_text(ADD)
    yield
    np.testing.assert_array_equal(add(device), X + 3)


def add(device, inputs=(X, 3), shape=64, grid=64, threadgroup=32, memory=16, **facts):
    facts.setdefault("threadgroup_memory", {0: memory})
    return run_metal_kernel("add", list(inputs), shape, grid, threadgroup, device=device, **facts)


STRIDED = np.zeros((64, 2), np.float32)[:, 0]
ENORMOUS = np.lib.stride_tricks.as_strided(
    np.zeros(1, np.float32), (1 << 50,), (4,), writeable=False
)


# What a call may say wrong, however it is made.
WRONG = [
    ({"inputs": (X.astype(int), 3)}, ArgumentError, "argument 'x'.*got an array of int64"),
    ({"inputs": (X.astype(float), 3)}, ArgumentError, r"x\.astype\(np\.float32\)"),
    ({"inputs": (X.astype(np.float16), 3)}, ArgumentError, "got an array of float16"),
    ({"inputs": (X, np.zeros(2, np.uint32))}, ArgumentError, "'n'.*exactly one uint"),
    ({"inputs": (X, np.zeros(1, np.int32))}, ArgumentError, "'n'.*got an array of int32"),
    ({"inputs": (X, 2**32)}, ArgumentError, "4294967296 is out of range: uint holds 0 to"),
    ({"inputs": (X, -1)}, ArgumentError, "-1 is out of range"),
    ({"inputs": (X, 3.0)}, ArgumentError, "got float 3.0 for uint; pass an int"),
    ({"inputs": (X, "3")}, ArgumentError, "got str, expected a number"),
    ({"inputs": (3, X)}, ArgumentError, "'x'.*pass a NumPy array, got int 3"),
    ({"inputs": (list(X), 3)}, ArgumentError, "pass a NumPy array, got list"),
    ({"inputs": (STRIDED, 3)}, ArgumentError, r"np\.ascontiguousarray\(x\)"),
    ({"inputs": (X.astype(object), 3)}, ArgumentError, "object array"),
    ({"inputs": (X.astype(complex), 3)}, ArgumentError, "no complex type"),
    ({"inputs": (X.astype(str), 3)}, ArgumentError, "array of strings"),
    ({"inputs": (X.astype(">f4"), 3)}, ArgumentError, "big-endian"),
    ({"inputs": (X[:0], 3)}, ArgumentError, "is empty"),
    ({"inputs": (ENORMOUS, 3)}, ArgumentError, "the device allows"),
    ({"grid": 0}, LaunchError, "grid 0: each dimension must be at least 1"),
    ({"grid": (64, -1)}, LaunchError, "grid .*at least 1"),
    ({"grid": None}, LaunchError, "grid is missing"),
    ({"grid": 2**32}, LaunchError, "at most 4294967295"),
    ({"threadgroup": 0}, LaunchError, "threadgroup 0: each dimension"),
    ({"threadgroup": (1, -2)}, LaunchError, "at least 1"),
    ({"threadgroup": (1024, 2)}, LaunchError, r"is 2048 threads; .*allows 1024. Try \(1024, 1"),
    ({"memory": 0}, LaunchError, "Try 16"),
    ({"memory": -16}, LaunchError, "Try 16"),
    ({"memory": 1 << 30}, LaunchError, "bytes of threadgroup memory"),
    ({"threadgroup_memory": None}, LaunchError, r"pass threadgroup_memory=\{0: bytes\}"),
    ({"shape": -64}, ArgumentError, "negative"),
    ({"shape": (1 << 60, 1 << 60)}, ArgumentError, "the device allows"),
    ({"shape": 0}, ArgumentError, "is empty"),
]


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"inputs": ()}, ArgumentError, r"takes 2 inputs \(x, n\) beside its output, got 0"),
        ({"inputs": (X,)}, ArgumentError, "got 1"),
        ({"inputs": (X, 3, 4)}, ArgumentError, "got 3"),
        ({"device": "gpu"}, pymetal.DeviceError, "no device 'gpu'; there are .*cpu"),
        *WRONG,
    ],
)
def test_wrong_values_are_refused(device, facts, kind, words):
    with pytest.raises(kind, match=words):
        add(**{"device": device, **facts})


@pytest.fixture(scope="module")
def compiled():
    return {name: pymetal.compile(ADD, device=name).add for name in pymetal.device_names()}


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize(("facts", "kind", "words"), WRONG)
def test_a_kernel_refuses_them_too_and_a_queue_at_once(
    device, compiled, facts, kind, words, queued
):
    call = {"inputs": (X, 3), "shape": 64, "grid": 64, "threadgroup": 32, "memory": 16, **facts}
    memory = call.get("threadgroup_memory", {0: call["memory"]})
    with pymetal.Queue() as queue:
        with pytest.raises(kind, match=words):
            compiled[device](
                pymetal.output(call["shape"]),
                *call["inputs"],
                grid=call["grid"],
                threadgroup=call["threadgroup"],
                threadgroup_memory=memory,
                queue=queue if queued else None,
            )
        assert queue.wait() == []


def test_an_unknown_kernel_tells_where_it_was_looked_for(device, kernels):
    with pytest.raises(FunctionNotFoundError, match=r"no ad\.metal in") as caught:
        run_metal_kernel("ad", [], 1, 1, 1, device=device)
    assert str(kernels) in str(caught.value)
    assert "add" in caught.value.available


def test_a_file_without_that_function_lists_those_it_has(device):
    with pytest.raises(FunctionNotFoundError) as caught:
        run_metal_kernel("add:subtract", [], 1, 1, 1, device=device)
    assert caught.value.available == ("add",)
    assert re.search("subtract.*add", str(caught.value), re.S)


def test_wrong_source_shows_every_error_with_its_line(device, kernels):
    path = kernels / "wrong.metal"
    path.write_text(
        HEADER
        + "kernel void wrong(device float* out [[buffer(0)]],\n"
        + "    device const float* in [[buffer(1)]],\n"
        + "    uint i [[thread_position_in_grid]])\n"
        + "{\n"
        + "    in[i] = 0;\n"
        + "    out[i] = undeclared;\n"
        + "}\n"
    )
    with pytest.raises(CompileError) as caught:
        run_metal_kernel("wrong", [X], 64, 64, 32, device=device)
    found = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert [(d.line, d.column) for d in found] == [(7, 11), (8, 14)]
    text = str(caught.value)
    assert "wrong.metal:8:14: error:" in text
    assert "\n    out[i] = undeclared;\n             ^" in text


def test_a_syntax_error_is_located(device, kernels):
    (kernels / "wrong.metal").write_text(
        HEADER + "kernel void wrong(device float* out) {\n  int\n}\n"
    )
    with pytest.raises(CompileError, match=r"wrong\.metal:\d+:\d+: error: "):
        run_metal_kernel("wrong", [], 64, 64, 32, device=device)


@pytest.mark.parametrize(
    ("parameter", "feature"),
    [
        ("texture2d<float> picture [[texture(0)]]", "texture"),
        ("instance_acceleration_structure scene [[buffer(1)]]", "ray"),
    ],
)
def test_what_the_device_lacks_is_named(device, kernels, parameter, feature):
    if device == "metal":
        pytest.skip("Metal has these; that PyMetal cannot pass them, test_metal_declarations tests")
    (kernels / "lacks.metal").write_text(
        HEADER
        + "using namespace metal::raytracing;\n" * (feature == "ray")
        + "kernel void lacks(device float* out [[buffer(0)]],\n"
        + f"    {parameter}) {{ out[0] = 1; }}\n"
    )
    with pytest.raises(UnsupportedError, match=f"(?i){feature}"):
        run_metal_kernel("lacks", [], 64, 64, 32, device=device)


def test_a_file_that_is_not_utf8_is_refused(device, kernels):
    (kernels / "latin.metal").write_bytes(b"// caf\xe9\n" + ADD.encode())
    with pytest.raises(CompileError, match=r"latin\.metal:1: the file is not UTF-8: byte 0xe9"):
        run_metal_kernel("latin", [], 1, 1, 1, device=device)


def test_a_damaged_metallib_is_refused(device, tmp_path):
    path = tmp_path / "damaged.metallib"
    for content in (b"", b"MTLB", b"MTLB" + bytes(100), b"no library", ADD.encode()):
        path.write_bytes(content)
        with pytest.raises(LibraryError, match=r"damaged\.metallib"):
            pymetal.load(path, device=device)
    with pytest.raises(LibraryError, match=r"absent\.metallib cannot be read"):
        pymetal.load(tmp_path / "absent.metallib", device=device)


def test_no_clang_says_how_to_get_one(device, cache_dir, kernels, monkeypatch):
    if device != "cpu":
        pytest.skip("only the software device runs clang")
    monkeypatch.setenv("PYMETAL_CLANG", "/no/such/clang")
    with pytest.raises(ToolchainError, match="pip install ziglang"):
        add(device)
    monkeypatch.delenv("PYMETAL_CLANG")
