"""Build step: compile the shipped kernels into kernels.metallib and note their SHA-256.

Run by meson with the build's Python. Uses the front end of the source tree beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("sources", type=Path, nargs="+")
    options = parser.parse_args()

    library = options.output_dir / "kernels.metallib"
    paths = [str(SOURCE_ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pymetal.msl", *map(str, options.sources), "-o", str(library)]
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        return done.returncode

    write_sums(options.output_dir, options.sources)
    return 0


def write_sums(folder: Path, sources: list[Path]) -> None:
    """Leave kernels.sha256 in the format of sha256sum. Read in pymetal/loading.py."""
    lines = [
        f"{hashlib.sha256(source.read_bytes()).hexdigest()}  {source.name}\n" for source in sources
    ]
    (folder / "kernels.sha256").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
