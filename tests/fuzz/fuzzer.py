#!/usr/bin/env python
"""Mutates Metal sources and `.metallib` files, and launches kernels that go wrong.

    python tests/fuzz/fuzzer.py metal --count 10000 --seed 0
    python tests/fuzz/fuzzer.py metallib --count 10000 --seed 0
    python tests/fuzz/fuzzer.py launch-auto --count 10000 --seed 0
    python tests/fuzz/fuzzer.py launch-reference --count 10000 --seed 0
    python tests/fuzz/fuzzer.py launch-checked --count 10000 --seed 0

Each must end in a typed error or work, never in a crash or hang. It is a function of kind, seed and
number, so that `--first N --count 1` repeats one. They run in child processes, mutants with bounded
memory; one that ends or hangs its process is printed and kept.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import launches

ROOT = Path(__file__).parents[2]
CORPUS = sorted((ROOT / "kernels").glob("*.metal"))
MEMORY_BYTES = 6 << 30
SECONDS_EACH = 30
BATCH = 50
LAUNCHES = 1000  # of one child
TOKENS = re.compile(r"\w+|\s+|.", re.S)
METAL_WORDS = """kernel device constant threadgroup thread float4 half bfloat int uint3 vec
template typename struct union using namespace return for while if else operator this
nullptr const"""
OTHERS = """< > ( ) { } [[ ]] [ ] ; , * & && :: = + - / % << >> ? : ... 0 1 -1 0xffffffff 1e39f 'c'
"s" buffer(0) thread_position_in_grid [[buffer(31)]] #define #include #if #endif /* */ //"""
WORDS = [*METAL_WORDS.split(), *OTHERS.split(), "\\\n", "\x00", "\xff", "\u2028"]


def source_mutant(rng: random.Random) -> str:
    """A source of the corpus with a few tokens lost, doubled, swapped, replaced or spliced in."""
    tokens = TOKENS.findall(rng.choice(CORPUS).read_text("utf-8"))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(tokens) + 1)
        span = rng.choice((1, 1, 3, 10, 100))
        action = rng.randrange(6)
        if action == 0:
            del tokens[at : at + span]
        elif action == 1:
            tokens[at:at] = tokens[at : at + span] * rng.choice((1, 2, 20))
        elif action == 2:
            tokens[at : at + 1] = [rng.choice(WORDS)]
        elif action == 3:
            tokens.insert(at, rng.choice(WORDS) + " ")
        elif action == 4:
            other = TOKENS.findall(rng.choice(CORPUS).read_text("utf-8"))
            start = rng.randrange(len(other))
            tokens[at:at] = other[start : start + span]
        else:
            end = rng.randrange(len(tokens) + 1)
            tokens[min(at, end) : max(at, end)] = tokens[min(at, end) : max(at, end)][::-1][:200]
        if not tokens:
            tokens = [" "]
    return "".join(tokens)


def try_source(rng: random.Random) -> str:
    """Compile a mutant and every kernel of it."""
    from pymetal.air.library import Library
    from pymetal.errors import Error
    from pymetal.msl import compile_source
    from pymetal.source import CompileOptions, Source

    try:
        library = Library.from_bytes(compile_source(Source(source_mutant(rng)), CompileOptions()))
        for name in library.names:
            library.canonical(name)
    except Error as error:
        return type(error).__name__
    return "compiled"


def changed(rng: random.Random, original: bytes) -> bytes:
    """Bytes flipped, replaced, cut, doubled, or set to numbers that overflow."""
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 2, 4, 32))):
        at = rng.randrange(len(data))
        action = rng.randrange(6)
        if action == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            data[at] = rng.randrange(256)
        elif action == 2:
            value = rng.choice((0, 1, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63, 2**64 - 1, len(data)))
            raw = struct.pack("<Q", value)[: rng.choice((2, 4, 8))]
            data[at : at + len(raw)] = raw
        elif action == 3:
            del data[at : at + rng.choice((1, 4, 64, len(data)))]
        elif action == 4:
            data[at:at] = data[at : at + rng.choice((1, 8, 64))]
        else:
            at = rng.randrange(min(len(data), 1200))  # headers and lists
            data[at] = rng.randrange(256)
        if len(data) < 4:
            data += b"MTLB"
    return bytes(data)


