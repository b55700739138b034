"""How long a launch may take."""

from __future__ import annotations

import math
import os

from pymetal.errors import ArgumentError, DeviceError


def seconds(timeout: float | None) -> float | None:
    """`timeout`, else `PYMETAL_TIMEOUT`, in seconds; None for as long as it takes."""
    if timeout is not None:
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise ArgumentError(
                f"timeout is {type(timeout).__name__}, not a number of seconds", argument="timeout"
            )
        if math.isnan(timeout) or timeout <= 0:
            raise ArgumentError(f"timeout is {timeout}; it must be positive", argument="timeout")
        return float(timeout)
    text = os.environ.get("PYMETAL_TIMEOUT")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise DeviceError(f"PYMETAL_TIMEOUT is {text!r}; give a positive number of seconds")
    return value
