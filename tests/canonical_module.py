"""Kernels written in LLVM IR with AIR's metadata, made canonical: what each step meets is exact."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
from canonical_launch import launch

from pymetal.air import ir
from pymetal.air.canonical import CanonicalFunction, canonical
from pymetal.air.module import Module

BUFFER = (
    '!{{i32 {i}, !"air.buffer", !"air.location_index", i32 {i}, i32 1, !"air.read_write", '
    '!"air.address_space", i32 {space}, !"air.arg_type_size", i32 4, '
    '!"air.arg_type_align_size", i32 4, !"air.arg_type_name", !"int", !"air.arg_name", !"b{i}"}}'
)
BUILTIN = '!{{i32 {i}, !"air.{name}", !"air.arg_type_name", !"uint", !"air.arg_name", !"b{i}"}}'


def module(text: str, *arguments: str, more: str = "") -> Module:
    """A module whose kernel @k takes these arguments: "buffer", "constant", "threadgroup", or a
    builtin's name. Metadata ids below 100 are taken."""
    spaces = {"buffer": 1, "constant": 2, "threadgroup": 3}
    nodes = [
        BUFFER.format(i=i, space=spaces[a]) if a in spaces else BUILTIN.format(i=i, name=a)
        for i, a in enumerate(arguments)
    ]
    metadata = ["!air.kernel = !{!0}", "!0 = !{ptr @k, !1, !2}", "!1 = !{}"]
    metadata.append(f"!2 = !{{{', '.join(f'!{10 + i}' for i in range(len(nodes)))}}}")
    metadata += [f"!{10 + i} = {node}" for i, node in enumerate(nodes)]
    whole = "\n".join([text, *metadata, more])
    context = llvm.create_context()
    return Module(llvm.parse_assembly(whole, context=context).as_bitcode(), "test")


def make(text: str, *arguments: str, more: str = "", constants=None) -> CanonicalFunction:  # type: ignore[no-untyped-def]
    m = module(text, *arguments, more=more)
    result = canonical(m, m.function("k"), constants)
    llvm.parse_assembly(result.ir, context=llvm.create_context()).verify()
    ir.read(result.ir)  # the vectoriser reads it, too
    return result


def run(function: CanonicalFunction, *buffers: np.ndarray, lanes: int = 1) -> None:
    """Run one simdgroup of `lanes`."""
    launch(function, buffers, (lanes,), (lanes,))
