"""MLX's kernels under checks: no report but of what is wrong with them.

A sample of the cases, the same in every run; MLX_CHECKS=all takes them all, which is minutes.
"""

from __future__ import annotations

import os
import warnings

import mlx_case
import pytest
from mlx_case import Case
from test_real_world import CASES, sample

from pymetal.cpu.checks.pipeline import CheckedPipeline, compile_checked
from pymetal.devices import Binding
from pymetal.errors import KernelFault

# What checks find in MLX 0.32.4, and why it is so. The results are right all the same.
KNOWN = {
    # GEMVKernel::run waits at threadgroup_barrier(mem_flags::mem_none), which orders no memory,
    # and then reads what other simdgroups wrote to threadgroup memory.
    "gemv_{}_bm1_bn8_sm1_sn32_tm4_tn4_nc0_axpby1": "race",
    # BlockMMA::apply_epilogue_safe looks where a row of C ends, not where C does: it reads past
    # the last row, and drops what it read.
    "steel_gemm_fused_nt_{}_{}_bm32_bn32_bk16_wm2_wn2#33x50x21+": "out-of-bounds",
}
EXPECTED = {
    name.replace("{}", type_): kind
    for name, kind in KNOWN.items()
    for type_ in ("float32", "float16", "bfloat16")
}
EVERY = os.environ.get("MLX_CHECKS") == "all"
TRIED = CASES if EVERY else [*sample(CASES, 2), *(c for c in CASES if c.name in EXPECTED)]


def kinds(case: Case) -> set[str]:
    """The kinds of report that a checked run of the case gives; its results must be right."""
    library = mlx_case.apple()
    if case.kernel not in library.names:
        pytest.skip("MLX has no such instance")
    run, function = case.launch(), library.function(case.kernel)
    known = {constant.index for constant in function.constants}
    constants = {index: value for index, value in run.constants.items() if index in known}
    pipeline = CheckedPipeline(compile_checked(library, case.kernel, constants), None)
    arguments = {argument.index: argument for argument in function.bindable}
    buffers = {index: array.copy() for index, array in run.buffers.items()}
    bindings = [
        Binding(arguments[i], buffers[i], arguments[i].access != "read") for i in pipeline.buffers
    ]
    grid, threadgroup = ((*size, 1, 1)[:3] for size in (run.grid, run.threadgroup))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            pipeline.launch(bindings, {}, grid, threadgroup)
        except KernelFault as fault:
            return {report.kind for report in fault.reports}
    for index, expected in run.expected.items():
        mlx_case.compare(buffers[index], expected)
    return set()


@pytest.mark.parametrize("case", {c.name: c for c in TRIED}.values(), ids=lambda case: case.name)
def test_checks_find_nothing_but_what_is_known(case: Case) -> None:
    assert kinds(case) == ({EXPECTED[case.name]} if case.name in EXPECTED else set())


def test_what_is_known_is_of_cases_that_there_are() -> None:
    assert set(EXPECTED) <= {case.name for case in CASES}
