"""The disk cache: damage, many processes, no room, no permission."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from pymetal import cache
from pymetal.cache import CacheWarning, DiskCache, digest, fetch


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pch")


def never():
    raise AssertionError("made again")


def test_an_entry_is_made_once(cache_dir):
    assert fetch(digest("a"), lambda: b"data") == (b"data", False)
    assert fetch(digest("a"), never) == (b"data", True)
    assert len(entries(cache_dir)) == 1


def test_what_make_raises_passes_through_and_leaves_nothing(cache_dir):
    with pytest.raises(ZeroDivisionError):
        fetch(digest("a"), lambda: bytes(1 // 0))
    assert entries(cache_dir) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: content[:-1] + b"!",
        lambda content: b"!" + content[1:],
        lambda content: content + b"!",
    ],
)
def test_a_damaged_entry_is_made_again(cache_dir, damage):
    fetch(digest("a"), lambda: b"some data")
    (path,) = entries(cache_dir)
    path.write_bytes(damage(path.read_bytes()))
    assert fetch(digest("a"), lambda: b"some data") == (b"some data", False)
    assert fetch(digest("a"), never) == (b"some data", True)


def test_keys_tell_parts_and_types_apart():
    keys = [
        digest("ab", "c"),
        digest("a", "bc"),
        digest("abc"),
        digest(b"abc"),
        digest(1),
        digest("1"),
        digest(),
        digest(""),
    ]
    assert len(set(keys)) == len(keys)
    assert digest("ab", "c") == keys[0]


def test_the_least_recently_used_go_first(tmp_path):
    disk = DiskCache(tmp_path, limit_bytes=10_000)
    keys = [digest(i) for i in range(8)]
    start = time.time() - 1000
    for i, key in enumerate(keys):
        disk.put(key, bytes(1000))
        os.utime(tmp_path / key[:2] / key, (start + i, start + i))
    assert disk.get(keys[0]) is not None  # now the most recently used
    disk.put(digest("large"), bytes(2500))
    assert disk.get(keys[0]) is not None
    assert disk.get(digest("large")) is not None
    assert disk.get(keys[1]) is None
    assert disk.get(keys[7]) is not None
    assert disk.info().size_bytes <= 10_000


def test_an_entry_larger_than_the_limit_is_kept_alone(tmp_path):
    disk = DiskCache(tmp_path, limit_bytes=1000)
    disk.put(digest("small"), bytes(10))
    disk.put(digest("large"), bytes(2000))
    assert disk.get(digest("large")) is not None
    assert disk.info().entries == 1


def test_what_crashed_writers_left_is_removed(tmp_path):
    disk = DiskCache(tmp_path)
    key = digest("a")
    disk.put(key, b"data")
    for name, age in (("old.part", 7200), ("new.part", 0)):
        path = tmp_path / key[:2] / name
        path.write_bytes(b"unfinished")
        os.utime(path, (time.time() - age,) * 2)
    assert disk.info().entries == 1
    assert [path.name for path in entries(tmp_path)] == sorted([key, "new.part"])


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    # A file where the folder should be: refused for root too, whom permissions do not stop.
    (tmp_path / "file").write_text("")
    disk = DiskCache(tmp_path / "file" / "cache")
    with pytest.warns(CacheWarning, match="PYMETAL_CACHE_DIR"):
        disk.put(digest(0), b"data")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        disk.put(digest(1), b"data")
    assert disk.get(digest(0)) is None
    assert disk.info().entries == 0
    assert disk.clear() == 0


def test_clear_removes_everything(cache_dir):
    for i in range(5):
        fetch(digest(i), lambda: b"data")
    (cache_dir / "headers").mkdir(exist_ok=True)
    (cache_dir / "headers" / "0.pch").write_bytes(b"precompiled")
    count = cache.disk().info().entries
    assert count >= 6
    assert cache.disk().clear() == count
    assert cache.disk().info().entries == 0
    assert fetch(digest(0), lambda: b"data") == (b"data", False)


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PYMETAL_CACHE_DIR", str(tmp_path / "mine"))
    assert cache.default_folder() == tmp_path / "mine"
    monkeypatch.delenv("PYMETAL_CACHE_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "pymetal"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / ".cache" / "pymetal"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.default_folder() == tmp_path / "Library" / "Caches" / "pymetal"


CHURN = """
import random, sys
from pathlib import Path
from pymetal.cache import DiskCache, digest
disk = DiskCache(Path(sys.argv[1]), limit_bytes=40_000)
draw = random.Random(int(sys.argv[2]))
for _ in range(300):
    number = draw.randrange(30)
    data = disk.get(digest(number))
    assert data is None or data == bytes([number]) * (1000 + 100 * number), number
    entries = [path for path in Path(sys.argv[1]).glob("*/*") if not path.suffix]
    if draw.random() < 0.02 and entries:
        try: draw.choice(entries).write_bytes(b"damage")
        except OSError: pass
    disk.put(digest(number), bytes([number]) * (1000 + 100 * number))
