"""What `import pymetal` loads: nothing heavy before it is needed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

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


def test_the_front_end_imports_without_numpy_and_the_native_module():
    """The build compiles the shipped kernels before either is there."""
    blocked = "sys.modules['numpy'] = sys.modules['pymetal._native'] = None"
    loaded = loaded_after(f"{blocked}\nimport pymetal.msl")
    assert "pymetal.msl" in loaded


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
