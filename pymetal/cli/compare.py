"""`pymetal compare`: two kernels, devices or engines on the same inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymetal.cli import options, screen

if TYPE_CHECKING:
    from pymetal.cli.call import Prepared

DIFFERS = 3

Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Engine of the software device: reference, vectorised or auto.",
        show_default=False,
    ),
]


def compare(
    kernel_a: options.Kernel,
    kernel_b: Annotated[
        str | None,
        typer.Argument(
            metavar=r"\[FILE\[:KERNEL]]",
            help="The other kernel; default: the same, on --device-b or --engine-b.",
            show_default=False,
        ),
    ] = None,
    grid: options.Grid = None,
    threadgroup: options.Threadgroup = None,
    threadgroups: options.Threadgroups = None,
    inputs: options.Inputs = None,
    outputs: options.Outputs = None,
    constants: options.Constants = None,
    output_dtype: options.OutputDtype = None,
    threadgroup_memory: options.ThreadgroupMemory = None,
    include: options.Include = None,
    define: options.Define = None,
    math_mode: options.Math = "safe",
    device: options.Device = None,
    engine: Engine = None,
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
    device_b: options.Device = None,
    engine_b: Engine = None,
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
    timeout: options.Timeout = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Run two kernels on the same inputs; show the first difference, and how far they are apart.

    Exits with 3 if results differ by more than --ulps.
    """
    from pymetal.cli.call import Call
    from pymetal.comparing import compare as compare_kernels

    one = Call(
        kernel_a,
        grid,
        threadgroup,
        threadgroups,
        tuple(inputs or ()),
        tuple(outputs or ()),
        output_dtype,
        tuple(constants or ()),
        tuple(threadgroup_memory or ()),
        tuple(include or ()),
        tuple(define or ()),
        math_mode,
        device,
        timeout,
        seed,
        engine,
    )
    two = replace(
        one,
        kernel=kernel_b or kernel_a,
        grid=grid_b or grid,
        threadgroup=threadgroup_b or threadgroup,
        inputs=tuple(inputs_b or inputs or ()),
        device=device_b or device,
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

    keywords = prepared.keywords()
    keywords.pop("timeout", None)
    return Case(*prepared.values, **keywords)
