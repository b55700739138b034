"""<metal_integer>: Metal Shading Language Specification, section 6.3, against Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import (
    DTYPES,
    INTEGERS,
    SIGNED,
    UNSIGNED_OF,
    WIDTHS,
    Call,
    assert_same,
    calls,
    compile_calls,
    evaluate,
    integer_values,
    pairs,
)

import pymetal

ONE = "abs clz ctz popcount reverse_bits"
TWO = "addsat hadd max min mulhi rhadd rotate subsat"
THREE = "clamp madhi madsat max3 median3 min3"


def test_every_function_compiles_at_every_width(device):
    every = []
    for t in INTEGERS:
        every += calls(ONE, t, t) + calls(TWO, t, t, t) + calls(THREE, t, t, t, t)
        every += calls("absdiff", UNSIGNED_OF[t], t, t)
        for w in WIDTHS:
            v = t + w
            every.append(Call(v, "extract_bits(a, b, c)", (v, "uint", "uint")))
            every.append(Call(v, "insert_bits(a, b, c, d)", (v, v, "uint", "uint")))
    for t in ("int", "uint"):
        every += calls("mul24", t, t, t) + calls("mad24", t, t, t, t)
    compile_calls(every, device)


@pytest.mark.parametrize("call", ["max(1, 2u)", "clamp(1L, 0, 1)"])
def test_mixed_types_are_ambiguous_as_in_metal(device, call):
    with pytest.raises(pymetal.CompileError, match="ambiguous"):
        compile_calls([Call("long", call)], device)


@pytest.mark.parametrize("name", ["ffs", "bitcount", "mulhigh"])
def test_a_function_that_metal_lacks_is_a_compile_error_that_names_it(device, name):
    with pytest.raises(pymetal.CompileError, match=name):
        compile_calls([Call("int", f"{name}(a)", ("int",))], device)


class Type:
    """Python's integers made to behave as Metal's."""

    def __init__(self, t: str) -> None:
        self.dtype = DTYPES[t]
        info = np.iinfo(self.dtype)
        self.bits, self.low, self.high = info.bits, int(info.min), int(info.max)
        self.signed = self.low < 0

    def wrap(self, x: int) -> int:
        x &= (1 << self.bits) - 1
        return x - (1 << self.bits) if self.signed and x > self.high else x

    def saturate(self, x: int) -> int:
        return min(max(x, self.low), self.high)

    def unsigned(self, x: int) -> int:
        return x & ((1 << self.bits) - 1)


def reference(name: str, t: Type, *x: int) -> int:
    """The specification's definition, in integers of any size."""
    a, b, c = (*x, 0, 0, 0)[:3]
    u = t.unsigned(a)
    if name in ("max", "min"):
        return max(a, b) if name == "max" else min(a, b)
    if name in ("max3", "min3", "median3"):
        return sorted(x)[{"max3": 2, "min3": 0, "median3": 1}[name]]
    if name == "clamp":
        return min(max(a, b), c)
    return {
        "abs": lambda: t.wrap(abs(a)),
        "absdiff": lambda: abs(a - b),
        "addsat": lambda: t.saturate(a + b),
        "subsat": lambda: t.saturate(a - b),
        "hadd": lambda: (a + b) >> 1,
        "rhadd": lambda: (a + b + 1) >> 1,
        "mulhi": lambda: (a * b) >> t.bits,
        "madhi": lambda: t.wrap(((a * b) >> t.bits) + c),
        "madsat": lambda: t.saturate(a * b + c),
        "clz": lambda: t.bits - u.bit_length(),
        "ctz": lambda: t.bits if u == 0 else (u & -u).bit_length() - 1,
        "popcount": lambda: u.bit_count(),
        "reverse_bits": lambda: t.wrap(int(f"{u:0{t.bits}b}"[::-1], 2)),
        "rotate": lambda: (
            t.wrap((u << (b % t.bits)) | (u >> (t.bits - b % t.bits) % (2 * t.bits)))
            if b % t.bits
            else a
        ),
        "mul24": lambda: t.wrap(_low24(a, t) * _low24(b, t)),
        "mad24": lambda: t.wrap(_low24(a, t) * _low24(b, t) + c),
    }[name]()


def _low24(x: int, t: Type) -> int:
    x &= 0xFFFFFF
    return x - 0x1000000 if t.signed and x & 0x800000 else x


