"""What random kernels of later seeds also do: memory in every pattern, more loops and lanes.

Each thread owns four numbers of `more`, which it may read and write at any time. `tally` is for
atomics of all threads, whose results nobody reads: what they come to depends on no order. `lines`
is only written, to the same place by a thread each time.

Seeds from `LATEST` on also have simdgroup matrices; some have no atomics, so that what they only
write may be stored past the caches.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable

PARAMETERS = """
    device uint* more [[buffer(4)]], device atomic_uint* tally [[buffer(5)]],"""
LINES = " device uint* lines [[buffer(6)]],"
LATEST = 3_000_000
TALLIES = 16
_ATOMICS = ("add", "max", "min", "xor", "or", "and", "sub")  # one for each tally below 7
# Where the k-th of a thread's own numbers is: in a row, in columns, threads transposed.
_OWN = (
    "4u * place + {}",
    "place + threads * ({})",
    "4u * ((gid.x * grid.y + gid.y) * grid.z + gid.z) + {}",
    "4ul * place + {}",  # cannot wrap: neighbours are one access
)
# Where a thread's part of `lines` is, and what of some numbers goes there.
_LINES = (
    ("lines[place]", "{}"),
    ("lines[place + threads]", "{}"),
    ("((device uint2*)lines)[place]", "uint2({}, lane)"),
    ("((device uint4*)lines)[place]", "uint4({}, place, n, 7u)"),
    ("((device ushort*)lines)[place]", "ushort({})"),
    ("((device uchar*)lines)[place]", "uchar({})"),
    ("((device ulong*)lines)[place]", "ulong({}) << 7"),
    ("((device float*)lines)[place]", "float({})"),
)
_SIMD_TYPES = (
    *("uint", "int", "float", "half", "bfloat", "ushort", "short", "uchar", "char"),
    *("uint2", "float4", "half4", "uchar4", "short2"),
)
_ARRAYS = {
    "reals": "float reals[4] = {1.5f, f[lane], -2.0f, 0.25f};",
    "bytes": "uchar bytes[6] = {1, 2, 3, uchar(lane), 5, 6};",
    "wide": "ulong wide[3] = {1, ulong(place) << 33, 3};",
    "pairs": "uint2 pairs[3] = {uint2(1, lane), uint2(place, 2), uint2(n)};",
    "records": "Record records[3] = {{lane, float2(1, 2), 3}, {4, f[lane], 5}, {6, float2(n), 7}};",
}


class Statements(ABC):
    """Statements for `RandomKernel`, which has the others."""

    random: random.Random
    arrays: list[str]
    variables: list[tuple[str, str]]
    own: str
    line: tuple[str, str]
    loops: int
    depth: int
    count: int
    barriers: bool
    simd: bool
    uniform: bool
    latest: bool
    atomics = True

    @abstractmethod
    def _line(self, text: str) -> None:
        """Write a line."""

    @abstractmethod
    def _expression(self, type_: str, depth: int) -> str:
        """Text of that type."""

    @abstractmethod
    def _condition(self) -> str:
        """Text of a bool."""

    @abstractmethod
    def _block(self, statements: int, uniform: bool) -> None:
        """Write some statements; `uniform`: all threads run them."""

    def _plan(self) -> None:
        """What this kernel has."""
        self.own = self.random.choice((*_OWN, _OWN[3]) if self.latest else _OWN[:3])
        self.arrays = [name for name in _ARRAYS if self.random.random() < 0.25]
        if self.latest:
            self.atomics = self.random.random() < 0.5
            self.line = self.random.choice(_LINES)

    def _declarations(self) -> str:
        return "\n".join(
            [
                "    uint threads = grid.x * grid.y * grid.z;",
                "    threadgroup float tile[16][17]; threadgroup ushort shorts[512];",
                *(["    threadgroup float squares[4 * 64];"] if self.latest and self.simd else []),
                *(f"    {_ARRAYS[name]}" for name in self.arrays),
            ]
        )

    def _end(self) -> None:
        """What the arrays came to."""
        whole = {
            "reals": ("4", "(isnan(reals[k]) ? 7u : hash(reals[k]))"),
            "bytes": ("6", "bytes[k]"),
            "wide": ("3", "uint(wide[k] ^ (wide[k] >> 32))"),
            "pairs": ("3", "pairs[k].x * 7u + pairs[k].y"),
            "records": ("3", "records[k].a * 7u + hash(records[k].b.y) + records[k].c"),
        }
        for name in self.arrays:
            length, value = whole[name]
            self._line(f"for (uint k = 0; k < {length}; ++k) result = result * 31u + {value};")
        if self.latest and self.random.random() < 0.8:
            self._write_line()

    def _later(self) -> list[Callable[[], None]]:
        """The statements, as often as they are to be chosen."""
        choices = [self._more, self._more, self._read, self._read]
        choices += [self._tally] if self.atomics else []
        choices += [self._return_early]
        if self.latest:
            choices += [self._write_line] if self.random.random() < 0.3 else []
            choices += [self._matrices] * 2 if self.simd and self.uniform and self.depth < 3 else []
        choices += [self._private] * (2 if self.arrays else 1)
        if self.depth < 4:
            choices += [self._do, self._endless]
        return choices

    def _fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def _uint(self) -> str:
        return self.random.choice([name for name, type_ in self.variables if type_ == "uint"])

    def _value(self) -> str:
        return self._expression("uint", 1)

    # Memory

    def _more(self) -> None:
        k = self.random.choice([str(self.random.randrange(4)), f"(({self._value()}) & 3u)"])
        place, name, value = f"more[{self.own.format(k)}]", self._uint(), self._value()
        row = (
            "place"
            if self.own in (_OWN[0], _OWN[3])
            else "((gid.x * grid.y + gid.y) * grid.z + gid.z)"
        )
        atomic = f"(device atomic_uint*)&{place}"
        choices = [
            f"{place} = {value};",
            f"{place} {self.random.choice('+^|-')}= {value};",
            f"{name} ^= {place};",
            f"for (uint k = 0; k < 4u; ++k) more[{self.own.format('k')}] = {value} + k;",
            f"for (uint k = 0; k < (n & 3u); ++k) {name} += more[{self.own.format('k')}];",
            f"((device uchar*)&{place})[({self._value()}) & 3u] = uchar({value});",
            f"((device ushort*)&{place})[{self.random.randrange(2)}] += ushort({value});",
            f"{name} += ((device char*)&{place})[{self.random.randrange(4)}];",
        ]
        if self.atomics:
            choices += [
                f"{name} = atomic_fetch_add_explicit({atomic}, {value}, memory_order_relaxed);",
                f"{name} = atomic_exchange_explicit({atomic}, {value}, memory_order_relaxed);",
            ]
        if self.latest:  # neighbours, between which one of them is read or written
            at = [f"more[{self.own.format(k)}]" for k in range(4)]
            some = f"more[{self.own.format(f'(({self._value()}) & 3u)')}]"
            choices += [
                f"{name} += {at[0]} * 3u; {some} = {value}; {name} ^= {at[1]} + {at[2]} * 5u; "
                f"{name} += {at[3]};",
                f"{at[0]} = {value}; {at[1]} = {name}; {name} += {some}; {at[2]} = {name} * 3u; "
                f"{at[3]} = lane;",
                f"{at[2]} = {at[1]}; {at[3]} = {at[0]} + {some}; {name} ^= {at[2]};",
            ]
        if self.own is not _OWN[1]:
            four = f"((device uint4*)more)[{row}]"
            choices += [
                f"{four} = {four}.yzwx * 3u + {name};",
                f"{four} = uint4({value}, {name}, {self._value()}, lane);",
                f"{name} += {four}.{self.random.choice('xyzw')};",
                f"{name} ^= dot2({four}.wy);",
                f"((device ulong*)more)[2u * {row} + ({name} & 1u)] += ulong({value}) << 30;",
                f"((device packed_uint3*)&more[4u * {row} + 1u])[0] = uint3({value}, {name}, 1u);",
            ]
        self._line(self.random.choice(choices))

    def _read(self) -> None:
        name, c, k = self._uint(), self.random.randint(1, 9), self._fresh("k")
        few = f"(({self._value()}) & 3u)"
        s, t = self.random.choice([(1, 1), (2, 0), (3, 2), (4, 1), (4, 3), (7, 5)])
        pointer = f"p{k}"
        choices = [
            f"if (gid.x >= {c}u && gid.x < 200u) {name} += a[gid.x - {c}u];",
            f"if (gid.x > {c}u && gid.x < 200u) {name} += a[int(gid.x) - {c}];",
            f"if (place >= {c}u) {name} ^= a[min(place, 250u) - {c}u];",
            f"{name} += a[lane * {s}u + {t}u] + a[lane * {s}u + {t + 1}u];",
            f"{name} += a[255u - lane * {s}u];",
            f"{name} ^= a[tid.x + 3u * tid.y];",
            f"{name} += dot2(((device const uint4*)a)[lane].{self.random.choice(['xw', 'zy'])});",
            f"{name} += ((device const ushort*)a)[lane * {s}u];",
            f"{name} -= ((device const uchar*)a)[tid.x * {s}u + {t}u];",
            f"{name} ^= uint(((device const ulong*)a)[lane] >> ({name} & 31u));",
            f"{name} += ((device const char4*)a)[lane + (n & 31u)].z;",
            f"for (uint {k} = lane; {k} < 256u; {k} += 64u) {name} += a[{k}];",
            f"for (uint {k} = gid.x - {c}u, e = 0; e < 4u; ++e, ++{k}) "
            f"if ({k} < 256u) {name} += a[{k}];",
            f"for (int {k} = int(lane) - {c}; {k} <= int(lane); {k} += 2) "
            f"if ({k} >= 0) {name} ^= a[{k}];",
            f"for (int {k} = 31 - int(lane); {k} >= 0; {k} -= 7) {name} += a[{k}] * 3u;",
            f"device const uint* {pointer} = {self._condition()} ? a + ({name} & 63u) : a + lane; "
            f"for (uint {k} = 0; {k} < {few}; ++{k}, {pointer} += {c}) {name} += *{pointer};",
            f"device const uint* {pointer} = a + lane; "
            f"for (device const uint* e = {pointer} + {few}; {pointer} != e;) "
            f"{name} = {name} * 3u + *{pointer}++;",
            f"for (ulong {k} = place & 15u; {k} < 64u; {k} += 16u) {name} += a[{k}];",
        ]
        self._line(self.random.choice(choices))

    def _tally(self) -> None:
        k = self.random.randrange(len(_ATOMICS))
        operation, place = _ATOMICS[k], f"&tally[{k}]"
        if self.random.random() < 0.4:
            operation, place = "add", f"&tally[8u + (({self._value()}) & 7u)]"
        value = self.random.choice([self._value(), "1u", "n"])
        self._line(f"atomic_fetch_{operation}_explicit({place}, {value}, memory_order_relaxed);")

    def _private(self) -> None:
        name, at = self._uint(), f"({self._value()})"
        kind = self.random.choice([*self.arrays, *self.arrays, "cells"])
        value = self._value()
        real = self._expression("float", 1)
        choices = {
            "cells": [
                f"((thread uchar*)cells)[{at} & 31u] += uchar({value});",
                f"{name} += ((thread ushort*)cells)[{at} & 15u];",
                f"thread uint* q = {self._condition()} ? &cells[{at} & 7u] : &cells[lane & 3u]; "
                f"*q ^= {value};",
                f"for (uint k = 0; k < 8u; ++k) cells[k] += cells[(k + {at}) & 7u];",
            ],
            "reals": [
                f"reals[{at} & 3u] = {real};",
                f"reals[{at} & 3u] += reals[{value} & 3u];",
            ],
            "bytes": [
                f"bytes[{at} % 6u] = uchar({value});",
                f"{name} += bytes[{at} % 6u];",
            ],
            "wide": [
                f"wide[{at} % 3u] = wide[{value} % 3u] * 5u + {name};",
                f"{name} ^= uint(wide[{at} % 3u] >> 31);",
            ],
            "pairs": [
                f"pairs[{at} % 3u] = uint2({value}, {name});",
                f"pairs[{at} % 3u][{value} & 1u] ^= {name};",
                f"{name} += pairs[{at} % 3u].y;",
            ],
            "records": [
                f"records[{at} % 3u] = records[{value} % 3u];",
                f"records[{at} % 3u].c += uchar({value});",
                f"records[{at} % 3u].b.x = {real}; {name} += records[{value} % 3u].a;",
                f"Record r = {{ {value}, {real}, uchar({name}) }}; records[{at} % 3u] = r;",
            ],
        }[kind]
        self._line(f"{{ {self.random.choice(choices)} }}")

    def _write_line(self) -> None:
        place, value = self.line
        self._line(f"{place} = {value.format(self._uint())};")

    def _matrices(self) -> None:
        """Where all lanes are there: a product of two of them, to threadgroup memory."""
        a, b = (self._factor() for _ in range(2))
        steps, name = self.random.choice(["1u", "2u", "(n & 3u)"]), self._uint()
        how = self.random.choice(["8", "8, ulong2(0, 0), true"])
        start = self.random.choice(["0", "1.5f", "float(n)"])
        self._line("if (simd_sum(1u) == 32u && sg < 4u) {")
        for line in (
            f"simdgroup_float8x8 x, y, z = make_filled_simdgroup_matrix<float, 8>({start});",
            f"for (uint k = 0; k < {steps}; ++k) {{",
            f"    {a.format('x')}",
            f"    {b.format('y')}",
            "    simdgroup_multiply_accumulate(z, x, y, z);",
            "}",
            f"simdgroup_store(z, &squares[sg * 64u], {how});",
            "simdgroup_barrier(mem_flags::mem_threadgroup);",
            f"float m = squares[sg * 64u + lane] + squares[sg * 64u + 63u - lane]; {name} ^= "
            "isnan(m) ? 3u : hash(m);",
            "simdgroup_barrier(mem_flags::mem_threadgroup);",
        ):
            self._line(f"    {line}")
        self._line("}")

    def _factor(self) -> str:
        """A load of the matrix that the text is given."""
        return self.random.choice(
            [
                "simdgroup_load({0}, f + k * 64u, 8);",
                "simdgroup_load({0}, f + k, 16);",
                "simdgroup_load({0}, f, 9, ulong2(k, 1));",
                "simdgroup_load({0}, f + 8u * k, 16, ulong2(0, 0), true);",
                "simdgroup_load({0}, f, 8, ulong2(k, 2), true);",
                "{0} = simdgroup_float8x8(0.5f + float(k));",
                "{0} = make_filled_simdgroup_matrix<float, 8>(2.0f);",
            ]
        )

    # Control flow

    def _do(self) -> None:
        k = self._fresh("d")
        self._line(f"uint {k} = ({self._value()}) & 3u;")
        self._line("do {")
        self.loops += 1
        self._block(self.random.randint(1, 2), False)
        self.loops -= 1
        self._line(f"}} while ({k}-- != 0u && {self._condition()});")

    def _endless(self) -> None:
        k = self._fresh("d")
        self._line(f"uint {k} = ({self._value()}) & 7u;")
        self._line("for (;;) {")
        self._line(f"    if ({k} == 0u) break;")
        self._line(f"    {k} -= {self.random.choice([k, '1u'])} > 3u ? 2u : 1u;")
        self.loops += 1
        self._block(self.random.randint(1, 2), False)
        self.loops -= 1
        self._line("}")

    def _return_early(self) -> None:
        if not self.barriers and self.random.random() < 0.3:
            left = f"out[place] = result + {self._uint()}; return;"
            self._line(f"if ({self._condition()}) {{ {left} }}")

    # Lanes

    def _lanes(self) -> None:
        type_ = self.random.choice(_SIMD_TYPES)
        scalar = type_.rstrip("24")
        value = f"{type_}({self._expression(scalar, 1)})"
        if scalar != type_:
            value = f"({value} + {type_}({', '.join(['0', '1', '2', '3'][: int(type_[-1])])}))"
        by, few = self.random.randint(1, 31), self.random.randint(1, 3)
        moved = [
            *(f"simd_shuffle_{how}({value}, {by})" for how in ("rotate_up", "rotate_down")),
            *(f"simd_shuffle_{how}({value}, {by})" for how in ("xor", "up", "down")),
            f"simd_shuffle_and_fill_up({value}, {type_}(7), {by})",
            f"simd_shuffle_and_fill_down({value}, {type_}(9), {by}, 8)",
            f"simd_shuffle({value}, ushort((lane * {by}u + {few}u) & 31u))",
            *(f"quad_shuffle_{how}({value}, {few})" for how in ("xor", "up", "down")),
            *(f"quad_shuffle_rotate_{how}({value}, {few})" for how in ("up", "down")),
            f"quad_shuffle({value}, ushort((lane + {few}u) & 3u))",
            f"quad_broadcast_first({value})",
        ]
        reduced = [
            *(f"{group}_{what}({value})" for group in ("simd", "quad") for what in ("max", "min")),
            *(f"{group}_{what}({value})" for group in ("simd", "quad") for what in _REDUCTIONS),
        ]
        if scalar in ("uint", "int", "ushort", "short", "uchar", "char"):
            reduced += [f"quad_{what}({value})" for what in ("and", "or", "xor")]
        operation = self.random.choice(moved + reduced)
        if scalar != type_:
            operation = f"({operation}).{self.random.choice('xy')}"
        targets = [v for v in self.variables if v[1] == scalar]
        if targets:
            name, _ = self.random.choice(targets)
            self._line(f"{name} = {scalar}({operation});")
        elif scalar in ("float", "half", "bfloat"):
            self._line(f"{{ {scalar} m = {operation}; result ^= isnan(m) ? 3u : hash(m); }}")
        else:
            self._line(f"result ^= uint({operation});")

    def _votes(self) -> None:
        condition = self._condition()
        vote = self.random.choice(
            [
                f"uint(quad_all({condition}))",
                f"uint(quad_any({condition}))",
                f"uint(ushort(quad_vote::vote_t(quad_ballot({condition}))))",
                "uint(quad_is_first())",
                "uint(ulong(simd_vote::vote_t(simd_active_threads_mask())))",
            ]
        )
        self._line(f"{self._uint()} ^= {vote};")

    def _transpose(self) -> None:
        """All threads of the threadgroup are here."""
        name = self._uint()
        barrier = "threadgroup_barrier(mem_flags::mem_threadgroup);"
        odd = self.random.choice([3, 5, 7, 17])
        real = self._expression("float", 1)
        if self.random.random() < 0.5:
            target, _ = self.random.choice([v for v in self.variables if v[1] == "float"])
            self._line(f"tile[index / 16u][index & 15u] = {real};")
            self._line(barrier)
            self._line(f"{target} = tile[index & 15u][index / 16u];")
        else:
            self._line(f"shorts[(index * {odd}u) & 511u] = ushort({self._value()});")
            self._line(barrier)
            self._line(f"{name} += shorts[index * 2u] + shorts[(index + {odd}u) & 511u];")
        self._line(barrier)


_REDUCTIONS = (
    *("sum", "product", "prefix_inclusive_sum", "prefix_exclusive_sum"),
    *("prefix_inclusive_product", "prefix_exclusive_product"),
)

# Of uint, or of float: functions of two arguments, as text in which they stand.
UINT_FUNCTIONS = (
    *("clz({0})", "ctz({0})", "reverse_bits({0})", "rotate({0}, {1})", "mulhi({0}, {1})"),
    *("absdiff({0}, {1})", "hadd({0}, {1})", "rhadd({0}, {1})", "addsat({0}, {1})"),
    *("subsat({0}, {1})", "extract_bits({0}, 3, 7)", "insert_bits({0}, {1}, 5, 9)"),
    *("min3({0}, {1}, 9u)", "uint(mulhi(ulong({0}) << 20, ulong({1}) << 15))"),
)
FLOAT_FUNCTIONS = (
    *("ceil({0})", "trunc({0})", "rint({0})", "round({0})", "copysign({0}, {1})", "sign({0})"),
    *("fract({0})", "saturate({0})", "step({0}, {1})", "min({0}, {1})", "median3({0}, {1}, 2.0f)"),
    *("mix({0}, {1}, 0.25f)", "ldexp({0}, 3)", "float(half({0}))", "float(bfloat({0}))"),
    *("float(int(clamp({0}, -99.0f, 99.0f)))", "rsqrt(4.0f) * {0} - {1}"),
)
