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


def check_sizes(grid: Any, threadgroup: Any, threadgroups: Any) -> None:
    """Refuse calls that do not say how large the grid is, or say it twice."""
    if grid is None and threadgroups is None:
        raise typer.BadParameter("pass --grid THREADS, or --threadgroups COUNT with --threadgroup")
    if threadgroups is not None and (grid is not None or threadgroup is None):
        raise typer.BadParameter("--threadgroups goes with --threadgroup and without --grid")


def assignment(text: str) -> tuple[str, str]:
    """`name=value`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"'{text}' is not name=value")
    return name.strip(), value.strip()


def definition(text: str) -> tuple[str, str]:
    """`NAME` or `NAME=value`, as compilers take them."""
    name, equals, value = text.partition("=")
    if not name:
        raise typer.BadParameter(f"'{text}' is not NAME or NAME=value")
    return name, value if equals else "1"


def complete_kernel(incomplete: str) -> list[str]:
    """Kernels' names and `.metal` files, for the shell."""
    from pymetal.find import search_path, shipped_dir

    folders = [*map(Path, search_path()), shipped_dir()]
    names = {path.stem for folder in folders for path in folder.glob("*.metal")}
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    files = {
        f"{path}/" if path.is_dir() else str(path)
        for path in folder.glob("*")
        if path.is_dir() or path.suffix in (".metal", ".metallib")
    }
    return sorted(choice for choice in names | files if choice.startswith(incomplete))


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Device: cpu or metal; default: as run_metal_kernel.",
        show_default=False,
    ),
]
Kernel = Annotated[
    str,
    typer.Argument(
        metavar="FILE[:KERNEL]",
        help="A .metal or .metallib file, or a kernel's name: in ./kernels or a shipped one.",
        show_default=False,
        autocompletion=complete_kernel,
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="VALUE",
        help="Next argument after the outputs: a .npy file, 512, 1.5, true, 1,2,3 for a vector, "
        '{"n": 3} for a struct, or random:, zeros:, ones: or arange:SHAPE.',
        show_default=False,
    ),
]
Outputs = Annotated[
    list[Any] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="SHAPE",
        parser=sizes,
        help="Shape of an output in scalars, such as 512,512; outputs are the first buffers.",
        show_default=False,
    ),
]
OutputDtype = Annotated[
    str | None,
    typer.Option(metavar="DTYPE", help="Of outputs declared device void*.", show_default=False),
]
Grid = Annotated[
    Any,
    typer.Option(
        metavar="THREADS",
        parser=sizes,
        help="Threads in all: x[,y[,z]]. This or --threadgroups is needed.",
        show_default=False,
    ),
]
Threadgroups = Annotated[
    Any,
    typer.Option(
        metavar="COUNT",
        parser=sizes,
        help="Instead of --grid: threadgroups in all, each of --threadgroup threads.",
        show_default=False,
    ),
]
Threadgroup = Annotated[
    Any,
    typer.Option(
        metavar="THREADS",
        parser=sizes,
        help="Threads in a threadgroup; default: PyMetal picks.",
        show_default=False,
    ),
]
ThreadgroupMemory = Annotated[
    list[Any] | None,
    typer.Option(
        metavar="N=BYTES",
        parser=assignment,
        help="Length of [[threadgroup(N)]] (repeatable).".replace("[", r"\["),
        show_default=False,
    ),
]
Constants = Annotated[
    list[Any] | None,
    typer.Option(
        "--constant",
        "-c",
        metavar="NAME=VALUE",
        parser=assignment,
        help="Function constant (repeatable).",
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
Seed = Annotated[int, typer.Option(help="Seed of random: inputs.")]
Timeout = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="After which the kernel is stopped.", show_default=False),
]
