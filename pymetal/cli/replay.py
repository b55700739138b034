"""`pymetal replay`: a saved launch, once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymetal.cli import checked, options, screen


def replay(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What --save-replay wrote.")],
    check: checked.Check = False,
    sarif: checked.Sarif = None,
    device: options.Device = None,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Run a launch again that `run --save-replay` or `save_on_fault=` saved."""
    from pymetal.cli.run import array_facts
    from pymetal.replaying import read

    wanted = check or sarif is not None
    saved = read(path, device, wanted or None)
    with checked.checking(wanted or bool(saved.check), sarif):
        arrays = saved.run(True if wanted else None, timeout)
    if as_json:
        screen.print_json(
            {
                "ok": True,
                "kernel": saved.kernel.name,
                "device": saved.kernel.device.name,
                "grid": saved.grid,
                "threadgroup": saved.threadgroup,
                "seed": saved.seed,
                "results": [{"name": n, **array_facts(a)} for n, a in arrays.items()],
            }
        )
        return
    console = screen.out()
    console.print(
        f"{saved.kernel.name} on {saved.kernel.device.name}, grid {saved.grid}, "
        f"threadgroup {saved.threadgroup}",
        style="dim",
    )
    for name, array in arrays.items():
        shape = " x ".join(map(str, array.shape)) or "scalar"
        console.print(f"{name}: {shape}, {array.dtype}", style="bold")
        console.print(str(array))
