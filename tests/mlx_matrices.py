"""Cases of MLX's matrix kernels: gemv, steel GEMM, attention, quantized."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from mlx_case import DTYPES, FLOATS, METAL, Array, Case, Expected, Launch, epsilon, groups

GEMM = ("utils.h", "steel/gemm/gemm.h")


def normal(rng: np.random.Generator, name: str, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(DTYPES[name])


def wide(array: Array) -> Array:
    return array.astype(np.float64)


def products(dtype: Any, k: int) -> float:
    """What `k` products of numbers around 1, summed in float32 and rounded once, may be off by."""
    return 4 * k * epsilon(np.float32) + 4 * np.sqrt(k) * epsilon(dtype)


def packed(layout: str, *values: float) -> Array:
    """A struct of constants as MLX's headers declare it."""
    return np.frombuffer(struct.pack(f"<{layout}", *values), np.uint8).copy()


def gemv(
    name: str, transposed: bool, tile: tuple[int, int, int, int, int, int], axpby: bool
) -> Case:
    bm, bn, sm, sn, tm, tn = tile
    k, n = 133, 70  # inputs, outputs

    def launch() -> Launch:
        rng = np.random.default_rng(1)
        matrix = normal(rng, name, k, n) if transposed else normal(rng, name, n, k)
        x, bias = normal(rng, name, k), normal(rng, name, n)
        want = wide(x) @ (wide(matrix) if transposed else wide(matrix).T)
        if axpby:
            want = 0.5 * want + 2 * wide(bias)
        outputs = bn * sn * tn if transposed else bm * sm * tm
        none = np.int64([0])
        buffers = {
            0: matrix, 1: x, 2: bias, 3: np.zeros(n, x.dtype), 4: np.int32([k]), 5: np.int32([n]),
            6: np.int32([n if transposed else k]), 7: np.float32([0.5]), 8: np.float32([2]),
            9: np.int32([1]), 10: np.int32([1]), 11: none, 12: none, 13: none, 14: np.int32([1]),
        }  # fmt: skip
        atol = products(x.dtype, k)
        grid = (groups(n, outputs) * 32, bn, bm)
        return Launch(buffers, grid, (32, bn, bm), {3: Expected(want, 0, atol)})

    function = "gemv_t" if transposed else "gemv"
    sizes = "".join(
        f"_{w}{v}" for w, v in zip(("bm", "bn", "sm", "sn", "tm", "tn"), tile, strict=True)
    )
    label = f"{function}_{name}{sizes}_nc0_axpby{int(axpby)}"
    kernel = f"{function}<{METAL[name]}, {', '.join(map(str, tile))}, false, {str(axpby).lower()}>"
    return Case("gemv", label, ("utils.h", "gemv.h"), kernel, launch)


def gemm(
    name: str, transposes: str, tile: tuple[int, int, int, int, int], m: int, n: int, k: int,
    axpby: bool = False,
) -> Case:  # fmt: skip
    bm, bn, bk, wm, wn = tile

    def launch() -> Launch:
        rng = np.random.default_rng(3)
        a, b, c = normal(rng, name, m, k), normal(rng, name, k, n), normal(rng, name, m, n)
        want = wide(a) @ wide(b)
        want = 0.5 * want + 2 * wide(c) if axpby else want
        lda, ldb = (m if transposes[0] == "t" else k), (k if transposes[1] == "t" else n)
        a = np.ascontiguousarray(a.T) if transposes[0] == "t" else a
        b = np.ascontiguousarray(b.T) if transposes[1] == "t" else b
        tiles = groups(n, bn), groups(m, bm)
        params = packed(
            "8i3q3i4x", m, n, k, lda, ldb, n, *tiles, m * k, k * n, m * n, 0, k // bk, 1
        )
        buffers = {0: a, 1: b, 2: c, 3: np.zeros((m, n), a.dtype), 4: params}
        buffers[5] = packed("iiqff", n, 1, m * n, 0.5, 2.0)
        constants = {10: False, 100: axpby, 110: axpby}
        constants |= {200: m % bm == 0, 201: n % bn == 0, 202: k % bk == 0}
        wanted = {3: Expected(want, 0, products(a.dtype, k))}
        grid = (tiles[0] * 32, tiles[1] * wn, wm)
        return Launch(buffers, grid, (32, wn, wm), wanted, constants)

    sizes = f"bm{bm}_bn{bn}_bk{bk}_wm{wm}_wn{wn}"
    label = f"steel_gemm_fused_{transposes}_{name}_{name}_{sizes}"
    flags = ", ".join("true" if t == "t" else "false" for t in transposes)
    kernel = f"gemm<{METAL[name]}, {bm}, {bn}, {bk}, {wm}, {wn}, {flags}>"
    headers = (*GEMM, "steel/gemm/kernels/steel_gemm_fused.h")
    return Case("steel gemm", f"{label}#{m}x{n}x{k}{'+' * axpby}", headers, kernel, launch)


