"""Calls of mathematics, and arithmetic of half and bfloat, on 32 lanes."""

from __future__ import annotations

import re

from pymetal.air.ir import Instruction
from pymetal.cpu.intrinsics import Mathematics
from pymetal.cpu.lanes import LANES
from pymetal.cpu.vectorise import elementary
from pymetal.cpu.vectorise.emitter import Emitter, as_integers, wide
from pymetal.cpu.vectorise.reasons import NotVectorised

NARROW = ("half", "bfloat")
_TYPE_SUFFIX = re.compile(r"(?:\.(?:i\d+|f16|bf16|f32|f64))+$")
# Operands that LLVM wants as constants or scalars, by position.
_SCALAR_OPERANDS = {"abs": 1, "ctlz": 1, "cttz": 1, "is.fpclass": 1, "powi": 1}


# half and bfloat: computed in float, rounded once


def widen(e: Emitter, vector: str, type_: str) -> str:
    """half or bfloat -> float."""
    text, floats = wide(type_), wide("float")
    if type_ == "half":
        return e.let(f"fpext {text} {vector} to {floats}")
    bits = e.let(f"bitcast {text} {vector} to {wide('i16')}")
    long = e.let(f"zext {wide('i16')} {bits} to {wide('i32')}")
    high = e.let(f"shl {wide('i32')} {long}, splat (i32 16)")
    return e.let(f"bitcast {wide('i32')} {high} to {floats}")


def shorten(e: Emitter, vector: str, type_: str) -> str:
    """float -> half or bfloat, to nearest even."""
    text, floats = wide(type_), wide("float")
    if type_ == "half":
        return e.let(f"fptrunc {floats} {vector} to {text}")
    # A function: inline, kernels in bfloat would be mostly this, and take long to compile.
    e.helpers.definitions["shorten.bfloat"] = _SHORTEN_BFLOAT
    short = e.let(f"call {as_integers(text)} @shorten.bfloat({floats} {vector})")
    return e.as_type(text, short)


_SHORTEN_BFLOAT = f"""define internal <{LANES} x i16> @shorten.bfloat(<{LANES} x float> %x) \
noinline nounwind memory(none) {{
  %bits = bitcast <{LANES} x float> %x to <{LANES} x i32>
  %upper = lshr <{LANES} x i32> %bits, splat (i32 16)
  %odd = and <{LANES} x i32> %upper, splat (i32 1)
  %bias = add <{LANES} x i32> %odd, splat (i32 32767)
  %rounded = add <{LANES} x i32> %bits, %bias
  %nan = fcmp uno <{LANES} x float> %x, %x
  %quiet = or <{LANES} x i32> %bits, splat (i32 4194304)
  %chosen = select <{LANES} x i1> %nan, <{LANES} x i32> %quiet, <{LANES} x i32> %rounded
  %high = lshr <{LANES} x i32> %chosen, splat (i32 16)
  %short = trunc <{LANES} x i32> %high to <{LANES} x i16>
  ret <{LANES} x i16> %short
}}
"""

# A float whose last bit says whether anything was left out can be rounded once more without harm
# (Boldo and Melquiond, "Emulation of FMA and Correctly Rounded Sums: Proved Algorithms Using
# Rounding to Odd", 2008).
_ROUND_TO_ODD = f"""define internal <{LANES} x float> @round.to.odd(<{LANES} x double> %x) \
noinline nounwind memory(none) {{
  %near = fptrunc <{LANES} x double> %x to <{LANES} x float>
  %back = fpext <{LANES} x float> %near to <{LANES} x double>
  %bits = bitcast <{LANES} x float> %near to <{LANES} x i32>
  %x.bits = bitcast <{LANES} x double> %x to <{LANES} x i64>
  %back.bits = bitcast <{LANES} x double> %back to <{LANES} x i64>
  %away = icmp ugt <{LANES} x i64> %back.bits, %x.bits
  %inexact = fcmp one <{LANES} x double> %back, %x
  %less = and <{LANES} x i1> %away, %inexact
  %one = zext <{LANES} x i1> %less to <{LANES} x i32>
  %towards = sub <{LANES} x i32> %bits, %one
  %last = zext <{LANES} x i1> %inexact to <{LANES} x i32>
  %odd = or <{LANES} x i32> %towards, %last
  %result = bitcast <{LANES} x i32> %odd to <{LANES} x float>
  ret <{LANES} x float> %result
}}
"""


