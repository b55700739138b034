"""PyMetal's software device beside PoCL, Intel's OpenCL, numba and NumPy, in one run.

    python bench/peers.py [--json FILE] [--plot FILE] [--only NAME ...] [--seconds S]

Every peer's result is verified; then they run in turns, and medians and their ratios are printed
beside the goals. A peer that is absent is left out, with the reason. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from versus import matmuls, plot, rows, table, whole
from versus.contest import Contest, Row
from versus.problem import Problem

import pymetal

PROBLEMS: dict[str, Callable[[], Problem]] = {
    **{"vector_add": whole.PROBLEMS["vector_add"]},
    **matmuls.PROBLEMS,
    **rows.PROBLEMS,
    **whole.PROBLEMS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them here (matplotlib)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=PROBLEMS, help=", ".join(PROBLEMS)
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="for timing each problem (default 4)"
    )
    parser.add_argument(
        "--least",
        action="store_true",
        help="take the least instead of the median: for a machine that does other work meanwhile",
    )
    options = parser.parse_args()

    machine = f"{processor()}, {len(os.sched_getaffinity(0))} processors"
    contest = Contest()
    print(f"PyMetal {pymetal.__version__}, NumPy {np.__version__}; {machine}")
    for name, version in contest.versions.items():
        print(f"{name}: {version}")
    for name, reason in contest.absent.items():
        print(f"{name} is left out: {reason}")
    found: list[Row] = []
    for key in options.only or PROBLEMS:
        row = contest.run(key, PROBLEMS[key](), options.seconds, options.least)
        found.append(row)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} of the best GPU peer"
        print(f"  {row.name}: {row.engine}; {ratio}", file=sys.stderr)
    print()
    print("least" if options.least else "medians", "of runs in turns:\n")
    print("\n".join(table.lines(found)))
    for row in found:
        for name, reason in row.absent.items():
            print(f"{row.name}: {name} is left out: {reason}")
    if options.plot:
        plot.save(found, options.plot, machine)
    if options.json:
        facts = {
            "version": pymetal.__version__,
            "machine": machine,
            "figures": "least" if options.least else "medians",
            "peers": contest.versions,
            "absent": contest.absent,
            "rows": [dataclasses.asdict(row) | {"ratio": row.ratio} for row in found],
        }
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


def processor() -> str:
    """Its name, and the vectors that it has."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(facts.get("flags", "").split())
    vectors = [name for name in ("avx2", "fma", "avx512f", "avx512bw") if name in flags]
    model = "family {} model {}".format(facts.get("cpu family"), facts.get("model"))
    return f"{facts.get('model name', platform.machine())} ({model}; {' '.join(vectors)})"


if __name__ == "__main__":
    main()
