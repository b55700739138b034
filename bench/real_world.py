#!/usr/bin/env python
"""How much of real Metal the software device takes: python bench/real_world.py [--json F]

Per corpus: files read, kernels in them, compiled to native code, vectorised (the others run on the
reference engine), checked against NumPy, right. The corpora are MLX's kernels of PyPI's mlx-metal
wheel, from source and as Apple's compiler compiled them; `--metallib F` and `--source DIR -I DIR`
take any others instead. (Not called coverage.py: a script's folder comes first on Python's path,
and numba imports a package of that name.)
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pymetal
from pymetal.air.library import Library
from pymetal.cpu.engines import compile_kernel
from pymetal.msl import check_source, compile_source, kernel_names
from pymetal.source import CompileOptions, Source

TESTS = Path(__file__).parents[1] / "tests"
# Values for function constants that nobody gives: every branch is real code for some of them.
CONSTANT = {"bool": True}
MODULES = (
    "mlx_elementwise",
    "mlx_reductions",
    "mlx_rows",
    "mlx_matrices",
    "mlx_indexing",
    "mlx_gathers",
)


@dataclass
class Corpus:
    """Counts of one collection; `failures` say what was wrong, by kernel or file."""

    name: str
    files: int = 0
    kernels: int = 0
    compiled: int = 0
    vectorised: int = 0
    checked: int = 0
    right: int = 0
    seconds: float = 0
    failures: dict[str, str] = field(default_factory=dict)
    not_vectorised: Counter[str] = field(default_factory=Counter)

    def fail(self, name: str, error: BaseException | str) -> None:
        text = str(error).strip()
        first = text.splitlines()[0] if text else type(error).__name__
        self.failures[name] = first[:300]

    def __str__(self) -> str:
        counts = ("files", "kernels", "compiled", "vectorised", "checked", "right")
        line = ", ".join(f"{getattr(self, word)} {word}" for word in counts)
        return f"{self.name}: {line} ({self.seconds:.0f} s)"


def compile_one(corpus: Corpus, library: Library, name: str, vectorise: bool) -> None:
    """Compile one kernel to native code, by both engines."""
    try:
        constants = library.function(name).constants
        values: dict[str | int, Any] = {c.index: CONSTANT.get(c.type_name, 1) for c in constants}
        canonical = library.canonical(name, values)
        compile_kernel(canonical, "reference")
    except pymetal.Error as error:
        corpus.fail(name, error)
        return
    corpus.compiled += 1
    if not vectorise:
        return
    try:
        compile_kernel(canonical, "vectorised")
        corpus.vectorised += 1
    except pymetal.UnsupportedError as error:
        corpus.not_vectorised[str(error.feature)] += 1


def metallib(path: Path, count: int, seed: int, vectorise: bool) -> Corpus:
    """A seeded sample of `count` kernels of a `.metallib`; all of them with 0."""
    corpus = Corpus(path.name, files=1)
    library = Library.open(path)
    names = list(library.names)
    corpus.kernels = len(names)
    if 0 < count < len(names):
        names = random.Random(seed).sample(names, count)
        corpus.name += f" (sample of {count}, seed {seed})"
        corpus.kernels = count
    for name in progress(names):
        compile_one(corpus, library, name, vectorise)
    return corpus


def sources(folder: Path, includes: Sequence[Path], vectorise: bool) -> Corpus:
    """Every `.metal` file under a folder."""
    corpus = Corpus(str(folder))
    options = CompileOptions(include_dirs=(folder, *includes))
    paths = sorted(folder.rglob("*.metal")) if folder.is_dir() else [folder]
    for path in progress(paths):
        corpus.files += 1
        source = Source(path.read_text("utf-8", errors="replace"), path)
        try:
            names = kernel_names(source, options)
        except pymetal.Error as error:
            corpus.fail(str(path), error)
            continue
        corpus.kernels += len(names)
        for name in names:
            try:
                library = Library.from_bytes(compile_source(source, options, (name,)), str(path))
            except pymetal.Error as error:
                corpus.fail(f"{path}: {name}", error)
                continue
            compile_one(corpus, library, name, vectorise)
    return corpus


def mlx(engines: Sequence[str], count: int, seed: int) -> list[Corpus]:
    """MLX's headers and the cases of tests/mlx_*.py, from source and from Apple's `.metallib`."""
    sys.path.insert(0, str(TESTS))
    mlx_case = import_module("mlx_case")
    cases = [case for name in MODULES for case in import_module(name).cases()]
    if 0 < count < len(cases):
        cases = random.Random(seed).sample(cases, count)
    return [
        _headers(),
        _run_cases("MLX from source", mlx_case, mlx_case.sources(cases), engines),
        _run_cases("MLX compiled by Apple", mlx_case, [(None, cases)], engines),
    ]


def _headers() -> Corpus:
    corpus = Corpus("MLX's headers")
    mlx_case, real_world = import_module("mlx_case"), import_module("test_real_world")
    root = import_module("apple_metallib").include_folder() / mlx_case.KERNELS
    for path in progress(sorted(root.rglob("*.h"))):
        corpus.files += 1
        name = str(path.relative_to(root))
        problems = check_source(real_world.probe(name), mlx_case.options())
        if problems:
            corpus.fail(name, str(problems[0]))
        else:
            corpus.compiled += 1
    return corpus


def _run_cases(
    name: str, mlx_case: Any, groups: Iterable[tuple[Any, list[Any]]], engines: Sequence[str]
) -> Corpus:
    corpus = Corpus(name)
    kernels, right = set(), set()
    for source, cases in progress(list(groups)):
        corpus.files += 1
        try:
            library = mlx_case.compiled(source) if source else mlx_case.apple()
        except pymetal.Error as error:
            corpus.fail(cases[0].name, error)
            continue
        for case in cases:
            if case.kernel not in library.names:
                continue
            kernels.add(case.kernel)
            corpus.checked += 1
            wrong = False
            for engine in engines:
                try:
                    mlx_case.check(case, library, engine)
                    corpus.vectorised += engine == "vectorised"
                except pymetal.UnsupportedError as error:
                    if engine == "vectorised":
                        corpus.not_vectorised[str(error.feature)] += 1
                    else:
                        wrong = True
                        corpus.fail(case.name, error)
                except (pymetal.Error, AssertionError) as error:
                    wrong = True
                    corpus.fail(f"{case.name} ({engine})", error)
            corpus.right += not wrong
            if not wrong:
                right.add(case.kernel)
    corpus.kernels, corpus.compiled = len(kernels), len(right)
    return corpus


def progress(items: Sequence[Any]) -> Iterable[Any]:
    """The items, with a line on stderr where a person looks at it."""
    for i, item in enumerate(items):
        if sys.stderr.isatty():
            print(f"\r{i + 1} of {len(items)} ", end="", file=sys.stderr, flush=True)
        yield item
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="F", help="write the counts to a file")
    parser.add_argument("--metallib", type=Path, action="append", default=[], metavar="F")
    parser.add_argument("--source", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("-I", dest="include", type=Path, action="append", default=[])
    parser.add_argument("--sample", type=int, default=0, help="kernels, or cases; 0 for all")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument(
        "--engine", action="append", choices=("reference", "vectorised"), default=[]
    )
    parser.add_argument("--failures", type=int, default=20, help="how many to print a corpus")
    args = parser.parse_args(arguments)
    engines = args.engine or ["reference", "vectorised"]
    vectorise = "vectorised" in engines
    corpora: list[Corpus] = []
    start = time.perf_counter()
    for path in args.metallib:
        corpora.append(metallib(path, args.sample, args.seed, vectorise))
    for folder in args.source:
        corpora.append(sources(folder, args.include, vectorise))
    if not corpora:
        corpora = mlx(engines, args.sample, args.seed)
    corpora[-1].seconds = time.perf_counter() - start
    for corpus in corpora:
        print(corpus)
        for name, text in list(corpus.failures.items())[: args.failures]:
            print(f"  {name}: {text}")
        for feature, count in corpus.not_vectorised.most_common(5):
            print(f"  not vectorised, {count}: {feature}")
    if args.json:
        args.json.write_text(json.dumps([asdict(corpus) for corpus in corpora], indent=1))
    return int(any(corpus.failures for corpus in corpora))


if __name__ == "__main__":
    sys.exit(main())
