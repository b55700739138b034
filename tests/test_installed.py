"""An installed PyMetal runs the shipped kernels from kernels.metallib, with no compiler about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

import pymetal
from pymetal import find, loading, run_metal_kernel

SHIPPED = find.shipped_dir()
METALLIB = SHIPPED / "kernels.metallib"

pytestmark = pytest.mark.skipif(
    not METALLIB.is_file(),
    reason=f"no {METALLIB}: an installed wheel has it, a source checkout has not",
)

# Ends the process if anything tries to run clang, ziglang's or another.
CHILD = """\
import subprocess, sys
sys.modules["ziglang"] = None
def refuse(*arguments, **options):
    raise SystemExit(f"a process was started: {arguments}")
subprocess.Popen = subprocess.run = refuse

import numpy as np
from pymetal import run_metal_kernel

rng = np.random.default_rng(0)
a = rng.standard_normal((33, 20), dtype=np.float32)
b = rng.standard_normal((20, 31), dtype=np.float32)
exact = a.astype(np.float64) @ b
def check(result, exact):
    np.testing.assert_allclose(result, exact, rtol=1e-4, atol=1e-5)
check(run_metal_kernel("matmul", [a, b, 20], (33, 31), (33, 31, 1), (16, 16, 1)), exact)
blocked = "matmul_simdgroup:matmul_simdgroup_blocked"
check(run_metal_kernel(blocked, [a, b, 33, 20, 31], (33, 31), (128, 1), (128, 1)), exact)
weights = np.exp(a.astype(np.float64))
weights /= weights.sum(axis=1, keepdims=True)
check(run_metal_kernel("softmax:softmax_simd", [a, 20], a.shape, (32, 33), (32, 4)), weights)
print("right")
"""


def test_shipped_kernels_run_with_no_clang(tmp_path):
    environment = {
        **os.environ,
        "PYMETAL_CLANG": str(tmp_path / "no-such-clang"),
        "PYMETAL_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    environment.pop("PYMETAL_KERNEL_PATH", None)
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "right"), done.stderr


def test_the_precompiled_library_was_made_of_the_shipped_sources():
    lines = (SHIPPED / "kernels.sha256").read_text().splitlines()
    built = {name: digest for digest, name in (line.split() for line in lines)}
    assert built == {
        path.name: sha256(path.read_bytes()).hexdigest() for path in SHIPPED.glob("*.metal")
    }


def test_the_precompiled_library_holds_the_kernels_of_all_sources_and_says_the_same_of_them():
    precompiled = pymetal.load(METALLIB)
    names = set()
    for path in SHIPPED.glob("*.metal"):
        compiled = pymetal.compile(path)
        for name in compiled:
            names.add(name)
            assert precompiled.function(name).arguments == compiled.function(name).arguments, name
    assert set(precompiled) == names


@pytest.fixture
def copied(tmp_path, monkeypatch, cache_dir):
    """A copy of the shipped kernels in the shipped ones' place, and no `./kernels`."""
    folder = tmp_path / "shipped"
    shutil.copytree(SHIPPED, folder)
    monkeypatch.setattr(find, "shipped_dir", lambda: folder)
    monkeypatch.delenv("PYMETAL_KERNEL_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def notes_of(name):
    device = pymetal.device()
    return loading.library_of(find.find(name), device).kernel(name).report.notes


def matmul():
    a = np.full((4, 4), 3, np.float32)
    return run_metal_kernel("matmul", [a, a, 4], (4, 4), (4, 4, 1), (4, 4, 1))


def test_a_kernel_that_is_as_shipped_is_not_compiled_from_source(copied, monkeypatch):
    monkeypatch.setenv("PYMETAL_CLANG", str(copied / "no-such-clang"))
    assert (matmul() == 36).all()
    assert not any("source" in note for note in notes_of("matmul"))


def test_an_edited_shipped_kernel_is_compiled_from_source_and_says_so(copied):
    path = copied / "matmul.metal"
    path.write_text(path.read_text().replace("= sum;", "= sum + 1.0f;"))
    assert (matmul() == 37).all()
    assert any("matmul.metal" in note and "from source" in note for note in notes_of("matmul"))


def test_a_damaged_precompiled_library_is_passed_over_and_says_so(copied):
    library = copied / "kernels.metallib"
    library.write_bytes(library.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match=r"kernels\.metallib"):
        assert (matmul() == 36).all()
    assert any("from source" in note for note in notes_of("matmul"))
