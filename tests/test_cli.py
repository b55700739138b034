"""`pymetal run`, `bench`, `build`, `new`, `info` and `doctor`: results, messages, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pymetal import cli

ADD = """#include <metal_stdlib>
using namespace metal;
constant float bias [[function_constant(0)]];
kernel void add(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
    constant float& y [[buffer(2)]], uint i [[thread_position_in_grid]])
{
    out[i] = x[i] + y;
}
kernel void in_place(device int* x [[buffer(0)]], constant int2& step [[buffer(1)]],
    uint i [[thread_position_in_grid]])
{
    x[i] += step.x * step.y;
}
kernel void with_bias(device half* out [[buffer(0)]], uint i [[thread_position_in_grid]])
{
    out[i] = half(bias) / half(i);
}
kernel void shared(device uint* out [[buffer(0)]], threadgroup uint* room [[threadgroup(0)]],
    uint i [[thread_position_in_grid]], uint lane [[thread_index_in_threadgroup]])
{
    room[lane] = i;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = room[7 - lane];
}
"""
CALL = ("--grid", "8", "--threadgroup", "8")


@pytest.fixture
def command(kernels, capsys):
    """Runs a command in a folder with kernels/add.metal: exit code, output, errors."""
    (kernels / "add.metal").write_text(ADD)

    def call(*arguments) -> tuple[int, str, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_run_shows_and_saves_what_the_kernel_wrote(command, device, tmp_path):
    x = np.arange(8, dtype=np.float32)
    np.save("x.npy", x)
    code, out, err = command(
        *("run", "add", "--input", "x.npy", "--input", "0.5", "--output", "8", *CALL),
        *("--save", "out.npy", "--device", device),
    )
    assert (code, err) == (0, "")
    assert "out: 8, float32\n[0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5]\n" in out
    assert f"add on {device}" in out
    np.testing.assert_array_equal(np.load("out.npy"), x + np.float32(0.5))


def test_run_prints_facts_for_machines(command, device):
    arguments = ("run", "kernels/add.metal:add", "-i", "arange:2x4", "-i", "inf", "-o", "2,4")
    code, out, _ = command(*arguments, *CALL, "--device", device, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["ok"], facts["kernel"], facts["device"]) == (True, "add", device)
    assert facts["results"] == [
        {"name": "out", "shape": [2, 4], "dtype": "float32", "non_finite": 8}
    ]
    assert "against" not in facts


def test_without_outputs_the_arrays_that_are_written_are_the_results(command, device):
    code, out, _ = command(
        *("run", "add:in_place", "-i", "ones:8", "-i", "3,-2", *CALL, "--device", device),
        *("--against", "x + step[0] * step[1]"),
    )
    assert code == 0
    assert "x: 8, int32\n[-5 -5 -5 -5 -5 -5 -5 -5]\n" in out
    assert "x: matches; largest difference 0, allowed 0" in out


def test_inputs_may_be_named(command, device):
    arguments = ("run", "add", "-i", "y=3", "-i", "ones:8", "-o", "8", *CALL, "--device", device)
    code, out, _ = command(*arguments)
    assert code == 0
    assert "[4. 4. 4. 4. 4. 4. 4. 4.]" in out


def test_files_of_bfloat_are_read_as_they_were_saved(command, kernels, device):
    source = "kernel void twice(device bfloat* out, device const bfloat* x, "
    source += "uint i [[thread_position_in_grid]]) { out[i] = x[i] + x[i]; }"
    (kernels / "twice.metal").write_text(source)
    first = ("-i", "arange:8", "-o", "8", *CALL, "--device", device, "--save", "out.npy")
    assert command("run", "twice", *first)[0] == 0
    second = ("-i", "out.npy", "-o", "8", *CALL, "--device", device)
    assert command("run", "twice", *second, "--against", "2 * x")[0] == 0
    assert command("run", "twice", *second, "--against", "4 * arange(8)")[0] == 0


def test_without_a_threadgroup_one_is_picked_and_said(command, device):
    arguments = ("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--grid", "8")
    code, out, _ = command(*arguments, "--device", device, "--json")
    assert code == 0
    assert any("picked" in note for note in json.loads(out)["notes"])


def test_constants_threadgroup_memory_and_options_of_compilation(command, device, tmp_path):
    place = ("-o", "8", *CALL, "--device", device, "--json")
    code, out, _ = command(
        *("run", "add:with_bias", "-c", "bias=1", "--against", "1 / arange(8)", *place)
    )
    assert code == 0, out  # 1 / 0 is infinity in both
    code, out, _ = command(
        *("run", "add:shared", "--threadgroup-memory", "0=32", *place),
        *("--against", "arange(8)[::-1]"),
    )
    assert code == 0, out
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "scale.h").write_text("#define SCALE SCALE_OF_MACRO\n")
    source = '#include "scale.h"\nkernel void scale(device int* out, uint i '
    source += "[[thread_position_in_grid]]) { out[i] = i * SCALE; }"
    (tmp_path / "other.metal").write_text(source)
    code, out, _ = command(
        *("run", "other.metal", "-I", "headers", "-D", "SCALE_OF_MACRO=3", *place),
        *("--against", "3 * arange(8)"),
    )
    assert code == 0, out  # and the only kernel of a file needs no name


def test_a_result_that_differs_exits_with_3_and_says_where(command, device):
    arguments = ("run", "add", "-i", "zeros:2,4", "-i", "1", "-o", "2,4", *CALL)
    wrong = "where(arange(8).reshape(2, 4) == 6, 5, x + y)"
    code, out, _ = command(*arguments, "--against", wrong, "--device", device)
    assert code == 3
    assert "out: 1 of 8 elements differ; worst at [1, 2]: 1, expected 5" in out
    code, out, _ = command(*arguments, "--against", wrong, "--device", device, "--json")
    assert code == 3
    facts = json.loads(out)
    (difference,) = facts["against"]
    assert not facts["ok"]
    assert (difference["index"], difference["got"], difference["expected"]) == ([1, 2], 1, 5)


@pytest.mark.parametrize("wrong", ["nan + x", "inf + x", "x + y + 1e-4"])
def test_nan_and_infinity_and_more_than_the_roundings_differ(command, device, wrong):
    arguments = ("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", *CALL, "--device", device)
    assert command(*arguments, "--against", wrong)[0] == 3
    # 64 roundings of 2^-23 at the value 2 are 1.5e-5; 1000 allow 2.4e-4.
    is_rounding = wrong.endswith("1e-4")
    code = command(*arguments, "--against", wrong, "--roundings", "1000")[0]
    assert code == (0 if is_rounding else 3)


def test_threadgroups_count_threadgroups(command, device):
    arguments = ("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--device", device, "--json")
    code, out, _ = command(*arguments, "--threadgroups", "2", "--threadgroup", "4")
    assert code == 0
    assert json.loads(out)["results"][0]["min"] == 2  # all eight are written
    code, out, _ = command(
        *("bench", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--device", device),
        *("--threadgroups", "2", "--threadgroup", "4", "--seconds", "0", "--json"),
    )
    assert code == 0


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((), "pass --grid THREADS, or --threadgroups"),
        (("--threadgroup", "8"), "pass --grid THREADS, or --threadgroups"),
        (("--threadgroups", "2"), "goes with --threadgroup and without"),
        (("--threadgroups", "2", "--threadgroup", "8", "--grid", "16"), "and without --grid"),
    ],
)
def test_grids_that_are_missing_or_doubled_are_wrong_usage(command, monkeypatch, sizes, words):
    monkeypatch.setenv("COLUMNS", "400")
    for name in ("run", "bench", "watch"):
        code, _, err = command(name, "add", "-i", "ones:8", "-i", "1", "-o", "8", *sizes)
        assert code == 2
        assert words in err


REFUSED = [
    (("run", "add", "-i", "ones:8", "-i", "1", "-o", "9,x"), 2, "'9,x' is not 1 or more numbers"),
    (("run", "add", "-c", "bias"), 2, "'bias' is not name=value"),
    (("run", "add", "-D", "=1"), 2, "is not NAME or NAME=value"),
    (("run", "add", "-i", "ones:8", "-o", "8"), 1, "takes 2 inputs"),
    (("run", "add", "-i", "z=1", "-o", "8"), 1, "has no input 'z'; it has x, y"),
    (("run", "add", "-i", "out=1", "-o", "8"), 1, "has no input 'out'; it has x, y"),
    (("run", "add", "-i", "y=1", "-i", "y=2", "-o", "8"), 1, "input 'y' is given twice"),
    (("run", "add", "-i", "y=1", "-o", "8"), 1, "takes 2 inputs"),
    (("run", "add", "-i", "y=1", "-i", "1", "-i", "2", "-o", "8"), 1, "takes 2 inputs"),
    (("run", "add", "-i", "ones:8", "-i", "one", "-o", "8"), 1, "input 'y': 'one' is not a .npy"),
    (("run", "add", "-i", "no.npy", "-i", "1", "-o", "8"), 1, "there is no file no.npy"),
    (("run", "add", "-i", "bad.npy", "-i", "1", "-o", "8"), 1, "bad.npy cannot be read"),
    (("run", "add", "-i", "{", "-i", "1", "-o", "8"), 1, "{ is not JSON"),
    (("run", "add:in_place", "-i", "ones:8", "-i", "1.5,2"), 1, "'step'"),
    (("run", "add:with_bias", "-o", "8"), 1, "needs function constant float 'bias'"),
    (("run", "add:with_bias", "-o", "8", "-c", "bias=big"), 1, "--constant bias=big"),
    (("run", "add:shared", "-o", "8"), 1, "needs a length"),
    (("run", "add:shared", "-o", "8", "--threadgroup-memory", "0=x"), 1, "both are whole numbers"),
    (("run", "nothing"), 1, "no kernel 'nothing'"),
    (("run", "add:nothing"), 1, "nothing"),
    (("run", "kernels/none.metal"), 1, "there is no file"),
    (("run", "broken"), 1, "broken.metal:1:"),
    (("run", "latin"), 1, "latin.metal:1: the file is not UTF-8"),
    (("run", "add", "--device", "gpu"), 1, "no device 'gpu'"),
    (("run", "add", "--math-mode", "wild"), 2, "wild"),
    (
        ("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--against", "x +"),
        1,
        "'x +' cannot be evaluated: SyntaxError",
    ),
    (
        ("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--against", "x[:4]"),
        1,
        "'out' has shape (8,), the reference has shape (4,)",
    ),
    (("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--against", "'a'"), 1, "not an array"),
    (("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--against", "x, y"), 1, "2 values"),
    (("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--save", "a.txt"), 1, ".npy files"),
    (("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--save", "no/a.npy"), 1, "no/a.npy"),
    (("bench", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--flops", "z"), 1, "NameError"),
    (("bench", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--flops", "-1"), 1, "not a positive"),
    (("bench", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--seconds", "nan"), 1, "seconds is"),
]


@pytest.mark.parametrize(("arguments", "expected_code", "words"), REFUSED)
def test_bad_input_is_a_message_and_an_exit_code(
    command, kernels, arguments, expected_code, words, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")  # usage errors are wrapped to the terminal
    (kernels / "broken.metal").write_text("kernel void broken(")
    (kernels / "latin.metal").write_bytes(b"// caf\xe9\n")
    (kernels.parent / "bad.npy").write_bytes(b"\x93NUMPY nothing")
    code, out, err = command(*arguments, *CALL)
    assert code == expected_code
    assert words in err
    assert "Traceback" not in err
    assert out == ""


def test_bad_geometry_is_refused_as_in_python(command, device):
    arguments = ("run", "add", "-i", "ones:8", "-i", "1", "-o", "8", "--device", device)
    code, _, err = command(*arguments, "--grid", "8", "--threadgroup", "1024,2")
    assert code == 1
    assert "threadgroup (1024, 2, 1) is 2048 threads" in err
    code, _, err = command(*arguments, "--grid", "0", "--threadgroup", "8")
    assert code == 1
    assert "each dimension must be at least 1" in err


@pytest.mark.parametrize("name", ["run", "bench", "compare"])
def test_a_kernel_that_does_not_end_is_stopped(command, kernels, name):
    source = "kernel void endless(device volatile int* x) { while (x[0] == 0) { } }\n"
    (kernels / "endless.metal").write_text(source)
    code, _, err = command(
        *(name, "endless", "-i", "zeros:1", "--device", "cpu", "--timeout", "0.2", *CALL)
    )
    assert code == 1
    assert "endless" in err
    assert "0.2 s" in err


def test_an_interrupt_ends_a_command_with_130(command, kernels):
    source = "kernel void endless(device volatile int* x) { while (x[0] == 0) { } }\n"
    (kernels / "endless.metal").write_text(source)
    program = (
        "import signal, sys, threading\n"
        "from pymetal.cli import call, main\n"
        "run = call.Prepared.run\n"
        "def interrupted(self):\n"
        "    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()\n"
        "    return run(self)\n"
        "call.Prepared.run = interrupted\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("run", "endless", "-i", "zeros:1", "--device", "cpu", *CALL)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_errors_are_objects_for_machines(command, kernels):
    (kernels / "broken.metal").write_text("kernel void broken(device int* x) { x = y; }\n")
    code, out, err = command("run", "broken", *CALL, "--json")
    error = json.loads(out)["error"]
    assert code == 1
    assert error["type"] == "CompileError"
    assert error["diagnostics"][0]["line"] == 1
    assert "undeclared identifier 'y'" in err


def test_bench_measures_calls_bytes_and_operations(command, device):
    arguments = ("bench", "add", "-i", "ones:8", "-i", "1", "-o", "8", *CALL, "--device", device)
    code, out, _ = command(*arguments, "--seconds", "0.01", "--flops", "x.size", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["calls"] >= 5
    assert 0 < facts["min_seconds"] <= facts["p20_seconds"] <= facts["median_seconds"]
    assert facts["median_seconds"] <= facts["p80_seconds"]
    assert facts["flops"] == 8
    assert facts["gflop_per_second"] == pytest.approx(8 / facts["median_seconds"] / 1e9)
    code, out, _ = command(*arguments, "--seconds", "0", "--warmup", "0", "--cold", "--bytes", "64")
    assert code == 0
    assert out.startswith(f"kernel    add on {device}")
    assert "GFLOP/s" not in out


def test_build_writes_a_library_that_runs(command, kernels):
    (kernels / "other.metal").write_text(ADD.replace("void ", "void other_"))
    code, out, _ = command("build", kernels, "-o", "all.metallib", "--json")
    facts = json.loads(out)
    assert code == 0
    assert len(facts["kernels"]) == 8
    code, out, _ = command(
        *("run", "all.metallib:other_add", "-i", "arange:8", "-i", "2", "-o", "8", *CALL),
        *("--against", "x + y", "--device", "cpu"),
    )
    assert code == 0
    code, _, err = command("run", "all.metallib:add", "-D", "X", *CALL)
    assert code == 1
    assert "is compiled already" in err


def test_build_refuses_wrong_sources_and_names_used_twice(command, kernels):
    (kernels / "again.metal").write_text("kernel void add(device int* x) { }\n")
    (kernels / "broken.metal").write_text("kernel void broken(device int* x) { x = y; }\n")
    code, out, err = command("build", kernels, "-o", "all.metallib", "--json")
    assert code == 1
    assert "kernel 'add' is in" in err
    assert "broken.metal:1:" in err
    assert [error["type"] for error in json.loads(out)["errors"]] == ["CompileError"] * 2
    assert not (kernels.parent / "all.metallib").exists()
    code, _, err = command("build", kernels / "none", "-o", "all.metallib")
    assert code == 1
    assert "there is no file" in err
    code, _, err = command("build", kernels / "add.metal", "-o", "no/all.metallib")
    assert code == 1
    assert "no/all.metallib cannot be written" in err


def test_new_writes_a_kernel_a_reference_and_a_test_that_run(command, tmp_path):
    code, out, _ = command("new", "saxpy_of_mine", "--json")
    assert code == 0
    assert sorted(json.loads(out)) == ["kernel", "ok", "reference", "test"]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "pymetal.pytest_plugin", "--device=cpu", "tests"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout
    # The test can fail: it sees a kernel that is wrong.
    kernel = tmp_path / "kernels" / "saxpy_of_mine.metal"
    kernel.write_text(kernel.read_text().replace("+ y[i];", "- y[i];"))
    code, out, _ = command(
        *("run", "saxpy_of_mine", "-i", "random:64", "-i", "random:64", "-i", "2", "-o", "64"),
        *("--grid", "64", "--threadgroup", "32", "--against", "scale * x + y"),
    )
    assert code == 3


def test_new_refuses_bad_names_and_keeps_what_is_there(command, tmp_path):
    for name, words in (("a b", "letters, digits and _"), ("float", "Metal does not take")):
        code, _, err = command("new", name)
        assert code == 1
        assert words in err
    assert [path.name for path in (tmp_path / "kernels").iterdir()] == ["add.metal"]
    code, _, err = command("new", "add")
    assert code == 1
    assert "--force overwrites" in err
    assert (tmp_path / "kernels" / "add.metal").read_text() == ADD
    assert command("new", "add", "--force")[0] == 0


def test_info_names_devices_and_their_limits(command, device):
    code, out, _ = command("info", "--json")
    facts = json.loads(out)
    assert code == 0
    assert device in [one["name"] for one in facts["devices"]]
    assert facts["devices"][0]["max_threads_per_threadgroup"] >= 32
    assert f"device {device}" in command("info")[1]


@pytest.mark.parametrize(
    "name", ["run", "watch", "bench", "check", "build", "new", "info", "doctor", "cache"]
)
def test_every_command_has_help_and_json(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"pymetal {name}" in out
    assert "--json" in out


def test_pipes_get_no_colours(command):
    """Terminals do: see test_watch.py."""
    run = subprocess.run(
        [sys.executable, "-m", "pymetal", "run", "add", "-o", "8", "-i", "ones:8", "--grid", "8"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("error: add takes 2 inputs")
    assert "\x1b" not in run.stderr


def test_shells_can_complete_commands(command, monkeypatch):
    monkeypatch.setenv("_PYMETAL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "pymetal ca")
    monkeypatch.setenv("COMP_CWORD", "1")
    code, out, _ = command()
    assert code == 0
    assert "cache" in out.split()


def test_shells_can_complete_kernels(command, monkeypatch):
    for typed, expected in (
        ("ad", {"add"}),
        ("soft", {"softmax"}),
        ("kernels/", {"kernels/add.metal"}),
        ("ker", {"kernels/"}),
    ):
        monkeypatch.setenv("_PYMETAL_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", f"pymetal run {typed}")
        monkeypatch.setenv("COMP_CWORD", "2")
        assert set(command()[1].split()) == expected
