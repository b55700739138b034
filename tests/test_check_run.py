"""`pymetal check --run`: files say how their kernels are launched, and checks run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pymetal import cli
from pymetal.check import check_paths
from pymetal.cli.launches import described, run_launches
from pymetal.errors import ArgumentError
from pymetal.find import shipped_dir
from pymetal.source import CompileOptions

LAUNCH = "// launch: {names} -i random:256 -o 256 --grid 256 --threadgroup 64\n"
KERNEL = """#include <metal_stdlib>
using namespace metal;
kernel void NAME(device float* out [[buffer(0)]], device const float* a [[buffer(1)]],
                 uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = a[i];
    BARRIER
    out[i] = tile[63 - t];
}
"""
RIGHT = KERNEL.replace("BARRIER", "threadgroup_barrier(mem_flags::mem_threadgroup);")
WRONG = KERNEL.replace("BARRIER", "")


def command(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "k.metal"
        path.write_text(text)
        return path

    return write


def test_a_right_kernel_is_run_and_nothing_found(write, capsys):
    path = write(LAUNCH.format(names="k") + RIGHT.replace("NAME", "k"))
    code, out, _ = command(capsys, "check", "--run", path)
    assert code == 0, out
    assert "run as line 1 says: nothing found" in out
    assert out.splitlines()[-1] == "1 checked run: nothing found"


def test_what_is_found_fails_the_command_and_goes_to_sarif(write, tmp_path, capsys):
    text = LAUNCH.format(names="k") + WRONG.replace("NAME", "k")
    path, log = write(text), tmp_path / "found.sarif"
    code, out, _ = command(capsys, "check", "--run", path, "--sarif", log)
    assert code == 1
    line = 1 + text.split("\n").index("    out[i] = tile[63 - t];")
    assert f"{path}:{line}:14: error: read of element" in out
    results = json.loads(log.read_text())["runs"][0]["results"]
    assert {"race"} <= {result["ruleId"] for result in results}
    code, out, _ = command(capsys, "check", "--run", path, "--json")
    (kernel,) = json.loads(out)["files"][0]["kernels"]
    assert code == 1
    assert not kernel["ok"]
    assert kernel["launches"][0]["line"] == 1
    assert "race" in {report["kind"] for report in kernel["launches"][0]["reports"]}


def test_one_comment_may_launch_several_kernels_over_several_lines(write, capsys):
    launch = "// launch: a* b -i random:256 \\\n//     -o 256 --grid 256 --threadgroup 64\n"
    kernels = [RIGHT.replace("NAME", name) for name in ("a", "a2", "b", "c")]
    code, out, _ = command(capsys, "check", "--run", write(launch + "".join(kernels)))
    assert code == 0, out
    assert "3 checked runs: nothing found; 1 kernel not run" in out
    assert out.count("not run: no `// launch:` comment names it") == 1


@pytest.mark.parametrize(
    ("launch", "why"),
    [
        ("", "no `// launch:` comment says what to run"),
        ("// launch: --grid 3\n", "line 1: `launch:` names no kernel before its options"),
        ("// launch: other --grid 3\n", "line 1: `launch:` names 'other'; the file has k"),
        ("// launch: k 'x --grid 3\n", "line 1: `launch:` cannot be read"),
        ("// launch: k --gird 3\n", "No such option: --gird"),
        ("// launch: k -o 256 -i ones:256\n", "pass --grid THREADS"),
        ("// launch: k -o 256 --grid 256\n", "k takes 1 input"),
    ],
)
def test_launches_that_cannot_be_run_are_errors_that_say_why(write, capsys, launch, why):
    code, out, err = command(capsys, "check", "--run", write(launch + RIGHT.replace("NAME", "k")))
    assert code == 1
    assert why in out, out + err


def test_the_lines_of_comments_are_counted():
    first, second = described("\n// launch: a --grid 1\nkernel …\n  //launch: b c -i 'x y'\n")
    assert (first.line, first.kernels, first.options) == (2, ("a",), ("--grid", "1"))
    assert (second.line, second.kernels, second.options) == (4, ("b", "c"), ("-i", "x y"))
    with pytest.raises(ArgumentError, match="line 1"):
        list(described("// launch: 'a\n"))


@pytest.mark.parametrize("path", sorted(shipped_dir().glob("*.metal")), ids=lambda path: path.stem)
def test_checks_find_nothing_in_shipped_kernels(path):
    """Of float; `pymetal check --run kernels` does it for other types too."""
    others = ("_half", "_bfloat", "_int", "_uint")
    result = check_paths([path], "cpu")
    (file,) = result.files
    left_out = [kernel for kernel in file.kernels if kernel.name.endswith(others)]
    for kernel in left_out:
        kernel.error = "left out"
    run_launches(result, CompileOptions())
    file.kernels = [kernel for kernel in file.kernels if kernel not in left_out]
    assert result.ok, str(result)
    assert result.reports == [], str(result)
    assert [kernel.name for kernel in file.kernels if not kernel.launches] == []
