"""Where clang is and how it is run. Nothing here is looked for until something must compile."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymetal.errors import ToolchainError
from pymetal.msl.options import INCLUDE

# Search paths that clang takes from the environment would add the system's headers.
_IGNORED_VARIABLES = frozenset(
    ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "SDKROOT")
)
OLDEST_CLANG = 22  # the first with every element-wise builtin that the headers use

_ADVICE = (
    "Install one with `pip install ziglang` (it carries clang), or name a clang of version "
    f"{OLDEST_CLANG} or newer in PYMETAL_CLANG."
)


@dataclass(frozen=True)
class Clang:
    """A clang to run: `command` with arguments appended."""

    command: tuple[str, ...]

    def run(self, arguments: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """Run it with `text` as standard input. A non-zero exit is the caller's to explain."""
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                input=text,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="surrogateescape",
                cwd=INCLUDE,
                env={k: v for k, v in os.environ.items() if k not in _IGNORED_VARIABLES},
            )
        except OSError as error:
            name = " ".join(self.command)
            raise ToolchainError(f"cannot run '{name}': {error.strerror}. {_ADVICE}") from error
        if done.returncode < 0 or "PLEASE submit a bug report" in done.stderr:
            raise ToolchainError(f"clang crashed ({done.returncode}):\n{done.stderr[-2000:]}")
        return done

    def identity(self) -> str:
        """What changes when the binary does; cheaper than asking its version."""
        found = shutil.which(self.command[0])
        if found is None:
            return " ".join(self.command)
        state = os.stat(found)
        return f"{' '.join(self.command)} {state.st_size} {state.st_mtime_ns}"

    def version(self) -> str:
        """The first line of `clang --version`."""
        return self.run(["--version"]).stdout.partition("\n")[0]


def find_clang() -> Clang:
    """`PYMETAL_CLANG`, else the clang inside the ziglang package, else `clang` on the path."""
    return _find_clang(os.environ.get("PYMETAL_CLANG", ""), os.environ.get("PATH", ""))


@cache
def _find_clang(named: str, path: str) -> Clang:
    if named:
        clang = Clang(tuple(shlex.split(named)))
        _require_version(clang)
        return clang
    # Found without importing: the package's own `python -m ziglang` costs an interpreter.
    spec = importlib.util.find_spec("ziglang")
    if spec is not None and spec.origin is not None:
        for name in ("zig", "zig.exe"):
            binary = Path(spec.origin).parent / name
            if binary.is_file():
                return Clang((str(binary), "clang"))
    found = shutil.which("clang", path=path)
    if found is None:
        raise ToolchainError(f"no clang to compile Metal source with. {_ADVICE}")
    clang = Clang((found,))
    _require_version(clang)
    return clang


def _require_version(clang: Clang) -> None:
    version = clang.version()
    words = version.split("version ")
    major = words[1].split(".")[0] if len(words) > 1 else ""
    if not major.isdigit() or int(major) < OLDEST_CLANG:
        name = " ".join(clang.command)
        raise ToolchainError(f"'{name}' is no clang that serves: it says {version!r}. {_ADVICE}")
