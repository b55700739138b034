"""The `air.*` intrinsics that the engines do not know, and what they are made of.

Modules declare intrinsics in many types and shapes: vectors, mixed-precision matrix products,
address spaces in names. `definition` gives each a body in terms of LLVM's instructions and of the
vocabulary of docs/air.md, section 2; inlining those bodies is all the rewriting there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pymetal.air import async_copies
from pymetal.air.body import (
    SCALARS,
    Body,
    convert_float,
    splat,
    split_vector,
    suffix,
    with_element,
)
from pymetal.air.vocabulary import FLOAT, MATH, Signature

# Mathematics for which LLVM has an intrinsic of the same meaning, under its name for it.
_LLVM_MATH = {"fmin": "minnum", "fmax": "maxnum", "fabs": "fabs", "floor": "floor"}
for _name in ("ceil", "trunc", "rint", "round", "sqrt", "pow", "fma", "copysign", "atan2"):
    _LLVM_MATH[_name] = _name
for _name in ("exp", "exp2", "exp10", "log", "log2", "log10", "sin", "cos", "tan"):
    _LLVM_MATH[_name] = _name
for _name in ("asin", "acos", "atan", "sinh", "cosh", "tanh"):
    _LLVM_MATH[_name] = _name


def definition(signature: Signature) -> tuple[str, list[Signature]] | None:
    """The body of an intrinsic outside the vocabulary and what it calls; None if not known."""
    copy = async_copies.definition(signature.name, signature.result, signature.parameters)
    if copy:
        return copy[0], [Signature(*copy[1])]
    for pattern, build in _RULES:
        match = pattern.fullmatch(signature.name)
        if match:
            body = Body(signature)
            value = build(body, match)
            return None if value is None else (body.text(value), body.used)
    return None


Rule = Callable[[Body, "re.Match[str]"], str | None]
_RULES: list[tuple[re.Pattern[str], Rule]] = []


def _rule(pattern: str) -> Callable[[Rule], Rule]:
    def add(build: Rule) -> Rule:
        _RULES.append((re.compile(pattern), build))
        return build

    return add


_TYPE = r"(?:v\d+)?(?:bf16|f16|f32|i\d+)"


@_rule(rf"air\.convert\.([fsu])\.{_TYPE}\.([fsu])\.{_TYPE}(?:\.(rt[eznp]))?")
def _convert(body: Body, match: re.Match[str]) -> str | None:
    to_kind, from_kind, rounding = match.groups()
    source, target = body.signature.parameters[0], body.signature.result
    from_element, to_element = split_vector(source)[1], split_vector(target)[1]
    if to_kind == from_kind == "f":
        return None if rounding not in (None, "rte") else convert_float(body, "%p0", source, target)
    if from_kind != "f" and to_kind == "f":
        return body.emit(f"{from_kind}itofp {source} %p0 to {target}")
    if to_kind == "f":
        return None
    if from_kind == "f":
        if to_element == "i1":
            return body.emit(f"fcmp une {source} %p0, {splat(source, '0.0')}")
        wide = with_element(source, "float")
        value = convert_float(body, "%p0", source, wide)
        if rounding in ("rte", "rtp", "rtn"):
            name = {"rte": "roundeven", "rtp": "ceil", "rtn": "floor"}[rounding]
            value = body.call(f"llvm.{name}.{suffix(wide)}", wide, (wide, value))
        name = f"llvm.fpto{to_kind}i.sat.{suffix(target)}.{suffix(wide)}"
        return body.call(name, target, (wide, value))
    if to_element == "i1":
        return body.emit(f"icmp ne {source} %p0, {splat(source, '0')}")
    difference = int(to_element[1:]) - int(from_element[1:])
    if difference == 0:
        return "%p0"
    operation = "trunc" if difference < 0 else f"{from_kind}ext".replace("uext", "zext")
    return body.emit(f"{operation} {source} %p0 to {target}")


@_rule(rf"air\.(fast_|precise_)?({'|'.join(_LLVM_MATH)})\.{_TYPE}")
def _llvm_math(body: Body, match: re.Match[str]) -> str:
    type_ = body.signature.result
    name = f"llvm.{_LLVM_MATH[match[2]]}.{suffix(type_)}"
    operands = [(t, f"%p{i}") for i, t in enumerate(body.signature.parameters)]
    return body.call(name, type_, *operands, flags="afn " if match[1] == "fast_" else "")


@_rule(rf"air\.(?:fast_|precise_)?ldexp\.{_TYPE}")
def _ldexp(body: Body, match: re.Match[str]) -> str:
    (value, exponent), result = body.signature.parameters, body.signature.result
    name = f"llvm.ldexp.{suffix(value)}.{suffix(exponent)}"
    return body.call(name, result, (value, "%p0"), (exponent, "%p1"))


@_rule(rf"air\.(?:fast_|precise_)?sincos\.{_TYPE}")
def _sincos(body: Body, match: re.Match[str]) -> str:
    # The sine; the cosine goes to the pointer.
    t = body.signature.result
    cosine = body.call(f"llvm.cos.{suffix(t)}", t, (t, "%p0"))
    body.lines.append(f"  store {t} {cosine}, ptr %p1")
    return body.call(f"llvm.sin.{suffix(t)}", t, (t, "%p0"))


@_rule(rf"air\.(?:fast_|precise_)?fract\.{_TYPE}")
def _fract(body: Body, match: re.Match[str]) -> str:
    # min(x - floor(x), the greatest number below 1): section "Math Functions".
    t = body.signature.result
    wide = with_element(t, "float")
    x = convert_float(body, "%p0", t, wide)
    rest = body.emit(f"fsub {wide} {x}, {body.call(f'llvm.floor.{suffix(wide)}', wide, (wide, x))}")
    element = split_vector(t)[1]
    limit = {"float": "0x3FEFFFFFE0000000", "half": "0x3FEFFC0000000000"}.get(
        element, "0x3FEFE00000000000"
    )
    below = (wide, splat(wide, limit))
    value = body.call(f"llvm.minnum.{suffix(wide)}", wide, (wide, rest), below)
    # A NaN stays one. All else is in [0, 1), also for an infinity, as in OpenCL.
    infinite = body.call(f"llvm.fabs.{suffix(wide)}", wide, (wide, x))
    bools = with_element(t, "i1")
    is_infinite = body.emit(f"fcmp oeq {wide} {infinite}, {splat(wide, '0x7FF0000000000000')}")
    is_nan = body.emit(f"fcmp uno {wide} {x}, {x}")
    zero = splat(wide, "0.0")
    value = body.emit(f"select {bools} {is_infinite}, {wide} {zero}, {wide} {value}")
    value = body.emit(f"select {bools} {is_nan}, {wide} {x}, {wide} {value}")
    return convert_float(body, value, wide, t)


@_rule(r"air\.(all|any)\.v\d+i1")
def _all_any(body: Body, match: re.Match[str]) -> str:
    vector = body.signature.parameters[0]
    count, _ = split_vector(vector)
    operation = "and" if match[1] == "all" else "or"
    total = body.emit(f"extractelement {vector} %p0, i32 0")
    for i in range(1, count):
        total = body.emit(
            f"{operation} i1 {total}, {body.emit(f'extractelement {vector} %p0, i32 {i}')}"
        )
    return total


@_rule(rf"air\.(?:fast_|precise_)?fmod\.{_TYPE}")
def _fmod(body: Body, match: re.Match[str]) -> str:
    return body.emit(f"frem {body.signature.result} %p0, %p1")


@_rule(rf"air\.(fast_|precise_)?rsqrt\.{_TYPE}")
def _rsqrt(body: Body, match: re.Match[str]) -> str:
    type_, flags = body.signature.result, "afn " if match[1] == "fast_" else ""
    root = body.call(f"llvm.sqrt.{suffix(type_)}", type_, (type_, "%p0"), flags=flags)
    return body.emit(f"fdiv {flags}{type_} {splat(type_, '1.0')}, {root}")


@_rule(rf"air\.(?:fast_|precise_)?(clamp|saturate)\.{_TYPE}")
def _clamp_float(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    low, high = ("%p1", "%p2") if match[1] == "clamp" else (splat(t, "0.0"), splat(t, "1.0"))
    raised = body.call(f"llvm.maxnum.{suffix(t)}", t, (t, "%p0"), (t, low))
    return body.call(f"llvm.minnum.{suffix(t)}", t, (t, raised), (t, high))


@_rule(rf"air\.(?:fast_|precise_)?mix\.{_TYPE}")
def _mix(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    scaled = body.emit(f"fmul {t} {body.emit(f'fsub {t} %p1, %p0')}, %p2")
    return body.emit(f"fadd {t} %p0, {scaled}")


@_rule(rf"air\.(?:fast_|precise_)?dot\.{_TYPE}")
def _dot(body: Body, match: re.Match[str]) -> str:
    vector, element = body.signature.parameters[0], body.signature.result
    product = body.emit(f"fmul {vector} %p0, %p1")
    total = body.emit(f"extractelement {vector} {product}, i32 0")
    for i in range(1, split_vector(vector)[0]):
        term = body.emit(f"extractelement {vector} {product}, i32 {i}")
        total = body.emit(f"fadd {element} {total}, {term}")
    return total


@_rule(rf"air\.(min|max)\.([su])\.{_TYPE}")
def _integer_min_max(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    return body.call(f"llvm.{match[2]}{match[1]}.{suffix(t)}", t, (t, "%p0"), (t, "%p1"))


@_rule(rf"air\.clamp\.([su])\.{_TYPE}")
def _integer_clamp(body: Body, match: re.Match[str]) -> str:
    t, sign = body.signature.result, match[1]
    raised = body.call(f"llvm.{sign}max.{suffix(t)}", t, (t, "%p0"), (t, "%p1"))
    return body.call(f"llvm.{sign}min.{suffix(t)}", t, (t, raised), (t, "%p2"))


@_rule(rf"air\.abs\.([su])\.{_TYPE}")
def _integer_abs(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    return (
        "%p0"
        if match[1] == "u"
        else body.call(f"llvm.abs.{suffix(t)}", t, (t, "%p0"), ("i1", "false"))
    )


_BITS = {"popcount": "ctpop", "clz": "ctlz", "ctz": "cttz", "reverse_bits": "bitreverse"}


@_rule(rf"air\.({'|'.join(_BITS)})\.{_TYPE}")
def _bits(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    # Metal counts all bits of zero; LLVM's second operand says whether zero is poison.
    extra = [("i1", "false")] if match[1] in ("clz", "ctz") else []
    return body.call(f"llvm.{_BITS[match[1]]}.{suffix(t)}", t, (t, "%p0"), *extra)


@_rule(rf"air\.rotate\.{_TYPE}")
def _rotate(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    return body.call(f"llvm.fshl.{suffix(t)}", t, (t, "%p0"), (t, "%p0"), (t, "%p1"))


@_rule(rf"air\.(add|sub)_sat\.([su])\.{_TYPE}")
def _saturating(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    return body.call(f"llvm.{match[2]}{match[1]}.sat.{suffix(t)}", t, (t, "%p0"), (t, "%p1"))


@_rule(rf"air\.mul_hi\.([su])\.{_TYPE}")
def _mul_hi(body: Body, match: re.Match[str]) -> str:
    t = body.signature.result
    bits = int(split_vector(t)[1][1:])
    wide, extend = with_element(t, f"i{2 * bits}"), "sext" if match[1] == "s" else "zext"
    a, b = (body.emit(f"{extend} {t} {p} to {wide}") for p in ("%p0", "%p1"))
    product = body.emit(f"mul {wide} {a}, {b}")
    high = body.emit(f"lshr {wide} {product}, {splat(wide, str(bits))}")
    return body.emit(f"trunc {wide} {high} to {t}")


@_rule(r"air\.is_uniform\.i\d+")
def _is_uniform(body: Body, match: re.Match[str]) -> str:
    # A promise of the programmer's to Apple's optimiser, passed to llvm.assume.
    return "true"


@_rule(r"air\.normalize_function_constant_predicate\.i8")
def _predicate(body: Body, match: re.Match[str]) -> str:
    return body.emit(f"zext i1 {body.emit('icmp ne i8 %p0, 0')} to i8")


@_rule(r"air\.get_(simdgroup_size|threads_per_simdgroup)\.i\d+")
def _simdgroup_size(body: Body, match: re.Match[str]) -> str:
    return "32"


_ATOMICS = frozenset({"xchg", "add", "sub", "and", "or", "xor"})


@_rule(r"air\.atomic\.(?:global|local)\.(\w+?)(?:\.([su]))?\.(i\d+|f32)")
def _atomic(body: Body, match: re.Match[str]) -> str | None:
    # Metal's atomics are relaxed; ordering is the fences' business.
    operation, sign, type_ = match[1], match[2], SCALARS[match[3]]
    align = 8 if type_ == "i64" else 4
    if operation == "load":
        return body.emit(f"load atomic {type_}, ptr %p0 monotonic, align {align}")
    if operation == "store":
        body.lines.append(f"  store atomic {type_} %p1, ptr %p0 monotonic, align {align}")
        return ""
    if type_ == "float":
        operation = {"add": "fadd", "sub": "fsub", "xchg": "xchg"}.get(operation, "")
    elif operation in ("min", "max"):
        operation = operation if sign == "s" else f"u{operation}"
    else:
        operation = operation if operation in _ATOMICS else ""
    if not operation:
        return None
    return body.emit(f"atomicrmw {operation} ptr %p0, {type_} %p1 monotonic, align {align}")


@_rule(r"air\.atomic\.(?:global|local)\.cmpxchg\.weak\.(i\d+|f32)")
def _compare_exchange(body: Body, match: re.Match[str]) -> str:
    # (object, &expected, desired, ...) -> what was there; `expected` learns it too.
    t = SCALARS[match[1]].replace("float", "i32")
    desired = "%p2" if match[1] != "f32" else body.emit("bitcast float %p2 to i32")
    expected = body.emit(f"load {t}, ptr %p1")
    pair = body.emit(f"cmpxchg ptr %p0, {t} {expected}, {t} {desired} monotonic monotonic")
    found = body.emit(f"extractvalue {{ {t}, i1 }} {pair}, 0")
    body.lines.append(f"  store {t} {found}, ptr %p1")
    if body.signature.result == "i1":
        return body.emit(f"extractvalue {{ {t}, i1 }} {pair}, 1")
    return body.emit(f"bitcast i32 {found} to float") if match[1] == "f32" else found


@_rule(r"air\.simdgroup_matrix_8x8_multiply_accumulate\..*")
def _multiply_accumulate(body: Body, match: re.Match[str]) -> str:
    wide, result = "<2 x float>", body.signature.result
    operands = [
        (wide, convert_float(body, f"%p{i}", t, wide))
        for i, t in enumerate(body.signature.parameters)
    ]
    name = "air.simdgroup_matrix_8x8_multiply_accumulate.v64f32.v64f32.v64f32.v64f32"
    return convert_float(body, body.call(name, wide, *operands), wide, result)


@_rule(rf"(air\.simdgroup_matrix_8x8_(load|store)\.v64({FLOAT}))\.p\d+{FLOAT}(?:\.strided)?")
def _matrix_memory(body: Body, match: re.Match[str]) -> str | None:
    types = body.signature.parameters
    operands = [(t, f"%p{i}") for i, t in enumerate(types)]
    pair = "<2 x i64>"
    if types[-3:] == (pair, pair, pair):
        # AIR 2.8: extents, strides and origin by (column, row); one of the strides is 1.
        strides, origin = f"%p{len(types) - 2}", f"%p{len(types) - 1}"
        across, down = (body.emit(f"extractelement {pair} {strides}, i32 {i}") for i in (0, 1))
        turned = body.emit(f"icmp ne i64 {across}, 1")
        stride = body.emit(f"select i1 {turned}, i64 {across}, i64 {down}")
        swapped = body.emit(
            f"shufflevector {pair} {origin}, {pair} poison, <2 x i32> <i32 1, i32 0>"
        )
        start = body.emit(f"select i1 {turned}, {pair} {swapped}, {pair} {origin}")
        operands[-3:] = [("i64", stride), (pair, start), ("i1", turned)]
    elif types[-3:] != ("i64", pair, "i1"):
        return None
    return body.call(f"{match[1]}.p1{match[3]}", body.signature.result, *operands)


@_rule(rf"air\.(?:fast_|precise_)?({MATH})\.({FLOAT})")
def _math_in_float(body: Body, match: re.Match[str]) -> str:
    operands = [
        ("float", convert_float(body, f"%p{i}", t, "float"))
        for i, t in enumerate(body.signature.parameters)
    ]
    value = body.call(f"air.{match[1]}.f32", "float", *operands)
    return convert_float(body, value, "float", body.signature.result)


@_rule(rf"air\.simdgroup_matrix_8x8_init_filled\.v64{FLOAT}\.{FLOAT}")
def _matrix_filled(body: Body, match: re.Match[str]) -> str:
    element, matrix = body.signature.parameters[0], body.signature.result
    half = body.emit(f"insertelement {matrix} poison, {element} %p0, i32 0")
    return body.emit(f"insertelement {matrix} {half}, {element} %p0, i32 1")


@_rule(r"(air\..*)\.v(\d+)(bf16|f16|f32|i\d+)")
def _element_by_element(body: Body, match: re.Match[str]) -> str | None:
    """Whatever is left in vectors: the same for each element. Scalar operands are shared."""
    s, count = body.signature, int(match[2])
    if split_vector(s.result)[0] != count:
        return None
    whole, element = "poison", split_vector(s.result)[1]
    for i in range(count):
        operands = []
        for j, t in enumerate(s.parameters):
            if split_vector(t)[0] == count:
                part = body.emit(f"extractelement {t} %p{j}, i32 {i}")
                operands.append((split_vector(t)[1], part))
            else:
                operands.append((t, f"%p{j}"))
        value = body.call(f"{match[1]}.{match[3]}", element, *operands)
        whole = body.emit(f"insertelement {s.result} {whole}, {element} {value}, i32 {i}")
    return whole
