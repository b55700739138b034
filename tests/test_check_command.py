"""`python -m pymetal check` and `cache`: reports for people and machines, and exit codes."""

from __future__ import annotations

import json
import shutil

import pytest
from fake_device import FakeDevice, buffer
from metal_calls import only_on_the_software_device

from pymetal import check, cli
from pymetal.air.function import Function, FunctionConstant

GOOD = """#include <metal_stdlib>
using namespace metal;
kernel void good(device float* out [[buffer(0)]], constant float& x [[buffer(1)]],
    uint i [[thread_position_in_grid]])
{
    out[i] = x;
}
"""


def command(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_good_kernels_are_listed_with_their_arguments(kernels, device, capsys):
    (kernels / "good.metal").write_text(GOOD)
    (kernels / "deep").mkdir()
    (kernels / "deep" / "twice.metal").write_text(GOOD + GOOD.replace("void good", "void better"))
    code, out, _ = command(capsys, "check", kernels, "--device", device, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["ok"] is True
    assert result["device"] == device
    assert [len(file["kernels"]) for file in result["files"]] == [2, 1]
    (kernel,) = result["files"][1]["kernels"]
    assert kernel["name"] == "good"
    assert kernel["engine"]
    assert [(a["name"], a["kind"], a["type_name"]) for a in kernel["arguments"]] == [
        ("out", "buffer", "float"),
        ("x", "buffer", "float"),
        ("i", "builtin", "uint"),
    ]
    code, out, _ = command(capsys, "check", kernels, "--device", device)
    assert code == 0
    assert "good(device float* out [[buffer(0)]], constant float& x [[buffer(1)]]" in out
    assert out.endswith(f"2 files, 3 kernels on {device}: all accepted\n")


def test_one_wrong_file_fails_the_command_and_the_others_are_still_checked(kernels, device, capsys):
    (kernels / "bad.metal").write_text(GOOD.replace("= x", "= y"))
    (kernels / "good.metal").write_text(GOOD)
    code, out, _ = command(capsys, "check", kernels, "--device", device, "--json")
    result = json.loads(out)
    assert code == 1
    assert result["ok"] is False
    bad, good = result["files"]
    assert good["ok"] is True
    assert bad["ok"] is False
    (diagnostic,) = (d for d in bad["diagnostics"] if d["severity"] == "error")
    assert (diagnostic["line"], diagnostic["column"]) == (6, 14)
    code, out, _ = command(capsys, "check", kernels, "--device", device)
    assert code == 1
    assert "bad.metal:6:14: error:" in out
    assert "1 failed" in out


def test_what_is_not_there_fails_the_command(kernels, device, capsys):
    for path, words in ((kernels, "no .metal files in"), (kernels / "x.metal", "there is no file")):
        code, out, err = command(capsys, "check", path, "--device", device)
        assert (code, out) == (1, "")
        assert words in err
    with pytest.raises(SystemExit) as caught:
        cli.main(["check"])
    assert caught.value.code == 2


def test_a_kernel_the_engine_refuses_is_a_failure(kernels):
    (kernels / "good.metal").write_text(GOOD)
    (kernels / "bad.metal").write_text("kernel void bad(")
    device = FakeDevice(Function("good", "good"), Function("bad", "bad"))
    device.refused.add("bad")
    result = check.check_paths([kernels], device)
    assert not result.ok
    assert [file.ok for file in result.files] == [False, True]
    assert "bad(): FAILED\n    bad is beyond this device" in str(result)


def test_needed_constants_are_made_up_and_said(kernels):
    (kernels / "good.metal").write_text("kernel void good(")
    constants = (
        FunctionConstant("on", 0, "bool"),
        FunctionConstant("size", 1, "uint2"),
        FunctionConstant("other", 2, "int", required=False),
    )
    function = Function("good", "good", (buffer("device float* out", 0),), constants)
    result = check.check_paths([kernels / "good.metal"], FakeDevice(function))
    assert result.ok
    assert "compiled with on = True, size = (1, 1)" in str(result)


def test_the_cache_command_shows_and_clears(cache_dir, capsys):
    from pymetal.cache import digest, fetch

    shutil.rmtree(cache_dir, ignore_errors=True)  # without the precompiled headers
    fetch(digest("a"), lambda: b"data")
    code, out, _ = command(capsys, "cache", "--json")
    assert code == 0
    info = json.loads(out)
    assert info["folder"] == str(cache_dir)
    assert info["entries"] == 1
    assert command(capsys, "cache")[1].startswith(f"{cache_dir}\n1 entries")
    assert command(capsys, "cache", "clear")[1] == f"removed 1 entries of {cache_dir}\n"
    assert json.loads(command(capsys, "cache", "info", "--json")[1])["entries"] == 0


PORTABLE = """#include <metal_stdlib>
using namespace metal;
kernel void plain(device float* x, uint i [[thread_position_in_grid]]) { x[i] = 1; }
"""
NEEDS = {
    "x[i] = quad_sum(x[i]);": ("apple4", "quad-scoped operations", True),
    "x[i] = simd_shuffle_xor(x[i], 1);": ("apple6", "simdgroup shuffles and votes", True),
    "x[i] = bfloat(x[i]) + 1;": ("apple6", "bfloat", True),
    "x[i] = simd_sum(x[i]);": ("apple7", "simdgroup reductions", True),
    "simdgroup_float8x8 m; simdgroup_load(m, x); simdgroup_store(m, x);": (
        "apple7",
        "simdgroup matrices",
        False,
    ),
    "atomic_fetch_add_explicit((device atomic_float*)x, 1.0f, memory_order_relaxed);": (
        "apple7",
        "floating-point atomics",
        True,
    ),
    "x[i] = simd_shuffle_and_fill_up(x[i], 0.0f, 1);": ("apple8", "simd_shuffle_and_fill", False),
    "atomic_max_explicit((device atomic_ulong*)x, 1ul, memory_order_relaxed);": (
        "apple9",
        "64-bit atomics",
        False,
    ),
    "threadgroup float t[5000]; t[i] = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup);"
    " x[i] = t[4999 - i];": ("apple4", "20000 bytes of threadgroup memory", True),
}


@pytest.mark.parametrize("body", NEEDS)
def test_what_a_target_lacks_fails_the_command(tmp_path, device, capsys, body):
    only_on_the_software_device(device)
    since, what, mac2 = NEEDS[body]
    path = tmp_path / "k.metal"
    path.write_text(PORTABLE + PORTABLE.splitlines()[-1].replace("plain", "k").replace(
        "x[i] = 1;", body))  # fmt: skip
    before = f"apple{int(since.removeprefix('apple')) - 1}"
    code, out, _ = command(capsys, "check", path, "--target", f"{before},{since},mac2", "--json")
    plain, needy = json.loads(out)["files"][0]["kernels"]
    assert plain["lacking"] == []
    assert [line for line in needy["lacking"] if line.startswith(f"{since}:")] == []
    assert [line for line in needy["lacking"] if line.startswith("mac2:")] == [] or not mac2
    assert code == 1
    (line,) = [line for line in needy["lacking"] if line.startswith(f"{before}:")]
    assert what in line
    code, out, _ = command(capsys, "check", path, "--target", since)
    assert code == 0


def test_an_unknown_target_is_an_error_that_lists_those_there_are(tmp_path, device, capsys):
    path = tmp_path / "k.metal"
    path.write_text(PORTABLE)
    code, _, err = command(capsys, "check", path, "--target", "apple7,m1", "--device", device)
    assert code != 0
    assert "no GPU family 'm1'" in err
    assert "apple10" in err


def test_headers_and_macros_reach_the_check(tmp_path, device, capsys):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "value.h").write_text("#define VALUE GIVEN\n")
    path = tmp_path / "k.metal"
    path.write_text("#include <value.h>\n" + PORTABLE.replace("= 1", "= VALUE"))
    code, _, _ = command(capsys, "check", path, "--device", device)
    assert code == 1
    given = ("-I", tmp_path / "deep", "-D", "GIVEN=3")
    code, out, _ = command(capsys, "check", path, "--device", device, *given)
    assert code == 0, out
