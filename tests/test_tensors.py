"""Tensors of Metal 4 and products of them: <metal_tensor> and mpp::tensor_ops::matmul2d."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pymetal

HEADER = """
#include <metal_stdlib>
#include <metal_tensor>
#include <MetalPerformancePrimitives/MetalPerformancePrimitives.h>
using namespace metal;
using namespace mpp::tensor_ops;
"""
DTYPES = {"float": np.float32, "half": np.float16, "bfloat": ml_dtypes.bfloat16, "char": np.int8}
# One simdgroup or more; and one thread alone.
MATMUL = """
kernel void k(device A_T* a [[buffer(0)]], device B_T* b [[buffer(1)]], device C_T* c [[buffer(2)]],
              constant int3& size [[buffer(3)]], uint2 group [[threadgroup_position_in_grid]]) {
  auto A = tensor<device A_T, dextents<int, 2>, tensor_inline>(
      a, dextents<int, 2>(TA ? size.x : size.z, TA ? size.z : size.x));
  auto B = tensor<device B_T, dextents<int, 2>, tensor_inline>(
      b, dextents<int, 2>(TB ? size.z : size.y, TB ? size.y : size.z));
  auto C = tensor<device C_T, dextents<int, 2>, tensor_inline>(
      c, dextents<int, 2>(size.y, size.x));
  constexpr auto descriptor = matmul2d_descriptor(
      TM, TN, static_cast<int>(dynamic_extent), TA, TB, false, matmul2d_descriptor::mode::MODE);
  matmul2d<descriptor, SCOPE> product;
  int m = group.y * TM, n = group.x * TN;
  auto left = A.slice(TA ? m : 0, TA ? 0 : m);
  auto right = B.slice(TB ? 0 : n, TB ? n : 0);
  auto part = C.slice(n, m);
  BODY
}
"""
DIRECT = "product.run(left, right, part);"
COOPERATIVE = """
  auto sum = product.get_destination_cooperative_tensor<decltype(left), decltype(right), float>();
  for (int i = 0; i < sum.get_capacity(); i++) sum[i] = 1;
  product.run(left, right, sum);
  for (auto it = sum.begin(); it != sum.end(); ++it) {
    auto at = it.get_multidimensional_index();
    *it += at[0] + 1000 * at[1];
  }
  sum.store(part);
