"""What the processor has that the code may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What code generation has to know of a processor.

    masked_bits    element sizes for which it has masked loads and stores
    non_temporal   it has stores past the caches that are worth it
    """

    masked_bits: frozenset[int] = frozenset()
    fused_multiply_add: bool = True
    non_temporal: bool = False

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
        return cls(masked, fused, non_temporal="+sse2" in have)
