"""Fixtures that every test file shares."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# CI must not fail on a draw that nobody can repeat; elsewhere every run draws anew.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture
def device(metal_device: str) -> str:
    """Every test that takes it runs on each device present, or on `--device`: pymetal's plugin."""
    return metal_device


@pytest.fixture(scope="session", autouse=True)
def _session_cache(tmp_path_factory: pytest.TempPathFactory):
    """Tests share a cache of their own, and leave the user's alone."""
    before = os.environ.get("PYMETAL_CACHE_DIR")
    os.environ["PYMETAL_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["PYMETAL_CACHE_DIR"]
    else:
        os.environ["PYMETAL_CACHE_DIR"] = before


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    """A disk cache without kernels and, as in a new process, nothing in memory.

    Precompiled headers, which take seconds to make, are those of the session.
    """
    from pymetal import loading

    folder = tmp_path / "cache"
    headers = Path(os.environ["PYMETAL_CACHE_DIR"]) / "headers"
    if headers.is_dir():
        shutil.copytree(headers, folder / "headers")
    monkeypatch.setenv("PYMETAL_CACHE_DIR", str(folder))
    loading.forget()
    yield folder
    loading.forget()


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """An empty `kernels` folder in the current directory."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYMETAL_KERNEL_PATH", raising=False)
    return folder


# Files that look inside the software device: no GPU has part in their tests, so that a run on
# other devices leaves them out, but for tests that take a device.
SOFTWARE = {
    "test_apple_families.py",
    "test_apple_metallib.py",
    "test_barriers.py",
    "test_canonical.py",
    "test_canonical_arithmetic.py",
    "test_canonical_constants.py",
    "test_canonical_intrinsics.py",
    "test_casts_of_bits.py",
    "test_check_run.py",
    "test_checks_are_quiet.py",
    "test_checks_contain.py",
    "test_checks_of_mlx.py",
    "test_container.py",
    "test_convergence.py",
    "test_engines_agree.py",
    "test_front_end.py",
    "test_fuzz.py",
    "test_geometries_agree.py",
    "test_ir.py",
    "test_language_agrees.py",
    "test_llvm_module.py",
    "test_module.py",
    "test_positions_agree.py",
    "test_real_world.py",
    "test_reference_engine.py",
    "test_refusals.py",
    "test_rewrite.py",
    "test_same_code.py",
    "test_sanitizer.py",
    "test_shipped_kernels_agree.py",
    "test_simdgroup.py",
    "test_sites.py",
    "test_threadgroups.py",
    "test_vectors.py",
    "test_workers.py",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The README's example first: if that fails, the rest is of less interest."""
    items.sort(key=lambda item: item.path.name != "test_minimal.py")
    devices = config.getoption("--device")
    if not devices or "cpu" in devices:
        return
    skip = pytest.mark.skip(reason="looks inside the software device, whatever runs beside it")
    for item in items:
        if item.path.name in SOFTWARE and "device" not in item.fixturenames:
            item.add_marker(skip)


@pytest.fixture
def double():
    """The double of Metal, as it starts; faults that a test injects end with the test."""
    from metal_control import Double

    double = Double()
    double.reset()
    yield double
    double.reset()


@pytest.fixture
def gpu(double):
    """The double's GPU."""
    import pymetal

    return pymetal.device("metal")


@pytest.fixture
def scale(gpu):
    """A kernel on it: see metal_scale.py."""
    from metal_scale import SCALE

    import pymetal

    return pymetal.compile(SCALE, device=gpu)["scale"]
