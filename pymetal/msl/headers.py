"""The standard headers, precompiled: parsing them for each source would cost a second.

One file per compiler, flags and state of the headers, in the cache folder; in a folder of this
process where that cannot be written. Any number of processes may share it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from pymetal.cache import default_folder, digest
from pymetal.errors import ToolchainError
from pymetal.msl.clang import Clang
from pymetal.msl.options import INCLUDE

_HEADER = INCLUDE / "pymetal_stdlib.h"
_UNUSED_SECONDS = 14 * 86400.0
_USED_SECONDS = 86400.0
_lock = threading.Lock()


def precompiled(clang: Clang, flags: list[str]) -> Path:
    """The precompiled headers for these flags, compiled now if there are none."""
    name = digest(clang.identity(), flags, _state())[:32] + ".pch"
    for folder in (default_folder() / "headers", _own_folder):
        path = (folder() if callable(folder) else folder) / name
        with suppress(OSError):
            if _is_there(path):
                return path
    with _lock:  # threads of one process wait for the first; processes may do it twice
        try:
            return _compile(clang, flags, default_folder() / "headers", name)
        except OSError:
            return _compile(clang, flags, _own_folder(), name)


def discard(path: Path) -> None:
    """Remove precompiled headers that turned out damaged."""
    with suppress(OSError):
        path.unlink()


def _is_there(path: Path) -> bool:
    if not path.is_file():
        return False
    if time.time() - path.stat().st_mtime > _USED_SECONDS:
        with suppress(OSError):
            os.utime(path)
    return True


def _compile(clang: Clang, flags: list[str], folder: Path, name: str) -> Path:
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    if _is_there(path):
        return path
    handle, temporary = tempfile.mkstemp(suffix=".part", dir=folder)
    os.close(handle)
    try:
        done = clang.run([*flags, "-x", "c++-header", str(_HEADER), "-o", temporary])
        if done.returncode != 0:
            raise ToolchainError(
                f"{clang.version()} cannot compile PyMetal's headers:\n{done.stderr[-3000:]}"
            )
        os.replace(temporary, path)
    finally:
        discard(Path(temporary))
    _evict(folder, path)
    return path


def _evict(folder: Path, keep: Path) -> None:
    """Remove what nobody has used for two weeks: older headers, other compilers."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path != keep and time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
                path.unlink()


@cache
def _own_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pymetal-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _state() -> list[tuple[str, int, int]]:
    """Each header's path, size and time: clang refuses precompiled headers whose parts changed."""
    states = ((path, path.stat()) for path in sorted(INCLUDE.rglob("*.h")))
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]
