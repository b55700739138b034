"""The command line, `pymetal` or `python -m pymetal`: one file a command. See docs/cli.md.

Only this package imports typer and rich; commands import the rest of PyMetal when they run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from pymetal.cli import (
    bench,
    build,
    cache,
    check,
    compare,
    doctor,
    info,
    new,
    replay,
    run,
    screen,
    watch,
)
from pymetal.errors import Error

FAILED = 1
WRONG_USAGE = 2

app = typer.Typer(
    help="Write, run and check Metal compute kernels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.run)
app.command()(replay.replay)
app.command()(watch.watch)
app.command()(bench.bench)
app.command()(check.check)
app.command()(compare.compare)
app.command()(build.build)
app.command()(new.new)
app.command()(info.info)
app.command()(doctor.doctor)
app.command()(cache.cache)


def _show_version(wanted: bool) -> None:
    if wanted:
        from pymetal import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_show_version, help="Print the version."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `SystemExit` with 2 if it is used wrongly."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(given, prog_name="pymetal")
    except Error as error:
        screen.show_error(error, as_json="--json" in given)
        return FAILED
    except SystemExit as end:
        if end.code == WRONG_USAGE:
            raise
        return int(end.code or 0)
    return 0
