"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pymetal.source import MathMode


def sizes(text: str) -> tuple[int, ...]:
    """`512,512` or `512x512`."""
    parts = text.replace("x", ",").split(",")
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not 1 or more numbers, such as 512,512") from None


def definition(text: str) -> tuple[str, str]:
    """`NAME` or `NAME=value`, as compilers take them."""
    name, equals, value = text.partition("=")
    if not name:
        raise typer.BadParameter(f"'{text}' is not NAME or NAME=value")
    return name, value if equals else "1"


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Device: cpu or metal; default: as run_metal_kernel.",
        show_default=False,
    ),
]
Include = Annotated[
    list[Path] | None,
    typer.Option(
        "--include",
        "-I",
        metavar="FOLDER",
        help="Folder of headers (repeatable).",
        show_default=False,
    ),
]
Define = Annotated[
    list[Any] | None,
    typer.Option(
        "--define",
        "-D",
        metavar="NAME[=VALUE]",
        parser=definition,
        help="Macro (repeatable).",
        show_default=False,
    ),
]
Math = Annotated[MathMode, typer.Option("--math-mode", help="How closely to follow IEEE 754.")]
Timeout = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="After which the kernel is stopped.", show_default=False),
]
