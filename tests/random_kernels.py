"""Random Metal kernels whose result is defined: for comparing engines, bit by bit.

Every kernel reads two buffers and writes what its variables came to, a thread to its own place.
Nothing in it is undefined or depends on timing: signed arithmetic is done unsigned, barriers stand
where all threads pass, threadgroup memory is written by its owner between barriers. Shuffles from
lanes that differ may name some that are not active: a thread then keeps its own value here.

Seeds from `WIDER` on have more types, and atomics; those from `LATER` on also what
random_statements.py has.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from random_statements import (
    FLOAT_FUNCTIONS,
    LATEST,
    LINES,
    PARAMETERS,
    UINT_FUNCTIONS,
    Statements,
)

# (grid, threadgroup): rows of lanes, partial simdgroups, widths that 32 does not divide, edges.
SHAPES = [
    ((64,), (32,)),
    ((100,), (50,)),
    ((33,), (64,)),
    ((1,), (1,)),
    ((256,), (128,)),
    ((40, 6), (32, 2)),
    ((32, 8), (16, 8)),
    ((20, 20), (8, 8)),
    ((16, 8, 4), (4, 4, 4)),
    ((24, 5), (24, 3)),
    ((35, 3), (5, 7)),
]

_UNSIGNED = ("uint", "ushort", "uchar", "ulong")
_TYPES = ("uint", "uint", "int", "float", "float", "half", "ushort", "uchar", "ulong", "short")
_WIDER_TYPES = (*_TYPES, "long", "long", "char", "bfloat", "bfloat", "bool")
WIDER = 1_000_000
LATER = 2_000_000
_ATOMICS = ("add", "max", "min", "xor", "or", "and", "sub")  # one for each counter
_SIMD_TYPES = ("uint", "int", "float", "half", "ushort", "short")


class RandomKernel(Statements):
    """One kernel, made from a seed. `text` is its source; it is called `k<seed>`."""

    def __init__(self, seed: int, size: int = 12) -> None:
        self.random = random.Random(seed)
        self.name = f"k{seed}"
        self.lines: list[str] = []
        self.variables: list[tuple[str, str]] = []
        self.readable: list[tuple[str, str]] = []
        self.depth = 1
        self.count = 0
        self.loops = 0
        self.uniform = True  # whether all threads of the threadgroup are here
        self.simd = self.random.random() < 0.6
        self.barriers = self.random.random() < 0.4
        self.wider = seed >= WIDER
        self.types = _WIDER_TYPES if self.wider else _TYPES
        self.size = size
        self.later, self.latest = seed >= LATER, seed >= LATEST
        self.deepest = 5
        if self.later:
            self._plan()
            self.deepest = self.random.choice((2, 3, 3, 4, 5))
        self.text = self._make()

    def _make(self) -> str:
        for type_ in (*self.random.sample(self.types, 4), "uint", "float"):
            self._declare(type_, self._expression(type_, 1))
        for _ in range(self.random.randint(self.size // 2, self.size)):
            self._statement()
        for name, type_ in self.variables:
            if type_ in ("float", "half", "bfloat"):
                # NaNs have many bits; all count as one.
                self._line(f"result = result * 31u + (isnan({name}) ? 7u : hash({name}));")
            else:
                self._line(f"result = result * 31u + uint({name});")
        if self.later:
            self._end()
        if self.wider and self.barriers and self.atomics:
            self._line("threadgroup_barrier(mem_flags::mem_threadgroup);")
            for k in range(len(_ATOMICS)):
                value = f"atomic_load_explicit(&counters[{k}], memory_order_relaxed)"
                self._line(f"result = result * 31u + {value};")
        counters = f"threadgroup atomic_uint counters[{len(_ATOMICS)}];" if self.wider else ""
        more, declarations = (PARAMETERS, self._declarations()) if self.later else ("", "")
        more += LINES if self.latest else ""
        end = "    result += cells[result & 7] + small[result & 3];"
        if self.later and self.random.random() < 0.7:
            end = (
                "    for (uint i = 0; i < 8; ++i) result = result * 31u + cells[i] + small[i & 3];"
            )
        body = "\n".join(self.lines)
        return f"""
