"""What is said of wrong Metal: every error, at its place in the source as it was written."""

from __future__ import annotations

import pytest
from front_end import HEADER, compile_text, compiles, errors_of

from pymetal.errors import CompileError, UnsupportedError
from pymetal.msl import check_source, compile_source
from pymetal.source import CompileOptions, Source


def places(text: str) -> list[tuple[int, str]]:
    """(line behind the header, the source from the error's column on) of each error."""
    return [(d.line - 2, d.source_line[d.column - 1 :]) for d in errors_of(text)]


def test_several_errors_come_at_once_each_with_its_line():
    text = """kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float4 v = float4(1.0, 2.0h, 3, 4); out[i] = undeclared + 1.0;
    threadgroup float tile[4];  v.q = 2;
    out[i] = sin(1.0, 2.0, tile[0]);
}"""
    assert places(text) == [
        (2, "undeclared + 1.0;"),
        (3, "q = 2;"),
        (4, "sin(1.0, 2.0, tile[0]);"),
    ]


def test_columns_survive_macros_comments_and_spacing():
    text = """#define PLUS(a, b) ((a) + (b))
kernel void k(device   float4* out,   device const float* in [[buffer(1)]]) {
\tout[0]  =  /* why */  float4( PLUS(in[0], 1.0) , 2 ,3,4 )   *   missing;
    in[0] = PLUS(1, 2) ;   lost( (int4)out[0] );
}"""
    assert places(text) == [(3, "missing;"), (4, "= PLUS(1, 2) ;   lost( (int4)out[0] );"),
                            (4, "lost( (int4)out[0] );")]  # fmt: skip


def test_an_error_in_an_included_file_names_that_file(tmp_path):
    (tmp_path / "helper.h").write_text("\n\ninline float f(float x) { return x + nothing; }\n")
    source = Source(
        HEADER + '#include "helper.h"\nkernel void k() { oops(); }', tmp_path / "k.metal"
    )
    with pytest.raises(CompileError) as caught:
        compile_source(source, CompileOptions())
    first, second = caught.value.diagnostics
    assert (first.file, first.line, first.column) == (str(tmp_path / "helper.h"), 3, 38)
    assert first.source_line == "inline float f(float x) { return x + nothing; }"
    assert (second.file, second.line, second.column) == (str(tmp_path / "k.metal"), 4, 19)


def test_a_missing_include_is_an_error_at_its_line():
    assert [(d.line, d.message) for d in errors_of('#include "absent.h"')] == [
        (3, "'absent.h' file not found")
    ]


def test_the_exception_shows_where_as_a_syntax_error_does():
    with pytest.raises(SyntaxError) as caught:
        compile_text("kernel void k() {\n    oops();\n}")
    error = caught.value
    assert (error.filename, error.lineno, error.offset) == ("<source>", 4, 5)
    assert error.text == "    oops();"
    assert "<source>: 1 error\n<source>:4:5: error: use of undeclared" in str(error)


