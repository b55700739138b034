"""The metal device reads from the source what Metal's reflection leaves out."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pymetal.datatypes import argument_dtype
from pymetal.errors import CompileError, UnsupportedError
from pymetal.metal.includes import inlined
from pymetal.metal.reflection import function_of
from pymetal.metal.signature import Declared, signature_of, signatures
from pymetal.source import CompileOptions, Source


def test_a_kernel_is_read_as_declared():
    source = """
    // kernel void not_this(device int* x) {}
    [[max_total_threads_per_threadgroup(64)]] kernel void f(
        constant uint& n [[buffer(3)]],
        device atomic_uint* out [[buffer(0)]], const device float4 *x,
        threadgroup half* scratch [[threadgroup(0)]], constant Params& p [[buffer(5)]],
        device float* mask [[buffer(6), function_constant(tuning::has_mask)]],
        uint3 gid [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {}
    """
    assert signatures(source) == {
        "f": (
            Declared("n", "uint", "constant", is_const=True, is_reference=True),
            Declared("out", "atomic_uint", "device"),
            Declared("x", "float4", "device", is_const=True),
            Declared("scratch", "half", "threadgroup"),
            Declared("p", "Params", "constant", is_const=True, is_reference=True),
            Declared("mask", "float", "device", enabled_by="has_mask"),
            Declared("gid", "uint3", builtin="thread_position_in_grid"),
            Declared("lane", "uint", builtin="thread_index_in_simdgroup"),
        )
    }


def test_the_kernel_attribute_and_instantiations_are_read():
    source = """
    template <typename T> [[kernel]] void add(device T* out, constant T& by) {}
    template [[host_name("add_half")]] [[kernel]] decltype(add<half>) add<half>;
    """
    found = signatures(source)
    assert found["add_half"] == found["add"]
    assert [d.name for d in found["add"]] == ["out", "by"]


def test_a_name_that_a_macro_made_takes_the_one_declaration_that_fits():
    source = """
    template <typename T> kernel void add(device T* out, constant uint& n) {}
    template <typename T> kernel void fill(device T* out) {}
    #define MAKE(T) template [[host_name("add_" #T)]] [[kernel]] decltype(add<T>) add<T>;
    """
    found = signatures(source)
    assert signature_of("add_half", {"out", "n"}, found) == found["add"]
    assert signature_of("fill_half", {"out"}, found) == found["fill"]  # `add` has more
    assert signature_of("other", {"z"}, found) is None


def test_a_name_that_a_macro_made_takes_none_of_two_that_differ():
    found = signatures("""
    template <typename T> kernel void by_value(constant T& out) {}
    template <typename T> kernel void by_array(constant T* out) {}
    """)
    assert signature_of("by_half", {"out"}, found) is None


@pytest.mark.parametrize(
    "source", ["", "kernel", "kernel void", "kernel void f(", "kernel void f(]"]
)
def test_broken_source_declares_nothing(source):
    assert signatures(source) == {}


def test_without_local_includes_the_source_goes_as_it_is():
    text = '#include <metal_stdlib>\n// #include "gone.h"\nkernel void f() {}'
    assert inlined(Source(text), CompileOptions()) == text


def test_includes_are_put_in_place_with_their_lines(tmp_path):
    (tmp_path / "inner.h").write_text("#pragma once\nint inner;")
    (tmp_path / "outer.h").write_text('#pragma once\n#include "inner.h"\nint outer;\n')
    path = tmp_path / "a.metal"
    text = (
        '#include <metal_stdlib>\n#include "outer.h"\n#include "inner.h"\n#include "gone.h"\nint a;'
    )
    result = inlined(Source(text, path), CompileOptions())
    assert places(result) == {
        "#include <metal_stdlib>": (path, 1),
        "int inner;": (tmp_path / "inner.h", 2),
        "int outer;": (tmp_path / "outer.h", 3),
        '#include "gone.h"': (path, 4),  # Metal's compiler says what is missing
        "int a;": (path, 5),
    }


def test_include_dirs_are_searched_in_order(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.h").write_text(f"int {name};")
    options = CompileOptions(include_dirs=(tmp_path / "two", tmp_path / "one"))
    assert "int two;" in places(inlined(Source('#include "x.h"\n'), options))


def test_angled_includes_are_searched_in_include_dirs_only(tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "x.h").write_text("int found;")
    (tmp_path / "beside.h").write_text("int beside;")
    source = Source("#include <x.h>\n#include <beside.h>\n", tmp_path / "a.metal")
    found = places(inlined(source, CompileOptions(include_dirs=(tmp_path / "dir",))))
    assert "int found;" in found
    assert "#include <beside.h>" in found


def test_a_file_that_includes_itself_is_a_compile_error(tmp_path):
    path = tmp_path / "loop.h"
    path.write_text('#include "loop.h"\n')
    with pytest.raises(CompileError, match=r"loop\.h:1:1: error: #include nested too deeply"):
        inlined(Source('#include "loop.h"\n', tmp_path / "a.metal"), CompileOptions())


@pytest.mark.parametrize(
    ("kind", "words"), [("texture", "is a texture"), ("other", "neither buffer nor texture")]
)
def test_what_pymetal_cannot_pass_is_named(kind, words):
    binding = SimpleNamespace(name="picture", kind=kind, index=0, access="read", type_name="")
    with pytest.raises(
        UnsupportedError, match=f"argument 'picture' is {words.removeprefix('is ')}"
    ):
        function_of("f", [binding], [], None)


def test_without_source_reflection_does_alone():
    def binding(name, index, access, type_name):
        return SimpleNamespace(
            kind="buffer",
            name=name,
            index=index,
            access=access,
            type_name=type_name,
            size_bytes=4,
            align_bytes=4,
            members=[],
        )

    bindings = [binding("n", 1, "read", "uint"), binding("out", 0, "read_write", "float")]
    out, n = function_of("f", bindings, [], None).arguments
    assert str(out) == "device float* out [[buffer(0)]]"
    # It may have been a reference or a pointer: a number and an array are both taken.
    assert (n.address_space, n.is_reference) == ("constant", False)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("is_struct", [True, False])
def test_an_atomic_takes_plain_numbers_however_metal_reflects_it(is_struct, declared):
    inner = SimpleNamespace(name="__s", type_name="uint", offset=0, array_length=0, members=[])
    counts = SimpleNamespace(
        kind="buffer",
        name="counts",
        index=0,
        access="read_write",
        type_name="" if is_struct else "uint",
        size_bytes=4,
        align_bytes=4,
        members=[inner] if is_struct else [],
    )
    source = "kernel void count(device atomic_uint* counts [[buffer(0)]]) {}"
    signature = signatures(source)["count"] if declared else None
    (argument,) = function_of("count", [counts], [], signature).arguments
    assert argument_dtype(argument) == np.uint32


def places(text):
    """Each line that says something, with the file and line that the #line directives give it."""
    found = {}
    file, number = None, 0
    for line in text.split("\n"):
        if line.startswith("#line "):
            _, number, name = line.split(" ", 2)
            file, number = Path(name.strip('"')), int(number)
            continue
        if line:
            found[line] = (file, number)
        number += 1
    return found
