"""The double of Metal from a test's side: its control functions, and its programs."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import pytest

FOR_EVER = -1


def load_double() -> Any:
    """control.h of the double that this process runs on; skips the test where there is none."""
    from pymetal import _native  # loads it

    del _native
    try:
        library = ctypes.CDLL("libmetal_double.so", mode=os.RTLD_NOLOAD)
    except OSError:
        pytest.skip("the native module is not built against the double of Metal (see .ci/metal)")
    library.metal_double_messages.restype = ctypes.c_uint64
    library.metal_double_command_buffers.restype = ctypes.c_uint64
    library.metal_double_live_objects.restype = ctypes.c_size_t
    library.metal_double_live_objects.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


def program(name: str) -> Path:
    """A program of tests/metal_double/programs."""
    folder = os.environ.get("METAL_DOUBLE_PROGRAMS")
    if not folder:
        pytest.skip("METAL_DOUBLE_PROGRAMS does not name the double's programs (see .ci/metal)")
    return Path(folder) / name


class Double:
    """Faults and counts of the double."""

    def __init__(self) -> None:
        self._library = load_double()

    def fault(self, name: str, code: int = 0, text: str = "", times: int = 1) -> None:
        """Arm one of the faults that faults.hpp lists."""
        self._library.metal_double_fault(
            name.encode(), ctypes.c_long(code), text.encode(), ctypes.c_int(times)
        )

    def set_macos(self, major: int) -> None:
        self._library.metal_double_set_os(major)

    def finish_stuck(self) -> None:
        """Complete what the fault "never completes" holds back."""
        self._library.metal_double_finish_stuck()

    def reset(self) -> None:
        self.fault("")
        self.set_macos(26)
        self.finish_stuck()

    def messages(self) -> int:
        """How many messages this thread has sent."""
        return int(self._library.metal_double_messages())

    def command_buffers(self) -> int:
        """How many command buffers were committed."""
        return int(self._library.metal_double_command_buffers())

    def living(self) -> list[str]:
        """Every living object, as soon as the queue's thread has let go of its own."""
        lines = self._living()
        for _ in range(50):
            time.sleep(0.01)
            before, lines = lines, self._living()
            if lines == before:
                break
        return lines

    def _living(self) -> list[str]:
        text = ctypes.create_string_buffer(1 << 20)
        self._library.metal_double_live_objects(text, len(text))
        return sorted(text.value.decode().splitlines())