def check(names: str, t: str, arguments: list[np.ndarray], device: str, result: str = "") -> None:
    result = result or t
    used = ", ".join("abc"[: len(arguments)])
    functions = {name: f"{name}({used})" for name in names.split()}
    results = evaluate(functions, result, [(t, x) for x in arguments], device)
    type_ = Type(t)
    for name in functions:
        columns = [x.tolist() for x in arguments]
        expected = [reference(name, type_, *row) for row in zip(*columns, strict=True)]
        assert_same(f"{t} {name}", results[name], np.array(expected, DTYPES[result]), *arguments)


@pytest.mark.parametrize("t", INTEGERS)
def test_functions_are_exact(device, t):
    values = integer_values(DTYPES[t])
    check(ONE, t, [values], device)
    x, y = pairs(values, integer_values(DTYPES[t], 16, seed=1))
    check(TWO, t, [x, y], device)
    check("absdiff", t, [x, y], device, UNSIGNED_OF[t])
    few = integer_values(DTYPES[t], 4, seed=2)
    x, y, z = (v.ravel() for v in np.meshgrid(few, few, few, indexing="ij"))
    check("madhi madsat max3 median3 min3", t, [x, y, z], device)
    check("clamp", t, [x, np.minimum(y, z), np.maximum(y, z)], device)


@pytest.mark.parametrize("t", ["int", "uint"])
def test_24_bit_products_use_the_low_24_bits(device, t):
    values = integer_values(DTYPES[t])
    x, y = pairs(values, values)
    check("mul24", t, [x, y], device)
    check("mad24", t, [x, y, y[::-1].copy()], device)


@pytest.mark.parametrize("t", INTEGERS)
def test_bit_fields_are_taken_and_put(device, t):
    type_ = Type(t)
    bits = type_.bits
    fields = [(0, 0), (0, 1), (0, bits), (1, bits - 1), (bits - 1, 1), (2, 3), (bits // 2, 2)]
    fields += [(bits - 1, 0), (bits, 0)]
    functions = {}
    for offset, count in fields:
        functions[f"extract {offset} {count}"] = f"extract_bits(a, {offset}u, {count}u)"
        functions[f"insert {offset} {count}"] = f"insert_bits(a, b, {offset}u, {count}u)"
    x, y = pairs(integer_values(DTYPES[t], 8), integer_values(DTYPES[t], 8, seed=1))
    results = evaluate(functions, t, [(t, x), (t, y)], device)
    for offset, count in fields:
        mask = ((1 << count) - 1) << offset
        taken, put = [], []
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            field = (type_.unsigned(a) >> offset) & ((1 << count) - 1)
            if t in SIGNED and count and field >> (count - 1):
                field -= 1 << count
            taken.append(field)
            put.append(type_.wrap((type_.unsigned(a) & ~mask) | ((b << offset) & mask)))
        assert_same(
            f"extract_bits at {offset}, {count}",
            results[f"extract {offset} {count}"],
            np.array(taken, DTYPES[t]),
            x,
        )
        assert_same(
            f"insert_bits at {offset}, {count}",
            results[f"insert {offset} {count}"],
            np.array(put, DTYPES[t]),
            x,
            y,
        )


@pytest.mark.parametrize("t", ["int", "uint", "long", "ulong"])
def test_division_and_shifts_have_a_meaning_for_every_operand(device, t):
    x, y = pairs(integer_values(DTYPES[t]), integer_values(DTYPES[t], 8, seed=1))
    functions = {"/": "a / b", "%": "a % b", "<<": "a << b", ">>": "a >> b"}
    results = evaluate(functions, t, [(t, x), (t, y)], device)
    type_ = Type(t)
    quotients, remainders, left, right = [], [], [], []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        quotient = 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        quotients.append(type_.wrap(quotient))
        remainders.append(type_.wrap(a - quotient * b) if b else None)
        count = b % type_.bits
        left.append(type_.wrap(a << count))
        right.append(a >> count)
    assert_same("/", results["/"], np.array(quotients, DTYPES[t]), x, y)
    whole = np.array([r is not None for r in remainders])  # x % 0 is anything, and does not trap
    exact = np.array([r for r in remainders if r is not None], DTYPES[t])
    assert_same("%", results["%"][whole], exact, x[whole], y[whole])
    assert_same("<<", results["<<"], np.array(left, DTYPES[t]), x, y)
    assert_same(">>", results[">>"], np.array(right, DTYPES[t]), x, y)
