"""`pymetal compare`: two kernels, devices or engines on the same inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymetal.cli import options, screen
from pymetal.cli.calling import takes_call

if TYPE_CHECKING:
    from pymetal.cli.call import Call, Prepared

DIFFERS = 3


@takes_call
def compare(
    call: Call,
    kernel_b: Annotated[
        str | None,
        typer.Argument(
            metavar="OTHER",
            help="The other kernel; default: the same, on --device-b or --engine-b.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Engine of the software device: reference, vectorised or auto.",
            show_default=False,
        ),
    ] = None,
    grid_b: Annotated[
        Any, typer.Option(metavar="THREADS", parser=options.sizes, help="Of the other kernel.")
    ] = None,
    threadgroup_b: Annotated[
        Any, typer.Option(metavar="THREADS", parser=options.sizes, help="Of the other kernel.")
    ] = None,
    inputs_b: Annotated[
        list[str] | None,
        typer.Option(
            "--input-b",
            metavar="VALUE",
            help="Next argument of the other kernel, where it takes others (repeatable).",
            show_default=False,
        ),
    ] = None,
    device_b: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the other kernel.")
    ] = None,
    engine_b: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the other kernel.")
    ] = None,
    ulps: Annotated[
        int, typer.Option(help="Units in the last place that floats may be apart.")
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to draw how far results are apart: .svg, .png or .pdf.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run two kernels on the same inputs; show the first difference, and how far they are apart.

    Exits with 3 if results differ by more than --ulps.
    """
    from pymetal.comparing import compare as compare_kernels

    one = replace(call, engine=engine)
    two = replace(
        one,
        kernel=kernel_b or call.kernel,
        grid=grid_b or call.grid,
        threadgroup=threadgroup_b or call.threadgroup,
        inputs=tuple(inputs_b or call.inputs),
        device=device_b or call.device,
        engine=engine_b or engine,
    )
    a, b = one.prepare(), two.prepare()
    result = compare_kernels(a.kernel, b.kernel, [(_case(a), _case(b))], ulps=ulps)
    if picture is not None:
        result.plot(picture)
    if as_json:
        screen.print_json(result.as_json())
    else:
        print(result)
    if not result.ok:
        raise typer.Exit(DIFFERS)


def _case(prepared: Prepared) -> Any:
    from pymetal.testing import Case

    return Case(*prepared.values, **prepared.keywords())
