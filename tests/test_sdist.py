"""The sdist carries Apple's metal-cpp headers where the wrap looks for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "dist_metal_cpp.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="needs a checkout of the sources")


@pytest.fixture
def dist(tmp_path):
    """The unpacked sdist that `meson dist` works on."""
    folder = tmp_path / "dist"
    shutil.copytree(ROOT / "subprojects" / "packagefiles", folder / "subprojects/packagefiles")
    return folder


def headers(folder: Path) -> Path:
    for name in ("Foundation/Foundation.hpp", "Metal/Metal.hpp", "QuartzCore/QuartzCore.hpp"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(f"// {name}\n")
    (folder / "LICENSE.txt").write_text("Apache License\n")
    (folder / "README.md").write_text("metal-cpp\n")
    return folder


def run(dist, *arguments):
    environment = os.environ | {
        "MESON_DIST_ROOT": str(dist),
        "MESON_SOURCE_ROOT": str(dist.parent / "source"),
    }
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("where", ["named", "fetched by Meson"])
def test_the_headers_are_where_the_wrap_looks(dist, tmp_path, where):
    if where == "named":
        done = run(dist, headers(tmp_path / "elsewhere"))
    else:
        headers(tmp_path / "source/subprojects/metal-cpp")
        done = run(dist)
    assert done.returncode == 0, done.stderr
    put = dist / "subprojects/metal-cpp"
    assert (put / "Metal/Metal.hpp").read_text() == "// Metal/Metal.hpp\n"
    assert (put / "LICENSE.txt").is_file()
    assert "metal-cpp" in (put / "meson.build").read_text()
    wrap = (ROOT / "subprojects/metal-cpp.wrap").read_text()
    assert "directory = metal-cpp\n" in wrap


def test_headers_that_meson_put_there_stay(dist):
    before = headers(dist / "subprojects/metal-cpp")
    assert run(dist).returncode == 0
    assert not (before / "meson.build").exists()


def test_without_headers_the_sdist_is_made_with_a_warning(dist):
    done = run(dist)
    assert done.returncode == 0
    assert "warning: this sdist lacks metal-cpp" in done.stdout


def test_a_folder_without_headers_is_an_error(dist, tmp_path):
    done = run(dist, tmp_path)
    assert done.returncode == 1
    assert "has no Metal/Metal.hpp" in done.stderr
