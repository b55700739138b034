"""Build step on macOS: compile the shipped kernels into kernels.metallib with Apple's compiler.

With --probe it only tries the compiler, and tells how to get it where it does not work: Xcode 26
finds a `metal` that refuses to run until its toolchain is downloaded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from precompile import write_sums

METAL = ["xcrun", "-sdk", "macosx", "metal"]
REMEDY = (
    "Apple's Metal compiler does not work here. Command Line Tools alone lack it: install Xcode, "
    "then `sudo xcode-select -s /Applications/Xcode.app`, and from Xcode 26 on "
    "`xcodebuild -downloadComponent MetalToolchain`."
)
PROBE = "kernel void probe(device float* out [[buffer(0)]]) { out[0] = 1; }\n"
FIRST_MACOS = {"metal3.1": "14.0", "metal3.2": "15.0", "metal4.0": "26.0"}
# A header of 88 bytes and nothing else is what a broken `metallib` once left behind.
EMPTY_LIBRARY_BYTES = 200


class CompilerError(Exception):
    """What Apple's compiler said."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--std", required=True, help="language version, such as metal3.1")
    parser.add_argument("--probe", action="store_true", help="compile a kernel of one line")
    parser.add_argument("--output-dir", type=Path)
    parser.add_argument("sources", type=Path, nargs="*")
    options = parser.parse_args()
    try:
        if options.probe:
            probe(options.std)
        else:
            build(options.sources, options.output_dir, options.std)
    except CompilerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def probe(std: str) -> None:
    """Compile and link one kernel, and throw it away."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.metal"
        source.write_text(PROBE)
        try:
            build([source], Path(folder), std)
        except CompilerError as error:
            raise CompilerError(f"{REMEDY} It says: {error}") from None


def build(sources: list[Path], folder: Path, std: str) -> None:
    """Compile each source, link all, and note what they were."""
    minimum = f"-mmacosx-version-min={oldest_macos(std)}"
    # IEEE semantics, as when a kernel is compiled at run time.
    flags = [f"-std={std}", minimum, "-O2", "-fno-fast-math", "-Wall"]
    library = folder / "kernels.metallib"
    with tempfile.TemporaryDirectory(dir=folder) as parts:
        objects = []
        for source in sources:
            objects.append(str(Path(parts) / f"{source.stem}.air"))
            run([*METAL, *flags, "-c", str(source), "-o", objects[-1]])
        run([*METAL, minimum, *objects, "-o", str(library)])
    if not library.is_file() or library.stat().st_size < EMPTY_LIBRARY_BYTES:
        raise CompilerError(f"{library} came out empty")
    write_sums(folder, sources)


def oldest_macos(std: str) -> str:
    """The wheel's, but none that lacks the language: older systems compile the sources."""
    first = FIRST_MACOS.get(std, "14.0")
    asked = os.environ.get("MACOSX_DEPLOYMENT_TARGET") or first
    return asked if int(asked.split(".")[0]) >= int(first.split(".")[0]) else first


def run(command: list[str]) -> None:
    """Run the compiler; its warnings pass through."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompilerError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise CompilerError(done.stderr.strip() or f"exit code {done.returncode}")
    sys.stderr.write(done.stderr)


if __name__ == "__main__":
    sys.exit(main())
