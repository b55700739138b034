"""Check a macOS wheel without a Mac: what its native module needs is what macOS and Python have.

    python scripts/check_macos_wheel.py dist/pymetal-*.whl      (needs `pip install macholib`)

A cross-build links with `-undefined dynamic_lookup`, so a misspelt function shows only when the
module is loaded. Here every undefined symbol must come from a named library of macOS or be
Python's, and the module must be arm64, signed, for the promised macOS, and free of run paths.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from macholib import mach_o
from macholib.MachO import MachO
from macholib.SymbolTable import SymbolTable

WHEEL = re.compile(r"pymetal-[\d.]+-(?P<python>cp\d+)-abi3-macosx_14_0_arm64\.whl")
MINIMUM_MACOS = "14.0.0"
LIBRARIES = {
    "/usr/lib/libSystem.B.dylib",
    "/usr/lib/libobjc.A.dylib",
    "/usr/lib/libc++.1.dylib",
    "/System/Library/Frameworks/CoreGraphics.framework/Versions/A/CoreGraphics",
    "/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation",
    "/System/Library/Frameworks/Metal.framework/Versions/A/Metal",
}
# Found by name when the module is loaded: Python's, and constants of Apple's frameworks, which
# metal-cpp declares weak and asks for before it uses them.
PYTHON = re.compile(r"_Py\w+|__Py\w+")
WEAK_CONSTANTS = re.compile(r"_(NS|MTL)[A-Z]\w+")
CPU_TYPE_ARM64 = 0x0100000C
N_STAB, N_TYPE, N_WEAK_REF = 0xE0, 0x0E, 0x40  # <mach-o/nlist.h>
# Library ordinals that name no library: the module itself (so zig's linker), any, the program.
BY_NAME = (0x00, 0xFE, 0xFF)


def problems_of(module: Path) -> Iterator[str]:
    """What would keep Python on a Mac from loading this module."""
    image = MachO(str(module))
    if len(image.headers) != 1:
        yield "holds several architectures"
    header = image.headers[0]
    if header.header.cputype != CPU_TYPE_ARM64:
        yield "is not arm64"
    commands = {load.cmd: command for load, command, _ in header.commands}
    if mach_o.LC_CODE_SIGNATURE not in commands:
        yield "is not signed: arm64 refuses to load it"
    if mach_o.LC_RPATH in commands:
        yield "has a run path"
    build = commands.get(mach_o.LC_BUILD_VERSION)
    minimum = version(build.minos) if build is not None else "none"
    if minimum != MINIMUM_MACOS:
        yield f"is for macOS {minimum}, not {MINIMUM_MACOS}"
    for _, _, library in header.walkRelocatables():
        if library not in LIBRARIES:
            yield f"needs {library}"
    yield from undefined_symbols(image)


def undefined_symbols(image: MachO) -> Iterator[str]:
    """Symbols that no known library has."""
    for entry, name in SymbolTable(image).nlists:
        is_undefined = not entry.n_type & N_STAB and entry.n_type & N_TYPE == 0
        if not is_undefined or not name:
            continue
        symbol = name.decode()
        by_name = (entry.n_desc >> 8) & 0xFF in BY_NAME
        is_weak = bool(entry.n_desc & N_WEAK_REF)
        is_weak_constant = is_weak and WEAK_CONSTANTS.fullmatch(symbol)
        if by_name and not PYTHON.fullmatch(symbol) and not is_weak_constant:
            yield f"needs {symbol}, which no library promises"


def version(number: int) -> str:
    """`minos` as macOS writes it."""
    return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"


def main() -> int:
    """Check one wheel; its problems, one a line, and the exit code."""
    wheel = Path(sys.argv[1])
    problems = [] if WHEEL.fullmatch(wheel.name) else ["the name is not an abi3 wheel's for arm64"]
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        modules = sorted(Path(folder).rglob("*.so"))
        dylibs = sorted(Path(folder).rglob("*.dylib"))
        if [m.name for m in modules] != ["_native.abi3.so"] or dylibs:
            problems.append(f"holds {[p.name for p in (*modules, *dylibs)]}")
        for module in modules:
            problems += [f"{module.name} {text}" for text in problems_of(module)]
        for required in ("pymetal/kernels/matmul.metal", "pymetal/msl/include/metal_stdlib"):
            if not (Path(folder) / required).is_file():
                problems.append(f"lacks {required}")
        if list(Path(folder).rglob("*metal_double*")):
            problems.append("holds the test double")
    for problem in problems:
        print(f"{wheel.name}: {problem}")
    print(f"{wheel.name}: {'not fit' if problems else 'fit'} for macOS {MINIMUM_MACOS} on arm64")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
