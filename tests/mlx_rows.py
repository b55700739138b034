"""Cases of MLX's kernels over rows: softmax, norms, arguments of extremes, random bits, transforms.

Some of MLX's kernels are not in its headers; those are checked as Apple compiled them only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mlx_case import DTYPES, FLOATS, METAL, Array, Case, Expected, Launch, epsilon, groups

ROWS = 3
# Threads of kernels that loop over long rows: as many as there can be, for each simdgroup has a
# place in threadgroup memory and all places are read.
LOOPED = 1024


def rows(name: str, size: int, scale: float = 4, seed: int = 1) -> tuple[Array, Array]:
    """Normally distributed rows of a type, and the same in float64."""
    x = (scale * np.random.default_rng(seed).standard_normal((ROWS, size))).astype(DTYPES[name])
    return x, x.astype(np.float64)


def softmax_of(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    result: Array = e / e.sum(axis=-1, keepdims=True)
    return result


def softmax(kind: str, name: str, size: int, precise: bool = False) -> Case:
    def launch() -> Launch:
        x, wide = rows(name, size)
        eps = epsilon(x.dtype)
        # In half and bfloat every one of the `size` additions rounds, unless sums are float.
        units = 32 if precise or name == "float32" else 8 * np.log2(size)
        threads = 32 * groups(groups(size, 4), 32) if kind == "block" else LOOPED
        want = Expected(softmax_of(wide), units * eps, max(1e-7, eps * (name != "float32")))
        buffers = {0: x, 1: np.zeros_like(x), 2: np.int32([size])}
        return Launch(buffers, (ROWS * threads,), (threads,), {1: want})

    template = "softmax_single_row" if kind == "block" else "softmax_looped"
    types = f"{METAL[name]}, float" if precise else METAL[name]
    label = f"{kind}_softmax_{'precise_' if precise else ''}{name}"
    return Case("softmax", label, ("utils.h", "softmax.h"), f"{template}<{types}>", launch)


def logsumexp(kind: str, name: str, size: int) -> Case:
    def launch() -> Launch:
        x, wide = rows(name, size)
        top = wide.max(axis=1)
        want = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
        threads = 32 * groups(groups(size, 4), 32) if kind == "block" else LOOPED
        tolerance = 8 * epsilon(x.dtype)
        buffers = {0: x, 1: np.zeros(ROWS, x.dtype), 2: np.int32([size])}
        wanted = {1: Expected(want, tolerance, tolerance)}
        return Launch(buffers, (ROWS * threads,), (threads,), wanted)

    template = "logsumexp" if kind == "block" else "logsumexp_looped"
    label = f"{kind}_logsumexp_{name}"
    headers = ("utils.h", "logsumexp.h")
    return Case("logsumexp", label, headers, f"{template}<{METAL[name]}>", launch)


def cross_entropy(name: str) -> Case:
    def launch() -> Launch:
        size = 300
        x, wide = rows(name, size)
        targets = np.random.default_rng(2).integers(0, size, ROWS).astype(np.int32)
        top = wide.max(axis=1)
        lse = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
        want = lse - wide[np.arange(ROWS), targets]
        buffers = {0: x, 1: targets, 2: np.zeros(ROWS, np.float32), 3: np.int32([size])}
        wanted = {2: Expected(want, 2e-5, 2e-5)}  # computed in float, exp and log of 4 ULP
        return Launch(buffers, (ROWS * 128,), (128,), wanted)

    headers = ("utils.h", "cross_entropy.h")
    return Case(
        "cross entropy", f"cross_entropy_{name}", headers, f"cross_entropy<{METAL[name]}>", launch
    )


def rms_norm(kind: str, name: str, size: int) -> Case:
    def launch() -> Launch:
        x, wide = rows(name, size, 1)
        w = np.random.default_rng(7).standard_normal(size).astype(x.dtype)
        scale = 1 / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 1e-5)
        tolerance = 4 * epsilon(x.dtype)  # the product with w rounds to the type once or twice
        want = Expected(wide * scale * w.astype(np.float64), tolerance, tolerance)
        threads = 32 * groups(groups(size, 4), 32) if not kind else LOOPED
        numbers = {3: np.float32([1e-5]), 4: np.uint32([size]), 5: np.uint32([1])}
        buffers = {0: x, 1: w, 2: np.zeros_like(x), **numbers}
        return Launch(buffers, (ROWS * threads,), (threads,), {2: want}, {20: True})

    return Case("rms_norm", f"rms{kind}{name}", (), "", launch)


def layer_norm(kind: str, name: str, size: int) -> Case:
    def launch() -> Launch:
        # Threads past a row's end write below their local array (MLX 0.32): here are none.
        x, wide = rows(name, size, 1)
        rng = np.random.default_rng(8)
        w, b = (rng.standard_normal(size).astype(x.dtype) for _ in range(2))
        normal = wide - wide.mean(axis=1, keepdims=True)
        normal /= np.sqrt(wide.var(axis=1, keepdims=True) + 1e-5)
        want = normal * w.astype(np.float64) + b.astype(np.float64)
        tolerance = 8 * epsilon(x.dtype)
        numbers = {
            4: np.float32([1e-5]),
            5: np.uint32([size]),
            6: np.uint32([1]),
            7: np.uint32([1]),
        }
        buffers = {0: x, 1: w, 2: b, 3: np.zeros_like(x), **numbers}
        threads = size // 8
        wanted = {3: Expected(want, tolerance, tolerance)}
        return Launch(buffers, (ROWS * threads,), (threads,), wanted, {20: True})

    return Case("layer_norm", f"layer_norm{kind}{name}", (), "", launch)


def extreme(which: str, name: str) -> Case:
    def launch() -> Launch:
        size = 77
        x = np.random.default_rng(9).uniform(-99, 99, (ROWS, size)).astype(DTYPES[name])
        want = getattr(np, which)(x, axis=1)
        numbers = [np.int32([ROWS]), np.int64([size]), np.int64([1]), np.uint64([1])]
        numbers += [np.int64([1]), np.uint64([size])]
        buffers = dict(enumerate([x, np.zeros(ROWS, np.uint32), *numbers]))
        return Launch(buffers, (32, ROWS), (32, 1), {1: Expected(want)})

    return Case("arg_reduce", f"{which}_{name}", (), "", launch)


def threefry(key: Array, count: Array) -> Array:
    """Threefry 2x32 of 20 rounds (Salmon and others, "Parallel Random Numbers", 2011)."""
    rotations = ((13, 15, 26, 6), (17, 29, 16, 24))
    keys = [np.uint32(key[0]), np.uint32(key[1])]
    keys.append(keys[0] ^ keys[1] ^ np.uint32(0x1BD11BDA))
    x, y = count[0] + keys[0], count[1] + keys[1]
    for i in range(5):
        for r in rotations[i % 2]:
            x = x + y
            y = ((y << np.uint32(r)) | (y >> np.uint32(32 - r))) ^ x
        x, y = x + keys[(i + 1) % 3], y + keys[(i + 2) % 3] + np.uint32(i + 1)
    return np.stack([x, y])


def random_bits() -> Case:
    def launch() -> Launch:
        half = 8  # counters below `half` give the first words, those and half more the others
        keys = np.uint32([[1, 2], [3, 77]])
        counts = np.arange(half, dtype=np.uint32)
        want = np.concatenate(
            [threefry(key, np.stack([counts, counts + np.uint32(half)])) for key in keys]
        )
        out = np.zeros((2, 2 * half), np.uint32)
        buffers = {0: keys, 1: out.view(np.uint8), 2: np.bool_([False]), 3: np.uint64([8 * half])}
        wanted = Expected(want.reshape(2, 2 * half).view(np.uint8))
        return Launch(buffers, (2, half), (2, half), {1: wanted})

    return Case("random", "rbitsc", (), "", launch)


def hadamard(name: str, size: int) -> Case:
    radix, width = 16, 4

    def launch() -> Launch:
        x, wide = rows(name, size, 1)
        matrix = np.ones((1, 1))
        while len(matrix) < size:
            matrix = np.block([[matrix, matrix], [matrix, -matrix]])
        want = wide @ matrix / np.sqrt(size)
        threads = size // radix
        eps = epsilon(x.dtype) * (np.log2(size) if name == "float32" else 8)
        buffers = {0: x, 1: np.zeros_like(x), 2: np.float32([1 / np.sqrt(size)])}
        return Launch(buffers, (threads, ROWS), (threads, 1), {1: Expected(want, 0, 4 * eps)})

    kernel = f"hadamard_n<{METAL[name]}, {size}, {radix}, {width}>"
    return Case("hadamard", f"n{size}_{name}", ("utils.h", "hadamard.h"), kernel, launch)


STEPS = (13, 11, 8, 7, 6, 5, 4, 3, 2)


def fft(n: int, inverse: bool = False, real: str = "") -> Case:
    """A transform of `n`, the product of radices; a thread for each largest radix."""
    radices, rest = [], n
    for radix in STEPS:
        while rest % radix == 0:
            radices.append(radix)
            rest //= radix
    assert rest == 1, n

    def launch() -> Launch:
        rng = np.random.default_rng(3)
        x = (rng.standard_normal((4, n)) + 1j * rng.standard_normal((4, n))).astype(np.complex64)
        function = np.fft.ifft if inverse else np.fft.fft
        source: Array = x
        want = function(x.astype(np.complex128))
        if real == "forward":
            source = np.ascontiguousarray(x.real)
            want = np.fft.rfft(source.astype(np.float64))
        elif real == "inverse":
            source = np.fft.rfft(x.real).astype(np.complex64)
            want = np.fft.irfft(source.astype(np.complex128), n)
        out = np.zeros(want.shape, np.complex64 if np.iscomplexobj(want) else np.float32)
        per = max(radices)
        threads = groups(n, per)
        constants: dict[int, Any] = {0: inverse or real == "inverse", 1: n & (n - 1) == 0}
        constants |= {2: per, 3: 1, 22: False}
        constants |= {4 + i: radices.count(radix) for i, radix in enumerate(STEPS)}
        constants |= {13 + i: 0 for i in range(len(STEPS))}
        batch = 2
        tolerance = 8 * np.log2(n) * epsilon(np.float32)
        scale = float(np.abs(want).max())
        buffers = {0: source, 1: out, 2: np.int32([n]), 3: np.int32([4])}
        # each threadgroup transforms `batch` rows, or twice as many real ones
        per_group = batch * (2 if real else 1)
        grid = (4 // per_group, batch, threads)
        wanted = {1: Expected(want, 0, tolerance * max(1.0, scale))}
        return Launch(buffers, grid, (1, batch, threads), wanted, constants)

    source_type, target = {"": ("float2",) * 2, "forward": ("float", "float2")}.get(
        real, ("float2", "float")
    )
    label = f"fft_mem_256_{source_type}_{target}"
    kernel = f"fft<256, {source_type}, {target}>"
    suffix = f"#{n}{'i' if inverse else ''}"
    return Case("fft", label + suffix, ("utils.h", "fft.h"), kernel, launch)


def cases() -> Iterator[Case]:
    for name in FLOATS:
        for size in (1001,):
            yield softmax("block", name, size)
            yield softmax("looped", name, 5 * size)
            yield logsumexp("block", name, size)
            yield logsumexp("looped", name, 5 * size)
        if name != "float32":
            yield softmax("block", name, 1001, precise=True)
            yield softmax("looped", name, 5005, precise=True)
        yield cross_entropy(name)
        yield rms_norm("", name, 999)
        yield rms_norm("_looped", name, 5000)
        yield layer_norm("", name, 1024)
        for size in (64, 512):
            yield hadamard(name, size)
    for which in ("argmin", "argmax"):
        for name in ("float32", "bfloat16", "int8", "uint32", "bool_"):
            yield extreme(which, name)
    yield random_bits()
    for n in (8, 16, 60, 64, 77, 91, 120):
        yield fft(n)
    for n in (32, 105):
        yield fft(n, inverse=True)
        yield fft(n, real="forward")
        yield fft(n, real="inverse")