def test_notes_say_which_call_led_into_a_template():
    text = """template <typename T> T get(T x) { return x.value; }
kernel void k(device float* out) { out[0] = get(out[1]); }"""
    with pytest.raises(CompileError) as caught:
        compile_text(text)
    error, note = caught.value.diagnostics
    assert (error.severity, error.line) == ("error", 3)
    assert (note.severity, note.line, note.column) == ("note", 4, 45)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("int4 v = int4(1) * float4(2);", "'int4' and 'float4'"),
        ("float4 v = float4(1, 2, 3);", "must fill its lanes"),
        ("float2 v = float2(float3(1), 2);", "must fill its lanes"),
        ("float4 v = float4(1, 2, 3, out);", "takes numbers and vectors"),
        ("float3 v = half4(1);", "'half4'"),
        ("half h = 1; h.x = 2;", "'half'"),
        ("bool4 b = out;", "'bool4'"),
        ("uint2 v = as_type<uint2>(1.0);", "same size"),
        ("packed_float3 v = bfloat4(1);", "bfloat4"),
        ("double d = 1;", "'double' is not supported in Metal"),
        ("thread int* p = new int;", "'new' is not supported in Metal"),
        ("threadgroup int n = 3;", "cannot have an initialiser"),
        ("static int n; n = out[0]; out[0] = n;", "variable 'n' outlives a thread"),
    ],
)
def test_messages_speak_metal(statement, message):
    (error,) = errors_of(f"kernel void k(device float* out) {{ {statement} }}")
    assert message in error.message
    for internal in ("pymetal", "ext_vector", "_Float16", "__bf16", "unsigned"):
        assert internal not in error.message


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("kernel void k(float* p) {}", "must point to the device, constant or threadgroup"),
        ("kernel void k(thread float& p) {}", "must point to the device, constant or threadgroup"),
        ("kernel void k(device float* p [[bufer(0)]]) {}", "unknown attribute 'bufer'"),
        ("kernel void k(uint n) {}", "no attribute that gives it a value"),
        ("kernel void k(uint n [[buffer(0)]]) {}", "a buffer is a pointer or reference"),
        ("kernel void k(device float* p [[threadgroup(0)]]) {}", "it takes [[buffer(n)]]"),
        ("kernel void k(threadgroup float* p [[buffer(0)]]) {}", "it takes [[threadgroup(n)]]"),
        ("kernel void k(device float* p [[buffer(31)]]) {}", "is not in 0 to 30"),
        ("kernel void k(device float* p [[buffer(2)]], device int* q [[buffer(2)]]) {}",
         "'q' and 'p' share buffer(2)"),
        ("kernel float k(device float* p) { return 1; }", "must return void, not 'float'"),
        ("kernel void k(float4 p [[thread_position_in_grid]]) {}", "is 'float4'; it can be uint"),
        ("kernel void k(uint2 p [[thread_index_in_threadgroup]]) {}", "is 'uint2'; it can be uint"),
        ("kernel void k(device uint* p [[thread_position_in_grid]]) {}", "must be a value"),
        ("kernel void k() {}\nkernel void k(device int* p) {}", "redefinition of kernel 'k'"),
        ("kernel void k(device int* p [[function_constant(no)]]) {}", "names no function constant"),
        ("kernel void k(device Nothing* p) {}", "unknown type name 'Nothing'"),
        ("float g = 1;\nkernel void k(device float* p) { p[0] = g++; }", "at program scope"),
    ],
)  # fmt: skip
def test_kernels_that_metal_refuses(kernel, message):
    (error,) = errors_of(kernel)
    assert message in error.message
    assert error.line >= 3
    assert error.source_line in kernel


@pytest.mark.parametrize(
    "statement",
    [
        "p[0] = 1;",
        "n = 1;",
        "s.a = 1;",
        "v.x = 1;",
        "table[0] = 1;",
        "device float* w = p;",
    ],
)
def test_what_is_constant_is_not_written(statement):
    text = f"""struct S {{ int a; }};
    constant float table[2] = {{1, 2}};
    kernel void k(device const float* p, constant int& n, constant S& s, constant float4& v) {{
        {statement}
    }}"""
    assert not compiles(text)
    assert compiles(text.replace(statement, "float x = p[0] + n + s.a + v.x + table[0];"))


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("kernel void k(texture2d<float> t [[texture(0)]]) {}", "textures"),
        ("kernel void k(device float* p) { texture2d<float, access::read> t; }", "textures"),
        ("kernel void k(device float* p) { sampler s; }", "textures"),
        (
            "struct In { float4 p [[attribute(0)]]; };\nkernel void k(In in [[stage_in]]) {}",
            "stage_in",
        ),
        ("vertex float4 v(device float4* p [[buffer(0)]]) { return p[0]; }", "vertex functions"),
        ("[[fragment]] half4 f() { return 1; }", "fragment functions"),
        (
            "using namespace raytracing;\nvoid f(primitive_acceleration_structure s) {}",
            "ray tracing",
        ),
        ("void f(visible_function_table<int(int)> t) {}", "visible function tables"),
    ],
)
def test_metal_that_is_not_supported_is_named(text, feature):
    with pytest.raises(UnsupportedError) as caught:
        compile_text(text)
    assert caught.value.feature == feature
    (first, *_) = caught.value.diagnostics
    assert first.line >= 3
    assert check_source(Source(HEADER + text), CompileOptions())[0].line == first.line


def test_unbalanced_source_is_an_error_like_any_other():
    for text in (
        "kernel void k(device float* p) { p[0] = 1",
        "kernel void k(",
        "kernel void k(uint i [[thread_position_in_grid]]*/ ) {}",
        "struct {",
        ")]}",
        "#if",
    ):
        assert errors_of(text)
