"""Cases of MLX's indexing kernels: gather, scatter with atomics, masked assignment, search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mlx_case import DTYPES, METAL, Case, Expected, Launch

ATOMIC = ("utils.h", "atomic.h", "reduction/ops.h", "indexing/indexing.h")
ROWS, COLUMNS, PICKED = 6, 9, 4


def values(name: str, *shape: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 50, shape).astype(DTYPES[name])


def gather_axis(name: str, index: str) -> Case:
    """Along axis 1 of (2, 9, 5): negative indices count from the end."""

    def launch() -> Launch:
        x = values(name, 2, COLUMNS, 5)
        low = 0 if index.startswith("u") else -COLUMNS
        rng = np.random.default_rng(2)
        indices = rng.integers(low, COLUMNS, (2, PICKED, 5)).astype(DTYPES[index])
        want = np.take_along_axis(x, indices.astype(np.int64) % COLUMNS, axis=1)
        buffers = {
            0: x, 1: indices, 2: np.zeros(want.shape, x.dtype), 3: np.int32([2, 5]),
            4: np.int64([COLUMNS * 5, 1]), 5: np.int64([PICKED * 5, 1]), 6: np.uint64([2]),
            7: np.int32([1]), 8: np.int32([COLUMNS]), 9: np.uint64([5]), 10: np.uint64([5]),
        }  # fmt: skip
        grid = (5, PICKED, 2)
        return Launch(buffers, grid, grid, {2: Expected(want)})

    kernel = f"gather_axis<{METAL[name]}, {METAL[index]}, int, false, false>"
    headers = ("utils.h", "indexing/gather_axis.h")
    return Case("indexing", f"gather_axis_{name}_{index}", headers, kernel, launch)


def gather_front(name: str) -> Case:
    """Rows, two elements a thread."""

    def launch() -> Launch:
        x = values(name, ROWS, COLUMNS)
        indices = np.int32([3, -1, 0, 3])
        buffers = {
            0: x, 1: indices, 2: np.zeros((4, COLUMNS), x.dtype), 3: np.int64([COLUMNS]),
            4: np.int32([ROWS]),
        }  # fmt: skip
        grid = ((COLUMNS + 1) // 2, 4)
        return Launch(buffers, grid, grid, {2: Expected(x[indices])})

    kernel = f"gather_front<{METAL[name]}, int32_t, int, 2>"
    headers = ("utils.h", "indexing/gather_front.h")
    return Case("indexing", f"gather_front_{name}", headers, kernel, launch)


def scatter_axis(name: str, operation: str) -> Case:
    """Onto axis 0 of (6, 9); rows collide, so updates are atomic."""

    def launch() -> Launch:
        updates = values(name, 40, COLUMNS, seed=3)
        out = values(name, ROWS, COLUMNS, seed=4)
        indices = np.random.default_rng(5).integers(0, ROWS, (40, COLUMNS)).astype(np.uint32)
        want = out.astype(np.float64)
        columns = np.broadcast_to(np.arange(COLUMNS), indices.shape)
        apply = {"Sum": np.add, "Max": np.maximum, "Min": np.minimum}[operation]
        apply.at(want, (indices, columns), updates.astype(np.float64))
        buffers = {
            0: updates, 1: indices, 2: out, 3: np.int32([COLUMNS]), 4: np.int64([1]),
            5: np.int64([1]), 6: np.uint64([1]), 7: np.int32([0]), 8: np.int32([ROWS]),
            9: np.uint64([COLUMNS]), 10: np.uint64([COLUMNS]),
        }  # fmt: skip
        grid = (COLUMNS, 40, 1)
        # Sums stay below 2^24; small integers wrap as NumPy's do.
        return Launch(buffers, grid, (COLUMNS, 8, 1), {2: Expected(want.astype(out.dtype))})

    types = f"{METAL[name]}, uint32_t, int, {operation}<{METAL[name]}>, false, false"
    headers = (*ATOMIC, "indexing/scatter_axis.h")
    label = f"scatter_axis_{operation}_{name}"
    return Case("indexing", label, headers, f"scatter_axis<{types}>", launch)


def masked_assign(name: str) -> Case:
    def launch() -> Launch:
        mask = np.random.default_rng(6).random(64) < 0.4
        source = values(name, int(mask.sum()))
        out = values(name, 64, seed=7)
        want = out.copy()
        want[mask] = source
        offsets = (np.cumsum(mask) - mask).astype(np.uint32)
        buffers = {
            0: mask, 1: offsets, 2: source, 3: out, 4: np.int32([source.size]), 5: np.int64([1]),
            6: np.int32([1]), 7: np.int64([source.size]), 8: np.int64([64]),
        }  # fmt: skip
        return Launch(buffers, (64,), (32,), {3: Expected(want)})

    headers = ("utils.h", "indexing/masked_scatter.h")
    kernel = f"masked_assign_impl<{METAL[name]}, true>"
    return Case("indexing", f"masked_assign_{name}", headers, kernel, launch)


def search(name: str, side: str) -> Case:
    def launch() -> Launch:
        a = np.sort(values(name, 50))
        v = values(name, 33, seed=8)
        want = np.searchsorted(a.astype(np.float64), v.astype(np.float64), side)
        buffers = {
            0: a, 1: v, 2: np.zeros(33, np.uint32), 3: np.uint32([50]), 4: np.int64([1]),
        }  # fmt: skip
        return Launch(buffers, (33, 1, 1), (33, 1, 1), {2: Expected(want)})

    kernel = f"searchsorted<{METAL[name]}, {'true' if side == 'right' else 'false'}>"
    headers = ("utils.h", "sort.h", "searchsorted.h")
    return Case("indexing", f"searchsorted_{name}_{side}", headers, kernel, launch)


def cases() -> Iterator[Case]:
    for name in ("float32", "bfloat16", "int8", "int64"):
        for index in ("int32", "uint32", "int64"):
            yield gather_axis(name, index)
        yield gather_front(name)
        yield masked_assign(name)
        for side in ("left", "right"):
            yield search(name, side)
    for operation in ("Sum", "Max", "Min"):
        for name in ("float32", "int32", "uint32", "float16", "int8"):
            yield scatter_axis(name, operation)
