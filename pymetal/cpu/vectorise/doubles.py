"""Elementary functions of vectors of floats whose intermediate results need more than a float.

They compute in double and round once, so that results are within 0.51 units in the last place of
float: far inside the limits of the Metal Shading Language Specification, whatever is subtracted on
the way. Identities are the textbook's; series are Taylor's, cut where what is left is below 2^-33
of the result. What no argument of float may overflow in double needs no care.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pymetal.cpu.vectorise.code import Code
from pymetal.cpu.vectorise.polynomials import quadrant_and_rest

_ATAN = [(-1) ** k / (2 * k + 1) for k in range(13)]
_TAN_EIGHTH = math.sqrt(2) - 1  # tan(pi / 8): beyond, atan(t) = pi/4 + atan((t - 1) / (t + 1))
_LOG = [2 / (2 * k + 1) for k in range(8)]
_EXP = [1 / math.factorial(k) for k in range(12)]
_SINH = [1 / math.factorial(2 * k + 1) for k in range(5)]
_SIN = [(-1) ** k / math.factorial(2 * k + 1) for k in range(8)]
_COS = [(-1) ** k / math.factorial(2 * k) for k in range(8)]
_ROOT_HALF_HIGH = 0x3FE6A09E  # the upper half of sqrt(1/2)


class _Doubles:
    """Writes on vectors of double."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def of(self, x: str) -> str:
        return self.code.cast("fpext", x, "float", "double")

    def rounded(self, x: str) -> str:
        return self.code.cast("fptrunc", x, "double", "float")

    def number(self, value: float) -> str:
        return self.code.number(value, "double")

    def op(self, opcode: str, a: str, b: str | float) -> str:
        b = b if isinstance(b, str) else self.number(b)
        return self.code.op(opcode, a, b, "double")

    def call(self, name: str, *operands: str) -> str:
        return self.code.call(name, *operands, element="double")

    def fma(self, a: str, b: str, c: str) -> str:
        return self.code.fma(a, b, c, "double")

    def is_(self, predicate: str, a: str, b: str | float) -> str:
        b = b if isinstance(b, str) else self.number(b)
        return self.code.let(f"fcmp {predicate} {self.code.type('double')} {a}, {b}")

    def is_negative(self, x: str) -> str:
        """Whether the sign is set, even of zero."""
        bits = self.code.cast("bitcast", x, "double", "i64")
        return self.code.let(f"icmp slt {self.code.type('i64')} {bits}, zeroinitializer")

    def both(self, a: str, b: str) -> str:
        return self.code.op("and", a, b, "i1")

    def select(self, condition: str, a: str | float, b: str | float) -> str:
        a, b = (v if isinstance(v, str) else self.number(v) for v in (a, b))
        return self.code.select(condition, a, b, "double")

    def series(self, x: str, coefficients: Sequence[float]) -> str:
        total = self.number(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = self.fma(total, x, self.number(c))
        return total

    def odd_series(self, x: str, coefficients: Sequence[float]) -> str:
        """x (c0 + c1 x^2 + …)."""
        return self.op("fmul", x, self.series(self.op("fmul", x, x), coefficients))

    def abs(self, x: str) -> str:
        return self.call("fabs", x)

    def sign_of(self, x: str, size: str) -> str:
        return self.call("copysign", size, x)

    # exp and log

    def power_of_two(self, n: str) -> str:
        """2^n, for integers n of i32 from -1022 to 1023."""
        biased = self.code.cast("sext", self.code.integer("add", n, 1023), "i32", "i64")
        bits = self.code.op("shl", biased, "splat (i64 52)", "i64")
        return self.code.cast("bitcast", bits, "i64", "double")

    def exp2(self, x: str) -> str:
        """NaN stays; beyond the range of float a number that rounds to 0 or infinity."""
        low = self.select(self.is_("olt", x, -200.0), -200.0, x)
        bounded = self.select(self.is_("ogt", x, 200.0), 200.0, low)
        n = self.call("rint", bounded)
        r = self.op("fmul", self.op("fsub", bounded, n), math.log(2))
        # The integer of a NaN is none; any will do.
        whole = self.select(self.is_("uno", n, n), 0.0, n)
        scale = self.power_of_two(self.code.cast("fptosi", whole, "double", "i32"))
        return self.op("fmul", self.series(r, _EXP), scale)

    def exp(self, x: str) -> str:
        return self.exp2(self.op("fmul", x, 1 / math.log(2)))

    def log(self, x: str) -> tuple[str, str]:
        """e and log(m) with x = 2^e m and m near 1; x is positive and finite."""
        c = self.code
        bits = c.cast("bitcast", x, "double", "i64")
        upper = c.cast("trunc", c.op("lshr", bits, "splat (i64 32)", "i64"), "i64", "i32")
        exponent = c.integer("ashr", c.integer("sub", upper, _ROOT_HALF_HIGH), 20)
        shift = c.op("shl", c.cast("sext", exponent, "i32", "i64"), "splat (i64 52)", "i64")
        m = c.cast("bitcast", c.op("sub", bits, shift, "i64"), "i64", "double")
        s = self.op("fdiv", self.op("fsub", m, 1.0), self.op("fadd", m, 1.0))
        return c.cast("sitofp", exponent, "i32", "double"), self.odd_series(s, _LOG)

    def log_special(self, x: str, result: str) -> str:
        """log's values where x is not positive and finite."""
        result = self.select(self.is_("oeq", x, math.inf), math.inf, result)
        result = self.select(self.is_("oeq", x, 0.0), -math.inf, result)
        return self.select(self.is_("ult", x, 0.0), math.nan, result)

    def natural_log(self, x: str) -> str:
        e, part = self.log(x)
        return self.log_special(x, self.fma(e, self.number(math.log(2)), part))

    def log2(self, x: str) -> str:
        e, part = self.log(x)
        return self.log_special(x, self.fma(part, self.number(1 / math.log(2)), e))

    # Angles

    def atan_of_ratio(self, over: str, under: str) -> str:
        """atan(over / under) for numbers from 0 to infinity, not both 0 or infinite."""
        swap = self.is_("ogt", over, under)
        a, b = self.select(swap, under, over), self.select(swap, over, under)
        far = self.is_("ogt", a, self.op("fmul", b, _TAN_EIGHTH))
        over = self.select(far, self.op("fsub", a, b), a)
        under = self.select(far, self.op("fadd", a, b), b)
        part = self.odd_series(self.op("fdiv", over, under), _ATAN)
        part = self.op("fadd", part, self.select(far, math.pi / 4, 0.0))
        return self.select(swap, self.op("fsub", self.number(math.pi / 2), part), part)

    def quarter_turns(self, r: str) -> tuple[str, str]:
        """sin and cos of r, |r| <= pi/4."""
        return self.odd_series(r, _SIN), self.series(self.op("fmul", r, r), _COS)


def _atan(d: _Doubles, x: str) -> str:
    return d.sign_of(x, d.atan_of_ratio(d.abs(x), d.number(1.0)))


def _asin(d: _Doubles, x: str) -> str:
    one = d.number(1.0)
    product = d.op("fmul", d.op("fsub", one, x), d.op("fadd", one, x))
    return d.sign_of(x, d.atan_of_ratio(d.abs(x), d.call("sqrt", product)))


def _acos(d: _Doubles, x: str) -> str:
    one = d.number(1.0)
    roots = (d.call("sqrt", d.op(op, one, x)) for op in ("fsub", "fadd"))
    return d.op("fmul", d.atan_of_ratio(*roots), 2.0)


def _sinh(d: _Doubles, x: str) -> str:
    size = d.abs(x)
    e = d.exp(size)
    far = d.op("fmul", d.op("fsub", e, d.op("fdiv", d.number(1.0), e)), 0.5)
    near = d.odd_series(size, _SINH)
    return d.sign_of(x, d.select(d.is_("olt", size, 0.25), near, far))


def _cosh(d: _Doubles, x: str) -> str:
    e = d.exp(d.abs(x))
    return d.op("fmul", d.op("fadd", e, d.op("fdiv", d.number(1.0), e)), 0.5)


def _asinh(d: _Doubles, x: str) -> str:
    size = d.abs(x)
    root = d.call("sqrt", d.fma(size, size, d.number(1.0)))
    far = d.natural_log(d.op("fadd", size, root))
    near = d.odd_series(size, [1.0, -1 / 6])
    return d.sign_of(x, d.select(d.is_("olt", size, 1e-3), near, far))


def _acosh(d: _Doubles, x: str) -> str:
    product = d.op("fmul", d.op("fsub", x, 1.0), d.op("fadd", x, 1.0))
    log = d.natural_log(d.op("fadd", x, d.call("sqrt", product)))
    return d.select(d.is_("ult", x, 1.0), math.nan, log)


def _atanh(d: _Doubles, x: str) -> str:
    size = d.abs(x)
    one = d.number(1.0)
    ratio = d.op("fdiv", d.op("fadd", one, size), d.op("fsub", one, size))
    # log has no use for infinity and for what is beyond 1.
    far = d.op("fmul", d.natural_log(ratio), 0.5)
    near = d.odd_series(size, [1.0, 1 / 3, 1 / 5])
    return d.sign_of(x, d.select(d.is_("olt", size, 1e-3), near, far))


def _tan(d: _Doubles, x: str) -> str:
    n, r = quadrant_and_rest(d.code, d.rounded(x))
    s, c = d.quarter_turns(r)
    odd = _is_bit(d, d.code.cast("fptosi", n, "double", "i32"), 0)
    over = d.select(odd, d.op("fsub", d.number(-0.0), c), s)
    return d.op("fdiv", over, d.select(odd, s, c))


# sin, cos and tan of pi x: exact reduction, as n/2 and x - n/2 are numbers of double.


def _turns(d: _Doubles, x: str) -> tuple[str, str, str]:
    """sin and cos of what x is off a half, in turns of pi; and which half, modulo 4."""
    n = d.call("rint", d.op("fadd", x, x))
    r = d.op("fmul", d.fma(n, d.number(-0.5), x), math.pi)
    rounds = d.call("floor", d.op("fmul", n, 0.25))
    rest = d.fma(rounds, d.number(-4.0), n)
    rest = d.select(d.is_("uno", rest, rest), 0.0, rest)
    return (*d.quarter_turns(r), d.code.cast("fptosi", rest, "double", "i32"))


def _is_bit(d: _Doubles, n: str, bit: int) -> str:
    c = d.code
    bits = c.integer("and", n, 1 << bit)
    return c.let(f"icmp ne {c.type('i32')} {bits}, zeroinitializer")


def _negate_if(d: _Doubles, condition: str, x: str) -> str:
    return d.select(condition, d.op("fsub", d.number(-0.0), x), x)


def _sinpi(d: _Doubles, x: str) -> str:
    s, c, n = _turns(d, x)
    value = _negate_if(d, _is_bit(d, n, 1), d.select(_is_bit(d, n, 0), c, s))
    zero = d.sign_of(x, d.number(0.0))  # at integers
    return d.select(d.is_("oeq", value, 0.0), zero, value)


def _cospi(d: _Doubles, x: str) -> str:
    s, c, n = _turns(d, x)
    negative = _is_bit(d, d.code.integer("add", n, 1), 1)
    value = _negate_if(d, negative, d.select(_is_bit(d, n, 0), s, c))
    return d.select(d.is_("oeq", value, 0.0), 0.0, value)


def _tanpi(d: _Doubles, x: str) -> str:
    return d.op("fdiv", _sinpi(d, x), _cospi(d, x))


# Two arguments


def _atan2(d: _Doubles, y: str, x: str) -> str:
    over, under = d.abs(y), d.abs(x)
    greater = d.select(d.is_("ogt", over, under), over, under)
    smaller = d.select(d.is_("ogt", over, under), under, over)
    # Both 0 count as 0 over 1, both infinite as 1 over 1.
    d_zero, d_far = d.is_("oeq", greater, 0.0), d.is_("oeq", smaller, math.inf)
    over = d.select(d_far, 1.0, over)
    under = d.select(d_far, 1.0, d.select(d_zero, 1.0, under))
    # An infinite one would leave infinity minus infinity behind.
    over = d.select(d.is_("oeq", over, math.inf), 2.0**300, over)
    under = d.select(d.is_("oeq", under, math.inf), 2.0**300, under)
    angle = d.atan_of_ratio(over, under)
    angle = d.select(d.is_negative(x), d.op("fsub", d.number(math.pi), angle), angle)
    nan = d.is_("uno", x, y)
    return d.select(nan, math.nan, d.sign_of(y, angle))


def _pow(d: _Doubles, x: str, y: str) -> str:
    size = d.abs(x)
    value = d.exp2(d.op("fmul", y, d.log2(size)))
    half = d.op("fmul", y, 0.5)
    floor = d.call("floor", y)
    odd = d.both(d.is_("oeq", floor, y), d.is_("une", d.call("floor", half), half))
    result = _negate_if(d, d.both(odd, d.is_negative(x)), value)
    # A negative number has powers for integers only; -infinity has, of any.
    negative = d.both(d.is_("olt", x, 0.0), d.is_("ogt", x, -math.inf))
    lost = d.both(negative, d.is_("une", floor, y))
    result = d.select(lost, math.nan, result)
    # 1 to any power, even NaN, -1 to an infinite one, anything to 0.
    endless = d.is_("oeq", d.abs(y), math.inf)
    unit = d.both(d.is_("oeq", size, 1.0), endless)
    result = d.select(unit, 1.0, result)
    result = d.select(d.is_("oeq", x, 1.0), 1.0, result)
    return d.select(d.is_("oeq", y, 0.0), 1.0, result)


def _powr(d: _Doubles, x: str, y: str) -> str:
    # NaN wherever exp(y log x) has it.
    value = d.exp2(d.op("fmul", y, d.log2(d.abs(x))))
    return d.select(d.is_("ult", x, 0.0), math.nan, value)


def _fmod(d: _Doubles, x: str, y: str) -> str:
    """Exact for |x| < 2^29 |y|: the quotient's product with y has 53 bits."""
    n = d.call("trunc", d.op("fdiv", x, y))
    rest = d.op("fsub", x, d.op("fmul", n, y))
    # The quotient may have been rounded up to an integer.
    over = d.is_("olt", d.op("fmul", rest, d.sign_of(x, d.number(1.0))), 0.0)
    rest = d.select(over, d.op("fadd", rest, d.sign_of(x, d.abs(y))), rest)
    return d.sign_of(x, rest)


_ONE: dict[str, Callable[[_Doubles, str], str]] = {
    "acos": _acos,
    "acosh": _acosh,
    "asin": _asin,
    "asinh": _asinh,
    "atan": _atan,
    "atanh": _atanh,
    "cosh": _cosh,
    "cospi": _cospi,
    "sinh": _sinh,
    "sinpi": _sinpi,
    "tan": _tan,
    "tanpi": _tanpi,
}
_TWO: dict[str, Callable[[_Doubles, str, str], str]] = {
    "atan2": _atan2,
    "fmod": _fmod,
    "pow": _pow,
    "powr": _powr,
}
NAMES = frozenset(_ONE) | frozenset(_TWO)


def write(c: Code, name: str, operands: Sequence[str]) -> str:
    """A function of NAMES on vectors of float."""
    d = _Doubles(c)
    function: Callable[..., str] = _TWO[name] if name in _TWO else _ONE[name]
    return d.rounded(function(d, *(d.of(x) for x in operands)))


def arity(name: str) -> int:
    return 2 if name in _TWO else 1
