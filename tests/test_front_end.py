"""Metal source to a library: kernels, their arguments and constants, includes, options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from front_end import HEADER, compile_text, compiles, reflect

import pymetal
from pymetal.air.container import Container
from pymetal.air.module import Module
from pymetal.errors import CompileError, FunctionNotFoundError, ToolchainError, UnsupportedError
from pymetal.msl import check_source, compile_source, kernel_names, local_includes
from pymetal.msl.rewrite.parameters import BUILTINS
from pymetal.source import CompileOptions, Source

SCALE = """
kernel void scale(device float* out [[buffer(0)]], device const half4* in [[buffer(2)]],
                  constant uint& n [[buffer(1)]], threadgroup int* scratch [[threadgroup(0)]],
                  uint3 gid [[thread_position_in_grid]]) {
    out[gid.x] = in[gid.x].x * n;
}
"""


def test_a_kernel_describes_its_arguments_in_declared_order():
    out, values, n, scratch, gid = reflect(SCALE, "scale").arguments
    assert (out.name, out.kind, out.index, out.type_name) == ("out", "buffer", 0, "float")
    assert (out.access, out.size_bytes, out.is_reference) == ("read_write", 4, False)
    assert (values.index, values.type_name, values.access) == (2, "half4", "read")
    assert (values.size_bytes, values.align_bytes) == (8, 8)
    assert (n.address_space, n.index, n.is_reference, n.type_name) == ("constant", 1, True, "uint")
    assert (scratch.kind, scratch.index, scratch.type_name) == ("threadgroup", 0, "int")
    assert (gid.kind, gid.builtin, gid.type_name) == (
        "builtin",
        "thread_position_in_grid",
        "uint3",
    )


def test_every_compute_builtin_is_an_argument():
    declared = ", ".join(f"uint a{i} [[{name}]]" for i, name in enumerate(sorted(BUILTINS)))
    function = reflect(f"kernel void k({declared}) {{}}", "k")
    assert [a.builtin for a in function.arguments] == sorted(BUILTINS)


def test_only_positions_and_sizes_have_as_many_components_each():
    function = reflect(
        "kernel void k(uint3 at [[thread_position_in_grid]], ushort3 n [[threads_per_grid]],"
        " uint lanes [[threads_per_simdgroup]], ushort i [[thread_index_in_threadgroup]],"
        " uint groups [[dispatch_simdgroups_per_threadgroup]],"
        " uint quads [[quadgroups_per_threadgroup]]) {}",
        "k",
    )
    assert [a.type_name for a in function.arguments][:3] == ["uint3", "ushort3", "uint"]


def test_buffers_without_index_take_the_lowest_free_ones():
    function = reflect(
        "kernel void k(device int* a, device int* b [[buffer(0)]], constant int* c,"
        " threadgroup int* d, threadgroup int* e) {}",
        "k",
    )
    assert [a.index for a in function.arguments] == [1, 0, 2, 0, 1]


def test_an_index_may_be_a_constant_expression():
    function = reflect(
        "constant constexpr int base = 3;\nenum { extra = 2 };\n"
        "kernel void k(device int* a [[buffer(base + extra)]]) {}",
        "k",
    )
    assert function.arguments[0].index == 5


def test_attributes_of_a_kernel_may_follow_its_name():
    text = (
        'kernel void k [[host_name("renamed"), max_total_threads_per_threadgroup(64)]]'
        " (device int* x [[buffer(0)]]) { x[0] = 1; }"
        "kernel void l [[max_total_threads_per_threadgroup(32)]] (device int* x [[buffer(0)]]) {}"
    )
    assert reflect(text, "renamed").max_total_threads_per_threadgroup == 64
    assert reflect(text, "l").max_total_threads_per_threadgroup == 32


def test_aliases_of_pointers_and_references_are_arguments():
    function = reflect(
        "typedef device float* floats; using reals = floats; namespace n {"
        "using inputs = const device half4*; using count_t = constant uint&; }"
        "using namespace n;"
        "kernel void k(reals out [[buffer(2)]], const inputs in [[buffer(0)]],"
        " count_t count [[buffer(1)]], uint i [[thread_position_in_grid]]) {"
        " out[i] = in[i].x * count; }",
        "k",
    )
    assert [(str(a), a.access) for a in function.arguments[:3]] == [
        ("device float* out [[buffer(2)]]", "read_write"),
        ("device const half4* in [[buffer(0)]]", "read"),
        ("constant uint& count [[buffer(1)]]", "read"),
    ]


def test_a_struct_with_bit_fields_is_bytes():
    (argument,) = reflect(
        "struct B { uint a : 3; uint b : 5; ushort c; };"
        "kernel void k(device B* x [[buffer(0)]]) { x[0].a = x[0].b; }",
        "k",
    ).arguments
    assert (argument.type_name, argument.size_bytes, argument.fields) == ("B", 4, ())


def test_members_may_be_arrays_of_vectors():
    function = reflect(
        "struct S { float3 lights[4]; float2 grid[2][3]; half3x4 m[3]; };"
        "kernel void k(constant S& s [[buffer(0)]]) {}",
        "k",
    )
    found = [(f.type_name, f.array_length, f.size_bytes) for f in function.arguments[0].fields]
    assert found == [("float3", 4, 16), ("float2", 6, 8), ("half3x4", 3, 24)]


def test_what_is_computed_while_compiling_may_call_itself():
    function = reflect(
        "constexpr int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }"
        "kernel void k(device int (&x)[fib(10)] [[buffer(0)]]) { x[0] = 1; }",
        "k",
    )
    assert function.arguments[0].size_bytes == 55 * 4


def test_a_struct_lists_its_members_with_offsets():
    function = reflect(
        """
        struct Inner { float2 q; uchar tag; };
        namespace deep { struct Params { int count; float3 origin; Inner in[2]; bool flag;
                                         packed_float3 small; int shape[3][2], last; }; }
        kernel void k(constant deep::Params& p [[buffer(0)]]) {}
        """,
        "k",
    )
    argument = function.arguments[0]
    assert argument.type_name == "deep::Params"
    members = [
        (f.name, f.type_name, f.offset, f.size_bytes, f.array_length) for f in argument.fields
    ]
    assert members == [
        ("count", "int", 0, 4, 0),
        ("origin", "float3", 16, 16, 0),
        ("in", "Inner", 32, 16, 2),
        ("flag", "bool", 64, 1, 0),
        ("small", "packed_float3", 68, 12, 0),
        ("shape", "int", 80, 4, 6),
        ("last", "int", 104, 4, 0),
    ]
    inner = argument.fields[2].fields
    assert [(f.name, f.type_name, f.offset) for f in inner] == [
        ("q", "float2", 0),
        ("tag", "uchar", 8),
    ]
    assert argument.size_bytes == 112


TEMPLATE = """
template <typename T, int N>
[[kernel, max_total_threads_per_threadgroup(N * 32)]] void fill(
    device T* out [[buffer(0)]], constant vec<T, 4>& value, uint i [[thread_position_in_grid]]) {
    out[i] = value.x;
}
template [[host_name("fill_float")]] [[kernel]] decltype(fill<float, 4>) fill<float, 4>;
template [[host_name("fill" "_half")]] kernel void fill<half, 2>(
    device half* out [[buffer(0)]], constant half4& value, uint i [[thread_position_in_grid]]);
