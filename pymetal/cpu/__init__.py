"""The software Metal device: Metal kernels on this processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymetal.cpu.device import CpuDevice


def is_present() -> bool:
    """The software device is everywhere."""
    return True


def open_device() -> CpuDevice:
    """Called once, by `pymetal.device`."""
    from pymetal.cpu import device

    return device.open_device()
