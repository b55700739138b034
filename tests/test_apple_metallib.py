"""Kernels that Apple's compiler compiled, run on the software device and checked against NumPy.

MLX's kernels, from its wheel on PyPI; launch geometry and argument layouts are those of MLX.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import apple_metallib
import numpy as np
import pytest
from canonical_launch import launch

from pymetal.air.container import Container
from pymetal.air.library import Library
from pymetal.errors import ArgumentError, FunctionNotFoundError

Array = np.ndarray[Any, Any]
FLOAT32 = np.finfo(np.float32).eps


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.open(apple_metallib.path())


def run(
    library: Library,
    name: str,
    buffers: Mapping[int, Array] | Sequence[Array],
    grid: Sequence[int],
    threadgroup: Sequence[int],
    constants: Mapping[str | int, Any] | None = None,
) -> None:
    launch(library.canonical(name, constants), buffers, grid, threadgroup)


def test_every_kernel_is_listed_and_found(library: Library) -> None:
    assert len(library.names) == 17248
    assert library.names[0] == "gg1_copybool_bool_"
    with pytest.raises(FunctionNotFoundError):
        library.function("vv_Add")


def test_the_bitcode_of_a_sample_matches_its_hash() -> None:
    container = Container.open(apple_metallib.path())
    for name in container.names[::500]:
        entry = container.entry(name)  # checks the hash
        assert (entry.symbol, entry.by_pymetal) == (name, False)


def test_arguments_are_as_mlx_declares_them(library: Library) -> None:
    function = library.function("steel_gemm_fused_nn_float32_float32_bm32_bn32_bk16_wm2_wn2")
    assert [c.index for c in function.constants] == [10, 100, 110, 200, 201, 202]
    params = function.arguments[4]
    assert str(params) == "constant mlx::steel::GEMMParams* params [[buffer(4)]]"
    assert [(f.name, f.type_name, f.offset) for f in params.fields[7:9]] == [
        ("tiles_m", "int", 28),
        ("batch_stride_a", "long", 32),
    ]
    assert function.arguments[2].enabled_by == "use_out_source"
    assert function.max_total_threads_per_threadgroup == 128


@pytest.mark.parametrize("count", [1, 31, 1000, 4096])
def test_vector_add(library: Library, count: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(count).astype(np.float32) for _ in range(2))
    c = np.full(count + 8, np.nan, np.float32)
    run(library, "vv_Addfloat32", [a, b, c, np.uint32([count])], (count,), (min(count, 256),))
    np.testing.assert_array_equal(c[:count], a + b)
    assert np.isnan(c[count:]).all()


def softmax(x: Array) -> Array:
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    result: Array = e / e.sum(axis=1, keepdims=True)
    return result


@pytest.mark.parametrize(
    ("name", "size", "dtype"),
    [
        ("block_softmax_float32", 4096, np.float32),
        ("block_softmax_float32", 1001, np.float32),
        ("looped_softmax_float32", 5003, np.float32),
        ("block_softmax_precise_float16", 3000, np.float16),
    ],
)
def test_softmax(library: Library, name: str, size: int, dtype: type) -> None:
    rows, threads = 3, 1024
    x = (4 * np.random.default_rng(1).standard_normal((rows, size))).astype(dtype)
    out = np.zeros_like(x)
    run(library, name, [x, out, np.int32([size])], (rows * threads,), (threads,))
    # exp and one division, each within a few units in the last place; the sum's terms are positive.
    np.testing.assert_allclose(
        out.astype(np.float64), softmax(x), rtol=32 * np.finfo(dtype).eps, atol=1e-7
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_split_k_matrix_product(library: Library, dtype: type) -> None:
    n, tile, parts = 64, 32, 2
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
    c = np.zeros((parts, n, n), np.float32)
    part = n // parts
    # GEMMSpiltKParams: M N K, lda ldb ldc, tiles n m, partitions, their stride, size, swizzle,
    # aligned iterations over K
    params = np.int32([n, n, n, n, n, n, n // tile, n // tile, parts, n * n, part, 0, part // 16])
    name = (
        f"steel_gemm_splitk_nn_{np.dtype(dtype).name}_float32_bm32_bn32_bk16_wm2_wn2"
        "_MN_taligned_K_taligned"
    )
    groups = n // tile
    run(library, name, [a, b, c, params], (groups * 32, groups * 2, parts * 2), (32, 2, 2))
    expected = np.stack(
        [
            a[:, i : i + part].astype(np.float64) @ b[i : i + part].astype(np.float64)
            for i in range(0, n, part)
        ]
    )
    # Accumulated in float32 over `part` products of values around 1.
    np.testing.assert_allclose(c, expected, rtol=0, atol=part * 4 * FLOAT32)


def gemm_params(m: int, n: int, k: int, tile: int, depth: int) -> Array:
    """GEMMParams: M N K lda ldb ldd, tiles, batch strides, swizzle, iterations, batch dims."""
    tiles = (-(-n // tile), -(-m // tile))
    packed = struct.pack(
        "<8i3q3i4x", m, n, k, k, n, n, *tiles, m * k, k * n, m * n, 0, k // depth, 1
    )
    return np.frombuffer(packed, np.uint8).copy()


@pytest.mark.parametrize(("m", "n", "k"), [(64, 64, 32), (33, 50, 21)])
@pytest.mark.parametrize("axpby", [False, True])
def test_matrix_product_with_function_constants(
    library: Library, m: int, n: int, k: int, axpby: bool
) -> None:
    name, tile, depth = "steel_gemm_fused_nn_float32_float32_bm32_bn32_bk16_wm2_wn2", 32, 16
    rng = np.random.default_rng(3)
    a, b, c = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))
    d = np.zeros((m, n), np.float32)
    constants = {
        "has_batch": False,
        "use_out_source": axpby,
        "do_axpby": axpby,
        "align_M": m % tile == 0,
        "align_N": n % tile == 0,
        "align_K": k % depth == 0,
    }
    buffers = {0: a, 1: b, 2: c, 3: d, 4: gemm_params(m, n, k, tile, depth)}
    # ldc, fdc, batch stride of C, alpha, beta
    buffers[5] = np.frombuffer(struct.pack("<iiqff", n, 1, m * n, 0.5, 2.0), np.uint8).copy()
    canonical = library.canonical(name, constants)
    assert {p.index for p in canonical.parameters if p.role == "buffer"} == (
        {0, 1, 2, 3, 4, 5} if axpby else {0, 1, 3, 4}
    )
    groups = (-(-n // tile), -(-m // tile))
    launch(canonical, buffers, (groups[0] * 32, groups[1] * 2, 2), (32, 2, 2))
    product = a.astype(np.float64) @ b.astype(np.float64)
    expected = 0.5 * product + 2.0 * c if axpby else product
    np.testing.assert_allclose(d, expected, rtol=0, atol=k * 4 * FLOAT32)


def test_a_missing_function_constant_is_named(library: Library) -> None:
    with pytest.raises(ArgumentError, match=r"'align_M' \(index 200, bool\) needs a value"):
        library.canonical(
            "steel_gemm_fused_nn_float32_float32_bm32_bn32_bk16_wm2_wn2",
            {"has_batch": False, "use_out_source": False, "do_axpby": False},
        )
