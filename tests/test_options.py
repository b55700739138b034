"""What the public functions are given beside arrays: options, names, paths, queues; wrong ones."""

from __future__ import annotations

import pytest

import pymetal
from pymetal import ArgumentError, CompileError, DeviceError, LibraryError, output
from pymetal.testing import Case, assert_matches

FILL = "kernel void fill(device int* out, uint i [[thread_position_in_grid]]) { out[i] = VALUE; }"
PLAIN = FILL.replace("VALUE", "1")


@pytest.fixture(scope="module")
def kernels_by_device():
    return {name: pymetal.compile(PLAIN, device=name).fill for name in pymetal.device_names()}


@pytest.fixture
def fill(device, kernels_by_device):
    return kernels_by_device[device]


def test_macros_become_what_they_mean_in_metal(device):
    for value, expected in ((7, 7), ("(1 + 2)", 3), (True, 1), (False, 0)):
        library = pymetal.compile(FILL, macros={"VALUE": value}, device=device)
        assert library.fill(output(2), grid=2, threadgroup=2).tolist() == [expected] * 2


def test_include_dirs_is_a_folder_or_several(device, tmp_path):
    (tmp_path / "value.h").write_text("#define VALUE 5\n")
    source = f'#include "value.h"\n{FILL}'
    for folders in (tmp_path, str(tmp_path), [tmp_path], (str(tmp_path),)):
        library = pymetal.compile(source, include_dirs=folders, device=device)
        assert library.fill(output(1), grid=1)[0] == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"math_mode": "wild"}, "math_mode is 'wild'; it is one of 'safe', 'relaxed', 'fast'"),
        ({"math_mode": None}, "math_mode is None"),
        ({"language_version": 3}, "language_version is 3; give two numbers"),
        ({"language_version": "3.1"}, "give two numbers"),
        ({"language_version": (3,)}, "give two numbers"),
        ({"language_version": (3, True)}, "give two numbers"),
        ({"include_dirs": 5}, "include_dirs is a folder or a list of folders, got 5"),
        ({"include_dirs": [5]}, "include_dirs is a folder"),
        ({"include_dirs": ["no/such"]}, "there is no folder .*no/such"),
        ({"macros": ["A"]}, "macros is list, not a dict"),
        ({"macros": {"a b": 1}}, "'a b' is not a name"),
        ({"macros": {1: 1}}, "1 is not a name"),
        ({"macros": {"F(x)": 1}}, "is not a name"),
        ({"macros": {"A": "1\n#define B"}}, "the value of A is more than one line"),
    ],
)
def test_wrong_options_are_refused_before_anything_compiles(device, options, words):
    with pytest.raises(ArgumentError, match=words):
        pymetal.compile(PLAIN, device=device, **options)


@pytest.mark.parametrize("source", [None, 5, b"kernel", ["kernel"]])
def test_source_is_text_or_a_path(source):
    with pytest.raises(ArgumentError, match="pass Metal source as text, or a path"):
        pymetal.compile(source)


def test_text_that_is_not_unicode_is_refused():
    with pytest.raises(CompileError, match="<source>:2: the text is not Unicode"):
        pymetal.compile(f"// fine\n// \ud800\n{PLAIN}")


@pytest.mark.parametrize("where", ["text", "file", "header"])
def test_a_null_character_is_refused_not_the_end_of_the_source(device, tmp_path, where):
    damaged = "\n// \0\nkernel void f(device float* out) { out[0] = 1; }\n"
    source = damaged
    if where != "text":
        source = tmp_path / "k.metal"
        source.write_text(damaged if where == "file" else '#include "h.h"\n')
        (tmp_path / "h.h").write_text(damaged)
    with pytest.raises(CompileError, match=r":2:.*null character"):
        pymetal.compile(source, device=device)


def test_paths_that_no_system_has_are_refused():
    with pytest.raises(CompileError, match="cannot be read"):
        pymetal.compile("a\0b.metal")
    with pytest.raises(LibraryError, match="cannot be read"):
        pymetal.load("a\0b.metallib")


@pytest.mark.parametrize("metallib", [None, 5, ["a"]])
def test_a_metallib_is_a_path_or_bytes(metallib):
    with pytest.raises(ArgumentError, match="pass a path, or its bytes"):
        pymetal.load(metallib)


def test_a_device_is_a_name_or_a_device(device):
    assert pymetal.compile(PLAIN, device=pymetal.device(device)).device.name == device
    with pytest.raises(DeviceError, match="device is int; give a name"):
        pymetal.compile(PLAIN, device=5)


@pytest.mark.parametrize("name", [5, [], None])
def test_a_kernels_name_is_a_string(device, name):
    with pytest.raises(ArgumentError, match="a kernel's name is a string"):
        pymetal.compile(PLAIN, device=device).kernel(name)


def test_a_queue_is_a_queue_in_cold_calls_and_in_warm_ones(fill):
    for _ in range(2):
        with pytest.raises(ArgumentError, match=r"queue is int, not a pymetal\.Queue"):
            fill(output(4), grid=4, threadgroup=4, queue=5)
        fill(output(4), grid=4, threadgroup=4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda k: pymetal.bench(5), "bench measures a Kernel, got int"),
        (lambda k: pymetal.bench(k, output(4), grid=4, seconds="1"), "seconds is '1'"),
        (lambda k: pymetal.bench(k, output(4), grid=4, warmup_seconds=-1), "warmup_seconds is -1"),
        (lambda k: pymetal.bench(k, output(4), grid=4, flops="many"), "flops is 'many'"),
        (lambda k: pymetal.bench(k, output(4), grid=4, size_bytes=-1), "size_bytes is -1"),
        (lambda k: assert_matches(5, int, []), "kernel is int, not a Kernel or its name"),
        (lambda k: assert_matches(k, 5, []), "reference is int, not a function"),
        (lambda k: assert_matches(k, int, 5), "cases is int, not Cases or a function"),
        (lambda k: assert_matches(k, int, [5]), "case 0 is int, not a Case"),
        (lambda k: assert_matches(k, int, lambda n, rng: None), "case 0 is NoneType, not a Case"),
        (lambda k: assert_matches(k, int, [Case(grid=4)]), "takes 1 value"),
    ],
)
def test_helpers_refuse_what_they_cannot_use(fill, call, words):
    with pytest.raises(ArgumentError, match=words):
        call(fill)
