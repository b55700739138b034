"""Cases of MLX's reductions, scans and sorts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mlx_case import (
    DTYPES,
    FLOATS,
    INTEGERS,
    METAL,
    Array,
    Case,
    Expected,
    Launch,
    epsilon,
    groups,
)

REDUCE = ("utils.h", "atomic.h", "reduction/ops.h", "reduce.h")
OPERATIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "sum": ("Sum", np.sum),
    "prod": ("Prod", np.prod),
    "min": ("Min", np.min),
    "max": ("Max", np.max),
}
# A reduction of every operation and a spread of types; min and max take no half-sized sums.
PAIRS = [
    *(("sum", t) for t in (*FLOATS, *INTEGERS)),
    *(("prod", t) for t in ("float32", "int32", "int64")),
    *((op, t) for op in ("min", "max") for t in (*FLOATS, *INTEGERS)),
]


def small_values(name: str, shape: Any, operation: str = "sum", seed: int = 3) -> Array:
    """Integers of small magnitude: sums and products of them are exact in float32."""
    rng = np.random.default_rng(seed)
    low = 0 if DTYPES[name].kind == "u" else -8
    if operation == "prod":
        return np.where(rng.random(shape) < 0.05, 2, 1).astype(DTYPES[name])
    return rng.integers(low, 9, shape).astype(DTYPES[name])


def result_type(operation: str, name: str) -> str:
    """MLX sums and multiplies small integers in 32 bits, everything else in its own type."""
    if operation in ("sum", "prod") and name in ("int8", "uint8", "int16", "uint16", "bool_"):
        return "uint32" if name.startswith("u") else "int32"
    return name


def expected(operation: str, x: Array, axis: Any, out: np.dtype[Any]) -> Expected:
    wide = np.float64 if x.dtype.kind not in "iu" else np.int64
    values = OPERATIONS[operation][1](x.astype(wide), axis=axis)
    # In half and bfloat each of the additions may round the partial sum, of magnitude up to
    # sqrt(n) * 8, and does so in any order.
    terms = x.size // max(1, np.size(values))
    loss = 0 if operation in ("min", "max") or x.dtype.itemsize > 2 else epsilon(out)
    return Expected(values.astype(out) if not loss else values, 0, loss * 8 * terms)


def all_reduce(operation: str, name: str) -> Case:
    target = result_type(operation, name)
    op = OPERATIONS[operation][0]

    def launch() -> Launch:
        x = small_values(name, 300, operation)
        out = np.zeros(1, DTYPES[target])
        sizes = np.uint64([x.size])
        want = expected(operation, x, None, out.dtype)
        want = Expected(np.reshape(want.values, 1), want.rtol, want.atol)
        return Launch({0: x, 1: out, 2: sizes, 3: sizes}, (128,), (128,), {1: want})

    types = f"{METAL[name]}, {METAL[target]}, {op}<{METAL[target]}>"
    label = f"all_reduce_{operation}{name}"
    return Case("reduce all", label, REDUCE, f"all_reduce<{types}>", launch)


def row_simple(operation: str, name: str) -> Case:
    target = result_type(operation, name)
    op = OPERATIONS[operation][0]

    def launch() -> Launch:
        x = small_values(name, (6, 200), operation)
        out = np.zeros(6, DTYPES[target])
        want = {1: expected(operation, x, 1, out.dtype)}
        sizes = {2: np.uint64([200]), 3: np.int64([6])}
        return Launch({0: x, 1: out, **sizes}, (64, 2), (64, 1), want)

    types = f"{METAL[name]}, {METAL[target]}, {op}<{METAL[target]}>"
    label = f"row_reduce_simple_{operation}{name}"
    return Case("reduce row", label, REDUCE, f"row_reduce_simple<{types}>", launch)


def row_general(kind: str, operation: str, name: str) -> Case:
    """Rows of 40, over two reduced axes: (3, reduced 4, 5, reduced 40)."""
    target = result_type(operation, name)
    op = OPERATIONS[operation][0]

    def launch() -> Launch:
        x = small_values(name, (3, 4, 5, 40), operation)
        out = np.zeros(15, DTYPES[target])
        want = expected(operation, x, (1, 3), out.dtype)
        buffers = {
            0: x,
            1: out,
            2: np.int64([40]),
            3: np.int64([4]),
            4: np.int32([3, 5]),
            5: np.int64([800, 40]),
            6: np.int32([2]),
            7: np.int32([4]),
            8: np.int64([200]),
            9: np.int32([1]),
        }
        wanted = {1: Expected(want.values.ravel(), want.rtol, want.atol)}
        if kind == "small":
            return Launch(buffers, (15,), (15,), wanted)
        return Launch(buffers, (32, 15), (32, 1), wanted)

    types = f"{METAL[name]}, {METAL[target]}, {op}<{METAL[target]}>, int, 1"
    label = f"row_reduce_{kind}_1_reduce_{operation}{name}"
    return Case("reduce row", label, REDUCE, f"row_reduce_{kind}<{types}>", launch)


def column(kind: str, operation: str, name: str) -> Case:
    """Columns of 24 rows in a (2, reduced 24, 50) array."""
    target = result_type(operation, name)
    op = OPERATIONS[operation][0]

    def launch() -> Launch:
        x = small_values(name, (2, 24, 50), operation)
        out = np.zeros(100, DTYPES[target])
        want = expected(operation, x, 1, out.dtype)
        buffers = {
            0: x,
            1: out,
            2: np.uint64([24]),
            3: np.int64([50]),
            4: np.int32([2]),
            5: np.int64([24 * 50]),
            6: np.int32([1]),
            7: np.int32([24]),
            8: np.int64([50]),
            9: np.int32([1]),
            10: np.uint64([1]),
            11: np.uint64([2]) if kind == "longcolumn" else np.int64([0]),
            12: np.uint64([2]),
        }
        wanted = {1: Expected(want.values.ravel(), want.rtol, want.atol)}
        if kind == "small":
            return Launch(buffers, (13, 2 * 8), (13, 8), wanted)
        if kind == "longcolumn":
            return Launch(buffers, (50 * 2, 8), (50, 8), wanted)
        if kind == "2pass":  # 32 partial results of 2 rows of outputs
            partial = np.zeros((32, 2, 50), DTYPES[target])
            first = np.zeros_like(partial)
            first[:] = {"sum": 0, "prod": 1}.get(operation, 0)
            first[0] = want.values
            buffers[1] = partial.ravel()
            blocks = Expected(first.ravel(), want.rtol, want.atol)
            return Launch(buffers, (2 * 256, 64), (256, 1), {1: blocks})
        return Launch(buffers, (2 * 256, 2), (256, 1), wanted)

    tile = {"looped": ", 32, 32", "2pass": ", 32, 32"}.get(kind, "")
    types = f"{METAL[name]}, {METAL[target]}, {op}<{METAL[target]}>, int, 1{tile}"
    size = "_32_32" if tile else ""
    label = f"col_reduce_{kind}_1{size}_reduce_{operation}{name}"
    return Case("reduce column", label, REDUCE, f"col_reduce_{kind}<{types}>", launch)


def init_reduce(operation: str, name: str) -> Case:
    op = OPERATIONS[operation][0]

    def launch() -> Launch:
        dtype = DTYPES[name]
        out = np.full(40, 7, dtype)
        limits = (-np.inf, np.inf) if dtype.kind not in "iu" else _range(dtype)
        first = {"sum": 0, "prod": 1, "min": limits[1], "max": limits[0]}[operation]
        return Launch({0: out}, (10, 4), (10, 4), {0: Expected(np.full(40, first, dtype))})

    label = f"init_reduce_{operation}{name}"
    kernel = f"init_reduce<{METAL[name]}, {op}<{METAL[name]}>>"
    return Case("reduce all", label, REDUCE, kernel, launch)


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def logical(operation: str, name: str) -> Iterator[Case]:
    op = operation.capitalize()
    rng = np.random.default_rng(4)
    x = rng.random((6, 200)) < (0.999 if operation == "and" else 0.001)

    def launch() -> Launch:
        want = x.all(axis=1) if operation == "and" else x.any(axis=1)
        out = np.zeros(6, bool)
        sizes = {2: np.uint64([200]), 3: np.int64([6])}
        buffers = {0: x.astype(DTYPES[name]), 1: out, **sizes}
        return Launch(buffers, (64, 2), (64, 1), {1: Expected(want)})

    types = f"{METAL[name]}, bool, {op}<bool>"
    label = f"row_reduce_simple_{operation}{name}"
    yield Case("reduce row", label, REDUCE, f"row_reduce_simple<{types}>", launch)


SCAN = ("utils.h", "scan.h")
SCANS: dict[str, tuple[str, Callable[..., Any], float]] = {
    "sum": ("CumSum", np.add.accumulate, 0),
    "prod": ("CumProd", np.multiply.accumulate, 1),
    "max": ("CumMax", np.maximum.accumulate, -np.inf),
    "min": ("CumMin", np.minimum.accumulate, np.inf),
}


def scan(layout: str, kind: str, operation: str, name: str) -> Case:
    reverse, inclusive = kind.startswith("reverse"), kind.endswith("inclusive")
    op, accumulate, identity = SCANS[operation]
    dtype = DTYPES[name]

    def launch() -> Launch:
        size = 300
        x = small_values(name, (3, size), operation, 4)
        if layout == "strided":
            x = small_values(name, (2, 50, 37), operation, 4)
        if dtype.itemsize == 2 and operation == "sum":
            x = np.abs(x) % 2  # sums below 2^8, or 2^11, are exact
            x = x[..., :200] if layout == "contig" else x
        axis = 1
        turned = np.flip(x, axis) if reverse else x
        wide = turned.astype(np.float64 if dtype.kind not in "iu" else dtype)
        want = accumulate(wide, axis=axis, dtype=wide.dtype)
        if not inclusive:
            first = np.take(np.zeros_like(want), [0], axis)
            if dtype.kind in "iu" and abs(identity) > 1:
                low, high = _range(dtype)
                first[:] = low if identity < 0 else high
            else:
                first[:] = identity
            want = np.concatenate([first, np.take(want, range(want.shape[1] - 1), axis)], axis)
        want = np.flip(want, axis) if reverse else want
        out = np.zeros(x.shape, dtype)
        buffers = {0: np.ascontiguousarray(x), 1: out, 2: np.uint64([x.shape[1]])}
        expected = {1: Expected(want)}
        if layout == "contig":
            return Launch(buffers, (64, 3), (64, 1), expected)
        blocks = groups(37, 32)
        buffers |= {3: np.uint64([37]), 4: np.uint64([blocks])}
        threads = (32 // reads) * 32
        return Launch(buffers, (threads, 2 * blocks), (threads, 1), expected)

    reads = 4 if dtype.itemsize < 8 else 2
    flags = f"{str(inclusive).lower()}, {str(reverse).lower()}"
    template = "contiguous_scan" if layout == "contig" else "strided_scan"
    kernel = f"{template}<{METAL[name]}, {METAL[name]}, {op}<{METAL[name]}>, {reads}, {flags}>"
    return Case("scan", f"{layout}_scan_{kind}_{operation}_{name}_{name}", SCAN, kernel, launch)


SORT = ("utils.h", "sort.h")


def block_sort(name: str, argument: bool, threads: int, contiguous: bool) -> Case:
    dtype = DTYPES[name]
    per_thread = 4
    target = "uint32" if argument else name

    def launch() -> Launch:
        size = threads * per_thread - 27
        rng = np.random.default_rng(6)
        x = rng.uniform(0, 200, (2, size)).astype(dtype)
        if argument:  # no two alike: the order of equal ones is the kernel's own
            x = np.stack([rng.permutation(size) for _ in range(2)]).astype(dtype)
        want = np.argsort(x, axis=1) if argument else np.sort(x, axis=1)
        out = np.zeros((2, size), DTYPES[target])
        buffers = {0: x, 1: out, 2: np.int32([size]), 3: np.int32([1]), 4: np.int32([1])}
        if contiguous:
            buffers |= {5: np.int32([size]), 6: np.int32([size])}
        else:
            strides = np.int64([size])
            buffers |= {5: np.int32([1]), 6: np.int32([2]), 7: strides, 8: strides}
        return Launch(buffers, (threads, 2), (threads, 1), {1: Expected(want)})

    prefix = ("c" if contiguous else "nc") + ("arg" if argument else "")
    label = f"{prefix}_block_sort_{name}_{target}_bn{threads}_tn{per_thread}"
    flags = f"{str(argument).lower()}, {threads}, {per_thread}"
    function = "block_sort" if contiguous else "block_sort_nc"
    kernel = f"{function}<{METAL[name]}, {METAL[target]}, {flags}>"
    return Case("sort", label, SORT, kernel, launch)


def multi_block(step: str, name: str) -> Case:
    """Blocks of 2,048; the steps after the first work on what NumPy says of the one before."""
    dtype, block, threads = DTYPES[name], 2048, 512
    size = 5000

    def launch() -> Launch:
        rng = np.random.default_rng(6)
        x = rng.permutation(size).astype(dtype)
        blocks = groups(size, block)
        parts = [np.argsort(x[i : i + block]) + i for i in range(0, size, block)]
        indices = np.concatenate(parts).astype(np.uint32)
        if step == "sort":
            buffers = {
                0: x, 1: np.zeros_like(x), 2: np.zeros(size, np.uint32), 3: np.int32([size]),
                4: np.int32([1]), 5: np.int32([1]), 6: np.int32([1]), 7: np.int64([size]),
            }  # fmt: skip
            wanted = {1: Expected(x[indices]), 2: Expected(indices)}
            return Launch(buffers, (blocks * threads,), (threads,), wanted)
        # Blocks 0 and 1 become one, block 2 stays.
        cuts = np.zeros(blocks + 1, np.uint32)
        head, tail = x[indices[:block]], x[indices[block : 2 * block]]
        merged = np.concatenate([np.sort(x[: 2 * block]), np.sort(x[2 * block :])])
        order = np.concatenate(
            [np.argsort(x[: 2 * block]), np.argsort(x[2 * block :]) + 2 * block]
        ).astype(np.uint32)
        first = np.argsort(np.concatenate([head, tail]), kind="stable")[:block]
        cuts[1] = np.count_nonzero(first < block)
        cuts[2:] = 2 * block, size
        if step == "partition":
            buffers = {
                0: np.zeros_like(cuts), 1: x[indices], 2: indices, 3: np.int32([size]),
                4: np.int32([2]), 5: np.int32([blocks]),
            }  # fmt: skip
            return Launch(buffers, (blocks + 1,), (blocks + 1,), {0: Expected(cuts)})
        buffers = {
            0: cuts, 1: x[indices], 2: indices, 3: np.zeros_like(x), 4: np.zeros_like(indices),
            5: np.int32([size]), 6: np.int32([2]), 7: np.int32([blocks]),
        }  # fmt: skip
        wanted = {3: Expected(merged), 4: Expected(order)}
        return Launch(buffers, (blocks * threads,), (threads,), wanted)

    function = {"sort": "mb_block_sort", "partition": "mb_block_partition"}.get(
        step, "mb_block_merge"
    )
    kernel = f"{function}<{METAL[name]}, uint32_t, true, {threads}, 4>"
    label = f"{step}_mbsort_{name}_uint32_bn{threads}_tn4"
    return Case("sort", label, SORT, kernel, launch)


def cases() -> Iterator[Case]:
    for operation, name in PAIRS:
        yield all_reduce(operation, name)
        yield row_simple(operation, name)
    for operation, name in [("sum", t) for t in (*FLOATS, "int32", "uint8", "int64")] + [
        ("max", "float32"), ("min", "bfloat16"), ("max", "int8"), ("prod", "float32")
    ]:  # fmt: skip
        for kind in ("small", "looped"):
            yield row_general(kind, operation, name)
        for kind in ("small", "longcolumn", "looped"):
            yield column(kind, operation, name)
    for name in ("float32", "int32"):
        yield column("2pass", "sum", name)
    for name in ("float32", "bfloat16", "int32", "uint8"):
        for operation in ("min", "max"):
            yield init_reduce(operation, name)
    for operation in ("and", "or"):
        for name in ("bool_", "int16"):
            yield from logical(operation, name)
    kinds = [f"{r}{k}clusive" for r in ("", "reverse_") for k in ("in", "ex")]
    for kind in kinds:
        for operation in SCANS:
            for name in ("float32", "int32"):
                yield scan("contig", kind, operation, name)
            yield scan("strided", kind, operation, "float32")
        for name in ("float16", "bfloat16", "int64", "uint8"):
            yield scan("contig", kind, "sum", name)
    for name in (*FLOATS, *INTEGERS):
        yield block_sort(name, False, 128, True)
    for name in ("float32", "bfloat16", "int32", "uint32", "int64"):
        yield block_sort(name, True, 32, True)
        yield block_sort(name, False, 32, False)
    yield block_sort("float32", False, 256, True)
    for step in ("sort", "partition", "merge"):
        for name in ("float32", "int32"):
            yield multi_block(step, name)
