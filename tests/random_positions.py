"""Random Metal kernels that compute with positions, in 8 to 64 bits and with wrap-around.

The vectoriser keeps what follows from positions as a scalar and offsets known when compiling.
Chains of operations with random constants find where such numbers leave their bits, and statements
use them as programs do: in comparisons, loops, pointers and as indices of neighbours.
"""

from __future__ import annotations

import random

STATEMENTS = 12  # in a kernel, each of which writes an element of its own
ELEMENTS = 4200  # of the array that is read
LAUNCHES = [((96, 2), (32, 2)), ((33, 3), (16, 2)), ((200,), (100,)), ((64, 6), (8, 4))]

_POSITIONS = ["lane", "tid.x", "tid.y", "gid.x", "gid.y", "index", "quad_lane", "quad", "sg"]
_OTHERS = ["n", "grid.x", "x[gid.x & 63u]"]  # the same for all, or anything
_BITS = {"uchar": 8, "ushort": 16, "short": 16, "uint": 32, "int": 32, "ulong": 64, "long": 64}
_UNSIGNED = {"short": "ushort", "int": "uint", "long": "ulong"}


class RandomPositions:
    """`source` is the kernel's text, it is called `k`; `statements` are what may differ in it;
    `n` is the number that it is to be given."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.n = self._random.choice([0, 3, 1 << 31, (1 << 32) - 5, self._random.getrandbits(32)])
        self.statements = [self._statement(k) for k in range(STATEMENTS)]
        lines = "\n".join(self.statements)
        self.source = f"""
        #include <metal_stdlib>
        using namespace metal;
        kernel void k(device uint* out [[buffer(0)]], device const uint* x [[buffer(1)]],
            constant uint& n [[buffer(2)]],
            uint3 gid [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
            uint3 tid [[thread_position_in_threadgroup]],
            uint index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
            uint quad_lane [[thread_index_in_quadgroup]],
            uint quad [[quadgroup_index_in_threadgroup]],
            uint sg [[simdgroup_index_in_threadgroup]])
        {{
            device uint* own = out + {STATEMENTS} * ((gid.z * grid.y + gid.y) * grid.x + gid.x);
            {lines}
        }}"""

    def _statement(self, k: int) -> str:
        (a, type_), (b, _) = self._chain(), self._chain()
        compared = self._random.choice(list(_BITS))
        operator = self._random.choice(["<", "<=", ">", ">=", "==", "!="])
        return self._random.choice(
            [
                f"own[{k}] = uint({a});",
                f"own[{k}] = x[uint({a}) & 4095u];",
                f"if ({compared}({a}) {operator} {compared}({b})) own[{k}] = uint({a}); "
                f"else own[{k}] = x[uint({b}) & 4095u];",
                f"{{ {type_} v = {a}; if (ulong(v) < 4096ul) own[{k}] = x[v]; }}",
                f"{{ uint s = 0; for (uint j = uint({a}) & 3u; j < (uint({b}) & 7u); ++j) {{ "
                f"s = s * 31u + x[(uint({a}) + j) & 4095u]; if (s & 8u) s += uint({b}); }} "
                f"own[{k}] = s; }}",
                f"{{ device const uint* p = x + (uint({a}) & 1023u); p += int({b}) & 511; "
                f"own[{k}] = p[0] + p[1] * 3u; }}",
                f"{{ uint v = uint({a}), w = v + n; if (v < 1024u && w < 4000u) "
                f"own[{k}] = x[v] + x[v + 1u] * 5u + x[w + 2u] * 7u + x[w + 3u]; }}",
            ]
        )

    def _chain(self) -> tuple[str, str]:
        """An expression of positions and constants, and its type."""
        choose = self._random
        type_ = choose.choice(list(_BITS))
        text = f"{type_}({self._position()})"
        for k in range(choose.randint(1, 6)):
            # What makes numbers large and what looks at their upper bits take turns, often.
            operation = choose.choice(
                choose.choice(["+-*/%&|^<>cp", "/%>&c" if k % 2 else "**<+-"])
            )
            if operation == "c":
                type_ = choose.choice(list(_BITS))
                text = f"{type_}({text})"
            else:
                text = f"{type_}({self._operation(operation, type_, text)})"
        return text, type_

    def _operation(self, operation: str, type_: str, text: str) -> str:
        choose, bits, whole = self._random, _BITS[type_], _UNSIGNED.get(type_, type_)
        number = choose.randrange(choose.choice([9, 300, 70_000, 1 << bits])) % (1 << bits)
        if choose.random() < 0.3:
            number = 1 << choose.randrange(bits)
        if operation == "p":
            return f"{whole}({text}) {choose.choice('+-')} {whole}({self._position()})"
        if operation in "<>":
            return f"{whole}({text}) {2 * operation} {number % bits}"
        if operation in "/%":
            return f"{text} {operation} {type_}({number % (1 << bits - 1) or 1}ul)"
        return f"{whole}({whole}({text}) {operation} {whole}({number}ul))"

    def _position(self) -> str:
        return self._random.choice(self._random.choice([_POSITIONS, _POSITIONS, _OTHERS]))