"""


def run(
    m: int, n: int, k: int, types=("float",) * 3, tile=(32, 32), scope="execution_simdgroups<4>",
    transposes=(False, False), mode="multiply", body=DIRECT, threads=128, initial=0,
):  # fmt: skip
    """The product by tensors, and by NumPy in float64; operands are small integers."""
    macros = dict(zip(("A_T", "B_T", "C_T"), types, strict=True))
    macros |= {"TM": tile[0], "TN": tile[1], "SCOPE": scope, "MODE": mode}
    macros |= {"TA": int(transposes[0]), "TB": int(transposes[1])}
    source = HEADER + MATMUL.replace("BODY", body)
    kernel = pymetal.compile(source, macros=macros, device="cpu")["k"]
    rng = np.random.default_rng(0)
    a = rng.integers(-4, 5, (m, k)).astype(DTYPES[types[0]])
    b = rng.integers(-4, 5, (k, n)).astype(DTYPES[types[1]])
    c = np.full((m, n), initial, np.int32 if types[2] == "int" else DTYPES[types[2]])
    left = np.ascontiguousarray(a.T) if transposes[0] else a
    right = np.ascontiguousarray(b.T) if transposes[1] else b
    grid = (-(-n // tile[1]) * threads, -(-m // tile[0]))
    kernel(left, right, c, (m, n, k), grid=grid, threadgroup=(threads, 1))
    return c.astype(np.float64), a.astype(np.float64) @ b.astype(np.float64)


@pytest.mark.parametrize(
    "types",
    [
        ("float", "float", "float"),
        ("half", "half", "float"),
        ("half", "half", "half"),
        ("bfloat", "bfloat", "float"),
        ("char", "char", "int"),
        ("half", "char", "float"),
    ],
)
def test_products_of_every_type(types) -> None:
    result, expected = run(64, 64, 32, types)
    np.testing.assert_array_equal(result, expected)  # integers below 2^11: exact in half


@pytest.mark.parametrize("transposes", [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("size", [(64, 32, 16), (33, 41, 19)])
def test_transposes_and_edges(transposes, size) -> None:
    result, expected = run(*size, transposes=transposes)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("scope", "threads", "tile"),
    [
        ("execution_simdgroup", 32, (16, 16)),
        ("execution_simdgroups<2>", 64, (64, 32)),
        ("execution_simdgroups<4>", 128, (16, 48)),
        ("execution_simdgroups<8>", 256, (64, 64)),
        ("execution_thread", 1, (4, 8)),
    ],
)
def test_scopes(scope, threads, tile) -> None:
    result, expected = run(40, 50, 24, scope=scope, threads=threads, tile=tile)
    np.testing.assert_array_equal(result, expected)


def test_multiply_accumulate_adds_to_what_is_there() -> None:
    result, expected = run(32, 32, 16, mode="multiply_accumulate", initial=7)
    np.testing.assert_array_equal(result, expected + 7)


@pytest.mark.parametrize("mode", ["multiply", "multiply_accumulate"])
def test_cooperative_destinations_know_where_their_elements_are(mode) -> None:
    result, expected = run(50, 40, 24, mode=mode, body=COOPERATIVE)
    rows, columns = np.mgrid[:50, :40]
    offsets = columns % 32 + 1000 * (rows % 32) + (mode == "multiply_accumulate")
    np.testing.assert_array_equal(result, expected + offsets)


@pytest.mark.parametrize("transposed", [False, True])
def test_operands_in_registers(transposed: bool) -> None:
    source = (
        HEADER
        + """
    kernel void k(device half* a [[buffer(0)]], device half* b [[buffer(1)]],
                  device float* c [[buffer(2)]]) {
      constexpr auto descriptor = matmul2d_descriptor(
          16, 32, 16, false, RIGHT, true, matmul2d_descriptor::mode::multiply_accumulate);
      matmul2d<descriptor, execution_simdgroup> product;
      auto left = product.get_left_input_cooperative_tensor<half, half, float>();
      auto right = product.get_right_input_cooperative_tensor<half, half, float>();
      auto sum = product.get_destination_cooperative_tensor<decltype(left), decltype(right),
                                                            float>();
      left.load(tensor(a, dextents<int, 2>(16, 16)));
      right.load(tensor(b, dextents<int, 2>(RIGHT ? 16 : 32, RIGHT ? 32 : 16)));
      for (int i = 0; i < sum.get_capacity(); i++) sum[i] = 0;
      product.run(left, right, sum);
      sum.store(tensor(c, dextents<int, 2>(32, 16)));
    }"""
    )
    kernel = pymetal.compile(source, macros={"RIGHT": int(transposed)}, device="cpu")["k"]
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-4, 5, s).astype(np.float16) for s in ((16, 16), (16, 32)))
    c = np.zeros((16, 32), np.float32)
    kernel(a, np.ascontiguousarray(b.T) if transposed else b, c, grid=32, threadgroup=32)
    np.testing.assert_array_equal(c, a.astype(np.float32) @ b.astype(np.float32))


@pytest.mark.parametrize(
    ("scope", "threads", "m", "n"),
    [("execution_simdgroup", 32, 8, 24), ("execution_thread", 1, 5, 3)],
)
def test_rows_and_columns_are_reduced(scope: str, threads: int, m: int, n: int) -> None:
    source = (
        HEADER
        + """
    kernel void k(device float* a [[buffer(0)]], device float* b [[buffer(1)]],
                  device float* c [[buffer(2)]], device float* rows [[buffer(3)]],
                  device float* columns [[buffer(4)]]) {
      matmul2d<matmul2d_descriptor(M, N, 8), SCOPE> product;
      auto left = tensor(a, dextents<int, 2>(8, M));
      auto right = tensor(b, dextents<int, 2>(N, 8));
      typedef decltype(left) L;
      typedef decltype(right) R;
      auto all = product.get_destination_cooperative_tensor<L, R, float>();
      auto most = product.get_row_reduction_destination_cooperative_tensor<L, R, float>();
      auto sum = product.get_column_reduction_destination_cooperative_tensor<L, R, float>();
      product.run(left, right, all);
      reduce_rows(all, most, reduction_operation::max,
                  reduction_operation_identity<float>::max_identity);
      if (is_iterator_compatible(all, most))
        for (auto it = all.begin(); it != all.end(); it++) *it -= *most.map_iterator(it);
      reduce_columns(all, sum);
      for (auto it = most.begin(); it != most.end(); it++)
        rows[it.get_multidimensional_index()[0]] = *it;
      all.store(tensor(c, dextents<int, 2>(N, M)));
      sum.store(tensor(columns, dextents<int, 1>(N)));
    }"""
    )
    macros = {"M": m, "N": n, "SCOPE": scope}
    kernel = pymetal.compile(source, macros=macros, device="cpu")["k"]
    rng = np.random.default_rng(2)
    a, b = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((m, 8), (8, n)))
    c, rows, columns = (np.zeros(shape, np.float32) for shape in ((m, n), m, n))
    kernel(a, b, c, rows, columns, grid=threads, threadgroup=threads)
    product = a @ b  # small integers: exact
    np.testing.assert_array_equal(rows, product.max(1))
    np.testing.assert_array_equal(c, product - product.max(1, keepdims=True))
    np.testing.assert_array_equal(columns, c.sum(0))


def test_slices_strides_and_indices() -> None:
    source = (
        HEADER
        + """
    kernel void k(device float* x [[buffer(0)]], device float* out [[buffer(1)]]) {
      auto t = tensor(x, dextents<int, 2>(10, 6));
      auto part = t.slice<3, dynamic_extent>(2, 1);
      out[0] = part.get_extent(0); out[1] = part.get_extent(1);
      out[2] = part(1, 2);
      auto columns = tensor(x, dextents<int, 2>{6, 10}, array<int, 2>{10, 1});
      out[3] = columns[4, 7];
      threadgroup float local[8];
      auto shared = tensor<threadgroup float, extents<int, 4, 2>, tensor_inline>(
          local, extents<int, 4, 2>());
      shared[3, 1] = 5;
      out[4] = local[7];
    }"""
    )
    x = np.arange(60, dtype=np.float32)
    out = np.zeros(5, np.float32)
    pymetal.compile(source, device="cpu")["k"](x, out, grid=1, threadgroup=1)
    assert out.tolist() == [3, 5, 33, 47, 5]


def test_tensors_bound_by_the_host_are_refused_by_name() -> None:
    source = (
        HEADER
        + """
    kernel void k(tensor<device half, dextents<int, 2>, tensor_handle> t [[buffer(0)]],
                  device float* out [[buffer(1)]]) { out[0] = t.get_extent(0); }"""
    )
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(source, device="cpu")
    assert caught.value.feature == "tensors bound by the host"


@pytest.mark.parametrize(
    ("statement", "feature"),
    [
        ("constexpr auto d = convolution2d_descriptor(1, 2);", "tensor convolutions"),
        (
            "matmul2d<matmul2d_descriptor(16, 16, 16), execution_simdgroups<2>> product;"
            "auto rows = "
            "product.get_row_reduction_destination_cooperative_tensor<half, half, half>();",
            "tensor reductions over several simdgroups",
        ),
    ],
)
def test_operations_that_are_not_supported_are_refused_by_name(statement, feature) -> None:
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(f"{HEADER} kernel void k() {{ {statement} }}", device="cpu")
    assert caught.value.feature == feature
