"""Every fault of Metal is a typed error with its own words, and the next launch works."""

import logging
import mmap
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from metal_control import FOR_EVER, Double

import pymetal
from pymetal import (
    ArgumentError,
    CompileError,
    DeviceError,
    KernelFault,
    LaunchError,
    UnsupportedError,
)

SCALE = """
kernel void scale(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                  constant float& by [[buffer(2)]], uint gid [[thread_position_in_grid]]) {
    out[gid] = x[gid] * by;
}
"""
X = np.arange(2000, dtype=np.float32)  # 8000 bytes: a buffer, not setBytes


@pytest.fixture
def double():
    double = Double()
    double.reset()
    yield double
    double.reset()


@pytest.fixture
def gpu(double):
    return pymetal.device("metal")


@pytest.fixture
def scale(gpu):
    return pymetal.compile(SCALE, device=gpu)["scale"]


def launch(kernel):
    return kernel(pymetal.output(X.size), X, 2.0, grid=X.size, threadgroup=64)


def check_works(kernel):
    np.testing.assert_array_equal(launch(kernel), X * 2)


@pytest.mark.parametrize(
    ("code", "error", "meaning"),
    [
        (1, KernelFault, "internal error"),
        (2, KernelFault, "smaller launches"),
        (3, KernelFault, "outside its buffers"),
        (4, DeviceError, "start Python anew"),
        (7, DeviceError, "may not use the GPU"),
        (8, DeviceError, "out of memory"),
        (9, KernelFault, "a resource that is gone"),
        (11, DeviceError, "was removed"),
        (12, KernelFault, "too deep"),
        (99, KernelFault, "did not finish"),
    ],
)
def test_a_command_buffer_error_has_metals_code_and_text(double, scale, code, error, meaning):
    double.fault("command buffer", code, "Caused GPU Trouble (0000000e)")
    with pytest.raises(error) as caught:
        launch(scale)
    fault = caught.value
    assert fault.message.startswith("scale: ")
    assert meaning in fault.message
    assert (fault.domain, fault.code) == ("MTLCommandBufferErrorDomain", code)
    assert fault.text == "Caused GPU Trouble (0000000e)"
    check_works(scale)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("no buffer", DeviceError, "no buffer of 8000 bytes"),
        ("no command buffer", DeviceError, "^scale: Metal made no command buffer"),
        ("no encoder", DeviceError, "^scale: Metal made no command encoder"),
    ],
)
def test_nil_from_metal_is_an_error(double, fault, error, words):
    # A device of its own, so that its pool has no buffer yet.
    from pymetal.metal.device import open_device

    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    double.fault(fault)
    with pytest.raises(error, match=words):
        launch(scale)
    check_works(scale)


@pytest.mark.parametrize("fault", ["no device", "no queue"])
def test_no_gpu_and_no_queue_are_device_errors(double, fault):
    from pymetal.metal import is_present
    from pymetal.metal.device import open_device

    double.fault(fault, times=FOR_EVER)
    assert is_present() == (fault == "no queue")
    with pytest.raises(DeviceError, match="no GPU" if fault == "no device" else "command queue"):
        open_device()
    double.reset()
    assert open_device().info.name == "Metal double"


def test_a_gpu_that_is_not_the_default_is_found(double):
    from pymetal.metal.device import open_device

    double.fault("no default device", times=FOR_EVER)
    check_works(pymetal.compile(SCALE, device=open_device())["scale"])


def test_apples_diagnostics_become_a_compile_error(double, gpu, tmp_path):
    path = tmp_path / "wrong.metal"
    path.write_text(SCALE)
    double.fault(
        "compile",
        3,
        "program_source:2:14: error: unknown type name 'devise'; did you mean 'device'?\n"
        "kernel void scale(devise float* out\n"
        "             ^~~~~~\n"
        "             device\n"
        "program_source:4:5: warning: unused variable 'y'\n"
        "    int y;\n"
        "        ^\n"
        "/System/metal_stdlib:7:1: note: declared here\n",
    )
    with pytest.raises(CompileError, match=r"wrong\.metal: 1 error\n") as caught:
        pymetal.compile(path, device=gpu)
    error, warning, note = caught.value.diagnostics
    assert (error.severity, error.file, error.line, error.column) == ("error", str(path), 2, 14)
    assert error.message == "unknown type name 'devise'; did you mean 'device'?"
    assert error.source_line == "kernel void scale(devise float* out"
    assert (warning.severity, warning.line) == ("warning", 4)
    assert (note.file, note.line, note.source_line) == ("/System/metal_stdlib", 7, "")
    assert (caught.value.domain, caught.value.code) == ("MTLLibraryErrorDomain", 3)
    pymetal.compile(path, device=gpu)