def metallib_mutant(rng: random.Random) -> bytes:
    """A container that is changed, or a sound one of changed bitcode."""
    from pymetal.air.container import write_metallib

    entries = _entries()
    if rng.random() < 0.5:
        return changed(rng, write_metallib(entries[:1]))
    entry = entries[0]
    return write_metallib([replace(entry, bitcode=changed(rng, entry.bitcode))])


def try_metallib(rng: random.Random) -> str:
    """Open a mutant, and compile every kernel of it."""
    import pymetal

    try:
        library = pymetal.load(metallib_mutant(rng), device="cpu")
        for name in list(library)[:4]:
            library.kernel(name)
    except pymetal.Error as error:
        return type(error).__name__
    return "loaded"


@cache
def _entries() -> list[Any]:
    """The functions of a small library, one module each."""
    from pymetal.msl import compile_entries
    from pymetal.source import CompileOptions, Source

    path = ROOT / "kernels" / "softmax.metal"
    source = Source(path.read_text(), path)
    return list(compile_entries(source, CompileOptions(), ("softmax_threadgroup",)))


MUTANTS: dict[str, Callable[[random.Random], str]] = {
    "metal": try_source,
    "metallib": try_metallib,
}
KINDS = (*MUTANTS, *launches.KINDS)


def one(kind: str, seed: int, number: int) -> str:
    """What became of one mutant or launch."""
    if kind in MUTANTS:
        return MUTANTS[kind](random.Random(f"{kind} {seed} {number}"))
    return launches.KINDS[kind](seed, number)


def batch(kind: str, seed: int, first: int, count: int) -> list[tuple[int, str]]:
    """Run some in a child process; its results, the last of them "crashed …" or "hung" if so."""
    command = [sys.executable, __file__, kind, "--child", f"--seed={seed}", f"--first={first}"]
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                [*command, f"--count={count}"],
                stdout=subprocess.PIPE,
                stderr=errors,
                timeout=SECONDS_EACH * 2 + count,
                check=False,
            )
            output, ended = done.stdout, f"crashed, exit code {done.returncode}"
            clean = done.returncode == 0
        except subprocess.TimeoutExpired as expired:
            output, ended, clean = expired.stdout or b"", "hung", False
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip()[-300:]
    lines = [line.split(" ", 1) for line in output.decode().splitlines()]
    results = [(int(number), what) for number, what in lines]
    if not clean:
        results.append((results[-1][0] + 1 if results else first, f"{ended}: {said}"))
    return results


def run(kind: str, seed: int, first: int, count: int) -> dict[int, str]:
    """What became of each mutant."""
    results: dict[int, str] = {}
    at = first
    while at < first + count:
        many = BATCH if kind in MUTANTS else LAUNCHES
        done = dict(batch(kind, seed, at, min(many, first + count - at)))
        last = max(done)
        if done[last].startswith("hung"):  # the batch may have: the machine was busy
            done |= batch(kind, seed, last, 1)
        results |= done
        at = max(results) + 1
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.child:
        if args.kind in MUTANTS:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        for number in range(args.first, args.first + args.count):
            print(number, one(args.kind, args.seed, number), flush=True)
        return 0
    results = run(args.kind, args.seed, args.first, args.count)
    counts: dict[str, int] = {}
    bad = 0
    for number, what in results.items():
        kind = what.split(",")[0].split(":")[0]
        counts[kind] = counts.get(kind, 0) + 1
        if what.startswith(("crashed", "hung")):
            bad += 1
            print(f"{args.kind} --seed {args.seed} --first {number} --count 1: {what}")
    print(f"{len(results)} of {args.kind}, seed {args.seed}: {counts}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
