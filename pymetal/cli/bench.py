"""`pymetal bench`: how long a kernel takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pymetal.cli import options, screen
from pymetal.cli.calling import takes_call

if TYPE_CHECKING:
    from pymetal.cli.call import Call, Prepared


@takes_call
def bench(
    call: Call,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 0.5,
    warmup: Annotated[float, typer.Option(help="How long to call it before.")] = 0.05,
    cold: Annotated[
        bool, typer.Option("--cold", help="Overwrite the processor's caches before each call.")
    ] = False,
    flops: Annotated[
        str | None,
        typer.Option(
            help="Floating-point operations of a call: a number, or an expression over the "
            "kernel's values such as '2 * A.size * N'.",
            show_default=False,
        ),
    ] = None,
    size_bytes: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            help="Bytes that a call reads and writes, likewise; default: each array once.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure a kernel: warm-up, then median, 20% and 80% quantiles, GB/s and GFLOP/s.

    On the software device this measures a CPU, which says nothing about a GPU.
    """
    from pymetal.timing import bench as measure

    prepared = call.prepare()
    operations = None if flops is None else _amount(flops, "--flops", prepared)
    moved = None if size_bytes is None else _amount(size_bytes, "--bytes", prepared)
    with screen.bar("measuring") as advance:
        timing = measure(
            prepared.kernel,
            *prepared.values,
            **prepared.keywords(),
            warmup_seconds=warmup,
            seconds=seconds,
            cold_cache=cold,
            flops=operations,
            size_bytes=moved,
            on_call=advance,
        )
    if as_json:
        screen.print_json(timing.as_json())
        return
    rows = [
        ("kernel", f"{timing.kernel} on {timing.device} ({timing.engine})"),
        ("median", screen.seconds(timing.median)),
        (
            "p20, p80",
            f"{screen.seconds(timing.quantile(0.2))}, {screen.seconds(timing.quantile(0.8))}",
        ),
        ("calls", len(timing.seconds)),
        ("GB/s", f"{timing.gb_per_second:.3g}"),
    ]
    if timing.gflop_per_second is not None:
        rows.append(("GFLOP/s", f"{timing.gflop_per_second:.3g}"))
    print(screen.table(rows))


def _amount(text: str, option: str, prepared: Prepared) -> float:
    """A number, or an expression over the kernel's values."""
    import numpy as np

    from pymetal.cli.against import evaluate
    from pymetal.cli.values import number
    from pymetal.errors import ArgumentError

    value = number(text)
    if value is None:
        value = evaluate(text, prepared.named())
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.number))
        or not 0 < float(value) < float("inf")
    ):
        raise ArgumentError(f"{option} {text} is {value!r}, not a positive number")
    return float(value)
