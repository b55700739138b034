"""The planted bugs: small kernels in faults/*.metal with a bug each.

`// fault: KIND` marks the line, with the thread that must be named; `// also: KIND` a line where
the same bug may show, or anywhere. `// after:` names the public issue in which the bug was found;
the kernel is our own. `// run:` says how it is launched.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np

import pymetal
from pymetal.sanitizer import CheckWarning, Report

FOLDER = Path(__file__).parent / "faults"
AFTER = re.compile(r"^// after: (github\.com/\S+)$", re.M)
PLANTED = sorted(FOLDER.glob("*.metal"))


def values(what: str, count: int) -> np.ndarray:
    kind, _, dtype = what.rpartition(":")
    data = np.arange(count)
    return (data[::-1] if kind == "descending" else data).astype(dtype)


def run(path: Path, check: bool | str | None = None) -> list[Report]:
    """What a checked run of a planted bug reports."""
    text = path.read_text()
    facts = json.loads(re.search(r"^// run: (.*)$", text, re.M)[1])
    inputs = [values(*i) if isinstance(i, list) else i for i in facts["inputs"]]
    kernel = pymetal.compile(path, device="cpu").kernel(path.stem)
    inputs = inputs[: len(kernel.arguments) - 1]
    memory = {int(k): v for k, v in facts.get("threadgroup_memory", {}).items()}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", CheckWarning)
        try:
            kernel(
                pymetal.output(facts["out"]),
                *inputs,
                grid=facts["grid"],
                threadgroup=facts["threadgroup"],
                threadgroup_memory=memory,
                check=facts.get("check", True) if check is None else check,
            )
        except pymetal.KernelFault as fault:
            return list(fault.reports)
    return [w.message.report for w in warned if isinstance(w.message, CheckWarning)]


def marks(path: Path, word: str) -> list[tuple[str, int, int | None]]:
    """(kind, line, thread) of each mark; line 0 for what has no line, -1 for any."""
    found = []
    for number, line in enumerate(path.read_text().split("\n"), 1):
        match = re.search(rf"// {word}: ([-\w]+)(?: thread (\d+))?( anywhere)?", line)
        if match:
            at = 0 if match[1] == "never-written" else -1 if match[3] else number
            found.append((match[1], at, int(match[2]) if match[2] else None))
    return found
