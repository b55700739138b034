"""GPU captures: what the GPU did, as a document that Xcode opens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymetal.devices import Device
from pymetal.devices import device as pick_device
from pymetal.errors import DeviceError


@contextmanager
def capture(
    path: str | os.PathLike[str] | None = None, *, device: str | Device | None = None
) -> Iterator[Path]:
    """Record every launch inside the `with` into a `.gputrace` document; gives its path.

    Parameters
    ----------
    path
        Where to, which must not exist yet. None: a new folder among the temporary files.

    Raises
    ------
    DeviceError
        The device is not Metal's, or Metal does not allow it: it needs `MTL_CAPTURE_ENABLED=1`
        before Python starts.
    """
    chosen = pick_device(device)
    if chosen.name != "metal":
        raise DeviceError(
            f"device {chosen.name!r} has no GPU to capture; use device='metal' on a Mac",
            device=chosen.name,
        )
    with chosen.capture(path) as document:  # type: ignore[attr-defined]
        yield document
