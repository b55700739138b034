"""The LLVM types of the vocabulary's intrinsics (docs/air.md, section 2).

Modules say themselves which types they call them with, and may be wrong; the engines trust these,
so that a kernel with others is refused before they see it.
"""

from __future__ import annotations

import re

from pymetal.air.operand_types import TYPE, types_of

_SCALARS = {"f32": "float", "f16": "half", "bf16": "bfloat"}
_TYPE = r"(f32|f16|bf16|[su]\.i(?:8|16|32|64))"
_RULES: list[tuple[re.Pattern[str], str, str]] = [
    (re.compile(pattern), result, parameters)
    for pattern, result, parameters in (
        (r"air\.os_log", "void", "ptr, ptr, i32, ptr, ptr, i64"),
        (r"air\.(?:wg|simdgroup)\.barrier|air\.simdgroup\.converge", "void", "i32, i32"),
        (rf"air\.(?:simd|quad)_shuffle_and_fill_\w+\.{_TYPE}", "T", "T, T, i16, i16"),
        (rf"air\.(?:simd|quad)_(?:broadcast|shuffle\w*)\.{_TYPE}", "T", "T, i16"),
        (rf"air\.(?:simd|quad)_\w+\.{_TYPE}", "T", "T"),
        (r"air\.(?:simd|quad)_is_first", "i1", ""),
        (r"air\.(?:simd|quad)_(?:all|any)", "i1", "i1"),
        (r"air\.(?:simd|quad)_ballot\.(i\d+)", "T", "i1"),
        (r"air\.(?:simd|quad)_active_threads_mask\.(i\d+)", "T", ""),
        (r"air\.simdgroup_matrix_8x8_load\.v64(\w+)\.p1\w+", "<2 x T>", "ptr, i64, <2 x i64>, i1"),
        (
            r"air\.simdgroup_matrix_8x8_store\.v64(\w+)\.p1\w+",
            "void",
            "<2 x T>, ptr, i64, <2 x i64>, i1",
        ),
        (r"air\.simdgroup_matrix_8x8_init_diag\.v64(\w+)\.\w+", "<2 x T>", "T"),
        (
            r"air\.simdgroup_matrix_8x8_multiply_accumulate\.v64(f32)\..*",
            "<2 x T>",
            "<2 x T>, <2 x T>, <2 x T>",
        ),
        (rf"air\.(?:powr|remainder|nextafter)\.{_TYPE}", "T", "T, T"),
        (rf"air\.(?:acosh|asinh|atanh|sinpi|cospi|tanpi)\.{_TYPE}", "T", "T"),
        (r"air\.get_(?:thread|simdgroup|quadgroup)_index_in_\w+\.(i\d+)", "T", ""),
    )
]
_CALL = re.compile(rf"\bcall [^@\n]*?({TYPE}) @(air\.[\w.]+)\(([^\n]*)\)(?=[^()\n]*$)", re.M)


def mistyped(text: str) -> str:
    """The first of the vocabulary's intrinsics that `text` calls with other types; "" for none."""
    for result, name, operands in set(_CALL.findall(text)):
        for pattern, returns, takes in _RULES:
            match = pattern.fullmatch(name)
            if match:
                type_ = _llvm_type(match[1]) if pattern.groups else ""
                found = (result, ", ".join(types_of(operands)))
                if found != (returns.replace("T", type_), takes.replace("T", type_)):
                    return str(name)
                break
    return ""


def _llvm_type(air: str) -> str:
    return _SCALARS.get(air, air.rpartition(".")[2])
