# mypy: ignore-errors
"""The problems as loops for numba: parallel over rows or parts, fast mathematics."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

parallel = numba.njit(parallel=True, fastmath=True)


@parallel
def add(a, b, out):
    for i in prange(a.size):
        out[i] = a[i] + b[i]


@parallel
def matmul(a, b, out):
    rows, inner = a.shape
    for i in prange(rows):
        out[i] = 0
        for n in range(inner):
            for j in range(out.shape[1]):
                out[i, j] += a[i, n] * b[n, j]


@parallel
def matmul_bfloat(a, b, out):
    rows, inner = a.shape
    columns = b.shape[1]
    wide = np.empty(b.shape, np.uint32)
    for n in prange(inner):
        for j in range(columns):
            wide[n, j] = np.uint32(b[n, j]) << np.uint32(16)
    floats = wide.view(np.float32)
    for i in prange(rows):
        one = np.empty(1, np.uint32)
        total = np.zeros(columns, np.float32)
        for n in range(inner):
            one[0] = np.uint32(a[i, n]) << np.uint32(16)
            value = one.view(np.float32)[0]
            for j in range(columns):
                total[j] += value * floats[n, j]
        bits = total.view(np.uint32)
        for j in range(columns):
            odd = (bits[j] >> np.uint32(16)) & np.uint32(1)
            out[i, j] = (bits[j] + np.uint32(0x7FFF) + odd) >> np.uint32(16)


@parallel
def matvec_q4(packed, scales, biases, x, out):
    rows, words = packed.shape
    for row in prange(rows):
        total = np.float32(0)
        for group in range(words // 4):
            products = np.float32(0)
            values = np.float32(0)
            for k in range(4):
                word = packed[row, group * 4 + k]
                for i in range(8):
                    value = x[group * 32 + k * 8 + i]
                    products += np.float32((word >> np.uint32(4 * i)) & np.uint32(15)) * value
                    values += value
            total += scales[row, group] * products + biases[row, group] * values
        out[row] = total


@parallel
def softmax(x, out):
    rows, n = x.shape
    for row in prange(rows):
        largest = np.float32(-np.inf)
        for i in range(n):
            largest = max(largest, x[row, i])
        total = np.float32(0)
        for i in range(n):
            value = np.exp(x[row, i] - largest)
            out[row, i] = value
            total += value
        for i in range(n):
            out[row, i] /= total


@parallel
def rms_norm(x, weight, out):
    rows, n = x.shape
    for row in prange(rows):
        squares = np.float32(0)
        for i in range(n):
            squares += x[row, i] * x[row, i]
        scale = np.float32(1) / np.sqrt(squares / np.float32(n) + np.float32(1e-5))
        for i in range(n):
            out[row, i] = weight[i] * x[row, i] * scale


@parallel
def attention(q, k, v, out):
    heads, queries, d = q.shape
    keys = k.shape[1]
    scale = np.float32(1) / np.sqrt(np.float32(d))
    for row in prange(heads * queries):
        head = row // queries
        query = row % queries
        scores = np.empty(keys, np.float32)
        largest = np.float32(-np.inf)
        for j in range(keys):
            score = np.float32(0)
            for i in range(d):
                score += q[head, query, i] * k[head, j, i]
            scores[j] = score * scale
            largest = max(largest, scores[j])
        total = np.float32(0)
        result = np.zeros(d, np.float32)
        for j in range(keys):
            weight = np.exp(scores[j] - largest)
            total += weight
            for i in range(d):
                result[i] += weight * v[head, j, i]
        for i in range(d):
            out[head, query, i] = result[i] / total


@parallel
def transpose(x, out):
    side = 32
    rows, columns = x.shape
    for tile in prange(rows // side):
        top = tile * side
        for left in range(0, columns, side):
            for j in range(left, left + side):
                for i in range(top, top + side):
                    out[j, i] = x[i, j]


@parallel
def reduction(x, out):
    total = np.float32(0)
    for i in prange(x.size):
        total += x[i]
    out[0] = total


@parallel
def scan(x, out):
    parts = 64
    size = x.size // parts
    totals = np.zeros(parts, np.float32)
    for part in prange(parts):
        total = np.float32(0)
        for i in range(part * size, (part + 1) * size):
            total += x[i]
        totals[part] = total
    before = np.zeros(parts, np.float32)
    for part in range(1, parts):
        before[part] = before[part - 1] + totals[part - 1]
    for part in prange(parts):
        total = before[part]
        for i in range(part * size, (part + 1) * size):
            total += x[i]
            out[i] = total


@parallel
def histogram(x, out):
    parts = 16
    size = x.size // parts
    counts = np.zeros((parts, 256), np.uint32)
    for part in prange(parts):
        for i in range(part * size, (part + 1) * size):
            counts[part, x[i]] += np.uint32(1)
    for b in range(256):
        out[b] = counts[:, b].sum()


@parallel
def block_sort(x, out):
    size = 1024
    for part in prange(x.size // size):
        out[part * size : (part + 1) * size] = np.sort(x[part * size : (part + 1) * size])
