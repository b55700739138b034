"""`pymetal info`: versions, devices and their limits."""

from __future__ import annotations

from typing import Any

from pymetal.cli import options, screen


def info(as_json: options.Json = False) -> None:
    """Show versions, the devices present, their limits, and where things are."""
    facts = _facts()
    if as_json:
        screen.print_json(facts)
        return
    console = screen.out()
    console.print(screen.table([(key, value) for key, value in facts.items() if key != "devices"]))
    for device in facts["devices"]:
        default = " (default)" if device["name"] == facts["default_device"] else ""
        console.print(f"\ndevice {device.pop('name')}{default}", style="bold")
        console.print(screen.table([(f"  {key}", value) for key, value in device.items()]))


def _facts() -> dict[str, Any]:
    import platform
    from dataclasses import asdict

    import pymetal
    from pymetal.cache import default_folder
    from pymetal.doctor import device_facts
    from pymetal.find import search_path, shipped_dir

    return {
        "pymetal": pymetal.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "default_device": pymetal.device().name,
        "cache": str(default_folder()),
        "kernels": ", ".join([*search_path(), str(shipped_dir())]),
        "devices": [
            {"name": name, **device_facts(name), **asdict(pymetal.device(name).limits)}
            for name in pymetal.device_names()
        ],
    }
