"""The command line: `python -m pymetal check` and `cache`.

Exit codes: 0 all well, 1 something was refused or failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="pymetal", description="Write, run and check Metal compute kernels."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    check = commands.add_parser("check", help="compile every kernel of files and folders")
    check.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    check.add_argument("--device", help="device to compile for (default: as run_metal_kernel)")
    check.add_argument("--json", action="store_true", help="print one JSON object")

    cache = commands.add_parser("cache", help="show or clear the cache of compiled kernels")
    cache.add_argument("action", nargs="?", choices=["info", "clear"], default="info")
    cache.add_argument("--json", action="store_true", help="print one JSON object")

    parsed = parser.parse_args(arguments)
    if parsed.command == "check":
        return _check(parsed.paths, parsed.device, parsed.json)
    return _cache(parsed.action, parsed.json)


def _check(paths: Sequence[Path], device: str | None, as_json: bool) -> int:
    from pymetal.check import check_paths
    from pymetal.errors import Error

    try:
        result = check_paths(paths, device)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        print(result)
    return 0 if result.ok else 1


def _cache(action: str, as_json: bool) -> int:
    from pymetal.cache import disk

    facts: dict[str, Any] = {"folder": str(disk().folder)}
    if action == "clear":
        facts["removed"] = disk().clear()
        text = f"removed {facts['removed']} entries of {facts['folder']}"
    else:
        info = disk().info()
        facts |= {
            "entries": info.entries,
            "size_bytes": info.size_bytes,
            "limit_bytes": info.limit_bytes,
        }
        text = (
            f"{info.folder}\n{info.entries} entries, {info.size_bytes / 1e6:.1f} MB of "
            f"{info.limit_bytes / 1e6:.0f} MB"
        )
    print(json.dumps(facts, indent=2) if as_json else text)
    return 0
