"""No kernel compiles for longer than a user waits, nor ends the process by what LLVM makes of it.

LLVM's time is predicted; here the limits are lowered instead of kernels made huge.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding", reason="the software device needs llvmlite")

from pymetal.air.container import Container
from pymetal.air.library import Library
from pymetal.cpu import budget, engines, jit
from pymetal.cpu.compiled import Compiled
from pymetal.cpu.engines import compile_kernel
from pymetal.cpu.lanes import LaneLayout
from pymetal.cpu.variants import Variants
from pymetal.cpu.vectorise import Vectorised, vectorise
from pymetal.errors import UnsupportedError
from pymetal.msl import compile_source
from pymetal.source import CompileOptions, Source

SOURCE = """
#include <metal_stdlib>
using namespace metal;
kernel void k(device uint* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    uint x = i;
    for (uint k = 0; k < i % 7; ++k) x = x * 3 + k;
    out[i] = simd_sum(x);
}
"""


@pytest.fixture(scope="module")
def function():
    return Library(Container(compile_source(Source(SOURCE), CompileOptions()))).canonical("k")


def run(compiled: Compiled) -> np.ndarray:
    out = np.zeros(64, np.uint32)
    fault = compiled.load().launch([out.ctypes.data], [], (64, 1, 1), (64, 1, 1))
    assert fault is None
    return out


def test_a_kernel_beyond_the_budget_runs_on_the_reference_engine(function, monkeypatch) -> None:
    right = run(compile_kernel(function, "vectorised"))
    monkeypatch.setattr(budget, "CODE_GENERATION_SECONDS", 1e-3)
    compiled = compile_kernel(function, "auto")
    assert compiled.engine == "reference"
    assert "LLVM would compile for" in compiled.notes[0]
    assert "without optimisation" in compiled.notes[1]
    assert np.array_equal(run(compiled), right)
    with pytest.raises(UnsupportedError, match="LLVM would compile for"):
        compile_kernel(function, "vectorised")


def test_a_launch_whose_last_simdgroup_is_beyond_it_runs_on_the_reference_engine(
    function, monkeypatch
) -> None:
    variants = Variants(lambda layout: compile_kernel(function, "auto", layout))
    expected, out = run(compile_kernel(function, "reference")), np.zeros(48, np.uint32)
    assert variants.code(LaneLayout()).engine == "vectorised"
    monkeypatch.setattr(budget, "CODE_GENERATION_SECONDS", 1e-3)
    pipeline = variants.pipeline((48, 1, 1), (48, 1, 1))
    assert pipeline.launch([out.ctypes.data], [], (48, 1, 1), (48, 1, 1)) is None
    assert np.array_equal(out[:32], expected[:32])
    assert "LLVM would compile for" in variants.notes[0]


def test_a_huge_kernel_is_not_even_optimised(function, monkeypatch) -> None:
    right = run(compile_kernel(function, "reference"))
    monkeypatch.setattr(budget, "SECONDS", 0.0)
    compiled = compile_kernel(function, "reference")
    assert "compiled without optimisation" in compiled.notes[0]
    assert np.array_equal(run(compiled), right)


def test_long_blocks_and_vectors_cost_more() -> None:
    def text(blocks: int, lines: int, line: str) -> str:
        return "\n".join(f"b{b}:\n" + "\n".join([line] * lines) for b in range(blocks))

    scalar, vector = "  %x = add i32 %a, %b", "  %x = add <32 x i32> %a, %b"
    short = budget.code_generation(text(100, 100, scalar))
    assert budget.code_generation(text(1, 10_000, scalar)) > 2 * short
    assert budget.code_generation(text(100, 100, vector)) > 2 * short
    assert budget.code_generation("") == 0


@pytest.mark.parametrize(
    ("line", "dearer"),
    [
        ("%x = add <32 x i32> %a, %b", "%x = add <32 x i64> %a, %b"),
        ("%x = add <32 x i16> %a, %b", "%x = add <64 x i16> %a, %b"),
        (
            "%x = or <32 x i32> %a, %b",
            "%x = select <32 x i1> %m, <32 x i32> %a, <32 x i32> %b",
        ),
        ("%x = add <32 x i32> %a, %b", "%x = phi <32 x i32> [ %a, %y ], [ %b, %z ]"),
        ("%x = add i32 %a, %b", "%x = call i32 @f(i32 %a, i32 %b)"),
        ("%x = phi <32 x float> [ %a, %y ]", "%x = phi <32 x double> [ %a, %y ]"),
    ],
)
def test_masks_calls_and_values_from_block_to_block_cost_more(line: str, dearer: str) -> None:
    def cost(line: str) -> float:
        return budget.code_generation("b:\n" + f"  {line}\n" * 10)

    assert cost(dearer) > 1.2 * cost(line)


def test_what_a_kernel_adds_is_predicted_to_take_longer() -> None:
    def predicted(body: str) -> float:
        source = SOURCE.replace("out[i] = simd_sum(x);", body + "out[i] = simd_sum(x);")
        library = Library(Container(compile_source(Source(source), CompileOptions())))
        code = vectorise(library.canonical("k"), LaneLayout()).ir
        return budget.code_generation(code)

    plain = predicted("")
    branch = predicted("if (x % 3 == 1) x = out[x % 64] * 5; else x ^= 77;")
    loop = predicted("for (uint j = 0; j < x % 5; ++j) { if (j == x) break; x += out[j ^ i]; }")
    assert branch > 1.2 * plain
    assert loop > 1.2 * plain


def test_bfloat_goes_through_functions_as_integers() -> None:
    """LLVM ends the process over a call that gives a vector of bfloat, if it takes no trouble."""
    source = """
    kernel void k(device uint* out, device const bfloat* x, device const uint* at,
                  uint i [[thread_position_in_grid]]) {
        bfloat b = 1;
        if (at[i] & 1) b = simd_shuffle(x[at[i]], ushort(at[i + 1] & 31));
        if (at[i] & 2) b += simd_shuffle(b, ushort(at[i + 2] & 31));
        out[i] = uint(b);
    }"""
    text = "#include <metal_stdlib>\nusing namespace metal;\n" + source
    library = Library(Container(compile_source(Source(text), CompileOptions())))
    code = vectorise(library.canonical("k"), LaneLayout()).ir
    assert re.search(r"call <32 x i16> @gather", code)
    assert not re.search(r"call <32 x bfloat> @[a-z]+\.", code)


@pytest.mark.parametrize("type_", ["half4", "bfloat2", "uchar4", "float4"])
def test_vectors_of_every_element_are_accessed_whole(type_: str) -> None:
    """Element by element, LLVM takes more than twice as long, and so does the kernel."""
    source = f"""
    kernel void k(device {type_}* out, device const {type_}* x, uint i [[thread_position_in_grid]])
    {{ out[i] = x[i] + x[i]; }}"""
    text = "#include <metal_stdlib>\nusing namespace metal;\n" + source
    library = Library(Container(compile_source(Source(text), CompileOptions())))
    code = vectorise(library.canonical("k"), LaneLayout(full=True)).ir
    (kernel,) = re.findall(r"^define internal void @kernel\(.*?^}", code, re.M | re.S)
    assert re.search(r" = load <", kernel)
    assert re.search(r"^  store <", kernel, re.M)
    assert not re.search(r" = load (?!<)|^  store (?!<)", kernel, re.M)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("define void @entry(ptr %x) { ret i32 0 }", "refuses"),
        # It can be read, but a use comes before its definition.
        (
            "define void @entry(ptr %x) {\n  store i32 %a, ptr %x\n  %a = load i32, ptr %x\n"
            "  ret void\n}",
            "dominate",
        ),
    ],
)
def test_code_that_llvm_refuses_is_a_reason_and_no_crash(
    function, monkeypatch, text: str, what: str
) -> None:
    with pytest.raises(jit.InvalidCode, match=what):
        jit.compile_ir([text], "entry", kernel="k")
    monkeypatch.setattr(engines, "vectorise", lambda *_: Vectorised(text, False, None, True))
    compiled = compile_kernel(function, "auto")
    assert compiled.engine == "reference"
    assert "LLVM refuses" in compiled.notes[0]


def test_a_mistake_in_the_vectoriser_leaves_the_kernel_to_the_reference_engine(
    function, monkeypatch, caplog
) -> None:
    def mistaken(*_: object) -> Vectorised:
        raise KeyError("t7")

    monkeypatch.setattr(engines, "vectorise", mistaken)
    compiled = compile_kernel(function, "auto")
    assert compiled.engine == "reference"
    assert "a mistake of PyMetal's (KeyError: 't7')" in compiled.notes[0]
    assert "a mistake in the vectoriser" in caplog.text
    with pytest.raises(KeyError):
        compile_kernel(function, "vectorised")