"""


def test_instantiations_are_kernels_under_their_host_names():
    assert compile_text(TEMPLATE).names == ("fill_float", "fill_half")
    function = reflect(TEMPLATE, "fill_half")
    assert [a.type_name for a in function.arguments] == ["half", "half4", "uint"]
    assert function.max_total_threads_per_threadgroup == 64
    assert reflect(TEMPLATE, "fill_float").max_total_threads_per_threadgroup == 128


def test_only_requested_kernels_are_compiled():
    library = compile_text(SCALE + TEMPLATE, kernels=["fill_half"])
    assert library.names == ("fill_half",)
    assert list(Module(library.entry("fill_half").bitcode).kernels) == ["fill_half"]


def test_a_kernel_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(FunctionNotFoundError) as caught:
        compile_text(SCALE, kernels=["nothing"])
    assert caught.value.available == ("scale",)


def test_kernel_names_are_known_without_compiling():
    broken = HEADER + SCALE + TEMPLATE.replace("value.x", "nonsense")
    assert kernel_names(Source(broken), CompileOptions()) == ("scale", "fill_float", "fill_half")


def test_kernels_in_namespaces_and_with_forward_declarations():
    text = """
    kernel void early(device float* x);
    namespace a { inline namespace b { kernel void inner(device float* x) { x[0] = 1; } } }
    kernel void early(device float* x) { x[0] = 2; }
    """
    assert set(compile_text(text).names) == {"early", "inner"}


def test_a_file_without_kernels_is_an_empty_library():
    assert compile_text("inline float twice(float x) { return 2 * x; }").names == ()


def test_function_constants_are_listed_and_switch_arguments():
    text = """
    constant bool has_bias [[function_constant(3)]];
    constant uint width [[function_constant(1)]];
    constant bool wide = width > 4 && has_bias;
    constant int depth = is_function_constant_defined(width) ? width : 7;
    kernel void k(device float* out,
                  device const float* bias [[buffer(1), function_constant(has_bias)]]) {
        out[0] = (has_bias ? bias[0] : 0) + (wide ? 1 : 2) + depth;
    }
    """
    function = reflect(text, "k")
    constants = {c.name: (c.index, c.type_name, c.required) for c in function.constants}
    assert constants == {"has_bias": (3, "bool", True), "width": (1, "uint", False)}
    assert function.arguments[1].enabled_by == "has_bias"


def test_function_constants_in_namespaces_switch_arguments(device):
    text = """
    namespace tuning { constant bool on [[function_constant(0)]]; }
    kernel void k(device float* out,
                  device const float* x [[buffer(1), function_constant(tuning::on)]]) {
        if (tuning::on) { out[0] = x[0]; } else { out[0] = -1; }
    }
    """
    assert reflect(text, "k").arguments[1].enabled_by == "on"
    library = pymetal.compile(HEADER + text, device=device)
    off = library.kernel("k", constants={"on": False})
    assert off(pymetal.output(1), grid=1, threadgroup=1)[0] == -1
    on = library.kernel("k", constants={"on": True})
    five = np.array([5], np.float32)
    assert on(pymetal.output(1), five, grid=1, threadgroup=1)[0] == 5


def test_threadgroup_variables_of_each_instance_are_apart():
    entry = compile_text(
        """
        template <typename T> kernel void k(device T* out, uint i [[thread_index_in_threadgroup]]) {
            threadgroup T tile[4][8], other;
            tile[i % 4][i] = out[i];
            other = tile[0][i];
            out[i] = other;
        }
        template [[host_name("f")]] kernel void k<float>(device float*, uint);
        template [[host_name("h")]] kernel void k<half>(device half*, uint);
        """
    ).entry("f")
    lines = [x for x in Module(entry.bitcode).text.splitlines() if 'section "air.threadgroup"' in x]
    types = [re.search(r"global (.*?) (?:zeroinitializer|0)", line)[1] for line in lines]
    assert sorted(types) == ["[4 x [8 x float]]", "[4 x [8 x half]]", "float", "half"]


def test_builtins_travel_by_value_and_the_module_says_who_wrote_it():
    entry = compile_text(
        "kernel void k(device bool4* m, uint3 a [[thread_position_in_grid]],"
        " ushort3 b [[thread_position_in_threadgroup]]) {}"
    ).entry("k")
    text = Module(entry.bitcode).text
    assert (
        "define dso_local void @k(ptr noundef %0, <3 x i32> noundef %1, <3 x i16> noundef %2)"
        in text
    )
    assert '"PyMetal metal version' in text
    assert entry.by_pymetal


def test_functions_that_no_kernel_calls_are_left_out():
    entry = compile_text("void unused(device int* x) { x[0] = 1; }\n" + SCALE).entry("scale")
    assert "unused" not in Module(entry.bitcode).text


def test_the_math_mode_decides_on_contraction_and_fast_mathematics():
    text = "kernel void k(device float* x) { float p = x[0] * x[1]; x[2] = p + x[3] + sin(x[4]); }"

    def module(mode):
        return Module(compile_text(text, CompileOptions(math_mode=mode)).entry("k").bitcode).text

    assert " contract " not in module("safe")
    assert "fadd reassoc nnan ninf" in module("fast") or "fadd fast" in module("fast")
    assert " contract " in module("relaxed")
    assert "ninf" not in module("relaxed")


def test_macros_and_language_version_reach_the_source():
    text = """
    #if __METAL_VERSION__ < 310 || !defined(__METAL__) || WIDTH != 8
    #error wrong
    #endif
    kernel void k(device float* x) { x[0] = WIDTH; }
    """
    assert compile_text(text, CompileOptions(macros=(("WIDTH", "8"),))).names == ("k",)
    with pytest.raises(CompileError, match="wrong"):
        compile_text(text, CompileOptions(macros=(("WIDTH", "8"),), language_version=(2, 4)))
    with pytest.raises(UnsupportedError, match=r"9\.1"):
        compile_text(text, CompileOptions(language_version=(9, 1)))


@pytest.mark.parametrize(
    ("statement", "since"),
    [
        ("auto f = [](float v) { return 2 * v; }; x[0] = f(1);", (3, 2)),
        ("bfloat b = 1; (void)b;", (3, 1)),
        ("x[0] = simd_shuffle_and_fill_up(x[0], 0.0f, 1);", (2, 4)),
        ("simdgroup_float8x8 m; (void)m;", (2, 3)),
        ("device atomic_float* a = (device atomic_float*)x; (void)a;", (3, 0)),
        ("x[0] = simd_sum(x[0]);", (2, 1)),
    ],
)
def test_older_language_versions_lack_what_came_later(statement, since):
    text = HEADER + f"kernel void k(device float* x [[buffer(0)]]) {{ {statement} }}"
    compile_text(text, CompileOptions(language_version=since))
    older = (since[0], since[1] - 1) if since[1] else (since[0] - 1, 4)
    with pytest.raises(CompileError, match=f"needs Metal {since[0]}.{since[1]}") as caught:
        compile_text(text, CompileOptions(language_version=older))
    (diagnostic,) = caught.value.diagnostics
    assert statement in diagnostic.source_line


def test_a_name_of_a_later_version_may_be_ones_own():
    text = """namespace mine { struct atomic_float { uint bits; }; }
    kernel void k(device mine::atomic_float* x [[buffer(0)]]) { x[0].bits = 1; }"""
    assert compile_text(text, CompileOptions(language_version=(2, 4))).names == ("k",)


def test_directives_see_the_librarys_macros():
    text = """#include <metal_stdlib>
    #if !defined(M_PI_F) || !defined(INFINITY) || !defined(FLT_MAX) || CHAR_BIT != 8 || INT_MAX < 9
    #error none
    #endif
    #ifndef M_PI_H
    #define M_PI_H none
    #endif
    kernel void k(device float* x) { x[0] = M_PI_F + INFINITY + M_PI_H + INT_MIN; }"""
    assert compile_text(text).names == ("k",)


def test_includes_are_found_beside_the_source_and_in_the_given_folders(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "near.h").write_text('#pragma once\n#include "far.h"\n')
    (tmp_path / "lib" / "far.h").write_text('#include <deep/deepest.h>\n#include "near.h"\n')
    (tmp_path / "lib" / "deep" / "deepest.h").write_text("#define VALUE 5\n")
    path = tmp_path / "src" / "k.metal"
    text = HEADER + '#include "near.h"\nkernel void k(device int* x) { x[0] = VALUE; }\n'
    source, options = Source(text, path), CompileOptions(include_dirs=(tmp_path / "lib",))
    assert Container(compile_source(source, options)).names == ("k",)
    found = local_includes(source, options)
    assert {p.name for p in found} == {"near.h", "far.h", "deepest.h"}
    assert found[tmp_path / "lib" / "deep" / "deepest.h"] == "#define VALUE 5\n"
    assert local_includes(Source(HEADER + SCALE), CompileOptions()) == {}


def test_no_file_of_the_system_can_be_included():
    with pytest.raises(CompileError, match=r"math\.h"):
        compile_text("#include <math.h>\n")


def test_check_reports_the_whole_file_and_compiles_nothing():
    assert check_source(Source(HEADER + SCALE), CompileOptions()) == ()
    wrong = HEADER + SCALE + "kernel void b(device int* x) { x = 1.5; y = 2; }"
    assert len([d for d in check_source(Source(wrong), CompileOptions())]) == 2


def test_the_headers_are_compiled_once_and_a_damaged_copy_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("PYMETAL_CACHE_DIR", str(tmp_path))
    assert compile_text(SCALE).names == ("scale",)
    (library,) = (tmp_path / "headers").glob("*.pch")
    whole = library.read_bytes()
    before = library.stat().st_mtime_ns
    compile_text(SCALE)
    assert library.stat().st_mtime_ns == before
    library.write_bytes(whole[: len(whole) // 2])
    assert compile_text(SCALE).names == ("scale",)
    assert library.stat().st_size == len(whole)


def test_without_a_writable_cache_it_compiles_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PYMETAL_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert compile_text(SCALE).names == ("scale",)


@pytest.mark.parametrize("named", ["/nowhere/clang", "echo nothing"])
def test_a_clang_that_does_not_serve_is_refused_with_advice(named, monkeypatch):
    monkeypatch.setenv("PYMETAL_CLANG", named)
    with pytest.raises(ToolchainError, match="pip install ziglang"):
        compile_text(SCALE)


def test_the_build_compiles_without_numpy_or_the_native_module(tmp_path):
    (tmp_path / "a.metal").write_text(HEADER + SCALE)
    (tmp_path / "b.metal").write_text(HEADER + TEMPLATE)
    script = (
        "import sys, runpy\n"
        "sys.modules['numpy'] = sys.modules['pymetal._native'] = None\n"
        "sys.argv = ['msl', 'a.metal', 'b.metal', '-o', 'out.metallib']\n"
        "runpy.run_module('pymetal.msl', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    library = Container((tmp_path / "out.metallib").read_bytes())
    assert library.names == ("scale", "fill_float", "fill_half")


def test_the_build_fails_when_a_kernel_does(tmp_path):
    (tmp_path / "a.metal").write_text(HEADER + "kernel void k(device int* x) { x = 1.5; }")
    done = subprocess.run(
        [sys.executable, "-m", "pymetal.msl", "a.metal", "-o", "out.metallib"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert done.returncode == 1
    assert "a.metal:3:36: error:" in done.stderr
    assert not (tmp_path / "out.metallib").exists()


def test_macros_in_requests_to_unroll_are_no_names():
    """clang's preprocessor leaves macros in these lines, where Metal's compiler expands them."""
    text = """#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define COUNT 4
template <int N> void f(device float* x) {
    #pragma unroll (MIN(N, COUNT))
    for (int i = 0; i < N; i++) x[i] += 1;
    #pragma clang loop unroll_count(COUNT)
    for (int i = 0; i < N; i++) x[i] += 1;
    #pragma unroll COUNT
    for (int i = 0; i < N; i++) x[i] += 1;
    #pragma unroll(2)
    for (int i = 0; i < N; i++) x[i] += 1;
}
kernel void k(device float* x [[buffer(0)]]) { f<8>(x); }"""
    assert compiles(text)


def test_an_attribute_may_follow_template_at_once():
    assert compiles("""template<typename T> kernel void f(device T* x [[buffer(0)]]) { x[0] = 1; }
template[[host_name("f_float")]] kernel void f<float>(device float* x [[buffer(0)]]);""")
