"""What code is compiled for: how lanes lie in their threadgroup, and what the processor has."""

from __future__ import annotations

from dataclasses import dataclass

LANES = 32


@dataclass(frozen=True)
class LaneLayout:
    """`width` lanes lie in a row of x, the next ones in the next row of y: 32, or a power of two
    below it. Threadgroups with other widths are run by masks.

    regular  every simdgroup of a launch has the layout; else, where threadgroups are cut off at
             the grid's edge, lanes may lie anyhow
    """

    width: int = LANES
    regular: bool = True


@dataclass(frozen=True)
class Target:
    """`masked_bits`: element sizes for which the processor has masked loads and stores."""

    masked_bits: frozenset[int] = frozenset()
    fused_multiply_add: bool = True

    @classmethod
    def of_features(cls, features: str) -> Target:
        """From LLVM's feature string, such as "+avx2,+fma,-avx512f"."""
        have = set(features.split(","))
        if "+avx512bw" in have:
            masked = frozenset({8, 16, 32, 64})
        elif "+avx2" in have:
            masked = frozenset({32, 64})
        else:
            masked = frozenset()
        fused = "+fma" in have or not any(f[1:] == "fma" for f in have)
        return cls(masked, fused)
