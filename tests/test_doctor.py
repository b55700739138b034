"""`pymetal doctor` and `pymetal info` say what works, what is missing and what mends it."""

import json

import pytest
from typer.testing import CliRunner

import pymetal
from pymetal import doctor
from pymetal.cli import app


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_a_healthy_machine_passes():
    done = run("doctor")
    assert done.exit_code == 0, done.output
    assert "a kernel compiles and runs right" in done.output
    assert done.output.endswith("All that is needed works.\n")


def test_findings_are_there_for_machines():
    done = run("doctor", "--json")
    facts = json.loads(done.output)
    assert facts["ok"]
    states = {f["subject"]: f["state"] for f in facts["findings"]}
    for name in pymetal.device_names():
        assert states[f"device {name}"] == "works"


def test_a_missing_clang_is_named_with_its_remedy(monkeypatch):
    if "metal" in pymetal.device_names():
        pytest.skip("with a GPU, clang is an extra")
    monkeypatch.setenv("PYMETAL_CLANG", "/no/such/clang")
    done = run("doctor")
    assert done.exit_code == 1
    assert "-> pip install ziglang" in done.output
    assert "To be mended: clang." in done.output


def test_a_cache_that_cannot_be_written_is_a_note(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PYMETAL_CACHE_DIR", str(tmp_path / "file" / "cache"))
    finding = next(f for f in doctor.examine() if f.subject == "cache")
    assert finding.state == "note"
    assert "PYMETAL_CACHE_DIR" in finding.remedy


def test_info_tells_each_device_and_its_limits():
    facts = json.loads(run("info", "--json").output)
    devices = {device["name"]: device for device in facts["devices"]}
    assert set(devices) == set(pymetal.device_names())
    assert devices["cpu"]["workers"] >= 1
    assert "LLVM" in devices["cpu"]["llvm"]
    assert all(device["threads_per_simdgroup"] == 32 for device in devices.values())
