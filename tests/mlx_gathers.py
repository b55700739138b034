"""Cases of MLX's other products: gathered, masked, convolutions, numbers of 4 and 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from mlx_case import DTYPES, FLOATS, METAL, Array, Case, Expected, Launch, epsilon, groups
from mlx_matrices import GEMM, normal, packed, products, wide

# MLX's names of types in these kernels' names.
NAMES = {"float32": "float", "float16": "float16_t", "bfloat16": "bfloat16_t"}


def gather(name: str, transposes: str, m: int, n: int, k: int) -> Case:
    """Each product takes the matrices that two lists of indices say."""
    bm, bn, bk, wm, wn = 64, 64, 16, 2, 2

    def launch() -> Launch:
        rng = np.random.default_rng(11)
        a, b = normal(rng, name, 3, m, k), normal(rng, name, 4, k, n)
        left, right = np.uint32([2, 0, 2, 1, 0]), np.uint32([3, 3, 0, 1, 2])
        want = np.stack([wide(a[i]) @ wide(b[j]) for i, j in zip(left, right, strict=True)])
        lda, ldb = (m if transposes[0] == "t" else k), (k if transposes[1] == "t" else n)
        a = np.ascontiguousarray(a.swapaxes(1, 2)) if transposes[0] == "t" else a
        b = np.ascontiguousarray(b.swapaxes(1, 2)) if transposes[1] == "t" else b
        tiles = groups(n, bn), groups(m, bm)
        params = packed("8i3q3i4x", m, n, k, lda, ldb, n, *tiles, 1, 1, m * n, 0, k // bk, 1)
        one, strides = np.int32([1]), np.int64([1])
        buffers = {
            0: a, 1: b, 2: left, 3: right, 4: np.zeros((len(left), m, n), a.dtype), 5: params,
            6: np.int32([len(left)]), 7: strides, 8: strides,
            9: one, 10: np.int32([3]), 11: np.int64([m * k]),
            12: one, 13: np.int32([4]), 14: np.int64([k * n]),
        }  # fmt: skip
        constants = {10: False, 200: m % bm == 0, 201: n % bn == 0, 202: k % bk == 0}
        wanted = {4: Expected(want, 0, products(a.dtype, k))}
        grid = (tiles[0] * 32, tiles[1] * wn, wm * len(left))
        return Launch(buffers, grid, (32, wn, wm), wanted, constants)

    label = f"steel_gather_mm_{transposes}_{name}_{name}_bm{bm}_bn{bn}_bk{bk}_wm{wm}_wn{wn}"
    flags = ", ".join("true" if t == "t" else "false" for t in transposes)
    kernel = f"gather_mm<{METAL[name]}, {bm}, {bn}, {bk}, {wm}, {wn}, {flags}>"
    headers = (*GEMM, "steel/gemm/kernels/steel_gemm_gather.h")
    return Case("gather gemm", f"{label}#{m}x{n}x{k}", headers, kernel, launch)


def masked_gemv(name: str, out_mask: str, operand_mask: str) -> Case:
    """Blocks of rows and columns count where their masks say so; a float mask multiplies."""
    bm, bn, sm, sn, tm, tn = tile = 2, 1, 4, 8, 1, 4
    n, k, block = 64, 96, sn * tn  # outputs, inputs, what one element of a mask stands for

    def mask(rng: np.random.Generator, kind: str, *shape: int) -> Array:
        picked = rng.random(shape) < 0.6
        if kind == "bool_":
            return picked
        return np.where(picked, rng.standard_normal(shape), 0).astype(DTYPES[name])

    def launch() -> Launch:
        rng = np.random.default_rng(12)
        matrix, x = normal(rng, name, n, k), normal(rng, name, k)
        rows, columns = n // block, k // block
        outputs = mask(rng, out_mask, rows)
        matrix_mask = mask(rng, operand_mask, rows, columns)
        vector_mask = mask(rng, operand_mask, columns)
        factors = wide(matrix_mask) * wide(vector_mask)
        whole = wide(matrix).reshape(rows, block, columns, block) * factors[:, None, :, None]
        want = whole.reshape(n, k) @ wide(x)
        want = (want.reshape(rows, block) * wide(outputs)[:, None]).reshape(n)
        none = np.int64([0])
        # strides of each mask: along columns, along rows
        strides = np.int32([1, 1, 1, columns, columns, 1])
        buffers = {
            0: matrix, 1: x, 3: np.zeros(n, x.dtype), 4: np.int32([k]), 5: np.int32([n]),
            6: np.int32([k]), 9: np.int32([1]), 10: np.int32([1]), 11: none, 12: none,
            20: outputs, 21: matrix_mask, 22: vector_mask, 23: strides,
            24: np.int64([0, 0, 0]),  # of each mask, between batches
        }  # fmt: skip
        # Masks are rounded to the type before they multiply, up to twice and three wide.
        atol = 16 * products(x.dtype, k)
        grid = (groups(n, bm * sm * tm) * 32, bn, bm)
        return Launch(buffers, grid, (32, bn, bm), {3: Expected(want, 0, atol)})

    def type_of(kind: str) -> str:
        return "bool" if kind == "bool_" else METAL[name]

    sizes = "".join(
        f"_{w}{v}" for w, v in zip(("bm", "bn", "sm", "sn", "tm", "tn"), tile, strict=True)
    )
    label = f"gemv_outmask_{out_mask}_opmask_{operand_mask}_{name}{sizes}_nc0"
    types = f"{METAL[name]}, {type_of(out_mask)}, {type_of(operand_mask)}"
    kernel = f"gemv_masked<{types}, {', '.join(map(str, tile))}, false>"
    return Case("masked gemv", label, ("utils.h", "gemv_masked.h"), kernel, launch)


def convolution(name: str, channels: int, small: bool) -> Case:
    """3x3 over an image with channels last, stride 2, padding 1, as one matrix product."""
    bm, bn, bk, wm, wn = 32, 8, 16, 4, 1
    images, height, width, out_channels, stride, pad = 2, 9, 11, 20, 2, 1

    def launch() -> Launch:
        rng = np.random.default_rng(13)
        x = normal(rng, name, images, height, width, channels)
        weights = normal(rng, name, out_channels, 3, 3, channels)
        out_h, out_w = ((size + 2 * pad - 3) // stride + 1 for size in (height, width))
        padded = np.pad(wide(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        want = np.zeros((images, out_h, out_w, out_channels))
        for i in range(3):
            for j in range(3):
                part = padded[:, i : i + stride * out_h : stride, j : j + stride * out_w : stride]
                want += part[:, :out_h, :out_w] @ wide(weights[:, i, j]).T
        m, k = images * out_h * out_w, 9 * channels
        ends = [groups(channels, bk) * 9 if channels > 8 else groups(k, bk)]

        def strides(*shape: int) -> list[int]:
            return [int(np.prod(shape[i + 1 :])) for i in range(4)]

        params = packed(
            "17i4x12qi?3x", images, channels, out_channels, height, width, 3, 3, out_h, out_w,
            stride, stride, pad, pad, 1, 1, 1, 1, *strides(*x.shape), *strides(*weights.shape),
            *strides(*want.shape), 1, False,
        )  # fmt: skip
        jump_h = width * channels - 2 * channels
        jump_c = bk - 2 * width * channels - 2 * channels
        tiles = groups(out_channels, bn), groups(m, bm)
        gemm = np.int32([m, out_channels, k, *ends, channels, jump_h, jump_c, *tiles, 0])
        buffers = {0: x, 1: weights, 2: np.zeros(want.shape, x.dtype), 3: params, 4: gemm}
        wanted = {2: Expected(want, 0, products(x.dtype, k))}
        return Launch(buffers, (tiles[0] * 32, tiles[1] * wn, wm), (32, wn, wm), wanted)

    which = str(channels) if channels <= 4 else "l"
    sizes = f"bm{bm}_bn{bn}_bk{bk}_wm{wm}_wn{wn}"
    label = f"implicit_gemm_conv_2d_{name}_{sizes}_channel_{which}_filter_{'s' if small else 'l'}"
    more = f"{channels if channels <= 4 else 0}, {str(small).lower()}"
    kernel = f"implicit_gemm_conv_2d<{METAL[name]}, {bm}, {bn}, {bk}, {wm}, {wn}, {more}>"
    headers = ("utils.h", "steel/gemm/mma.h", "steel/conv/conv.h", "steel/conv/params.h")
    return Case("convolution", label, (*headers, "steel/conv/kernels/steel_conv.h"), kernel, launch)


FORMATS: dict[str, tuple[int, int, Any]] = {
    "mxfp4": (4, 32, ml_dtypes.float4_e2m1fn),
    "nvfp4": (4, 16, ml_dtypes.float4_e2m1fn),
    "mxfp8": (8, 32, ml_dtypes.float8_e4m3fn),
}


def narrow(kind: str, rows: int, columns: int) -> tuple[Array, Array, Array]:
    """Codes as bytes, their groups' scales, and the numbers that they mean."""
    bits, group, dtype = FORMATS[kind]
    rng = np.random.default_rng(14)
    codes = rng.integers(0, 2**bits, (rows, columns)).astype(np.uint8)
    if bits == 8:
        codes[(codes & 0x7F) == 0x7F] = 0  # NaN
    scale = rng.integers(122, 131, (rows, columns // group)).astype(np.uint8)
    factors = np.exp2(scale - 127.0)
    if group == 16:  # these are of e4m3 themselves
        factors = rng.uniform(0.5, 2, scale.shape).astype(ml_dtypes.float8_e4m3fn)
        scale, factors = factors.view(np.uint8), wide(factors)
    numbers = codes.view(dtype).astype(np.float64) * np.repeat(factors, group, axis=1)
    data = codes if bits == 8 else codes[:, ::2] | codes[:, 1::2] << 4
    return np.ascontiguousarray(data), scale, numbers


def dequantized(kind: str, name: str) -> Case:
    bits, group, _ = FORMATS[kind]

    def launch() -> Launch:
        data, scales, numbers = narrow(kind, 6, 128)
        out = np.zeros(numbers.shape, DTYPES[name])
        buffers = {0: data, 1: scales, 2: np.float32([1]), 3: out}
        expected = Expected(numbers, epsilon(out.dtype))
        return Launch(buffers, (data.size,), (64,), {3: expected})

    label = f"{kind}_dequantize_{NAMES[name]}_gs_{group}_b_{bits}_hgs_false"
    kernel = f"fp_dequantize<{METAL[name]}, {group}, {bits}, false>"
    return Case("fp4 and fp8", label, FP, kernel, launch)


FP = (*GEMM, "quantized_utils.h", "fp_quantized.h")


def narrow_product(kind: str, name: str) -> Case:
    """A matrix of narrow numbers times vectors."""
    bits, group, _ = FORMATS[kind]
    n, k, m = 64, 512, 2

    def launch() -> Launch:
        data, scales, numbers = narrow(kind, n, k)
        x = normal(np.random.default_rng(15), name, m, k)
        want = wide(x) @ numbers.T
        one, none = np.int32([1]), np.int64([0])
        buffers = {
            0: data.view(np.uint32), 1: scales, 2: np.float32([1]), 3: x,
            4: np.zeros((m, n), x.dtype), 5: np.int32([k]), 6: np.int32([n]), 7: one,
            8: np.int32([m]), 9: np.int64([k]), 10: np.int32([0]), 11: np.int32([0]), 12: none,
            13: none,
        }  # fmt: skip
        # Products are as large as the largest code times the largest scale.
        atol = float(np.abs(numbers).max()) * products(x.dtype, k)
        return Launch(buffers, (m * 32, groups(n, 8) * 2), (32, 2), {4: Expected(want, 0, atol)})

    label = f"{kind}_qmv_fast_{NAMES[name]}_gs_{group}_b_{bits}_batch_0_pr_0_hgs_0_r_4"
    kernel = f"fp_qmv_fast<{METAL[name]}, {group}, {bits}, false, false, false, 4>"
    return Case("fp4 and fp8", label, FP, kernel, launch)


def cases() -> Iterator[Case]:
    for name in FLOATS:
        for transposes in ("nn", "nt"):
            yield gather(name, transposes, 64, 64, 32)
        yield gather(name, "nn", 70, 33, 21)
        for mask in ("bool_", name):
            yield masked_gemv(name, mask, mask)
        yield convolution(name, 16, True)
        yield convolution(name, 16, False)
        yield convolution(name, 2, False)
        for kind in FORMATS:
            yield dequantized(kind, name)
            yield narrow_product(kind, name)
