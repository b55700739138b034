"""Metal's own shader validation: checks that Metal compiles into kernels, on the GPU.

It is asked for by an environment variable, which counts when the process makes its first Metal
device and never again (`man MetalValidation`). To list the GPUs makes one, too.
"""

from __future__ import annotations

import os
from functools import cache

from pymetal.devices import Device, device
from pymetal.errors import DeviceError

VARIABLE = "MTL_SHADER_VALIDATION"
# Metal tells of what it finds here, and not by an error.
REPORTS = "MTL_SHADER_VALIDATION_REPORT_TO_STDERR"


def settle() -> None:
    """To be called before Metal is first asked for a device, which settles it for the process."""
    is_on()


@cache
def is_on() -> bool:
    """Whether Metal validates: fixed by the first call, which is to be before any device."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def validating_device(name: str | Device | None) -> Device:
    """As `pymetal.device`, with shader validation turned on if this process still can.

    Raises
    ------
    DeviceError
        It cannot; says what to set. Or the device is not Metal's.
    """
    before = {key: os.environ.get(key) for key in (VARIABLE, REPORTS)}
    if before[VARIABLE] in (None, "", "0"):
        os.environ[VARIABLE] = "1"
    os.environ.setdefault(REPORTS, "1")
    chosen = device(name)
    if chosen.name != "metal" or not is_on():
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
    require(chosen)
    return chosen


def require(chosen: Device) -> None:
    """Raise DeviceError if what runs on the device is not validated."""
    if chosen.name != "metal":
        raise DeviceError(
            f"validate=True turns on Metal's shader validation, which device '{chosen.name}' does "
            "not have: pass check=True, which finds more",
            device=chosen.name,
        )
    if not is_on():
        raise DeviceError(
            f"this process uses Metal already, without shader validation: set {VARIABLE}=1 (and "
            f"{REPORTS}=1) before Python starts, or pass validate=True to the first "
            "run_metal_kernel",
            device="metal",
        )
