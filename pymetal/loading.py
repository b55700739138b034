"""Libraries of kernel files, kept in memory and compiled again when the files change.

A call costs a `stat` of the file and of each file that it includes. Only when a stamp differs, or
is too young to be trusted, are they read; only when their content differs is anything compiled.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from pymetal import _native
from pymetal.cache import digest
from pymetal.devices import Device
from pymetal.errors import LibraryError
from pymetal.find import Found, PathLike, find, shipped_metallib
from pymetal.library import Library, load, read_source
from pymetal.locks import ForkSafeLock
from pymetal.origin import Origin
from pymetal.source import CompileOptions

# A file changed less than this before it was read may change again within the same time stamp.
# FAT's stamps, the coarsest, are two seconds apart.
STAMP_SECONDS = 2.5
# Kept for sources that come back, as when an edit is undone.
MAX_LIBRARIES = 256

Stamp = tuple[int, int, int, int]


@dataclass
class _Loaded:
    """A file's library, with the stamps of all it was made of and the moment before reading."""

    library: Library
    stamps: dict[str, Stamp | None]
    read_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self._is_trusted = all(
            stamp is not None and self.read_at - stamp[0] / 1e9 > STAMP_SECONDS
            for stamp in self.stamps.values()
        )
        self._stamps = tuple(self.stamps.items())

    def is_current(self) -> bool:
        """Whether the stamps prove that nothing has changed."""
        if not self._is_trusted:
            return False
        for path, stamp in self._stamps:  # noqa: SIM110 - a generator takes twice as long
            if stamp != _stamp(path):
                return False
        return True


class _Named(NamedTuple):
    """What a name meant."""

    loaded: _Loaded
    function: str
    absent: tuple[str, ...]

    def is_current(self) -> bool:
        """Whether it means the same now."""
        for path in self.absent:
            if os.access(path, os.F_OK):
                return False
        return self.loaded.is_current()


# By path as given, and the folder that a relative one starts from.
_loaded: dict[tuple[Device, str, str], _Loaded] = {}
# By name, `kernel_dirs` and `PYMETAL_KERNEL_PATH`: the library, the function to run, and the files
# that would come before.
_by_name: dict[tuple[Device, str, PathLike | None, str | None], _Named] = {}
_libraries: OrderedDict[tuple[Device, str], Library] = OrderedDict()
_lock = ForkSafeLock()


def _key(device: Device, path: str) -> tuple[Device, str, str]:
    return (device, path, "" if path.startswith(os.sep) else os.getcwd())


def library_of(found: Found, device: Device) -> Library:
    """The library of a kernel file as the file is now."""
    key = _key(device, os.fspath(found.path))
    loaded = _loaded.get(key)
    if loaded is not None and loaded.is_current():
        return loaded.library
    with _lock:
        loaded = _loaded.get(key)
        if loaded is None or not loaded.is_current():
            loaded = _loaded[key] = _load(found, device)
        return loaded.library


def library_by_name(
    name: str, kernel_dirs: Sequence[PathLike] | PathLike | None, device: Device
) -> tuple[Library, str]:
    """The library of the file that `name` means, as `find` says, and the function in it.

    Where that was found out before, it is enough that the file's stamp is the same, the current
    folder's too if the path starts there, and that no file has come that would be taken instead.
    """
    key = None
    if isinstance(name, str) and (kernel_dirs is None or isinstance(kernel_dirs, (str, Path))):
        key = (device, name, kernel_dirs, _native.getenv("PYMETAL_KERNEL_PATH"))
        known = _by_name.get(key)
        if known is not None and known.is_current():
            return known.loaded.library, known.function
    found = find(name, kernel_dirs)
    library = library_of(found, device)
    loaded = _loaded.get(_key(device, os.fspath(found.path)))
    if key is not None and loaded is not None and loaded.library is library:
        _by_name[key] = _Named(loaded, found.function, found.absent)
    return library, found.function


def forget() -> None:
    """Drop every library from memory, as in a new process."""
    with _lock:
        _by_name.clear()
        _loaded.clear()
        _libraries.clear()


def _load(found: Found, device: Device) -> _Loaded:
    read_at = time.time()
    if found.path.suffix == ".metallib":
        stamps = {str(found.path): _stamp(str(found.path))}
        content = found.path.read_bytes()
        library = _remembered(
            (device, digest(str(found.path), content)), lambda: load(found.path, device=device)
        )
        return _Loaded(library, stamps, read_at)

    from pymetal.msl import local_includes

    options = CompileOptions()
    stamps = {str(found.path): _stamp(str(found.path))}
    source = read_source(found.path)
    contents = [source.text]
    for path, text in local_includes(source, options).items():
        stamps[str(path)] = _stamp(str(path))
        contents.append(text)

    def compile_or_load() -> Library:
        notes: list[str] = []
        precompiled = _precompiled(found, contents, device, notes)
        if precompiled is not None:
            return precompiled
        compiled = device.library_from_source(source, options)
        made_from = Origin(str(found.path), source, options)
        return Library(device, compiled, str(found.path), notes, made_from)

    key = (device, digest(str(found.path.absolute()), *stamps, *contents))
    return _Loaded(_remembered(key, compile_or_load), stamps, read_at)


def _remembered(key: tuple[Device, str], make: Callable[[], Library]) -> Library:
    """The library of that content, made at most once while it is remembered."""
    library = _libraries.get(key)
    if library is None:
        library = _libraries[key] = make()
        if len(_libraries) > MAX_LIBRARIES:
            _libraries.popitem(last=False)
    _libraries.move_to_end(key)
    return library


def _precompiled(
    found: Found, contents: list[str], device: Device, notes: list[str]
) -> Library | None:
    """The library built with PyMetal, if it holds this shipped kernel as its source is now.

    Where there is one that cannot be used, `notes` learns why.
    """
    path = shipped_metallib()
    if not found.shipped or not path.is_file():
        return None
    if _is_edited(found.path, contents):
        notes.append(f"compiled from source: {path} was not made of {found.path.name} as it is now")
        return None
    try:
        library = _remembered(
            (device, digest(str(path), _stamp(str(path)))), lambda: load(path, device=device)
        )
    except LibraryError as error:
        notes.append(f"compiled from source: {error}")
        warnings.warn(
            f"the shipped kernels are compiled from source: {error}", RuntimeWarning, stacklevel=2
        )
        return None
    return library if found.function in library else None


def _is_edited(path: Path, contents: list[str]) -> bool:
    """Whether a shipped kernel differs from what was precompiled.

    The build leaves `kernels.sha256`, in the format of sha256sum. Without it, as in a source
    checkout, nobody can tell, so the precompiled kernel is not used.
    """
    try:
        listed = (path.parent / "kernels.sha256").read_text(encoding="utf-8").split()
    except OSError:
        return True
    built = dict(zip(listed[1::2], listed[::2], strict=False))
    return len(contents) > 1 or built.get(path.name) != sha256(contents[0].encode()).hexdigest()


def _stamp(path: str) -> Stamp | None:
    """What changes when a file does; None where there is no file."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
