"""Random launches: kernels that go wrong in every way, on arrays and grids that do not fit them.

A launch is a function of seed and number. Arrays that a kernel may write are PyMetal's own, which
lie between guards; what NumPy allocates does not, and nothing can protect it from a wild write of a
kernel that runs without checks. After each launch, other arrays must be as they were.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

SHIPPED = sorted((Path(__file__).parents[2] / "kernels").glob("*.metal"))
MODES = ("auto", "reference", "checked")
KERNELS_EACH = 4  # of one source
LAUNCHES_EACH = 8  # of one kernel
TIMEOUT = 0.5
TYPES = ("float", "float", "half", "int", "uint", "uchar", "short", "long", "float4", "half2")
SCALARS = ("uint", "int", "float", "ushort", "long", "uint2")


class WildKernel:
    """A kernel that compiles, and may do anything when it runs."""

    def __init__(self, rng: random.Random, name: str) -> None:
        self.rng = rng
        self.types = [rng.choice(TYPES) for _ in range(3)]
        self.shared = rng.random() < 0.5
        self.private = rng.random() < 0.4
        self.argument = rng.random() < 0.2
        self.scalar = rng.choice(SCALARS)
        self.depth = 0
        body = "\n".join(self.statement() for _ in range(rng.randint(2, 7)))
        self.text = self.whole(name, body)

    def whole(self, name: str, body: str) -> str:
        first, second, third = self.types
        lines = [
            f"kernel void {name}(device {first}* out [[buffer(0)]],",
            f"    device const {second}* a [[buffer(1)]], constant {self.scalar}& n [[buffer(2)]],",
            f"    device {third}* b [[buffer(3)]], device atomic_uint* c [[buffer(4)]],",
        ]
        if self.argument:
            lines.append("    threadgroup float* m [[threadgroup(0)]],")
        lines += [
            "    uint3 gid [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],",
            "    uint t [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]])",
            "{",
            "    uint i = (gid.z * grid.y + gid.y) * grid.x + gid.x;",
            "    float x = float(i); int y = int(t); long z = long(i);",
        ]
        if self.shared:
            lines.append("    threadgroup float tile[64];")
        if self.private:
            lines.append("    int own[16]; for (uint k = 0; k < 12; ++k) own[k] = y;")
        lines += [body, f"    out[i] = {first}(x);", "}"]
        return "\n".join(lines)

    def index(self) -> str:
        """Mostly within, sometimes past an end, sometimes anywhere."""
        rng = self.rng
        near = ["i", "t", "lane", "i % 16u", "uint(y) % 16u", "t % 8u"]
        past = ["i + 1u", "i - 1u", "t + 1u", "i * 2u", "i + grid.x", "16u", "uint(y)", "~t % 99u"]
        wild = [
            "i * 1000003u",
            "~i",
            "as_type<uint>(x)",
            "z * 4000000000l",
            "(z << (t & 63u))",
            "-1 - y",
            "uint(x * 1e9f)",
            "(1l << 40)",
        ]
        return rng.choice(rng.choices((near, past, wild), (8, 3, 1))[0])

    def value(self) -> str:
        return self.rng.choice(("x", "float(y)", "1.5f", "x * x", "float(i)", "1 / x", "float(z)"))

    def statement(self) -> str:
        rng, pad = self.rng, "    " * (self.depth + 1)
        kinds = [self.store, self.load, self.store, self.load, self.number, self.atomic, self.walk]
        if self.shared or self.argument:
            kinds += [self.threadgroup] * 3
        if self.private:
            kinds += [self.own] * 2
        if self.depth < 2:
            kinds += [self.branch, self.loop]
        kinds += [self.lanes]
        return pad + rng.choice(kinds)()

    def block(self) -> str:
        self.depth += 1
        body = "\n".join(self.statement() for _ in range(self.rng.randint(1, 3)))
        self.depth -= 1
        return f"{{\n{body}\n{'    ' * (self.depth + 1)}}}"

    def store(self) -> str:
        name, type_ = self.rng.choice((("out", self.types[0]), ("b", self.types[2])))
        return f"{name}[{self.index()}] = {type_}({self.value()});"

    def load(self) -> str:
        name, type_ = self.rng.choice((("a", self.types[1]), ("b", self.types[2])))
        part = f"{name}[{self.index()}]" + (".y" if type_[-1].isdigit() else "")
        return self.rng.choice((f"x += float({part});", f"y ^= int({part});"))

    def atomic(self) -> str:
        operation = self.rng.choice(("add", "max", "xor"))
        place = self.index()
        return f"atomic_fetch_{operation}_explicit(&c[{place}], uint(y), memory_order_relaxed);"

    def number(self) -> str:
        return self.rng.choice(
            (
                f"y = y / int({self.index()});",
                f"y = y % int({self.index()});",
                f"y <<= int({self.index()});",
                "y = int(x * 1e20f);",
                "z = z * z - long(x);",
                "x = sqrt(x - 7) / float(y);",
            )
        )

    def walk(self) -> str:
        return (
            f"{{ auto p = out + ({self.index()}); for (uint k = 0; k < 5; ++k) *p++ = *(p - 1); }}"
        )

    def threadgroup(self) -> str:
        name = self.rng.choice(["tile"] * self.shared + ["m"] * self.argument)
        return self.rng.choice(
            (
                f"{name}[{self.index()}] = x;",
                f"x += {name}[{self.index()}];",
                "threadgroup_barrier(mem_flags::mem_threadgroup);",
            )
        )

    def own(self) -> str:
        return self.rng.choice((f"own[{self.index()}] += y;", f"y += own[{self.index()}];"))

    def lanes(self) -> str:
        return self.rng.choice(
            (
                "x = simd_sum(x);",
                f"y = simd_shuffle(y, ushort({self.index()}));",
                "simdgroup_barrier(mem_flags::mem_none);",
                "y += simd_prefix_exclusive_sum(y);",
            )
        )

    def branch(self) -> str:
        condition = self.rng.choice(("t < 5", "i % 2 == 0", "x > 3", "lane == 0", "y == 0"))
        last = self.rng.choice(("", "", f" else {self.block()}", " else return;"))
        return f"if ({condition}) {self.block()}{last}"

    def loop(self) -> str:
        bound = self.rng.choice(("3", "t", "lane", "uint(y) % 9u", "uint(y)", "uint(x)"))
        step = self.rng.choice(("++k", "++k", "k += 2", "k += t"))
        return f"for (uint k = 0; k < {bound}; {step}) {self.block()}"


def source(seed: int, group: int) -> str:
    """A few kernels, made or shipped."""
    rng = random.Random(f"kernels {seed} {group}")
    if rng.random() < 0.15:
        return rng.choice(SHIPPED).read_text("utf-8")
    kernels = [WildKernel(rng, f"k{i}").text for i in range(KERNELS_EACH)]
    return "\n".join(["#include <metal_stdlib>", "using namespace metal;", *kernels])


@cache
def _library(seed: int, group: int, engine: str) -> Any:
    import pymetal

    os.environ["PYMETAL_ENGINE"] = engine
    return pymetal.compile(source(seed, group), device="cpu")


class Call:
    """Values, grid and keywords for one launch of a kernel."""

    def __init__(self, rng: random.Random, kernel: Any) -> None:
        self.rng = rng
        self.size = rng.choice((1, 7, 16, 32, 64, 100, 256, 1000))
        self.values = [self.argument(a) for a in kernel.arguments]
        if rng.random() < 0.03:
            self.values = self.values[: rng.randrange(len(self.values) + 1)]
        if rng.random() < 0.02:
            self.values.append(1)
        self.keywords: dict[str, Any] = {
            "grid": self.grid(),
            "threadgroup": self.threadgroup(),
            "timeout": TIMEOUT,
        }
        if kernel.threadgroup_arguments or rng.random() < 0.02:
            memory = rng.choice(({0: 256}, {0: 256}, {0: 16}, {0: 40000}, {1: 64}, {}, {0: -1}))
            self.keywords["threadgroup_memory"] = memory
        if rng.random() < 0.01:
            self.keywords["nonsense"] = 1

    def count(self) -> int:
        return self.rng.choice((self.size,) * 6 + (1, self.size - 1, self.size * 3, 5, 5000))

    def argument(self, argument: Any) -> Any:
        import pymetal
        from pymetal.datatypes import argument_dtype

        rng = self.rng
        if rng.random() < 0.02:
            return self.wrong()
        dtype = argument_dtype(argument) or np.dtype(np.float32)
        if argument.is_reference:
            shape = () if dtype.fields or not argument.type_name[-1].isdigit() else (2,)
            number = np.full(shape, rng.choice((0, 1, self.size, 2**31 - 1, 3)))
            return tuple(number.tolist()) if shape else rng.choice((number.item(), number.item()))
        slots = max(1, argument.size_bytes // max(dtype.itemsize, 1)) if not dtype.fields else 1
        count = max(0, self.count()) * slots
        if argument.access != "read" and rng.random() < 0.5:
            return pymetal.output(count)
        made = pymetal.zeros(count, dtype)
        numbers = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 100, count)
        if not dtype.fields:
            made[...] = numbers.astype(dtype)
        if rng.random() < 0.03 and count > 8:
            return made[::2]
        if rng.random() < 0.03 and count > 8:
            return made[1:]
        if argument.access == "read" and rng.random() < 0.5:
            return np.array(made)
        return made

    def wrong(self) -> Any:
        """Nothing that the argument takes, or only by chance."""
        import pymetal

        return self.rng.choice(
            (
                lambda: None,
                lambda: "text",
                lambda: -1,
                lambda: 2**70,
                lambda: float("nan"),
                lambda: [1, 2, 3],
                lambda: {"n": 1},
                lambda: (1, 2),
                lambda: pymetal.zeros(16, np.float32),
                lambda: pymetal.zeros((4, 4), np.uint8),
                lambda: np.zeros(16),
                lambda: np.array(["a"]),
                lambda: np.zeros((0,), np.float32),
                lambda: np.float64(3),
                lambda: pymetal.output((2, 2)),
                lambda: pymetal.output(10**8),
                lambda: object(),
                lambda: pymetal.zeros(65, np.uint8)[1:].view(np.float32),
                lambda: pymetal.threadgroup_memory(64),
            )
        )()

    def grid(self) -> Any:
        rng, n = self.rng, self.size
        usual = (n, (n,), (n, 1), (max(1, n // 4), 4), (max(1, n // 8), 4, 2), n + 1, 2 * n)
        odd = (0, -1, (n, 0), "64", None, 1.5, (1, 2, 3, 4), (), 2**32, 2**80, (2**31, 2**31), True)
        return rng.choice(usual if rng.random() < 0.95 else odd)

    def threadgroup(self) -> Any:
        rng = self.rng
        usual = (32, 64, (8, 8), (16, 4), 1, 7, 50, (4, 4, 4), 256, None, 1024, (32, 2))
        odd = (0, -1, 1025, (1024, 2), "8", 2.0, (1, 1, 1, 1), 2**40)
        return rng.choice(usual if rng.random() < 0.95 else odd)


class Others:
    """Memory that no launch is given, and that none may change."""

    def __init__(self) -> None:
        import pymetal

        self.arrays = [pymetal.zeros(size, np.uint8) for size in (1, 64, 5000, 70_000, 1 << 21)]
        self.arrays += [np.zeros(size, np.uint8) for size in (16, 64, 1000, 200_000, 1 << 21)]
        for array in self.arrays:
            array[...] = 0xA5

    def are_intact(self) -> bool:
        return all(bool((array == 0xA5).all()) for array in self.arrays)


@cache
def others() -> Others:
    return Others()


def launch(kernel: Any, call: Call, check: bool, how: float) -> None:
    """Run it at once, through a queue, or on a thread of its own."""
    import pymetal

    keywords = {**call.keywords, "check": check}
    if how < 0.1:
        with pymetal.Queue() as queue:
            kernel(*call.values, **keywords, queue=queue)
    elif how < 0.15:
        raised: list[BaseException] = []

        def run() -> None:
            try:
                kernel(*call.values, **keywords)
            except Exception as error:
                raised.append(error)

        thread = Thread(target=run)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]
    else:
        kernel(*call.values, **keywords)


def try_launch(mode: str, seed: int, number: int) -> str:
    """What became of one launch: "ran", or the name of PyMetal's error."""
    import warnings

    import pymetal

    warnings.simplefilter("ignore")
    group = number // (KERNELS_EACH * LAUNCHES_EACH)
    rng = random.Random(f"launch {seed} {number}")
    intact = others()
    if number % (KERNELS_EACH * LAUNCHES_EACH) == 0:
        _library.cache_clear()
    try:
        library = _library(seed, group, "auto" if mode == "auto" else "reference")
        names = list(library)
        name = names[number // LAUNCHES_EACH % KERNELS_EACH % len(names)]
        kernel = library.kernel(name)
        launch(kernel, Call(rng, kernel), mode == "checked", rng.random())
        what = "ran"
    except pymetal.KernelFault as fault:
        what = f"KernelFault {fault.kind}"
    except pymetal.Error as error:
        what = type(error).__name__
    return what if intact.are_intact() else "crashed: it changed memory of others"


KINDS: dict[str, Callable[[int, int], str]] = {
    f"launch-{mode}": lambda seed, number, mode=mode: try_launch(mode, seed, number)
    for mode in MODES
}
