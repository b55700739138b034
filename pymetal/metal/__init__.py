"""The metal device: Apple's GPU through metal-cpp, compiled by Apple's own compiler.

`native/metal` talks to Metal; here its reflection, diagnostics and errors become the shared types,
so that everything above a device is the same on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymetal import _native

if TYPE_CHECKING:
    from pymetal.metal.device import MetalDevice


def is_present() -> bool:
    """Whether this build has Metal and Metal lists a GPU."""
    from pymetal.metal import validation

    validation.settle()
    present: bool = _native.metal_is_present()
    return present


def open_device() -> MetalDevice:
    """The system's GPU. Raises `DeviceError`."""
    from pymetal.metal import device, validation

    validation.settle()
    return device.open_device()
