"""What depends on the macOS and the machine: languages, virtual GPUs, logging, capture."""

import logging
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest
from metal_control import FOR_EVER
from metal_scale import SCALE, X, check_works

import pymetal
from pymetal import DeviceError, UnsupportedError


@pytest.mark.parametrize("macos", [14, 15, 26])
def test_each_macos_is_asked_only_for_what_it_has(double, macos):
    # The double ends the process on a selector or a language that came later.
    from pymetal.metal.device import open_device

    double.set_macos(macos)
    device = open_device()
    for math_mode in ("safe", "relaxed", "fast"):
        check_works(pymetal.compile(SCALE, math_mode=math_mode, device=device)["scale"])
    assert device.info.os_version[0] == macos


def test_a_language_newer_than_macos_knows_is_refused(double):
    from pymetal.metal.device import open_device

    double.set_macos(14)
    with pytest.raises(UnsupportedError, match=r"Metal 3\.2 is newer than this macOS knows \(3\.1"):
        pymetal.compile(SCALE, language_version=(3, 2), device=open_device())


def test_kernels_of_the_metal_4_language_go_through_its_compiler(double):
    from pymetal.metal.device import open_device

    source = "// needs <metal_tensor>\n" + SCALE
    for macos in (15, 26):
        double.set_macos(macos)
        check_works(pymetal.compile(source, device=open_device())["scale"])


def test_a_virtual_gpu_is_reported(double):
    from pymetal.metal.device import open_device

    double.fault("paravirtual", times=FOR_EVER)
    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    assert any("virtual machine" in note for note in scale.report.notes)


def test_a_virtual_gpu_gets_copies_only(double):
    # There a buffer over a program's own memory has no length, and the double ends its use.
    from pymetal.metal.device import open_device

    double.fault("paravirtual", times=FOR_EVER)
    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    own, out = pymetal.empty(16384), pymetal.empty(16384)
    own[:] = np.arange(own.size)
    for _ in range(2):
        scale(out, own, 2.0, grid=own.size, threadgroup=64)
        np.testing.assert_array_equal(out, own * 2)


@pytest.mark.parametrize("make", ["pymetal's array", "foreign pages"])
def test_memory_that_metal_refuses_is_copied(double, make):
    from pymetal.metal.device import open_device

    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    own = np.frombuffer(mmap.mmap(-1, 1 << 16), np.float32)
    if make == "pymetal's array":
        own = pymetal.empty(16384)
    own[:] = np.arange(own.size)
    double.fault("no pages", times=FOR_EVER)
    out = scale(pymetal.output(own.size), own, 2.0, grid=own.size, threadgroup=64)
    np.testing.assert_array_equal(out, own * 2)
    double.reset()
    out = scale(pymetal.output(own.size), own, 2.0, grid=own.size, threadgroup=64)
    np.testing.assert_array_equal(out, own * 2)


def test_macos_26_is_known_by_the_number_that_old_programs_are_told(double):
    # As on a Python made with an older SDK: python/cpython#135675.
    from pymetal.metal.device import open_device

    double.fault("old SDK", times=FOR_EVER)
    device = open_device()
    assert device.info.os_version[0] == 26
    check_works(pymetal.compile(SCALE, language_version=(4, 0), device=device)["scale"])


def test_what_kernels_log_reaches_logging(double, caplog):
    from pymetal.metal.device import open_device

    scale = pymetal.compile(SCALE, enable_logging=True, device=open_device())["scale"]
    double.fault("log", 4, "element 7 is not finite")
    with caplog.at_level(logging.DEBUG, "pymetal.kernel"):
        check_works(scale)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "element 7 is not finite")
    assert record.subsystem == "com.example.kernels"
    check_works(scale)
    assert len(caplog.records) == 1


def test_a_message_that_comes_late_is_delivered_by_the_exit(double, tmp_path):
    code = f"""
import logging, numpy as np, pymetal
from metal_control import Double
logging.basicConfig(format="%(levelname)s %(message)s")
source = {SCALE!r}
x = np.ones(2000, np.float32)
scale = pymetal.compile(source, enable_logging=True, device="metal")["scale"]
plain = pymetal.compile(source, device="metal")["scale"]
double = Double()
double.fault("log", 4, "element 7 is not finite")
double.fault("late log")
scale(pymetal.output(2000), x, 2.0, grid=2000, threadgroup=64)
plain(pymetal.output(2000), x, 2.0, grid=2000, threadgroup=64)  # the message is there by now
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ERROR element 7 is not finite") == 1


def test_logging_before_macos_15_is_refused(double):
    from pymetal.metal.device import open_device

    double.set_macos(14)
    with pytest.raises(UnsupportedError, match="from macOS 15 on; this is macOS 14"):
        pymetal.compile(SCALE, enable_logging=True, device=open_device())


def test_capture_writes_a_new_document_and_says_what_it_needs(
    double, gpu, scale, tmp_path, monkeypatch
):
    monkeypatch.delenv("MTL_CAPTURE_ENABLED", raising=False)
    with pytest.raises(DeviceError, match="MTL_CAPTURE_ENABLED=1"), pymetal.capture(device=gpu):
        pass
    monkeypatch.setenv("MTL_CAPTURE_ENABLED", "1")
    with pymetal.capture(device=gpu) as first:
        check_works(scale)
        with pytest.raises(DeviceError, match="running already"), pymetal.capture(device=gpu):
            pass
    with pymetal.capture(device=gpu) as second:
        check_works(scale)
    assert first != second
    assert first.suffix == ".gputrace"
    assert first.exists()
    with pytest.raises(DeviceError, match="needs a new path"), pymetal.capture(first, device=gpu):
        pass
    double.fault("capture", 1, "Capturing is not supported.")
    with (
        pytest.raises(DeviceError, match=r"not supported.*MTLCaptureError 1"),
        pymetal.capture(device=gpu),
    ):
        pass


def test_only_a_gpu_can_be_captured(double):
    with pytest.raises(DeviceError, match="no GPU to capture"), pymetal.capture(device="cpu"):
        pass


def test_profile_captures_one_call_and_logs_where(double, tmp_path, monkeypatch, caplog):
    path = tmp_path / "scale.metal"
    path.write_text(SCALE)
    call = (str(path), [X, 2.0], X.size, X.size, 64)
    monkeypatch.setenv("MTL_CAPTURE_ENABLED", "1")
    out = pymetal.run_metal_kernel(*call, device="metal", profile=True)
    np.testing.assert_array_equal(out, X * 2)
    (record,) = caplog.records
    assert record.getMessage().endswith(".gputrace")
    monkeypatch.delenv("MTL_CAPTURE_ENABLED")
    with pytest.raises(DeviceError, match="MTL_CAPTURE_ENABLED=1"):
        pymetal.run_metal_kernel(*call, device="metal", profile=True)
    with pytest.raises(DeviceError, match="no GPU to capture"):
        pymetal.run_metal_kernel(*call, device="cpu", profile=True)
