"""What `import pymetal` loads: nothing heavy before it is needed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pymetal._native
import pytest

import pymetal


def loaded_after(code: str) -> set[str]:
    """The modules of a new process that ran `code`."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program],
        # The package under test: `-c` would find a checkout's in the current folder first.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_importing_pymetal_loads_nothing_else_of_weight():
    loaded = loaded_after("import pymetal")
    assert not loaded & {"numpy", "llvmlite", "ml_dtypes", "ziglang", "pymetal._native"}


def test_the_public_functions_load_numpy_but_no_compiler():
    loaded = loaded_after("from pymetal import run_metal_kernel, compile, load, output, Kernel")
    assert not loaded & {"llvmlite", "ml_dtypes", "ziglang", "importlib.metadata", "typer", "rich"}


def test_a_launch_from_the_caches_loads_no_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("PYMETAL_CACHE_DIR", str(tmp_path))
    launch = """
import numpy as np
from pymetal import run_metal_kernel
x = np.arange(64, dtype=np.float32)
out = run_metal_kernel("silu", [x], (64,), (64, 1, 1), (64, 1, 1), device="cpu")
assert np.isfinite(out).all() and out[1] > 0.7
"""
    compiler = {"llvmlite", "pymetal.air.normalise", "pymetal.cpu.vectorise", "pymetal.msl.clang"}
    first, second = loaded_after(launch), loaded_after(launch)
    assert first & compiler
    assert not second & (compiler | {"subprocess", "logging", "difflib"})


def test_the_front_end_imports_without_numpy_and_the_native_module():
    """The build compiles the shipped kernels before either is there."""
    blocked = "sys.modules['numpy'] = sys.modules['pymetal._native'] = None"
    loaded = loaded_after(f"{blocked}\nimport pymetal.msl")
    assert "pymetal.msl" in loaded


def test_a_source_folder_takes_the_native_module_of_the_installed_package(tmp_path):
    """As for `python` and `python -m pytest` in a checkout, after `pip install .`."""
    package = Path(pymetal.__file__).parent
    shutil.copytree(package, tmp_path / "pymetal", ignore=shutil.ignore_patterns("_native*.so"))
    run = subprocess.run(
        [sys.executable, "-c", "import pymetal.kernel as k; print(k.__file__, k._native.__file__)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    python, native = map(Path, run.stdout.split())
    assert python.parent == tmp_path / "pymetal"
    assert native.samefile(pymetal._native.__file__)


@pytest.mark.parametrize("name", pymetal.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(pymetal, name)
    assert name in dir(pymetal)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'kernal'"):
        _ = pymetal.kernal


def test_no_public_name_is_a_submodules_too():
    """`import pymetal.NAME` would put the module in the place of the function."""
    modules = {module.name for module in pkgutil.iter_modules(pymetal.__path__)}
    assert not modules & set(pymetal.__all__)
    assert pymetal.testing is importlib.import_module("pymetal.testing")
    assert "testing" in dir(pymetal)


KEEPS_AN_ARRAY = """
import pymetal
kernel = pymetal.compile("kernel void k(device float* x, uint i [[thread_position_in_grid]]) "
                         "{ x[i] = float(i); }").k
queue = pymetal.Queue()
for _ in range(2):
    kernel(pymetal.output(8), grid=8, queue=queue)
queue.wait()
try:
    kernel(pymetal.output(8), grid=9, check=True)
except pymetal.KernelFault as fault:
    kept = fault
"""


@pytest.mark.parametrize(
    ("code", "variables"),
    [
        pytest.param(KEEPS_AN_ARRAY, {"PYMETAL_LEAK_WARNINGS": "1"}, id="nothing leaks"),
        pytest.param(
            "import ctypes, pymetal\nkept = ctypes.py_object(pymetal.zeros(8))\n"
            "ctypes.pythonapi.Py_IncRef(kept)",
            {},
            id="what others keep is not said",
        ),
    ],
)
def test_an_interpreter_ends_without_a_word_of_leaks(code, variables):
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "leaked" not in run.stderr
