"""What a kernel needs of a GPU beyond what every family has: `pymetal check --target apple7`.

The rows are those of Apple's Metal Feature Set Tables that a compute kernel can tell from its
code: https://developer.apple.com/metal/Metal-Feature-Set-Tables.pdf. "mac2" is the family of Macs
with Intel's and AMD's GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pymetal.air.canonical import CanonicalFunction
from pymetal.air.library import Library
from pymetal.errors import ArgumentError, UnsupportedError

NEWEST = 10
TARGETS = (*(f"apple{n}" for n in range(2, NEWEST + 1)), "mac2")


@dataclass(frozen=True)
class Requirement:
    """`what` is in the kernel's code where `pattern` is; apple GPUs have it from `since` on."""

    what: str
    pattern: str
    since: int
    mac2: bool = True
    note: str = ""

    @cached_property
    def expression(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


_REDUCE = r"@air\.simd_(?:sum|product|min|max|and|or|xor|prefix_\w+)\."
_SHUFFLE = r"@air\.simd_(?:shuffle(?!_and_fill)|broadcast|ballot|a)"
REQUIREMENTS = (
    Requirement("quad-scoped operations", r"@air\.quad_", 4),
    Requirement("simdgroup shuffles and votes", _SHUFFLE, 6),
    Requirement("bfloat", r"\bbfloat\b", 6),
    Requirement("simdgroup reductions", _REDUCE, 7),
    Requirement("simdgroup matrices", r"@air\.simdgroup_matrix_", 7, mac2=False),
    Requirement("floating-point atomics", r"\batomicrmw f(?:add|sub)\b", 7),
    Requirement("simd_shuffle_and_fill", r"@air\.simd_shuffle_and_fill_", 8, mac2=False),
    Requirement(
        "64-bit atomics",
        r"\batomicrmw \w+ ptr [^,]+, i64\b|load atomic i64|store atomic i64",
        9,
        mac2=False,
        note=" (of apple8 the M2 has them)",
    ),
)
_TENSORS = re.compile(r"[/<](?:metal_tensor|metal_cooperative_tensor|MetalPerformancePrimitives)")


def targets_of(text: str) -> tuple[str, ...]:
    """The families that `apple7,apple8` names; ArgumentError for an unknown one."""
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if name not in TARGETS:
            raise ArgumentError(f"no GPU family {name!r}; there are {', '.join(TARGETS)}")
    return names


def problems(
    library: Library,
    name: str,
    constants: Mapping[str | int, Any],
    targets: Sequence[str],
    source: str = "",
) -> list[str]:
    """What kernel `name` needs that one of `targets` lacks, a line each.

    `source` is the text that it was compiled from, "" where that is not known.
    """
    try:
        canonical = library.canonical(name, constants)
    except UnsupportedError as error:
        return [f"not looked at: {error}"]
    found = []
    for target in targets:
        found += [f"{target}: {line}" for line in _lacking(canonical, target, source)]
    return found


def _lacking(canonical: CanonicalFunction, target: str, source: str) -> list[str]:
    apple = 0 if target == "mac2" else int(target.removeprefix("apple"))
    lines = []
    for row in REQUIREMENTS:
        has = row.mac2 if target == "mac2" else apple >= row.since
        if not has and row.expression.search(canonical.ir):
            lines.append(f"no {row.what}: from apple{row.since} on{row.note}")
    if (target == "mac2" or apple < 7) and _TENSORS.search(source):
        lines.append("no tensors: from apple7 on, with Metal 4")
    old = 0 < apple < 4
    memory = 16 * 1024 if old else 32 * 1024
    if canonical.threadgroup_bytes > memory:
        lines.append(f"{canonical.threadgroup_bytes} bytes of threadgroup memory, of {memory}")
    threads = 512 if old else 1024
    most = canonical.function.max_total_threads_per_threadgroup or 0
    if most > threads:
        lines.append(f"max_total_threads_per_threadgroup({most}), of {threads}")
    return lines