"""


def test_many_processes_share_one_small_folder(tmp_path):
    """Four processes read, write, evict and damage the same entries; none reads a wrong one."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHURN, tmp_path, str(seed)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert not list(tmp_path.glob("*/*.part"))


def test_the_packages_own_files_are_part_of_its_fingerprint():
    assert len(cache.package_fingerprint()) == 64
    assert cache.package_fingerprint() == cache.package_fingerprint()
    assert len(cache.cpu_fingerprint()) == 64


# --- kernels in the cache -----------------------------------------------------------------------

RUN = """
import subprocess, sys
import numpy as np
if sys.argv[1] == "warm":
    def refuse(*arguments, **facts):
        raise SystemExit(f"started {arguments}")
    subprocess.Popen = refuse
from pymetal import run_metal_kernel
x = np.arange(40, dtype=np.float32)
result = run_metal_kernel("twice", [x], 40, 40, 40, device="cpu")
np.testing.assert_array_equal(result, float(sys.argv[2]) * x)
heavy = {"llvmlite", "ziglang", "pymetal.msl.compiler", "pymetal.metal.device"}
print(sorted(heavy & set(sys.modules)))
"""
TWICE = """#include <metal_stdlib>
#include "factor.h"
kernel void twice(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
    uint i [[thread_position_in_grid]])
{
    out[i] = FACTOR * x[i];
}
"""


@pytest.fixture
def twice(kernels):
    (kernels / "factor.h").write_text("#define FACTOR 2\n")
    (kernels / "twice.metal").write_text(TWICE)
    return kernels


def run_in_new_process(state: str, factor: int, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", RUN, state, str(factor)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_a_second_process_compiles_nothing(cache_dir, twice):
    run_in_new_process("cold", 2)
    assert run_in_new_process("warm", 2) == "[]"


def test_an_edited_include_misses_the_cache(cache_dir, twice):
    run_in_new_process("cold", 2)
    (twice / "factor.h").write_text("#define FACTOR 3\n")
    run_in_new_process("cold", 3)
    (twice / "factor.h").write_text("#define FACTOR 2\n")
    run_in_new_process("warm", 2)


def test_damaged_kernels_are_compiled_again(cache_dir, twice):
    run_in_new_process("cold", 2)
    files = [path for path in cache_dir.rglob("*") if path.is_file()]
    assert len(files) > 2
    for path in files:
        path.write_bytes(path.read_bytes()[:-7])
    run_in_new_process("cold", 2)
    run_in_new_process("warm", 2)


def test_kernels_run_without_a_cache(tmp_path, twice):
    (tmp_path / "file").write_text("")
    run_in_new_process("cold", 2, PYMETAL_CACHE_DIR=str(tmp_path / "file" / "cache"))


def test_many_processes_compile_the_same_kernel_at_once(cache_dir, twice):
    run_in_new_process("cold", 2)  # leaves precompiled headers: the slow part, once
    for path in entries(cache_dir):
        path.unlink()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run_in_new_process("cold", 2), range(4)))
    run_in_new_process("warm", 2)
