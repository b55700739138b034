"""`validate=True` and `check=True`: which device can, and what is said where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from fake_device import FakeDevice, buffer
from metal_control import load_double

import pymetal
from pymetal.air.function import Function
from pymetal.errors import DeviceError, KernelFault

SHIFTED = """#include <metal_stdlib>
using namespace metal;
kernel void shifted(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {
    out[i] = x[i + 1];
}
"""
X = np.arange(8, dtype=np.float32)


def child(tmp_path, program: str, **environment: str) -> str:
    """What a new process prints, on a Mac or the double of Metal; it has a kernel file."""
    if sys.platform != "darwin":
        load_double()
    (tmp_path / "shifted.metal").write_text(SHIFTED)
    keep = {k: v for k, v in os.environ.items() if not k.startswith("MTL_")}
    path = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=keep | path | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


RUN = """
import os, numpy as np, pymetal
def run(**options):
    return pymetal.run_metal_kernel(
        "./shifted.metal", [np.arange(9, dtype=np.float32)], (8,), 8, 8, device="metal", **options)
def on(): return os.environ.get("MTL_SHADER_VALIDATION")
"""


def test_the_first_launch_of_a_process_turns_validation_on(tmp_path):
    program = RUN + "print(on(), run(validate=True).sum(), on())"
    assert child(tmp_path, program) == "None 36.0 1\n"


def test_a_kernel_of_a_process_that_validates_may_insist_on_it(tmp_path):
    program = RUN + (
        "k = pymetal.compile('shifted.metal', device='metal')['shifted']\n"
        "x = np.arange(9, dtype=np.float32)\n"
        "print(k(pymetal.output(8), x, grid=8, threadgroup=8, validate=True).sum())"
    )
    assert child(tmp_path, program, MTL_SHADER_VALIDATION="1") == "36.0\n"


@pytest.mark.parametrize("first", ["run()", "pymetal.device('metal')"])
def test_once_metal_is_in_use_it_says_what_to_set(tmp_path, first):
    program = RUN + (
        f"{first}\ntry: run(validate=True)\nexcept pymetal.DeviceError as error: print(on(), error)"
    )
    said = child(tmp_path, program)
    assert said.startswith("None ")
    assert "set MTL_SHADER_VALIDATION=1" in said
    assert "before Python starts" in said


def test_the_software_device_points_to_its_own_checks(tmp_path):
    path = tmp_path / "shifted.metal"
    path.write_text(SHIFTED)
    before = dict(os.environ)
    with pytest.raises(DeviceError, match="'cpu' does not have: pass check=True"):
        pymetal.run_metal_kernel(str(path), [X], (8,), 8, 8, device="cpu", validate=True)
    kernel = pymetal.compile(SHIFTED, device="cpu")["shifted"]
    with pytest.raises(DeviceError, match="'cpu' does not have: pass check=True"):
        kernel(pymetal.output(8), X, grid=8, threadgroup=8, validate=True)
    assert dict(os.environ) == before


def test_checks_of_a_kernel_elsewhere_run_on_the_software_device_and_say_so():
    arguments = (buffer("device float* out", 0), buffer("device const float* x", 1))
    device = FakeDevice(Function("shifted", "shifted", arguments))
    kernel = pymetal.compile(SHIFTED, device=device)["shifted"]
    for _ in range(2):
        with (
            pytest.warns(UserWarning, match="shifted: checks run on the software device, not on f"),
            pytest.raises(KernelFault, match="read of element 8 of buffer"),
        ):
            kernel(pymetal.output(8), X, grid=8, threadgroup=8, check=True)
    assert device.launches == []
