"""Where kernels are found by name: `./kernels`, `PYMETAL_KERNEL_PATH`, then the shipped ones."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymetal.errors import ArgumentError, FunctionNotFoundError
from pymetal.shown import shown

FIRST_FOLDER = "kernels"  # in the current folder; always searched first

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Found:
    """A kernel's file and the function to run in it.

    `absent`: files that would have been taken instead, had they been there.
    """

    path: Path
    function: str
    shipped: bool = False
    absent: tuple[str, ...] = ()


def find(name: str, kernel_dirs: Sequence[PathLike] | PathLike | None = None) -> Found:
    """The file that `name` means.

    Parameters
    ----------
    name
        `NAME`: function NAME of NAME.metal; `FILE:NAME`: function NAME of FILE.metal. A name
        that ends in `.metal` or `.metallib` is a path, and not searched for.
    kernel_dirs
        Folders searched before the usual ones.

    Raises
    ------
    FunctionNotFoundError
        There is no such file; tells where it was looked for.
    """
    if not isinstance(name, str):
        raise ArgumentError(f"a kernel's name is a string, got {type(name).__name__}")
    file, _, function = name.partition(":")
    if file.endswith((".metal", ".metallib")):
        path = Path(file)
        if not path.is_file():
            raise FunctionNotFoundError(f"there is no file {path.absolute()}")
        return Found(path, function or path.stem)
    if not file or "\0" in file or os.sep in file:
        raise FunctionNotFoundError(
            f"no kernel {shown(name)}: a name is NAME, FILE:NAME or a path that ends in .metal"
        )
    folders = search_path(kernel_dirs)
    absent: list[str] = []
    for folder in folders:
        candidate = os.path.join(folder, f"{file}.metal")
        if os.path.isfile(candidate):
            return Found(Path(candidate), function or file, absent=tuple(absent))
        absent.append(candidate)
    shipped = shipped_dir()
    path = shipped / f"{file}.metal"
    if path.is_file():
        return Found(path, function or file, shipped=True, absent=tuple(absent))
    raise _not_found(file, [*map(Path, folders), shipped])


def search_path(kernel_dirs: Sequence[PathLike] | PathLike | None = None) -> list[str]:
    """The folders searched before the shipped kernels, in order."""
    if kernel_dirs is None:
        kernel_dirs = ()
    elif isinstance(kernel_dirs, (str, os.PathLike)):
        kernel_dirs = (kernel_dirs,)
    if not isinstance(kernel_dirs, (tuple, list)) or not all(
        isinstance(folder, (str, os.PathLike)) for folder in kernel_dirs
    ):
        raise ArgumentError(f"kernel_dirs is a path or a list of paths, got {shown(kernel_dirs)}")
    named = os.environ.get("PYMETAL_KERNEL_PATH", "").split(os.pathsep)
    return [
        *map(os.fspath, kernel_dirs),
        FIRST_FOLDER,
        *(os.path.expanduser(folder) for folder in named if folder),
    ]


@cache
def shipped_dir() -> Path:
    """The kernels installed with PyMetal; in a source checkout, its `kernels` folder."""
    package = Path(__file__).parent
    installed = package / "kernels"
    return installed if installed.is_dir() else package.parent / "kernels"


def shipped_metallib() -> Path:
    """What the build compiles the shipped kernels into; a source checkout has none."""
    return shipped_dir() / "kernels.metallib"


def _not_found(file: str, folders: Sequence[Path]) -> FunctionNotFoundError:
    files = {path for folder in folders for path in folder.glob("*.metal")}
    available = sorted({path.stem for path in files})
    import difflib

    lines = [f"no kernel '{file}': there is no {file}.metal in"]
    lines += [
        f"  {folder.absolute()}{'' if folder.is_dir() else ' (no such folder)'}"
        for folder in folders
    ]
    if elsewhere := sorted({path.stem for path in files if _declares(path, file)}):
        names = " or ".join(f"'{stem}:{file}'" for stem in elsewhere)
        lines.append(f"A function of that name is in another file: pass {names}.")
    elif starts := [stem for stem in available if file.startswith(f"{stem}_")]:
        # Perhaps a macro or a template makes it.
        lines.append(f"Did you mean '{max(starts, key=len)}:{file}'?")
    elif close := difflib.get_close_matches(file, available, 1):
        lines.append(f"Did you mean '{close[0]}'?")
    lines.append(f"There are: {', '.join(available) or 'no kernels at all'}.")
    return FunctionNotFoundError("\n".join(lines), available=tuple(available))


def _declares(path: Path, function: str) -> bool:
    """Whether a file declares a kernel of that name, as far as its text shows."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    name = re.escape(function)
    return bool(re.search(rf'\bkernel\b[^;{{}}()]*?\b{name}\s*\(|host_name\s*\(\s*"{name}"', text))
