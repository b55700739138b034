"""<metal_atomic>: Metal Shading Language Specification, sections 2.6 and 6.15.

Many threads in many threadgroups work on one location: what is lost or torn shows in the result.
"""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import DTYPES, PREAMBLE, Call, compile_calls

import pymetal

SPACES = ("device", "threadgroup", "volatile device", "volatile threadgroup")
FETCH = ("add", "sub", "and", "or", "xor", "min", "max")
RELAXED = "memory_order_relaxed"
THREADS, GROUP = 1000, 96  # partial simdgroups and a partial threadgroup at the edge


def test_every_function_compiles_for_every_type_and_address_space(device):
    every = []
    for space in SPACES:
        in_device = "device" in space  # where alone there are atomic_float and atomic_ulong
        for t in ("int", "uint", "bool", "float") if in_device else ("int", "uint", "bool"):
            a = f"{space} atomic_{t}*"
            every += [
                Call("void", f"atomic_store_explicit(a, b, {RELAXED})", (a, t)),
                Call(t, f"atomic_load_explicit(a, {RELAXED})", (f"const {a}",)),
                Call(t, f"atomic_exchange_explicit(a, b, {RELAXED})", (a, t)),
                Call(
                    "bool",
                    f"atomic_compare_exchange_weak_explicit(a, b, c, {RELAXED}, {RELAXED})",
                    (a, f"thread {t}*", t),
                ),
            ]
            names = {"int": FETCH, "uint": FETCH, "float": ("add", "sub"), "bool": ()}[t]
            every += [Call(t, f"atomic_fetch_{n}_explicit(a, b, {RELAXED})", (a, t)) for n in names]
        every += [
            Call(
                "void", f"atomic_{n}_explicit(a, b, {RELAXED})", (f"{space} atomic_ulong*", "ulong")
            )
            for n in ("min", "max")
            if in_device
        ]
        every.append(
            Call("void", f"atomic_store_explicit(a, 1, {RELAXED})", (f"{space} atomic<uint>*",))
        )
    every += [
        Call("void", "atomic_thread_fence(mem_flags::mem_device, memory_order_seq_cst)"),
        Call(
            "void",
            "atomic_thread_fence(mem_flags::mem_device | mem_flags::mem_threadgroup, "
            "memory_order_relaxed, thread_scope_threadgroup)",
        ),
    ]
    compile_calls(every, device)


@pytest.mark.parametrize(
    ("call", "parameter", "names"),
    [
        (
            "atomic_fetch_mul_explicit(a, 1, memory_order_relaxed)",
            "device atomic_int*",
            "fetch_mul",
        ),
        (
            "atomic_fetch_and_explicit(a, 1, memory_order_relaxed)",
            "device atomic_float*",
            "fetch_and",
        ),
        ("atomic_fetch_add_explicit(a, 1, memory_order_relaxed)", "device int*", "fetch_add"),
        ("atomic_fetch_add_explicit(a, 1, memory_order_relaxed)", "device atomic<half>*", "atomic"),
    ],
)
def test_what_metal_lacks_is_a_compile_error_that_names_it(device, call, parameter, names):
    with pytest.raises(pymetal.CompileError, match=names):
        compile_calls([Call("void", call, (parameter,))], device)


def launch(source: str, device: str, *values, threads: int = THREADS):
    kernel = pymetal.compile(PREAMBLE + source, device=device).kernel("k")
    return kernel(*values, grid=threads, threadgroup=GROUP)


@pytest.mark.parametrize("t", ["int", "uint"])
@pytest.mark.parametrize("operation", FETCH)
def test_fetch_and_modify_loses_nothing(device, t, operation):
    x = np.random.default_rng(1).integers(0, 2**32, THREADS, np.uint32).view(DTYPES[t])
    start = DTYPES[t].type(12345)
    total = np.full(1, start)
    launch(
        f"""kernel void k(device atomic_{t}* total [[buffer(0)]],
                          device const {t}* x [[buffer(1)]],
                          uint i [[thread_position_in_grid]]) {{
            atomic_fetch_{operation}_explicit(total, x[i], memory_order_relaxed);
        }}""",
        device,
        total,
        x,
    )
    reduce = {
        "add": lambda: start + x.sum(dtype=DTYPES[t]),
        "sub": lambda: start - x.sum(dtype=DTYPES[t]),
        "and": lambda: np.bitwise_and.reduce(x) & start,
        "or": lambda: np.bitwise_or.reduce(x) | start,
        "xor": lambda: np.bitwise_xor.reduce(x) ^ start,
        "min": lambda: min(x.min(), start),
        "max": lambda: max(x.max(), start),
    }[operation]
    with np.errstate(over="ignore"):
        assert total[0] == reduce()


def test_every_fetch_returns_a_value_of_its_own(device):
    tickets, counter = np.zeros(THREADS, np.uint32), np.zeros(1, np.uint32)
    launch(
        """kernel void k(device uint* tickets [[buffer(0)]],
                         device atomic_uint& counter [[buffer(1)]],
                         uint i [[thread_position_in_grid]]) {
            tickets[i] = atomic_fetch_add_explicit(&counter, 1u, memory_order_relaxed);
        }""",
        device,
        tickets,
        counter,
    )
    assert counter[0] == THREADS
    assert (np.sort(tickets) == np.arange(THREADS)).all()


