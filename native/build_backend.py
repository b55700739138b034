"""meson-python, changed in three points.

1. One wheel serves CPython 3.12 and later, older versions get one each: nanobind needs 3.12 for the
   stable ABI, and meson-python's `limited-api` has to be switched off from outside for an older
   (or free-threaded) interpreter.
2. An editable install does not rebuild on import: pip's isolated build environment, with nanobind
   and ninja in it, is gone by then. After changing native/, run `pip install -e .` again.
3. An sdist carries Apple's metal-cpp headers wherever it is made: they are fetched first, unless
   `-Csetup-args=-Dmetal_cpp_dir=FOLDER` names them.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from typing import Any

import mesonpy

get_requires_for_build_sdist = mesonpy.get_requires_for_build_sdist
get_requires_for_build_wheel = mesonpy.get_requires_for_build_wheel
get_requires_for_build_editable = mesonpy.get_requires_for_build_editable


def _setup_args(settings: dict[str, Any]) -> list[str]:
    given = settings.get("setup-args", [])
    return [given] if isinstance(given, str) else list(given)


def _settings(config_settings: dict[str, Any] | None) -> dict[str, Any]:
    settings = dict(config_settings or {})
    if sys.version_info < (3, 12) or sysconfig.get_config_var("Py_GIL_DISABLED"):
        settings["setup-args"] = [*_setup_args(settings), "-Dpython.allow_limited_api=false"]
    return settings


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """PEP 517 hook. Without the headers, and a warning of Meson's, if they cannot be fetched."""
    if not any(a.startswith("-Dmetal_cpp_dir=") for a in _setup_args(config_settings or {})):
        fetch = ["-m", "mesonbuild.mesonmain", "subprojects", "download", "metal-cpp"]
        subprocess.run([sys.executable, *fetch], check=False)
    return mesonpy.build_sdist(sdist_directory, config_settings)


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 517 hook."""
    return mesonpy.build_wheel(wheel_directory, _settings(config_settings), metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 660 hook."""
    builder = mesonpy._EditableWheelBuilder
    build = builder.build

    def build_without_command(self, directory, source_dir, build_dir, command, verbose=False):  # type: ignore
        return build(self, directory, source_dir, build_dir, ["true"], verbose)

    builder.build = build_without_command
    try:
        return mesonpy.build_editable(
            wheel_directory, _settings(config_settings), metadata_directory
        )
    finally:
        builder.build = build
