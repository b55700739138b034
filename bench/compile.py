"""How long the software device takes from AIR to native code: shipped kernels, and MLX's.

    python bench/compile.py [--mlx N] [--json FILE] [--slowest N]

Processor seconds of one thread; wall time is about the same on an idle machine. MLX's kernels are
N of the `.metallib` in PyPI's mlx-metal wheel, evenly spaced; without the wheel (see
tests/apple_metallib.py) they are left out. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import pytest

from pymetal import msl
from pymetal.air.container import Container
from pymetal.air.library import Library
from pymetal.cpu.engines import compile_kernel
from pymetal.errors import UnsupportedError
from pymetal.find import shipped_dir
from pymetal.source import CompileOptions, Source

GOALS_MS = {"median": 100, "p90": 1000, "worst": 5000}


@dataclass
class Row:
    """One kernel: milliseconds to canonical IR and from there to native code."""

    corpus: str
    name: str
    canonical_ms: float
    native_ms: float
    engine: str

    @property
    def ms(self) -> float:
        return self.canonical_ms + self.native_ms


def shipped() -> Iterator[tuple[str, Library, str]]:
    for path in sorted(shipped_dir().glob("*.metal")):
        source = Source(path.read_text(), path)
        data = msl.compile_source(source, CompileOptions())
        container = Container(data, path.name)
        library = Library(container)
        for name in container.names:
            yield "shipped", library, name


def mlx(count: int) -> Iterator[tuple[str, Library, str]]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        path = import_module("apple_metallib").path()
    except (ImportError, pytest.skip.Exception) as error:
        print(f"MLX's kernels are left out: {error}")
        return
    container = Container(path.read_bytes(), path.name)
    library = Library(container)
    names = sorted(container.names)
    for name in names[:: max(len(names) // count, 1)][:count]:
        yield "MLX", library, name


def measure(corpus: str, library: Library, name: str) -> Row:
    start = time.process_time()
    try:
        constants = {c.index: c.type_name == "bool" or 1 for c in library.function(name).constants}
        canonical = library.canonical(name, constants)
        middle = time.process_time()
        engine = compile_kernel(canonical, "auto").engine
    except UnsupportedError as error:
        return Row(corpus, name, 0.0, 0.0, f"not supported: {error}")
    end = time.process_time()
    return Row(corpus, name, (middle - start) * 1e3, (end - middle) * 1e3, engine)


def summary(rows: list[Row]) -> dict[str, float]:
    times = sorted(row.ms for row in rows)
    p90 = times[min(len(times) * 9 // 10, len(times) - 1)]
    return {"median": statistics.median(times), "p90": p90, "worst": times[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mlx", type=int, default=100, metavar="N", help="how many of MLX's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--slowest", type=int, default=8, metavar="N", help="list the N slowest")
    options = parser.parse_args()

    rows = []
    for corpus, library, name in (*shipped(), *mlx(options.mlx)):
        rows.append(measure(corpus, library, name))
    for corpus in dict.fromkeys(row.corpus for row in rows):
        of = [row for row in rows if row.corpus == corpus and row.native_ms]
        fast = sum(row.engine == "vectorised" for row in of)
        figures = ", ".join(
            f"{what} {ms:.0f} ms (goal {GOALS_MS[what]})" for what, ms in summary(of).items()
        )
        print(f"{corpus}: {len(of)} kernels, {fast} vectorised; {figures}")
    for row in sorted(rows, key=lambda row: -row.ms)[: options.slowest]:
        print(f"  {row.ms:7.0f} ms  {row.name} ({row.engine})")
    for row in rows:
        if not row.native_ms:
            print(f"  {row.name}: {row.engine}")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