def narrow(e: Emitter, i: Instruction) -> str:
    """An instruction on half or bfloat vectors."""
    source, result = i.operands[-1].type.text, i.type.text
    if i.opcode == "select" and result == "bfloat":
        condition, *both = i.operands
        type_ = wide("bfloat")
        integers, a = e.as_integers(type_, e.vector(both[0]))
        b = e.as_integers(type_, e.vector(both[1]))[1]
        chosen = e.let(f"select {wide('i1')} {e.vector(condition)}, {integers} {a}, {integers} {b}")
        return e.as_type(type_, chosen)
    if i.opcode in ("select", "freeze", "bitcast"):
        return e.vector_of(i)
    operands = [
        widen(e, e.vector(o), o.type.text) if o.type.text in NARROW else e.vector(o)
        for o in i.operands
    ]
    flags = " ".join((i.opcode, *i.flags))
    floats = wide("float")
    if i.opcode == "fpext":
        if result == "float":
            return operands[0]
        return e.let(f"fpext {floats} {operands[0]} to {wide(result)}")
    if i.opcode == "fptrunc":
        value = operands[0]
        if source == "double":
            e.helpers.definitions["round.to.odd"] = _ROUND_TO_ODD
            value = e.let(f"call {floats} @round.to.odd({wide('double')} {value})")
        return shorten(e, value, result)
    if i.opcode == "fcmp":
        return e.let(f"{flags} {i.predicate} {floats} {operands[0]}, {operands[1]}")
    if i.opcode in ("sitofp", "uitofp"):
        value = e.let(f"{i.opcode} {wide(source)} {operands[0]} to {floats}")
        return shorten(e, value, result)
    if i.opcode in ("fptosi", "fptoui"):
        return e.let(f"{i.opcode} {floats} {operands[0]} to {wide(result)}")
    if i.opcode == "fneg":
        bits = e.let(f"bitcast {wide(source)} {e.vector(i.operands[0])} to {wide('i16')}")
        flipped = e.let(f"xor {wide('i16')} {bits}, splat (i16 -32768)")
        return e.let(f"bitcast {wide('i16')} {flipped} to {wide(source)}")
    if i.opcode == "frem":
        value = by_vector(e, "fmod", operands)
    else:
        value = e.let(f"{flags} {floats} {operands[0]}, {operands[1]}")
    return shorten(e, value, result)


# Integer division, in double: exact for 32 bits


def divide(e: Emitter, opcode: str, type_: str, left: str, right: str) -> str:
    """A quotient or remainder of lanes, none of which divides by zero."""
    vector = wide(type_)
    name = f"lanes.{opcode}.{type_}"
    if name not in e.helpers.definitions:
        head = f"define internal {vector} @{name}({vector} %a, {vector} %b) noinline nounwind"
        body = f"  %r = {opcode} {vector} %a, %b\n  ret {vector} %r"
        e.helpers.definitions[name] = f"{head} memory(none) {{\n{body}\n}}\n"
    return e.let(f"call {vector} @{name}({vector} {left}, {vector} {right})")


# Calls


