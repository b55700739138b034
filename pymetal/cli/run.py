"""`pymetal run`: one kernel, once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymetal.cli import checked, options, screen
from pymetal.cli.calling import takes_call

if TYPE_CHECKING:
    from pymetal.cli.against import Difference
    from pymetal.cli.call import Call, Result

DIFFERS = 3

Against = Annotated[
    str | None,
    typer.Option(
        metavar="EXPRESSION",
        help="NumPy expression over the kernel's values, such as 'A @ B', evaluated in float64.",
        show_default=False,
    ),
]
Roundings = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="Roundings of the result's type that --against allows, at the largest value; "
        "default: 64, 4 for 16-bit types.",
        show_default=False,
    ),
]


@takes_call
def run(
    call: Call,
    save: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="X.npy",
            help="Where to write the next result (repeatable).",
            show_default=False,
        ),
    ] = None,
    against: Against = None,
    roundings: Roundings = None,
    check: checked.Check = False,
    sarif: checked.Sarif = None,
    validate: Annotated[
        bool,
        typer.Option("--validate", help="Run with Metal's own shader validation, on a GPU."),
    ] = False,
    save_replay: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to save the launch, for `pymetal replay`; before it runs.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run a kernel once; show, save or check what it wrote.

    Exits with 3 if the result differs from --against.
    """
    from pymetal.cli.against import against as compare

    if validate:
        from pymetal.metal.validation import validating_device

        validating_device(call.device)
    prepared = call.prepare()
    values = prepared.named() if against is not None else {}
    if save_replay is not None:
        prepared.save(save_replay, "checks" if check or sarif is not None else "")
    with checked.checking(check, sarif):
        result = prepared.run()
    saved = _save(result, save or [])
    differences = compare(against, values, result.arrays, roundings) if against is not None else []
    if as_json:
        facts = result_facts(result, differences)
        for facts_of_one, path in zip(facts["results"], saved, strict=False):
            facts_of_one["saved"] = str(path)
        screen.print_json(facts)
    else:
        show_result(result, differences)
        for name, path in zip(result.arrays, saved, strict=False):
            print(f"{name} is saved to {path}")
    if not all(difference.ok for difference in differences):
        raise typer.Exit(DIFFERS)


def _save(result: Result, paths: Sequence[Path]) -> Sequence[Path]:
    import numpy as np

    from pymetal.errors import ArgumentError

    if len(paths) > len(result.arrays):
        raise ArgumentError(
            f"--save is given {len(paths)} times; there are {len(result.arrays)} results "
            f"({', '.join(result.arrays) or 'none'})"
        )
    for path, array in zip(paths, result.arrays.values(), strict=False):
        if path.suffix != ".npy":
            raise ArgumentError(f"--save {path}: results are saved as .npy files")
        try:
            np.save(path, array)
        except OSError as error:
            raise ArgumentError(f"--save {path}: {error.strerror or error}") from None
    return paths


def show_result(result: Result, differences: Sequence[Difference] = ()) -> None:
    """A result for people."""
    import numpy as np

    console = screen.out()
    prepared, report = result.prepared, result.prepared.kernel.report
    for name, array in result.arrays.items():
        shape = " x ".join(map(str, array.shape)) or "scalar"
        console.print(f"{name}: {shape}, {array.dtype}", style="bold")
        with np.printoptions(precision=6, threshold=100, edgeitems=3):
            console.print(str(array))
    if not result.arrays:
        console.print(f"{prepared.kernel.name} has no output")
    console.print(
        f"{prepared.kernel.name} on {prepared.kernel.device.name} ({report.engine}): "
        f"{screen.seconds(result.run_seconds)}, compiled in "
        f"{screen.seconds(prepared.compile_seconds)}",
        style="dim",
    )
    for note in report.notes:
        console.print(f"note: {note}", style="dim")
    for difference in differences:
        console.print(str(difference), style="green" if difference.ok else "bold red")


def result_facts(result: Result, differences: Sequence[Difference] = ()) -> dict[str, Any]:
    """A result for machines."""
    prepared, report = result.prepared, result.prepared.kernel.report
    facts: dict[str, Any] = {
        "ok": all(difference.ok for difference in differences),
        "kernel": prepared.kernel.name,
        "file": str(prepared.path),
        "device": prepared.kernel.device.name,
        "engine": report.engine,
        "notes": list(report.notes),
        "compile_seconds": prepared.compile_seconds,
        "run_seconds": result.run_seconds,
        "results": [{"name": name, **array_facts(array)} for name, array in result.arrays.items()],
    }
    if differences:
        facts["against"] = [difference.as_json() for difference in differences]
    return facts


def array_facts(array: Any) -> dict[str, Any]:
    """Shape, dtype and range of an array."""
    import numpy as np

    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.dtype.fields is None:
        wide = array.astype(np.float64)
        finite = wide[np.isfinite(wide)]
        facts["non_finite"] = int(wide.size - finite.size)
        if finite.size:
            facts |= {"min": finite.min(), "max": finite.max(), "mean": finite.mean()}
    return facts
