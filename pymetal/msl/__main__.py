"""`python -m pymetal.msl FILE... -o OUT.metallib`: what the build precompiles kernels with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pymetal.air.container import Entry, write_metallib
from pymetal.errors import Error
from pymetal.msl.compiler import compile_entries
from pymetal.msl.options import language_version
from pymetal.source import CompileOptions, Source


def main() -> int:
    """Compile every file into one library; 1 if one of them is wrong."""
    parser = argparse.ArgumentParser(prog="python -m pymetal.msl", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.add_argument("-I", "--include", action="append", default=[], type=Path)
    parser.add_argument("-D", "--define", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--math-mode", choices=("safe", "relaxed", "fast"), default="safe")
    given = parser.parse_args()
    macros = tuple(
        (name, value or "1") for name, _, value in (d.partition("=") for d in given.define)
    )
    options = CompileOptions(tuple(given.include), macros, given.math_mode)
    entries: list[Entry] = []
    failed = False
    for file in given.files:
        try:
            source = Source(file.read_text(encoding="utf-8"), file)
            entries += compile_entries(source, options)
        except (Error, OSError, UnicodeDecodeError) as error:
            print(f"{file}: {error}" if isinstance(error, ValueError) else error, file=sys.stderr)
            failed = True
    if not failed:
        given.output.write_bytes(
            write_metallib(entries, language_version=language_version(options))
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
