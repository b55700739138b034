"""Elementary functions of vectors of floats, as LLVM functions of our own.

The same instructions everywhere, so that all processors with a fused multiply-add give the same
bits. Each is within the limits of the Metal Shading Language Specification (section "Numerical
Compliance") in safe mode: 4 units in the last place for exp, exp2, exp10, log, log2, log10, sin,
cos; 5 for tanh. Reductions are those of Cody and Waite; beyond a million, of native/cpu/turns.cpp.
The form of log is that of FreeBSD's logf; the series are Taylor's, long enough for float on the
reduced interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pymetal.cpu.vectorise.code import Code

_LN2_HI = 0.693145751953125  # 16 bits: a multiple by an exponent is exact
_LN2_LO = math.log(2) - _LN2_HI
_LOG10_2_HI = 0.30102539062500  # 13 bits
_LOG10_2_LO = math.log10(2) - _LOG10_2_HI
_FAR = 1.0e6  # |x| beyond which the reduction by parts of pi/2 has too few bits
# pi/2 in three parts of 33 bits or fewer (the last is what is left).
_HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)


def _power_of_two(c: Code, exponent: str) -> str:
    """2^n for integers n from -126 to 127."""
    biased = c.integer("add", exponent, 127)
    return c.cast("bitcast", c.integer("shl", biased, 23), "i32", "float")


def _scale(c: Code, value: str, n: str) -> str:
    """value · 2^n in two steps, so that n may lead out of the normal range."""
    exponent = c.cast("fptosi", n, "float", "i32")
    half = c.integer("ashr", exponent, 1)
    rest = c.integer("sub", exponent, half)
    value = c.op("fmul", value, _power_of_two(c, half))
    return c.op("fmul", value, _power_of_two(c, rest))


def _bounded(c: Code, x: str, low: float, high: float) -> str:
    x = c.select(c.compare("ogt", x, c.number(high)), c.number(high), x)
    return c.select(c.compare("olt", x, c.number(low)), c.number(low), x)


def _nan_through(c: Code, x: str, result: str) -> str:
    return c.select(c.compare("uno", x, x), x, result)


_EXP_SERIES = [1 / math.factorial(k) for k in range(8)]


def _exp(c: Code, x: str) -> str:
    bounded = _bounded(c, x, -105.0, 90.0)
    n = c.call("rint", c.op("fmul", bounded, c.number(1 / math.log(2))))
    r = c.fma(n, c.number(-_LN2_HI), bounded)
    r = c.fma(n, c.number(-_LN2_LO), r)
    return _nan_through(c, x, _scale(c, c.series(r, _EXP_SERIES), n))


def _exp2(c: Code, x: str) -> str:
    bounded = _bounded(c, x, -152.0, 130.0)
    n = c.call("rint", bounded)
    r = c.op("fmul", c.op("fsub", bounded, n), c.number(math.log(2)))
    return _nan_through(c, x, _scale(c, c.series(r, _EXP_SERIES), n))


def _exp10(c: Code, x: str) -> str:
    bounded = _bounded(c, x, -46.0, 39.5)
    n = c.call("rint", c.op("fmul", bounded, c.number(math.log2(10))))
    r = c.fma(n, c.number(-_LOG10_2_HI), bounded)
    r = c.fma(n, c.number(-_LOG10_2_LO), r)
    # ln 10 in two parts, as its rounding would show.
    high = 2.302585124969482421875
    product = c.op("fmul", r, c.number(high))
    r = c.fma(r, c.number(math.log(10) - high), product)
    return _nan_through(c, x, _scale(c, c.series(r, _EXP_SERIES), n))


def _split(c: Code, x: str) -> tuple[str, str]:
    """x = 2^e (1 + f) with 1 + f from sqrt 1/2 to sqrt 2: e and f. x is positive."""
    tiny = c.compare("olt", x, c.number(2.0**-126))
    x = c.select(tiny, c.op("fmul", x, c.number(2.0**25)), x)
    bits = c.cast("bitcast", x, "float", "i32")
    above = c.integer("sub", bits, 0x3F3504F3)
    exponent = c.integer("ashr", above, 23)
    mantissa = c.integer("sub", bits, c.integer("shl", exponent, 23))
    f = c.op("fsub", c.cast("bitcast", mantissa, "i32", "float"), c.number(1.0))
    lower = c.integer("sub", exponent, 25)
    t = c.type("i32")
    exponent = c.let(f"select {c.type('i1')} {tiny}, {t} {lower}, {t} {exponent}")
    return c.cast("sitofp", exponent, "i32", "float"), f


def _log_parts(c: Code, f: str) -> tuple[str, str]:
    """log(1 + f) = f - (hfsq - rest): hfsq and rest."""
    s = c.op("fdiv", f, c.op("fadd", f, c.number(2.0)))
    z = c.op("fmul", s, s)
    series = c.op("fmul", z, c.series(z, [2 / 3, 2 / 5, 2 / 7, 2 / 9]))
    hfsq = c.op("fmul", c.op("fmul", f, f), c.number(0.5))
    return hfsq, c.op("fmul", s, c.op("fadd", hfsq, series))


def _log_special(c: Code, x: str, result: str) -> str:
    infinity = c.number(math.inf)
    result = c.select(c.compare("oeq", x, infinity), infinity, result)
    result = c.select(c.compare("olt", x, c.number(0.0)), c.number(math.nan), result)
    result = c.select(c.compare("oeq", x, c.number(0.0)), c.number(-math.inf), result)
    return _nan_through(c, x, result)


def _log(c: Code, x: str) -> str:
    e, f = _split(c, x)
    hfsq, rest = _log_parts(c, f)
    low = c.fma(e, c.number(_LN2_LO), rest)
    inner = c.op("fsub", c.op("fsub", hfsq, low), f)
    return _log_special(c, x, c.op("fsub", c.op("fmul", e, c.number(_LN2_HI)), inner))


def _log2(c: Code, x: str) -> str:
    e, f = _split(c, x)
    hfsq, rest = _log_parts(c, f)
    natural = c.op("fsub", f, c.op("fsub", hfsq, rest))
    return _log_special(c, x, c.fma(natural, c.number(1 / math.log(2)), e))


def _log10(c: Code, x: str) -> str:
    e, f = _split(c, x)
    hfsq, rest = _log_parts(c, f)
    natural = c.op("fsub", f, c.op("fsub", hfsq, rest))
    low = c.fma(e, c.number(_LOG10_2_LO), c.op("fmul", natural, c.number(1 / math.log(10))))
    return _log_special(c, x, c.fma(e, c.number(_LOG10_2_HI), low))


_SIN_SERIES = [(-1) ** k / math.factorial(2 * k + 1) for k in range(6)]
_COS_SERIES = [(-1) ** k / math.factorial(2 * k) for k in range(7)]


def quadrant_and_rest(c: Code, x: str) -> tuple[str, str]:
    """x = n pi/2 + r, both in double; n is modulo 4 where |x| is beyond a million."""
    c.lines += ["  br label %reduction", "reduction:"]
    r = c.cast("fpext", x, "float", "double")
    turns = c.op("fmul", r, c.number(2 / math.pi, "double"), "double")
    n = c.call("rint", turns, element="double")
    n = c.op("fadd", n, c.number(0.0, "double"), "double")  # never -0: r would lose its sign
    for part in _HALF_PI:
        r = c.fma(n, c.number(-part, "double"), r, element="double")

    near = c.compare("ole", c.call("fabs", x), c.number(_FAR))
    bits = c.let(f"bitcast {c.type('i1')} {near} to i{c.count}")
    all_near = c.let(f"icmp eq i{c.count} {bits}, -1")
    c.lines += [f"  br i1 {all_near}, label %reduced, label %far", "far:"]
    far = [
        c.select(near, value, c.lane_by_lane(function, [x], "double"), "double")
        for function, value in (("pymetal_quarter_turns", n), ("pymetal_rest_of_turns", r))
    ]
    c.lines += ["  br label %reduced", "reduced:"]
    double = c.type("double")
    return (
        c.let(f"phi {double} [ {n}, %reduction ], [ {far[0]}, %far ]"),
        c.let(f"phi {double} [ {r}, %reduction ], [ {far[1]}, %far ]"),
    )


def _sin_cos(c: Code, x: str, shift: int) -> str:
    """sin(x + shift · pi/2)."""
    n, r = quadrant_and_rest(c, x)
    short = c.cast("fptrunc", r, "double", "float")
    quadrant = c.integer("add", c.cast("fptosi", n, "double", "i32"), shift)
    z = c.op("fmul", short, short)
    # The first terms are added last, in full.
    tail = c.op("fmul", z, c.series(z, _SIN_SERIES[1:]))
    sine = c.call("copysign", c.fma(short, tail, short), short)  # of -0, too
    cosine = c.series(z, _COS_SERIES)
    odd = c.cast("trunc", quadrant, "i32", "i1")
    value = c.select(odd, cosine, sine)
    sign = c.integer("shl", c.integer("and", quadrant, 2), 30)
    flipped = c.integer("xor", c.cast("bitcast", value, "float", "i32"), sign)
    return c.cast("bitcast", flipped, "i32", "float")


def _tanh(c: Code, x: str) -> str:
    # t / (t + 2) with t = exp(2 |x|) - 1, which is exact enough where it is small.
    size = c.call("fabs", x)
    bounded = _bounded(c, size, 0.0, 10.0)
    twice = c.op("fadd", bounded, bounded)
    n = c.call("rint", c.op("fmul", twice, c.number(1 / math.log(2))))
    r = c.fma(n, c.number(-_LN2_HI), twice)
    r = c.fma(n, c.number(-_LN2_LO), r)
    squared = c.op("fmul", r, r)
    less_one = c.fma(squared, c.series(r, _EXP_SERIES[2:]), r)
    scale = _power_of_two(c, c.cast("fptosi", n, "float", "i32"))
    t = c.fma(scale, less_one, c.op("fsub", scale, c.number(1.0)))
    result = c.op("fdiv", t, c.op("fadd", t, c.number(2.0)))
    return _nan_through(c, x, c.call("copysign", result, x))


FUNCTIONS: dict[str, Callable[[Code, str], str]] = {
    "exp": _exp,
    "exp2": _exp2,
    "exp10": _exp10,
    "log": _log,
    "log2": _log2,
    "log10": _log10,
    "sin": lambda c, x: _sin_cos(c, x, 0),
    "cos": lambda c, x: _sin_cos(c, x, 1),
    "tanh": _tanh,
}
