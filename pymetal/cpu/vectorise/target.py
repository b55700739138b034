"""What the processor has that the code may use."""

from __future__ import annotations

from dataclasses import dataclass


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
