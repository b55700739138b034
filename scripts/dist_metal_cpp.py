"""Run by `meson dist`: puts Apple's metal-cpp headers into the sdist, which then builds offline.

Its argument is the headers' folder; without it they are those that `meson subprojects download`
fetched.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

FOLDERS = ("Foundation", "Metal", "QuartzCore")  # as the headers include each other


def main() -> int:
    subprojects = Path(os.environ["MESON_DIST_ROOT"]) / "subprojects"
    target = subprojects / "metal-cpp"  # where the wrap looks before it fetches anything
    if (target / "Metal/Metal.hpp").is_file():  # on a Mac --include-subprojects was first
        return 0
    is_given = len(sys.argv) > 1
    fetched = Path(os.environ["MESON_SOURCE_ROOT"]) / "subprojects/metal-cpp"
    source = Path(sys.argv[1]) if is_given else fetched
    if not (source / "Metal/Metal.hpp").is_file():
        if is_given:
            print(f"{source} holds no metal-cpp: it has no Metal/Metal.hpp", file=sys.stderr)
            return 1
        print("warning: this sdist lacks metal-cpp; where it is built, Meson fetches the headers")
        return 0
    for folder in FOLDERS:
        shutil.copytree(source / folder, target / folder)
    for name in ("LICENSE.txt", "README.md"):
        shutil.copy(source / name, target)
    shutil.copy(subprojects / "packagefiles/metal-cpp/meson.build", target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