def call(e: Emitter, i: Instruction, what: Mathematics | None) -> None:
    """LLVM's intrinsics, and the runtime's functions of a name."""
    scalar = e.shapes.shapes[i.name] is not None
    if what is not None:
        _runtime(e, i, what, scalar)
        return
    flags = " ".join([*(f for f in i.flags if not f.endswith("tail")), ""])
    type_ = e.type_text(i.type)
    callee = i.callee
    if e.target.fused_multiply_add and type_ not in NARROW:
        # LLVM would round the product of two constants, which the reference engine does not.
        callee = callee.replace("llvm.fmuladd.", "llvm.fma.")
    if scalar:
        operands = [f"{e.type_text(o.type)} {e.scalar(o)}" for o in i.operands]
        e.define(i, e.call(type_, callee, *operands, flags=flags))
        return
    suffix = _TYPE_SUFFIX.search(callee)
    if suffix is None:
        raise NotVectorised(f"'{i.callee}'")
    name = callee[: suffix.start()]
    short = name.removeprefix("llvm.")
    if short in elementary.NAMES and type_ in ("float", *NARROW):
        vectors = [e.vector(o) for o in i.operands]
        if type_ in NARROW:
            vectors = [widen(e, v, type_) for v in vectors]
        value = by_vector(e, short, vectors)
        e.define(i, shorten(e, value, type_) if type_ in NARROW else value)
        return
    types = suffix.group()[1:].split(".")
    narrow_ = type_ in NARROW
    if narrow_ and short == "fmuladd":
        e.define(i, _multiply_add(e, i, type_, flags))
        return
    arguments = []
    for k, operand in enumerate(i.operands):
        text = e.type_text(operand.type)
        if _SCALAR_OPERANDS.get(short) == k:
            arguments.append(f"{text} {e.scalar(operand)}")
        elif text in NARROW:
            arguments.append(f"{wide('float')} {widen(e, e.vector(operand), text)}")
        else:
            arguments.append(f"{wide(text)} {e.vector(operand)}")
    types = ["f32" if t in ("f16", "bf16") else t for t in types]
    if short == "powi":
        names = [f"v{LANES}{types[0]}", *types[1:]]
    else:
        names = [f"v{LANES}{t}" for t in types]
    result = wide("float") if narrow_ else wide(type_)
    value = e.call(result, ".".join([name, *names]), *arguments, flags=flags)
    e.define(i, shorten(e, value, type_) if narrow_ else value)


def _multiply_add(e: Emitter, i: Instruction, type_: str, flags: str) -> str:
    """a·b + c in half or bfloat: two operations, each rounded, as no processor fuses them."""
    a, b, c = (widen(e, e.vector(o), type_) for o in i.operands)
    floats = wide("float")
    product = shorten(e, e.let(f"fmul {flags}{floats} {a}, {b}"), type_)
    total = e.let(f"fadd {flags}{floats} {widen(e, product, type_)}, {c}")
    return shorten(e, total, type_)


def _runtime(e: Emitter, i: Instruction, what: Mathematics, scalar: bool) -> None:
    if what.symbol.startswith("pymetal_nextafter_"):
        raise NotVectorised(f"nextafter of {what.llvm_type}")
    narrow_ = what.llvm_type in NARROW
    if scalar:
        if narrow_:
            raise NotVectorised(f"{what.name} of {what.llvm_type}")
        operands = [f"float {e.scalar(o)}" for o in i.operands]
        e.define(i, e.call("float", what.symbol, *operands))
        return
    vectors = [e.vector(o) for o in i.operands]
    if narrow_:
        vectors = [widen(e, v, what.llvm_type) for v in vectors]
    if what.name in elementary.NAMES:
        value = by_vector(e, what.name, vectors)
    else:
        value = by_lane(e, what.symbol, vectors)
    e.define(i, shorten(e, value, what.llvm_type) if narrow_ else value)


def by_vector(e: Emitter, name: str, vectors: list[str]) -> str:
    """A function of elementary.py on 32 floats."""
    symbol, text, declared = elementary.definition(name, LANES)
    if symbol not in e.helpers.definitions:
        e.helpers.definitions[symbol] = text
        for declaration in declared:
            called = declaration.split("@")[1].split("(")[0]
            e.helpers.declarations.setdefault(called, declaration)
    operands = ", ".join(f"{wide('float')} {v}" for v in vectors)
    return e.let(f"call {wide('float')} @{symbol}({operands})")


def by_lane(e: Emitter, symbol: str, vectors: list[str]) -> str:
    """Call a function of floats for each lane."""
    result = "poison"
    for lane in range(LANES):
        own = [e.let(f"extractelement {wide('float')} {v}, i64 {lane}") for v in vectors]
        value = e.call("float", symbol, *(f"float {x}" for x in own))
        result = e.let(f"insertelement {wide('float')} {result}, float {value}, i64 {lane}")
    return result
