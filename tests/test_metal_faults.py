"""Every fault of Metal is a typed error with its own words, and the next launch works."""

import threading

import numpy as np
import pytest
from metal_control import FOR_EVER
from metal_scale import SCALE, X, check_works, launch

import pymetal
from pymetal import (
    ArgumentError,
    CompileError,
    DeviceError,
    KernelFault,
    LaunchError,
    UnsupportedError,
)


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