def test_float_sums_are_exact_where_every_order_is(device):
    x = np.random.default_rng(2).integers(-100, 100, THREADS).astype(np.float32) / 4
    total = np.zeros(2, np.float32)
    launch(
        """kernel void k(device atomic_float* total [[buffer(0)]],
                         device const float* x [[buffer(1)]], uint i [[thread_position_in_grid]]) {
            atomic_fetch_add_explicit(total, x[i], memory_order_relaxed);
            atomic_fetch_sub_explicit(total + 1, x[i], memory_order_relaxed);
        }""",
        device,
        total,
        x,
    )
    assert total[0] == x.astype(np.float64).sum() == -total[1]


@pytest.mark.parametrize("operation", ["min", "max"])
def test_64_bit_minimum_and_maximum(device, operation):
    x = np.random.default_rng(3).integers(0, 2**64, THREADS, np.uint64)
    best = np.full(1, 2**63, np.uint64)
    launch(
        f"""kernel void k(device atomic_ulong* best [[buffer(0)]],
                          device const ulong* x [[buffer(1)]],
                          uint i [[thread_position_in_grid]]) {{
            atomic_{operation}_explicit(best, x[i], memory_order_relaxed);
        }}""",
        device,
        best,
        x,
    )
    assert best[0] == getattr(np, operation)(np.append(x, np.uint64(2**63)))


@pytest.mark.parametrize("t", ["int", "uint", "float", "bool"])
def test_exchange_gives_back_what_was_there(device, t):
    # A chain: everybody puts a value and takes the one before, so one value is left over.
    count = 2 if t == "bool" else THREADS
    x = np.arange(1, count + 1).astype(DTYPES[t])
    taken, last = np.zeros(count, DTYPES[t]), np.zeros(1, DTYPES[t])
    launch(
        f"""kernel void k(device {t}* taken [[buffer(0)]], device atomic_{t}* last [[buffer(1)]],
                          device const {t}* x [[buffer(2)]], uint i [[thread_position_in_grid]]) {{
            taken[i] = atomic_exchange_explicit(last, x[i], memory_order_relaxed);
        }}""",
        device,
        taken,
        last,
        x,
        threads=count,
    )
    assert sorted([*taken, *last]) == sorted([0, *x])


def test_compare_and_exchange_retries_until_it_wins(device):
    x = np.random.default_rng(4).uniform(-10, 10, THREADS).astype(np.float32)
    largest = np.full(1, -np.inf, np.float32)
    launch(
        """kernel void k(device atomic_float* largest [[buffer(0)]],
                         device const float* x [[buffer(1)]], uint i [[thread_position_in_grid]]) {
            float seen = atomic_load_explicit(largest, memory_order_relaxed);
            while (seen < x[i] &&
                   !atomic_compare_exchange_weak_explicit(largest, &seen, x[i],
                                                          memory_order_relaxed,
                                                          memory_order_relaxed)) {}
        }""",
        device,
        largest,
        x,
    )
    assert largest[0] == x.max()


def test_a_failed_compare_and_exchange_says_what_is_there(device):
    result = launch(
        """kernel void k(device uint* out [[buffer(0)]], device atomic_uint* a [[buffer(1)]]) {
            uint expected = 1;
            bool swapped = atomic_compare_exchange_weak_explicit(a, &expected, 9u,
                               memory_order_relaxed, memory_order_relaxed);
            out[0] = swapped; out[1] = expected;
            out[2] = atomic_load_explicit(a, memory_order_relaxed);
        }""",
        device,
        pymetal.output(3),
        np.array([7], np.uint32),
        threads=1,
    )
    assert list(result) == [0, 7, 7]


def test_threadgroup_atomics_count_each_threadgroup(device):
    groups = -(-THREADS // GROUP)
    x = np.random.default_rng(5).integers(0, 8, THREADS).astype(np.uint32)
    result = launch(
        """kernel void k(device uint* out [[buffer(0)]], device const uint* x [[buffer(1)]],
                         uint i [[thread_position_in_grid]],
                         uint local [[thread_position_in_threadgroup]],
                         uint group [[threadgroup_position_in_grid]]) {
            threadgroup atomic_uint bins[8];
            if (local < 8) atomic_store_explicit(&bins[local], 0u, memory_order_relaxed);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            atomic_fetch_add_explicit(&bins[x[i]], 1u, memory_order_relaxed);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            if (local < 8)
                out[group * 8 + local] = atomic_load_explicit(&bins[local], memory_order_relaxed);
        }""",
        device,
        pymetal.output((groups, 8)),
        x,
    )
    for g in range(groups):
        part = x[g * GROUP : (g + 1) * GROUP]
        assert (result[g] == np.bincount(part, minlength=8)).all()
