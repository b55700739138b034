"""docs/language.md: every row's test exists, every feature that an error names has its row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from metal_calls import only_on_the_software_device

import pymetal
from pymetal.air import module
from pymetal.cpu.intrinsics import meaning
from pymetal.msl.clang import find_clang
from pymetal.msl.options import INCLUDE
from pymetal.msl.rewrite import forbidden, parameters

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "language.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith("|---")
]
UNSUPPORTED = TEXT.partition("## Not supported")[2]
FEATURES = {
    line.split("|")[1].strip()
    for line in UNSUPPORTED.splitlines()
    if line.startswith("| ") and not line.startswith("| feature")
}


def test_every_row_names_a_test_that_exists():
    rows = [row for row in ROWS if row[-1] != "test"]
    assert len(rows) > 50
    for row in rows:
        name = re.fullmatch(r"`(\w+)::(\w+)`", row[-1])
        if name is None:
            assert row[-1].startswith("not shown: "), row
            continue
        tree = ast.parse((TESTS / f"{name[1]}.py").read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name[2] in functions, row


def test_every_feature_that_an_error_names_has_a_row():
    named = {*parameters.UNSUPPORTED.values(), *forbidden.STAGES.values()}
    named |= set(module._UNSUPPORTED.values())
    package = Path(pymetal.__file__).parent
    for path in package.rglob("*.py"):
        named |= set(re.findall(r'\bfeature="([^"]+)"', path.read_text(encoding="utf-8")))
    header = (INCLUDE / "pymetal_unsupported.h").read_text(encoding="utf-8")
    named |= set(re.findall(r'PYMETAL_UNSUPPORTED\("([^"]+)"\)', header))
    assert named
    assert named <= FEATURES, named - FEATURES


@pytest.mark.parametrize(
    ("parameter", "feature"),
    [
        ("sampler s [[sampler(0)]]", "samplers"),
        ("texture2d<float> t [[texture(0)]]", "textures"),
        ("In in [[stage_in]]", "stage_in"),
        ("threadgroup_imageblock In* tile", "imageblocks"),
    ],
)
def test_unsupported_parameters_are_errors_that_name_their_feature(device, parameter, feature):
    only_on_the_software_device(device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(
            "#include <metal_stdlib>\nusing namespace metal;\nstruct In { float4 p; };\n"
            f"kernel void k({parameter}) {{}}",
            device=device,
        )
    assert caught.value.feature == feature


def test_an_error_says_what_a_kernel_can_do_instead(device):
    only_on_the_software_device(device)
    text = (
        "#include <metal_stdlib>\nusing namespace metal;\n"
        "kernel void k(texture2d<float, access::read> t [[texture(0)]]) {}"
    )
    with pytest.raises(pymetal.UnsupportedError, match=r":3:(.|\n)*textures: pass .* in a buffer"):
        pymetal.compile(text, device=device).kernel("k")


@pytest.mark.parametrize(
    ("function", "feature"),
    [
        ("vertex float4 f() { return 0; }", "vertex functions"),
        ("fragment float4 f() { return 0; }", "fragment functions"),
        ("[[object]] void f() {}", "mesh shaders"),
        ("[[mesh]] void f() {}", "mesh shaders"),
    ],
)
def test_other_functions_than_kernels_name_their_feature(device, function, feature):
    only_on_the_software_device(device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(function, device=device)
    assert caught.value.feature == feature


def test_what_needs_code_before_the_kernel_names_its_feature(device):
    only_on_the_software_device(device)
    source = """#include <metal_stdlib>
        float often(float x) { for (int i = 0; i < 1000; i++) x = metal::sin(x); return x; }
        constant float value = often(0.5f);
        kernel void k(device float* out [[buffer(0)]]) { out[0] = value; }"""
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(source, device=device).kernel("k")
    assert caught.value.feature == "program-scope initialisers"


def test_the_engines_know_every_intrinsic_that_the_library_declares():
    done = find_clang().run(
        ["-E", "-P", "-x", "c++", "-nostdinc", f"-I{INCLUDE}", str(INCLUDE / "pymetal_air.h")]
    )
    assert done.returncode == 0, done.stderr
    labels = re.findall(r'__asm\(((?:\s*"[^"]*")+)\s*\)', done.stdout)
    names = {"".join(re.findall(r'"([^"]*)"', label)) for label in labels}
    assert len(names) > 400
    unknown = sorted(name for name in names if meaning(name) is None)
    # Those that the loader makes of others: pymetal/air/intrinsics.py.
    made = re.compile(r"air\.fast_sqrt\.f32")
    assert [name for name in unknown if not made.fullmatch(name)] == []


def test_too_large_arrays_of_a_thread_name_their_feature(device):
    only_on_the_software_device(device)
    source = """kernel void k(device uint* out [[buffer(0)]], device uint* at [[buffer(1)]]) {
        uint big[8000000];
        for (uint i = 0; i < 8000000; i++) big[i] = i ^ at[0];
        out[0] = big[at[0]];
    }"""
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(source, device=device).kernel("k")
    assert caught.value.feature == "private memory"
