"""Kernels written as canonical IR by hand, run on the reference engine: no front end needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pymetal import _native
from pymetal.air.canonical import CanonicalFunction
from pymetal.air.function import Function
from pymetal.air.wrapper import Parameter
from pymetal.cpu.engines import compile_kernel

# A kernel's parameters are its buffers in order, then builtins by Metal's name.
BUILTINS = {
    "lane": "i32",
    "simdgroup": "i32",
    "threadgroup_memory": "ptr",
    "thread_position_in_grid": "<3 x i32>",
    "thread_position_in_threadgroup": "<3 x i32>",
    "threadgroup_position_in_grid": "<3 x i32>",
    "threads_per_grid": "<3 x i32>",
    "threads_per_threadgroup": "<3 x i32>",
    "dispatch_threads_per_threadgroup": "<3 x i32>",
    "threadgroups_per_grid": "<3 x i32>",
    "thread_index_in_threadgroup": "i32",
    "simdgroups_per_threadgroup": "i32",
    "thread_index_in_quadgroup": "i32",
    "quadgroup_index_in_threadgroup": "i32",
}


class CanonicalKernel:
    """`body` is LLVM IR that may use `%b0`… for buffers, `%t0`… for threadgroup arguments and
    `%NAME` for builtins; `{site N}` after a call gives it that site."""

    def __init__(
        self,
        body: str,
        buffers: int,
        declarations: str = "",
        threadgroup_arguments: int = 0,
        threadgroup_bytes: int = 0,
    ) -> None:
        parameters = [Parameter("buffer", f"b{i}", "ptr", i) for i in range(buffers)]
        parameters += [
            Parameter("threadgroup", f"t{i}", "ptr", i) for i in range(threadgroup_arguments)
        ]
        parameters += [
            Parameter(name, name, type_)
            for name, type_ in BUILTINS.items()
            if re.search(rf"%{name}\b", body)
        ]
        sites = sorted({int(n) for n in re.findall(r"{site (\d+)}", body)})
        body = re.sub(r"{site (\d+)}", r"#\1", body)
        inner = ", ".join(f"{p.type} %{p.name}" for p in parameters)
        groups = "\n".join(
            f'attributes #{n} = {{ convergent nounwind "pymetal.site"="{n}" }}' for n in sites
        )
        function = f'define void @canon({inner}) "no-builtins" {{\n{body}\n}}\n'
        canonical = CanonicalFunction(
            f"{function}\n{declarations}\n{groups}\n",
            tuple(parameters),
            Function("test", "test"),
            threadgroup_bytes,
            len(sites),
            (),
        )
        self.compiled = compile_kernel(canonical, "reference")
        self.pipeline = self.compiled.load()

    def __call__(
        self,
        *arrays: np.ndarray[Any, Any],
        grid: Sequence[int],
        threadgroup: Sequence[int],
        threadgroup_arguments: Sequence[int] = (),
    ) -> _native.Fault | None:
        size = tuple(grid) + (1,) * (3 - len(grid))
        group = tuple(threadgroup) + (1,) * (3 - len(threadgroup))
        return self.pipeline.launch(
            [array.ctypes.data for array in arrays], list(threadgroup_arguments), size, group
        )