kernel void {self.name}(device uint* out [[buffer(0)]], device const uint* a [[buffer(1)]],
    device const float* f [[buffer(2)]], constant uint& n [[buffer(3)]],{more}
    uint3 gid [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
    uint3 tid [[thread_position_in_threadgroup]],
    uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
    uint sg [[simdgroup_index_in_threadgroup]])
{{
    threadgroup uint shared[256]; {counters}
    uint place = (gid.z * grid.y + gid.y) * grid.x + gid.x;
    uint result = 1;
    uint cells[8];
    for (uint i = 0; i < 8; ++i) cells[i] = i * place;
    ushort small[4] = {{1, 2, 3, 4}};
{declarations}{body}
{end}
    out[place] = result;
}}
"""

    def _line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def _declare(self, type_: str, value: str) -> str:
        self.count += 1
        name = f"v{self.count}"
        self._line(f"{type_} {name} = {type_}({value});")
        self.variables.append((name, type_))
        return name

    # Statements

    def _statement(self) -> None:
        choices = [self._assign] * 6
        if self.depth < self.deepest:
            choices += [self._if, self._if, self._for, self._while, self._switch]
        if self.simd:
            choices += [self._simd, self._simd]
        if self.barriers and self.uniform and self.depth < 3:
            choices += [self._exchange]
        choices += [self._array, self._vector]
        if self.wider:
            choices += [self._atomic] * (2 if self.barriers and self.atomics else 0)
        if self.later:
            choices += self._later()
            choices += [self._lanes, self._lanes, self._votes] if self.simd else []
            if self.barriers and self.uniform and self.depth < 3:
                choices += [self._transpose, self._transpose]
        if self.loops:
            choices += [self._jump]
        if self.depth > 1 and not self.barriers and self.random.random() < 0.15:
            choices += [self._return]
        self.random.choice(choices)()

    def _block(self, statements: int, uniform: bool) -> None:
        before = self.uniform
        variables = list(self.variables)
        self.uniform = self.uniform and uniform
        self.depth += 1
        for _ in range(statements):
            self._statement()
        self.depth -= 1
        self.uniform = before
        self.variables = variables

    def _assign(self) -> None:
        name, type_ = self.random.choice(self.variables)
        self._line(f"{name} = {type_}({self._expression(type_, 2)});")

    def _if(self) -> None:
        uniform = self.random.random() < 0.3
        self._line(f"if ({self._uniform_condition() if uniform else self._condition()}) {{")
        self._block(self.random.randint(1, 3), uniform)
        if self.random.random() < 0.5:
            self._line("} else {")
            self._block(self.random.randint(1, 3), uniform)
        self._line("}")

    def _for(self) -> None:
        uniform = self.random.random() < 0.4
        self.count += 1
        i = f"i{self.count}"
        bound = "(n & 3u)" if uniform else f"({self._expression('uint', 1)} & 7u)"
        bound = str(self.random.randint(1, 4)) if self.random.random() < 0.3 else bound
        uniform = uniform or bound.isdigit()
        # The bound is taken once: the body may change what it was made of.
        self._line(f"uint e{i} = {bound};")
        self._line(f"for (uint {i} = 0; {i} < e{i}; ++{i}) {{")
        # A loop that lanes leave early is uniform no more.
        loops = self.loops
        # With barriers in it, no lane may leave it early.
        together = uniform and self.barriers and self.uniform and self.later
        self.loops = 0 if together else loops + 1
        self.readable.append((i, "uint"))
        self._block(self.random.randint(1, 3), together or (uniform and not self.barriers))
        self.readable.pop()
        self.loops = loops
        self._line("}")

    def _while(self) -> None:
        self.count += 1
        i = f"w{self.count}"
        self._line(f"uint {i} = {self._expression('uint', 1)} & 15u;")
        self._line(f"while ({i} != 0) {{")
        self._line(f"    {i} >>= 1;")
        self.loops += 1
        self._block(self.random.randint(1, 3), False)
        self.loops -= 1
        self._line("}")

    def _switch(self) -> None:
        self._line(f"switch ({self._expression('uint', 1)} % 5u) {{")
        loops, self.loops = self.loops, 0  # `break` would be the switch's
        for case in self.random.sample(range(5), self.random.randint(1, 4)):
            self._line(f"case {case}: {{")
            self._block(self.random.randint(1, 2), False)
            self._line("}" + (" break;" if self.random.random() < 0.7 else ""))
        self._line("default: {")
        self._block(1, False)
        self._line("} }")
        self.loops = loops

    def _jump(self) -> None:
        self._line(f"if ({self._condition()}) {self.random.choice(['break', 'continue'])};")

    def _return(self) -> None:
        self._line(f"if ({self._condition()}) {{ out[place] = result; return; }}")

    def _array(self) -> None:
        index = self._expression("uint", 1)
        if self.random.random() < 0.6:
            self._line(f"cells[({index}) & 7u] += {self._expression('uint', 1)};")
        else:
            self._line(f"small[({index}) & 3u] = ushort({self._expression('ushort', 1)});")

    def _vector(self) -> None:
        name, type_ = self.random.choice([v for v in self.variables if v[1] in ("uint", "float")])
        values = ", ".join(self._expression(type_, 1) for _ in range(4))
        order = "".join(self.random.choice("xyzw") for _ in range(2))
        self.count += 1
        vector = f"q{self.count}"
        self._line(f"{type_}4 {vector} = {type_}4({values});")
        self._line(f"{vector} = {vector} * {vector}.wzyx + {type_}4({name});")
        self._line(f"{name} += dot2({vector}.{order});")

    def _simd(self) -> None:
        type_ = self.random.choice(_SIMD_TYPES)
        value = f"{type_}({self._expression(type_, 1)})"
        targets = [v for v in self.variables if v[1] == type_] or [("result", "uint")]
        name, target = self.random.choice(targets)
        delta = self.random.randint(1, 20)
        # Never one lane for all: an absent one gives anything then, as in Metal (docs/air.md).
        lane = f"ushort(({self._expression('uint', 1)} * 2u + lane) & 31u)"
        choices = [
            f"simd_sum({value})",
            f"simd_max({value})",
            f"simd_min({value})",
            f"simd_prefix_inclusive_sum({value})",
            f"simd_prefix_exclusive_sum({value})",
            f"simd_shuffle_xor({value}, {delta})",
            f"simd_shuffle_down({value}, {delta})",
            f"simd_shuffle_up({value}, {delta})",
            f"simd_shuffle({value}, {lane})",
            f"simd_broadcast_first({value})",
            f"quad_sum({value})",
            f"quad_shuffle_xor({value}, {self.random.randint(1, 3)})",
        ]
        if type_ in ("uint", "int", "ushort", "short"):
            choices += [f"simd_xor({value})", f"simd_or({value})", f"simd_and({value})"]
        operation = self.random.choice(choices)
        if target == "uint" and self.random.random() < 0.3:
            condition = self._condition()
            operation = self.random.choice(
                [
                    f"uint(simd_all({condition}))",
                    f"uint(simd_any({condition}))",
                    f"uint(ulong(simd_ballot({condition})))",
                    "uint(simd_is_first())",
                ]
            )
        self._line(f"{name} = {target}({operation});")

    def _atomic(self) -> None:
        k = self.random.randrange(len(_ATOMICS))
        value = self._expression("uint", 1)
        place = f"&counters[{k}]"
        self._line(f"atomic_fetch_{_ATOMICS[k]}_explicit({place}, {value}, memory_order_relaxed);")

    def _exchange(self) -> None:
        name, _ = self.random.choice([v for v in self.variables if v[1] == "uint"])
        step = self.random.randint(1, 40)
        self._line(f"shared[index] = {self._expression('uint', 1)};")
        self._line("threadgroup_barrier(mem_flags::mem_threadgroup);")
        self._line(f"{name} ^= shared[(index + {step}u) & 255u];")
        self._line("threadgroup_barrier(mem_flags::mem_threadgroup);")

    # Expressions

    def _condition(self) -> str:
        type_ = self.random.choice(("uint", "uint", "int", "float"))
        comparison = self.random.choice(["<", ">", "==", "!=", "<=", ">="])
        left, right = self._expression(type_, 1), self._expression(type_, 1)
        if type_ == "uint" and self.random.random() < 0.6:
            return f"({left} & {self.random.choice([1, 2, 3, 7])}u) {comparison} 1u"
        return f"({left}) {comparison} ({right})"

    def _uniform_condition(self) -> str:
        return self.random.choice(["(n & 1u) == 0u", "n > 3u", "a[n & 7u] > 100u", "f[2] < 0.5f"])

    def _expression(self, type_: str, depth: int) -> str:
        if depth <= 0 or self.random.random() < 0.2:
            return self._leaf(type_)
        if type_ == "float":
            return self._float(depth)
        if type_ == "bool":
            return self._condition()
        if type_ == "bfloat":
            a, b = (self._expression("bfloat", depth - 1) for _ in range(2))
            return f"bfloat({a} {self.random.choice('+-*')} {b})"
        if type_ == "half":
            a, b = (self._expression("half", depth - 1) for _ in range(2))
            return f"half({a} {self.random.choice('+-*')} {b})"
        if type_ in ("int", "short", "long", "char"):
            operator = self.random.choice(["/", "%", ">>", "min", "max", "cast"])
            a, b = (self._expression(type_, depth - 1) for _ in range(2))
            if operator in ("min", "max"):
                return f"{operator}({type_}({a}), {type_}({b}))"
            if operator == "cast" and type_ == "long":
                return f"long({self._expression('ulong', depth - 1)})"
            if operator == "cast":
                return f"{type_}({self._expression('uint', depth - 1)})"
            if operator == ">>":
                return f"{type_}({type_}({a}) >> ({type_}({b}) & 7))"
            # Division as the language has it, kept away from overflow and zero.
            if operator == "%":
                return f"{type_}(({a}) % (1 | {b}))"
            return f"{type_}(({a}) / max({type_}(127 & {b}), {type_}(1)))"
        return self._unsigned(type_, depth)

    def _unsigned(self, type_: str, depth: int) -> str:
        a, b = (f"{type_}({self._expression(type_, depth - 1)})" for _ in range(2))
        if self.later and type_ == "uint" and self.random.random() < 0.25:
            return self.random.choice(UINT_FUNCTIONS).format(a, b)
        operator = self.random.choice(
            ["+", "-", "*", "&", "|", "^", "<<", ">>", "/", "%", "?", "min", "popcount", "float"]
        )
        if operator in ("/", "%"):
            return f"{type_}({a} {operator} ({b} | {type_}(1)))"
        if operator in ("<<", ">>"):
            return f"{type_}({a} {operator} ({b} & {type_}(7)))"
        if operator == "?":
            return f"(({self._condition()}) ? {a} : {b})"
        if operator == "min":
            return f"min({a}, {b})"
        if operator == "popcount":
            return f"popcount({a})"
        if operator == "float":
            return f"{type_}(clamp({self._expression('float', depth - 1)}, 0.0f, 200.0f))"
        return f"{type_}({a} {operator} {b})"

    def _float(self, depth: int) -> str:
        a, b = (self._expression("float", depth - 1) for _ in range(2))
        if self.later and self.random.random() < 0.3:
            return self.random.choice(FLOAT_FUNCTIONS).format(a, b)
        choice = self.random.randint(0, 9)
        if choice < 4:
            return f"({a} {'+-*/'[choice]} {b})"
        return [
            f"fma({a}, {b}, {self._leaf('float')})",
            f"max({a}, {b})",
            f"sqrt(abs({a}))",
            f"floor({a})",
            f"float({self._expression('uint', depth - 1)})",
            f"select({a}, {b}, {self._condition()})",
        ][choice - 4]

    def _leaf(self, type_: str) -> str:
        same = [n for n, t in [*self.variables, *self.readable] if t == type_]
        if same and self.random.random() < 0.6:
            return self.random.choice(same)
        if type_ == "float":
            number = f"{self.random.choice([0.5, -1.25, 3.0, 100.0])}f"
            return self.random.choice([number, "f[place & 63u]", "f[lane]", "f[gid.x % 60u]"])
        if type_ in ("bfloat", "bool"):
            return f"{type_}({self.random.choice(['1.5f', 'f[place & 63u]', 'lane'])})"
        if type_ == "half":
            return self.random.choice(["half(1.5f)", "half(f[place & 63u])", "half(lane)"])
        number = f"{type_}({self.random.randint(0, 200)})"
        leaves = ["place", "gid.x", "gid.y", "lane", "sg", "tid.x", "tid.y", "index", "n"]
        leaves += ["a[place & 127u]", "a[gid.x % 100u]", "a[(gid.x + 1u) & 127u]", "a[lane]"]
        leaves += ["a[min(gid.x - 1u, 127u)]", "cells[3]"]
        return self.random.choice([number, *(f"{type_}({leaf})" for leaf in leaves)])


def source(seeds: Iterable[int], size: int = 12) -> str:
    """The kernels of some seeds as one file."""
    kernels = "\n".join(RandomKernel(seed, size).text for seed in seeds)
    return f"""#include <metal_stdlib>
using namespace metal;
struct Record {{ uint a; float2 b; uchar c; }};
static uint dot2(uint2 v) {{ return v.x * v.y; }}
static float dot2(float2 v) {{ return v.x * v.y; }}
static uint hash(float x) {{ return as_type<uint>(x == 0.0f ? 0.0f : x); }}
static uint hash(half x) {{ return uint(as_type<ushort>(x == half(0) ? half(0) : x)); }}
static uint hash(bfloat x) {{ return uint(as_type<ushort>(x == bfloat(0) ? bfloat(0) : x)); }}
{kernels}
"""
