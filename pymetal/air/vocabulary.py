"""The intrinsics that both engines know: docs/air.md, section 2."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Mathematics that the engines implement themselves, in float.
MATH = "acosh|asinh|atanh|sinpi|cospi|tanpi|powr|remainder|nextafter"
FLOAT = r"(?:f32|f16|bf16)"
_INTEGER = r"(?:[su]\.i(?:8|16|32|64))"
_SIMD = r"air\.(?:simd|quad)_"
_VOCABULARY = re.compile(
    "|".join(
        [
            r"air\.(?:wg|simdgroup)\.barrier|air\.simdgroup\.converge|air\.os_log",
            rf"{_SIMD}(?:sum|product|min|max)\.(?:{FLOAT}|{_INTEGER})",
            rf"{_SIMD}(?:and|or|xor)\.{_INTEGER}",
            rf"{_SIMD}prefix_(?:in|ex)clusive_(?:sum|product)\.(?:{FLOAT}|{_INTEGER})",
            rf"{_SIMD}broadcast_first\.(?:{FLOAT}|{_INTEGER})",
            rf"{_SIMD}(?:broadcast|shuffle|shuffle_(?:up|down|xor|rotate_up|rotate_down|"
            rf"and_fill_up|and_fill_down))\.(?:{FLOAT}|{_INTEGER})",
            rf"{_SIMD}(?:all|any|is_first|ballot\.i(?:16|32|64)|active_threads_mask\.i(?:16|32|64))",
            rf"air\.simdgroup_matrix_8x8_(?:load|store)\.v64(?P<m>{FLOAT})\.p1(?P=m)",
            rf"air\.simdgroup_matrix_8x8_init_diag\.v64(?P<i>{FLOAT})\.(?P=i)",
            r"air\.simdgroup_matrix_8x8_multiply_accumulate\.v64f32\.v64f32\.v64f32\.v64f32",
            rf"air\.(?:{MATH})\.f32",
            r"air\.nextafter\.(?:f16|bf16)",
        ]
    )
)
CONVERGE = "air.simdgroup.converge"  # our own: see sites.py
_CROSS_LANE = re.compile(r"air\.(?:wg\.barrier|simdgroup[._]|simd_|quad_)")


def is_known(name: str) -> bool:
    """Whether `name` is one of the vocabulary's intrinsics, or LLVM's own."""
    return name.startswith("llvm.") or _VOCABULARY.fullmatch(name) is not None


def is_cross_lane(name: str) -> bool:
    """Whether lanes act together in `name`: simd and quad operations, matrices and barriers."""
    return _CROSS_LANE.match(name) is not None


@dataclass(frozen=True)
class Signature:
    """An intrinsic's name and LLVM types."""

    name: str
    result: str
    parameters: tuple[str, ...]

    @property
    def declaration(self) -> str:
        """`declare` for the vocabulary's own."""
        effects = "convergent nounwind" if is_cross_lane(self.name) else "nounwind memory(none)"
        if self.name == "air.os_log":
            effects = "nounwind"
        inner = ", ".join(self.parameters)
        return f"declare {self.result} @{self.name}({inner}) {effects} willreturn\n"
