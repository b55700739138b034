"""`pymetal cache`: show or clear the cache of compiled kernels."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from pymetal.cli import options, screen


class Action(str, Enum):
    """What to do with the cache."""

    info = "info"
    clear = "clear"


def cache(
    action: Annotated[Action, typer.Argument(help="Show it, or remove every entry.")] = Action.info,
    as_json: options.Json = False,
) -> None:
    """Show or clear the cache of compiled kernels."""
    from pymetal.cache import disk

    facts: dict[str, Any] = {"folder": str(disk().folder)}
    if action is Action.clear:
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
    if as_json:
        screen.print_json(facts)
    else:
        print(text)
