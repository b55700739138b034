"""The options of a kernel's call, which `run`, `watch`, `bench` and `compare` take alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pymetal.cli import options
from pymetal.errors import ArgumentError
from pymetal.find import search_path, shipped_dir

if TYPE_CHECKING:
    from pymetal.cli.call import Call

# click's, or that of the copy of click which newer versions of typer have.
_UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])


def takes_call(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a call; its first parameter gets them as one `Call`."""
    shared = inspect.signature(_call, eval_str=True).parameters
    known = {"Call": Any}  # imported where the command runs
    _, *own = inspect.signature(command, eval_str=True, locals=known).parameters.values()

    def with_options(**given: Any) -> None:
        from pymetal.cli.call import Call

        fields: dict[str, Any] = {}
        for name in shared:
            value = given.pop(name)
            if value is not None:
                fields[name] = tuple(value) if isinstance(value, list) else value
        command(Call(**fields), **given)

    parameters = [*shared.values(), *own]
    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_options


def call_of(words: Sequence[str]) -> Call:
    """The call that a kernel's name and options describe, as a shell would split them.

    Raises
    ------
    ArgumentError
        An option is wrong, as `pymetal run` would say.
    """
    found: list[Call] = []
    app = typer.Typer(add_completion=False)
    app.command()(takes_call(found.append))
    try:
        app(list(words), prog_name="pymetal", standalone_mode=False)
    except _UsageError as error:
        raise ArgumentError(str(error)) from None
    return found[0]


def _assignment(text: str) -> tuple[str, str]:
    """`name=value`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"'{text}' is not name=value")
    return name.strip(), value.strip()


def _kernels(incomplete: str) -> list[str]:
    """Kernels' names and `.metal` files, for the shell."""
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


def _call(
    kernel: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:KERNEL]",
            help="A .metal or .metallib file, or a kernel's name: in ./kernels or a shipped one.",
            show_default=False,
            autocompletion=_kernels,
        ),
    ],
    grid: Annotated[
        Any,
        typer.Option(
            metavar="THREADS",
            parser=options.sizes,
            help="Threads in all: x[,y[,z]]. This or --threadgroups is needed.",
            show_default=False,
        ),
    ] = None,
    threadgroup: Annotated[
        Any,
        typer.Option(
            metavar="THREADS",
            parser=options.sizes,
            help="Threads in a threadgroup; default: PyMetal picks.",
            show_default=False,
        ),
    ] = None,
    threadgroups: Annotated[
        Any,
        typer.Option(
            metavar="COUNT",
            parser=options.sizes,
            help="Instead of --grid: threadgroups in all, each of --threadgroup threads.",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="VALUE",
            help="Next argument after the outputs: a .npy file, 512, 1.5, true, 1,2,3 for a "
            'vector, {"n": 3} for a struct, or random:, zeros:, ones: or arange:SHAPE.',
            show_default=False,
        ),
    ] = None,
    outputs: Annotated[
        list[Any] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="SHAPE",
            parser=options.sizes,
            help="Shape of an output in scalars, such as 512,512; outputs are the first buffers.",
            show_default=False,
        ),
    ] = None,
    output_dtype: Annotated[
        str | None,
        typer.Option(metavar="DTYPE", help="Of outputs declared device void*.", show_default=False),
    ] = None,
    constants: Annotated[
        list[Any] | None,
        typer.Option(
            "--constant",
            "-c",
            metavar="NAME=VALUE",
            parser=_assignment,
            help="Function constant (repeatable).",
            show_default=False,
        ),
    ] = None,
    threadgroup_memory: Annotated[
        list[Any] | None,
        typer.Option(
            metavar="N=BYTES",
            parser=_assignment,
            help="Length of [[threadgroup(N)]] (repeatable).".replace("[", r"\["),
            show_default=False,
        ),
    ] = None,
    include_dirs: options.Include = None,
    macros: options.Define = None,
    math_mode: options.Math = "safe",
    device: options.Device = None,
    timeout: options.Timeout = None,
    seed: Annotated[int, typer.Option(help="Seed of random: inputs.")] = 0,
) -> None:
    """The options, by the fields of `Call`."""