def split_k(name: str, transposes: str, m: int, n: int, k: int) -> Case:
    parts, (bm, bn, bk) = 2, (32, 32, 16)

    def launch() -> Launch:
        rng = np.random.default_rng(2)
        a, b = normal(rng, name, m, k), normal(rng, name, k, n)
        part = bk * (k // bk // parts)  # whole blocks; the last takes what is left
        ends = [*range(part, parts * part, part), k]
        want = np.stack(
            [wide(a[:, i * part : end]) @ wide(b[i * part : end]) for i, end in enumerate(ends)]
        )
        lda, ldb = (m if transposes[0] == "t" else k), (k if transposes[1] == "t" else n)
        a = np.ascontiguousarray(a.T) if transposes[0] == "t" else a
        b = np.ascontiguousarray(b.T) if transposes[1] == "t" else b
        tiles = groups(n, bn), groups(m, bm)
        params = np.int32([m, n, k, lda, ldb, n, *tiles, parts, m * n, part, 0, part // bk])
        buffers = {0: a, 1: b, 2: np.zeros((parts, m, n), np.float32), 3: params}
        wanted = {2: Expected(want, 0, products(np.float32, part))}
        return Launch(buffers, (tiles[0] * 32, tiles[1] * 2, parts * 2), (32, 2, 2), wanted)

    mn, kk = m % bm == 0 and n % bn == 0, k % bk == 0
    aligned = f"MN_{'t' if mn else 'n'}aligned_K_{'t' if kk else 'n'}aligned"
    label = f"steel_gemm_splitk_{transposes}_{name}_float32_bm32_bn32_bk16_wm2_wn2_{aligned}"
    flags = ", ".join("true" if t == "t" else "false" for t in transposes)
    last = f"{str(mn).lower()}, {str(kk).lower()}"
    kernel = f"gemm_splitk<{METAL[name]}, float, 32, 32, 16, 2, 2, {flags}, {last}>"
    headers = (*GEMM, "steel/gemm/kernels/steel_gemm_splitk.h")
    return Case("steel gemm", label, headers, kernel, launch)


def split_k_sum(name: str) -> Case:
    def launch() -> Launch:
        parts = np.random.default_rng(2).standard_normal((3, 5, 40)).astype(np.float32)
        buffers = {0: parts, 1: np.zeros((5, 40), DTYPES[name]), 2: np.int32([3])}
        buffers |= {3: np.int32([200]), 4: np.int32([40])}
        atol = 8 * epsilon(DTYPES[name])
        return Launch(buffers, (40, 5), (40, 5), {1: Expected(wide(parts).sum(axis=0), 0, atol)})

    headers = (*GEMM, "steel/gemm/kernels/steel_gemm_splitk.h")
    label = f"steel_gemm_splitk_accum_{name}_float32"
    kernel = f"gemm_splitk_accum<float, {METAL[name]}>"
    return Case("steel gemm", label, headers, kernel, launch)


def masked(name: str, m: int, n: int, k: int) -> Case:
    """Blocks of 32 by 32 of the output and of both operands are switched by boolean masks."""
    tile = 32

    def launch() -> Launch:
        rng = np.random.default_rng(5)
        a, b = normal(rng, name, m, k), normal(rng, name, k, n)
        tm, tn, tk = groups(m, tile), groups(n, tile), groups(k, tile)
        out, lhs, rhs = (rng.random(s) < 0.6 for s in ((tm, tn), (tm, tk), (tk, tn)))

        def spread(mask: Array, rows: int, columns: int) -> Array:
            return np.kron(mask, np.ones((tile, tile)))[:rows, :columns]

        product = (wide(a) * spread(lhs, m, k)) @ (wide(b) * spread(rhs, k, n))
        want = product * spread(out, m, n)
        params = packed("8i3q3i4x", m, n, k, k, n, n, tn, tm, m * k, k * n, m * n, 0, k // 16, 1)
        buffers = {
            0: a, 1: b, 3: np.zeros((m, n), a.dtype), 4: params, 6: np.int32([1]),
            7: np.zeros(5, np.int64), 10: out, 11: lhs, 12: rhs,
            13: np.int32([1, tn, 1, tk, 1, tn]),
        }  # fmt: skip
        wanted = {3: Expected(want, 0, products(a.dtype, k))}
        return Launch(buffers, (tn * 32, tm * 2, 2), (32, 2, 2), wanted)

    mn, kk = m % tile == 0 and n % tile == 0, k % 16 == 0
    aligned = f"MN_{'t' if mn else 'n'}aligned_K_{'t' if kk else 'n'}aligned"
    label = (
        f"steel_gemm_block_outmask_bool__opmask_bool__nn_{name}_{name}"
        f"_bm32_bn32_bk16_wm2_wn2_{aligned}"
    )
    flags = f"false, false, {str(mn).lower()}, {str(kk).lower()}"
    kernel = f"block_masked_gemm<{METAL[name]}, bool, bool, 32, 32, 16, 2, 2, {flags}>"
    headers = (*GEMM, "steel/gemm/kernels/steel_gemm_masked.h")
    return Case("steel gemm", label, headers, kernel, launch)


def attention_of(
    q: Array, k: Array, v: Array, scale: float, causal: bool = False, mask: Array | None = None
) -> Array:
    """(heads, rows, depth); heads of q share those of k and v."""
    shared = len(q) // len(k)
    k, v = (np.repeat(wide(x), shared, axis=0) for x in (k, v))
    scores = scale * wide(q) @ k.transpose(0, 2, 1)
    rows, columns = scores.shape[1:]
    if causal:
        late = np.arange(columns) > np.arange(rows)[:, None] + columns - rows
        scores = np.where(late, -np.inf, scores)
    if mask is not None:
        scores = scores + wide(mask)
    scores = np.exp(scores - scores.max(axis=2, keepdims=True))
    result: Array = scores / scores.sum(axis=2, keepdims=True) @ v
    return result


def sdpa_vector(name: str, depth: int, causal: bool) -> Case:
    heads, shared, rows, length = 4, 2, 3, 75

    def launch() -> Launch:
        rng = np.random.default_rng(4)
        q = normal(rng, name, heads, rows, depth)
        k, v = (normal(rng, name, heads // shared, length, depth) for _ in range(2))
        scale = depth**-0.5
        want = attention_of(q, k, v, scale, causal)
        strides = np.uint64([length * depth]), np.uint64([depth])
        buffers = {
            0: q, 1: k, 2: v, 3: np.zeros_like(q), 4: np.int32([shared]), 5: np.int32([length]),
            6: strides[0], 7: strides[1], 8: strides[0], 9: strides[1], 10: np.float32([scale]),
        }  # fmt: skip
        constants = {20: False, 21: False, 22: causal, 23: False, 24: False, 25: False, 26: 1}
        atol = 16 * epsilon(q.dtype)
        return Launch(
            buffers, (heads * 1024, rows), (1024, 1), {3: Expected(want, 0, atol)}, constants
        )

    metal = "float" if name == "float32" else f"{name}_t"
    label = f"sdpa_vector_{metal}_{depth}_{depth}#{'causal' if causal else ''}"
    kernel = f"sdpa_vector<{METAL[name]}, {depth}, {depth}>"
    return Case("attention", label, ("utils.h", "sdpa_vector.h"), kernel, launch)


def steel_attention(name: str, depth: int, causal: bool, length: int) -> Case:
    bq, bk = 32, (32 if depth < 128 else 16)
    heads, shared, rows = 2, 2, 40

    def launch() -> Launch:
        rng = np.random.default_rng(6)
        q = normal(rng, name, heads, rows, depth)
        k, v = (normal(rng, name, heads // shared, length, depth) for _ in range(2))
        scale = depth**-0.5
        want = attention_of(q, k, v, scale, causal)
        nq, nk = groups(rows, bq), groups(length, bk)
        whole = heads * rows * depth, rows * depth, depth
        kept = heads // shared * length * depth, length * depth, depth
        params = packed(
            "6if7i12q", 1, heads, depth, rows, length, shared, scale, nq, nk, rows // bq,
            length // bk, rows % bq, length % bk, length - rows, *whole, *kept, *kept, *whole,
        )  # fmt: skip
        constants = {200: rows % bq == 0, 201: length % bk == 0, 300: False, 301: causal}
        constants |= {302: False, 303: False}
        atol = 16 * epsilon(q.dtype)
        buffers = {0: q, 1: k, 2: v, 3: np.zeros_like(q), 4: params}
        wanted = {3: Expected(want, 0, atol)}
        return Launch(buffers, (nq * 32, heads * 4, 1), (32, 4, 1), wanted, constants)

    label = f"steel_attention_{name}_bq{bq}_bk{bk}_bd{depth}_bv{depth}_wm4_wn1_maskbool_"
    kernel = f"attention<{METAL[name]}, {bq}, {bk}, {depth}, {depth}, 4, 1, bool, float>"
    headers = ("utils.h", "steel/attn/attn.h", "steel/attn/kernels/steel_attention.h")
    suffix = f"#{length}{'causal' if causal else ''}"
    return Case("attention", label + suffix, headers, kernel, launch)


QUANTIZED = ("utils.h", "steel/gemm/gemm.h", "quantized_utils.h", "quantized.h")


def pack_bits(values: Array, bits: int) -> Array:
    """Rows of numbers below 2^bits as streams of bits, least significant first."""
    planes = (values[..., None] >> np.arange(bits)) & 1
    flat = planes.reshape(*values.shape[:-1], -1).astype(np.uint8)
    return np.packbits(flat, axis=-1, bitorder="little")


def quantized(name: str, rows: int, columns: int, group: int, bits: int) -> tuple[Array, ...]:
    """Weights as MLX packs them, scales, biases, and the weights that they stand for."""
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 1 << bits, (rows, columns))
    shape = rows, columns // group
    scales = (rng.uniform(0.5, 1, shape) / (1 << bits)).astype(DTYPES[name])
    biases = (-rng.uniform(0, 1, shape)).astype(DTYPES[name])
    expanded = [np.repeat(wide(x), group, axis=1) for x in (scales, biases)]
    return pack_bits(codes, bits), scales, biases, codes * expanded[0] + expanded[1]


def metal_name(name: str) -> str:
    return "float" if name == "float32" else f"{name}_t"


def dequantize(name: str, group: int, bits: int) -> Case:
    def launch() -> Launch:
        w, scales, biases, want = quantized(name, 4, 2 * group, group, bits)
        per_thread = 8 if bits in (3, 5) else 4 if bits == 6 else 8 // bits
        out = np.zeros(want.shape, scales.dtype)
        threads = want.size // per_thread
        tolerance = 2 * epsilon(scales.dtype)
        buffers = {0: w, 1: scales, 2: biases, 3: out}
        wanted = {3: Expected(want, tolerance, tolerance)}
        return Launch(buffers, (threads,), (min(threads, 64),), wanted)

    label = f"affine_dequantize_{metal_name(name)}_gs_{group}_b_{bits}"
    kernel = f"affine_dequantize<{METAL[name]}, {group}, {bits}>"
    return Case("quantized", label, QUANTIZED, kernel, launch)


def qmv(kind: str, name: str, group: int, bits: int) -> Case:
    """Products of quantized weights: of 2 vectors (qmv, qvm), or of 37 (qmm)."""
    transposed = kind in ("qmv_fast", "qmv", "qmm_t")
    k, n = (512, 64) if kind != "qmm_n" else (128, 64)
    if kind == "qmm_t":
        k = 128

    def launch() -> Launch:
        m = 37 if "qmm" in kind else 2
        shape = (n, k) if transposed else (k, n)
        w, scales, biases, weights = quantized(name, *shape, group, bits)
        x = normal(np.random.default_rng(8), name, m, k)
        want = wide(x) @ (weights.T if transposed else weights)
        out = np.zeros((m, n), x.dtype)
        sizes = {5: np.int32([k]), 6: np.int32([n])}
        first = 7
        if "qmm" in kind:
            sizes[7] = np.int32([m])
            first = 8
        numbers = [np.int32([1]), np.int32([m]), np.int64([k]), np.int32([0]), np.int32([0])]
        numbers += [np.int64([0])] * 3
        buffers = {0: w, 1: scales, 2: biases, 3: x, 4: out, **sizes}
        buffers |= {first + i: number for i, number in enumerate(numbers)}
        grid: tuple[int, ...] = (m * 32, groups(n, 8) * 2)
        threadgroup: tuple[int, ...] = (32, 2)
        if kind == "qvm":
            grid = (m * 32, groups(n, 64) * 2)
        elif "qmm" in kind:
            grid, threadgroup = (groups(n, 32) * 32, groups(m, 32) * 2, 2), (32, 2, 2)
        # qmm rounds the weights to the type before multiplying.
        atol = products(x.dtype, k) + ("qmm" in kind) * np.sqrt(k) * 4 * epsilon(x.dtype)
        return Launch(buffers, grid, threadgroup, {4: Expected(want, 0, atol)})

    label = f"affine_{kind}_{metal_name(name)}_gs_{group}_b_{bits}"
    types = f"{METAL[name]}, {group}, {bits}"
    if kind == "qmm_t":
        label, types = f"{label}_alN_true_batch_0", f"{types}, true, false"
    elif "qmv" in kind:
        label, types = f"{label}_batch_0_pr_0_hgs_0_r_4", f"{types}, false"
    else:
        label, types = f"{label}_batch_0", f"{types}, false"
    return Case("quantized", label, QUANTIZED, f"affine_{kind}<{types}>", launch)


def quantize(name: str, group: int, bits: int) -> Case:
    """What is quantized from what some codes stand for is those codes, up to rounding of scales."""

    def launch() -> Launch:
        rng = np.random.default_rng(bits)
        codes = rng.integers(0, 1 << bits, (4, 2 * group))
        codes[:, ::group], codes[:, 1::group] = 0, (1 << bits) - 1
        # Steps of a power of two below 0: scales and biases are exact.
        step, steps = 2.0**-3, (1 << bits) - 1
        w = ((codes - steps) * step).astype(np.float32)
        packed_codes = pack_bits(codes, bits)
        scales = np.zeros((4, 2), np.float32)
        per_thread = group // 32
        threads = w.size // per_thread
        buffers = {0: w, 1: np.zeros_like(packed_codes), 2: scales, 3: np.zeros_like(scales)}
        wanted = {
            1: Expected(packed_codes),
            2: Expected(np.full((4, 2), step), 1e-6),
            3: Expected(np.full((4, 2), -steps * step), 1e-6),
        }
        return Launch(buffers, (threads,), (64,), wanted)

    label = f"affine_quantize_{metal_name(name)}_gs_{group}_b_{bits}"
    kernel = f"affine_quantize<{METAL[name]}, {group}, {bits}>"
    return Case("quantized", label, QUANTIZED, kernel, launch)


GEMV_TILES = ((1, 8, 1, 32, 4, 4), (4, 1, 1, 32, 4, 4), (1, 1, 8, 4, 4, 4), (4, 1, 1, 32, 1, 4))
GEMV_T_TILES = ((1, 2, 8, 4, 4, 1), (1, 4, 8, 4, 4, 4), (1, 16, 4, 8, 4, 4))
BITS = (2, 3, 4, 5, 6, 8)


def cases() -> Iterator[Case]:
    for i, name in enumerate(FLOATS):
        for tile in GEMV_TILES:
            yield gemv(name, False, tile, axpby=tile[1] == 8)
        for tile in GEMV_T_TILES:
            yield gemv(name, True, tile, axpby=tile[1] == 2)
        for transposes in ("nn", "nt", "tn", "tt"):
            yield gemm(name, transposes, (64, 64, 16, 2, 2), 64, 64, 32)
            yield split_k(name, transposes, 64, 64, 64)
        yield gemm(name, "nn", (64, 64, 16, 2, 2), 70, 50, 21)
        yield gemm(name, "nt", (32, 32, 16, 2, 2), 33, 50, 21, axpby=True)
        yield gemm(name, "nn", (64, 32, 32, 2, 2), 70, 50, 64)
        yield split_k(name, "nn", 40, 33, 42)
        if name != "float32":
            yield split_k_sum(name)
        yield masked(name, 64, 64, 64)
        yield masked(name, 50, 70, 40)
        for depth in (64, 128):
            yield sdpa_vector(name, depth, causal=depth == 64)
        yield steel_attention(name, 64, causal=bool(i % 2), length=64)
        yield steel_attention(name, 128, causal=not i % 2, length=53)
        for group in (32, 64, 128):
            for bits in BITS:
                yield dequantize(name, group, bits)
        for bits in BITS:
            yield qmv("qmv_fast", name, 64, bits)
            yield qmv("qmm_t", name, 64, bits)
        for bits in (2, 4, 8):
            yield qmv("qvm", name, 64, bits)
            yield qmv("qmm_n", name, 64, bits)
            yield qmv("qmv", name, 32, bits)
    for bits in BITS:
        yield quantize("float32", 64, bits)