def test_a_compiler_that_fails_without_diagnostics_is_quoted(double, gpu):
    double.fault("compile", 2, "Compiler encountered XPC_ERROR_CONNECTION_INVALID")
    with pytest.raises(CompileError, match=r"XPC_ERROR.*MTLLibraryErrorDomain 2"):
        pymetal.compile(SCALE, device=gpu)


def test_a_pipeline_that_cannot_be_made_names_the_kernel(double, gpu):
    library = pymetal.compile(SCALE, device=gpu)
    double.fault("pipeline", 2, "Compiler encountered an internal error")
    with pytest.raises(CompileError, match=r"scale: no pipeline.*internal error.*Domain 2"):
        library.kernel("scale")
    check_works(library["scale"])


def test_a_launch_that_never_ends_times_out_and_keeps_its_arrays(double):
    from pymetal.metal.device import open_device

    mine = open_device()
    scale = pymetal.compile(SCALE, device=mine)["scale"]
    double.fault("never completes")
    with pytest.raises(KernelFault, match=r"scale: .*within 0\.05 s.*more time"):
        scale(pymetal.output(X.size), X, 2.0, grid=X.size, threadgroup=64, timeout=0.05)
    assert mine._native.unfinished_launches() == 1
    check_works(scale)
    assert len(mine._in_use) == 1  # the GPU may still write its arrays
    double.finish_stuck()
    assert mine._native.unfinished_launches() == 0
    check_works(scale)
    assert not mine._in_use


def test_launches_that_hang_do_not_use_up_the_queue(double):
    # Metal would block, without a timeout, on the 65th command buffer of a queue.
    from pymetal.metal.device import open_device

    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    double.fault("never completes", times=FOR_EVER)
    for _ in range(32):
        with pytest.raises(KernelFault, match="did not finish"):
            scale(pymetal.output(X.size), X, 2.0, grid=X.size, threadgroup=64, timeout=0.001)
    double.fault("")
    with pytest.raises(DeviceError, match="32 launches that timed out still run"):
        launch(scale)
    double.finish_stuck()
    check_works(scale)


def test_pipeline_and_device_limits_refuse_before_anything_is_encoded(double):
    from pymetal.metal.device import open_device

    double.fault("max threads", 832)
    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    with pytest.raises(LaunchError, match=r"is 1024 threads; pipeline 'scale' allows 832. Try"):
        scale(pymetal.output(4), X, 2.0, grid=4, threadgroup=1024)
    double.fault("max buffer length", 4096, times=FOR_EVER)
    small = pymetal.compile(SCALE, device=open_device())["scale"]
    with pytest.raises(ArgumentError, match="device allows 4096 a buffer"):
        small(pymetal.output(4), X, 2.0, grid=4, threadgroup=4)


def test_without_non_uniform_threadgroups_a_multiple_runs_and_the_rest_is_refused(double):
    from pymetal.metal.device import open_device

    double.fault("uniform only", times=FOR_EVER)
    scale = pymetal.compile(SCALE, device=open_device())["scale"]
    out = scale(pymetal.output(2000), X, 2.0, grid=2000, threadgroup=50)
    np.testing.assert_array_equal(out, X * 2)
    with pytest.raises(LaunchError, match="multiple of the threadgroup"):
        scale(pymetal.output(2000), X, 2.0, grid=2000, threadgroup=64)


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


@pytest.mark.parametrize(
    "parameters",
    ["constant Pair& both", "device float* const device* both", "constant Outer& both"],
)
def test_arrays_inside_structs_are_refused_by_name(double, gpu, parameters):
    source = f"""
    struct Pair {{ device float* out; uint n; }};
    struct Outer {{ uint n; Pair pair; }};
    kernel void inner({parameters}, device float* out) {{ out[0] = 1; }}
    """
    with pytest.raises(UnsupportedError, match=r"argument 'both' holds pointers.*device='cpu'"):
        pymetal.compile(source, device=gpu).kernel("inner")


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


def test_faults_while_other_threads_launch_stay_with_their_launch(double, scale):
    faults = []

    def work():
        for _ in range(50):
            try:
                check_works(scale)
            except KernelFault as fault:
                faults.append(fault)

    double.fault("command buffer", 2, "Timed out", times=5)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults) == 5
    check_works(scale)


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
