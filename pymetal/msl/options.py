"""Compile options as clang's flags. What is here is part of the key of the precompiled headers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pymetal.errors import UnsupportedError
from pymetal.source import CompileOptions

# The only headers there are; clang also runs here, so that no file found by chance is included.
INCLUDE = Path(__file__).parent / "include"

NEWEST_LANGUAGE = (4, 0)
_OLDEST_LANGUAGE = (1, 0)

# Metal's predefined macros come instead of clang's own.
_PREDEFINED = (
    "__METAL__=1",
    "__METAL_MACOS__=1",
    "__METAL_CPU_PYMETAL__=1",
)

# A GPU's ABI passes vectors, half and bfloat as they are; the loader drops the target.
_LANGUAGE = (
    "--target=nvptx64-nvidia-cuda",
    "-std=gnu++17",
    "-nostdinc",
    "-nogpulib",
    "-fsigned-char",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-flax-vector-conversions=none",
    "-w",
    "-Wno-narrowing",
    # Xcode's NS_ENUM: typedef enum A : int A; enum A : int { ... }
    "-Wno-elaborated-enum-base",
    # Kernels loop for ever and alias as they like: neither is undefined in Metal.
    "-fno-finite-loops",
    "-fno-strict-aliasing",
    "-fno-builtin",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Xclang",
    "-ffloat16-excess-precision=none",
    "-Xclang",
    "-fbfloat16-excess-precision=none",
    # Optimised as -O2 would see it, but by the loader, which has things to do first.
    "-O2",
    "-Xclang",
    "-disable-llvm-passes",
)

_MATH = {
    # As Apple's: contraction within an expression only.
    "safe": ("-ffp-contract=on",),
    "relaxed": ("-ffast-math", "-fhonor-infinities", "-fhonor-nans", "-D__FAST_MATH__=1"),
    "fast": ("-ffast-math",),
}


def language_version(options: CompileOptions) -> tuple[int, int]:
    """The (major, minor) of the Metal language that is compiled."""
    version = options.language_version or NEWEST_LANGUAGE
    if not _OLDEST_LANGUAGE <= version <= NEWEST_LANGUAGE:
        raise UnsupportedError(
            f"Metal language version {version[0]}.{version[1]} is not supported; the newest is "
            f"{NEWEST_LANGUAGE[0]}.{NEWEST_LANGUAGE[1]}",
            feature="language versions",
        )
    return version


def predefined(options: CompileOptions) -> list[str]:
    """-D flags of the macros that Metal's compiler predefines."""
    major, minor = language_version(options)
    tensors = ["-D__HAVE_TENSOR__=1"] if major >= 4 else []
    bfloat = ["-D__HAVE_BFLOAT__=1"] if (major, minor) >= (3, 1) else []
    return [
        *(f"-D{macro}" for macro in _PREDEFINED),
        f"-D__METAL_VERSION__={major}{minor}0",
        *bfloat,
        *tensors,
    ]


def preprocess_flags(options: CompileOptions) -> list[str]:
    """Flags of the preprocessor: our headers, then the user's folders and macros."""
    fast = ["-D__FAST_MATH__=1"] if options.math_mode != "safe" else []
    return [
        *("-E", "-x", "c++", "-nostdinc", "-w", "-undef", "-D__cplusplus=201703L"),
        *predefined(options),
        *fast,
        *_library_macros(),
        *(f"-D{name}={value}" for name, value in options.macros),
        f"-I{INCLUDE}",
        *(f"-I{folder.absolute()}" for folder in options.include_dirs),
    ]


_INTEGER = re.compile(r"[-+()\d\sUuLl]+")


@cache
def _library_macros() -> tuple[str, ...]:
    """-D flags of the standard library's constants, for `#ifdef M_PI_F` and `#if CHAR_BIT == 8`.

    The headers themselves come in later, precompiled. Integers have their values here; the others
    stand for themselves until then.
    """
    integers: set[str] = set()
    flags = []
    text = (INCLUDE / "pymetal_limits.h").read_text(encoding="utf-8")
    for name, value in re.findall(r"^#define (\w+) (.+)$", text, re.M):
        if _INTEGER.fullmatch(value) or value in integers:
            integers.add(name)
            flags.append(f"-D{name}={value}")
        else:
            flags.append(f"-D{name}={name}")
    return tuple(flags)


def compile_flags(options: CompileOptions, tensors: bool = False) -> list[str]:
    """Flags of the compiler, the same for a source and for the headers precompiled for it.

    With `tensors`, descriptors of operations are template arguments (C++20), and a subscript takes
    several indices (C++23). Not always: what is an aggregate in Metal, a struct with a defaulted
    constructor, is none then.
    """
    logging = ["-DPYMETAL_LOGGING=1"] if options.enable_logging else []
    math = _MATH[options.math_mode]
    standard = ["-std=gnu++23"] if tensors else []
    return [*_LANGUAGE, *standard, *math, *predefined(options), *logging, f"-I{INCLUDE}"]
