"""How large unsigned numbers can get: sums of bounded ones do not wrap around.

Positions in a threadgroup are less than 1024, so that patterns of theirs stay patterns in the 16
bits that kernels often count them in.
"""

from __future__ import annotations

from pymetal.air.ir.types import IntegerType, Type

BOUNDLESS = 1 << 64


def least_above(opcode: str, type_: Type, left: int, right: int) -> int:
    """What an operation's result is less than, as if there were bits enough.

    `type_` is of the first operand, which is less than `left`, as the last is than `right`.
    """
    largest, other = left - 1, right - 1
    match opcode:
        case "add" | "or":
            return largest + other + 1
        case "and":
            return min(left, right)
        case "mul":
            return largest * other + 1
        case "xor":
            return 1 << max(largest.bit_length(), other.bit_length())
        case "shl" if other < 64:
            return (largest << other) + 1
        case "udiv" | "lshr":
            return left
        case "urem":
            return min(left, max(other, 1))
        case "zext" | "trunc":
            return left
        case "sext" if isinstance(type_, IntegerType) and left <= 1 << type_.bits - 1:
            return left
    return BOUNDLESS
