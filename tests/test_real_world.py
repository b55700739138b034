"""Real kernels: MLX's, from source and as Apple compiled them, against NumPy.

Here a sample of the cases, the same in every run; `bench/real_world.py` runs them all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import apple_metallib
import mlx_case
import mlx_elementwise
import mlx_gathers
import mlx_indexing
import mlx_matrices
import mlx_reductions
import mlx_rows
import pytest
from mlx_case import Case

from pymetal.errors import UnsupportedError
from pymetal.msl import check_source
from pymetal.source import Source

SEED = 5
MODULES = (mlx_elementwise, mlx_reductions, mlx_rows, mlx_matrices, mlx_indexing, mlx_gathers)
CASES = [case for module in MODULES for case in module.cases()]


def sample(cases: Sequence[Case], each: int) -> list[Case]:
    """`each` cases of every family."""
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.family, []).append(case)
    rng = random.Random(SEED)
    return [c for group in families.values() for c in rng.sample(group, min(each, len(group)))]


FROM_SOURCE = mlx_case.sources(sample(CASES, 3))


@pytest.mark.parametrize(
    ("source", "cases"),
    FROM_SOURCE,
    ids=["+".join(c.name for c in part) for _, part in FROM_SOURCE],
)
def test_instances_of_mlx_kernels_from_source(source: Source, cases: list[Case]) -> None:
    library = mlx_case.compiled(source)
    for case in cases:
        mlx_case.check(case, library, "reference")


@pytest.mark.parametrize("case", sample(CASES, 3), ids=lambda case: case.name)
def test_kernels_that_apple_compiled(case: Case) -> None:
    library = mlx_case.apple()
    if case.kernel not in library.names:
        pytest.skip("MLX has no such instance")
    mlx_case.check(case, library, "reference")


@pytest.mark.parametrize("case", sample(CASES, 1), ids=lambda case: case.name)
def test_the_vectorised_engine_gives_the_same(case: Case) -> None:
    library = mlx_case.apple()
    if case.kernel not in library.names:
        pytest.skip("MLX has no such instance")
    try:
        mlx_case.check(case, library, "vectorised")
    except UnsupportedError as error:
        pytest.skip(f"runs on the reference engine: {error.feature}")


def test_there_are_hundreds_of_cases() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert len(names) >= 500


# What a header relies on that MLX's sources include before it.
STEEL = ("steel/gemm/gemm.h", "steel/utils/type_traits.h")
FIRST: dict[str, tuple[str, ...]] = {
    "indexing/": ("atomic.h", "reduction/ops.h"),
    "masked_scatter": ("logging.h",),
    "reduc": ("atomic.h", "reduction/ops.h"),
    "searchsorted": ("sort.h",),
    "quantized": STEEL,
    "steel/gemm/kernels": STEEL,
    "quantized_nax": ("steel/gemm/gemm_nax.h",),
    "gemm/kernels/steel_gemm": ("steel/gemm/gemm_nax.h",),
    "steel/conv": (*STEEL, "steel/conv/params.h"),
    "steel/conv/kernels": ("steel/conv/conv.h",),
}


def probe(name: str) -> Source:
    """One header of MLX's, behind those it relies on, and a kernel."""
    before = [h for part, headers in FIRST.items() if part in name for h in headers]
    lines = [f'#include "{mlx_case.KERNELS}/{h}"\n' for h in ("utils.h", *before, name)]
    return Source("".join(lines) + "kernel void probe(device float* x [[buffer(0)]]) { x[0] = 1; }")


def test_headers_of_mlx_compile() -> None:
    folder = apple_metallib.include_folder() / mlx_case.KERNELS
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.h"))]
    for name in random.Random(SEED).sample(names, 12):
        assert check_source(probe(name), mlx_case.options()) == (), name
