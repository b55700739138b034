"""The disk cache of compiled kernels: AIR from source, native code from AIR.

Entries are files named by a digest of everything that went into them, so nothing is ever
updated, only added and evicted. Each is written to a temporary file and renamed, so that any
number of processes may share the folder, and carries its own checksum, so that a damaged one is
recompiled. `fetch` is the way in; `PYMETAL_CACHE_DIR` names the folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pymetal.locks import ForkSafeLock

MAGIC = b"PYMETAL-CACHE-1\n"
DEFAULT_SIZE_BYTES = 1 << 30
# An abandoned temporary file is younger than this while its writer may still be at work.
ABANDONED_SECONDS = 3600.0
# A hit marks its entry as used at most this often: reading should not mean writing.
TOUCH_SECONDS = 60.0


class CacheWarning(RuntimeWarning):
    """The disk cache cannot be written; kernels are compiled again in each process."""


@dataclass(frozen=True)
class CacheInfo:
    """What `python -m pymetal cache` shows."""

    folder: Path
    entries: int
    size_bytes: int
    limit_bytes: int


class DiskCache:
    """A bounded folder of immutable entries, least recently used evicted first."""

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_SIZE_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._writable = True
        self._size_bytes: int | None = None  # unknown until the first write looks
        self._lock = ForkSafeLock()

    def get(self, key: str) -> bytes | None:
        """The entry's data; None when there is none, or only a damaged one."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                content = file.read()
                used = os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        checksum_end = len(MAGIC) + 32
        data = content[checksum_end:]
        expected = MAGIC + hashlib.sha256(data).digest()
        if content[:checksum_end] != expected:
            _remove(path)
            return None
        if time.time() - used > TOUCH_SECONDS:
            with suppress(OSError):  # a read-only cache is still a cache
                os.utime(path)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Add an entry. A folder that cannot be written costs one warning, no more."""
        if not self._writable:
            return
        path = self._path(key)
        content = MAGIC + hashlib.sha256(data).digest() + data
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_atomically(path, content)
        except OSError as error:
            self._writable = False
            warnings.warn(
                f"the kernel cache {self.folder} cannot be written ({error.strerror or error}); "
                "kernels are compiled again in each process. Set PYMETAL_CACHE_DIR to a folder "
                "that can.",
                CacheWarning,
                stacklevel=3,
            )
            return
        with self._lock:
            if self._size_bytes is not None:
                self._size_bytes += len(content)
            if self._size_bytes is None or self._size_bytes > self.limit_bytes:
                self._size_bytes = self._evict(keep=path)

    def info(self) -> CacheInfo:
        """Count the entries and their bytes."""
        sizes = [stat.st_size for _, stat in self._entries()]
        return CacheInfo(self.folder, len(sizes), sum(sizes), self.limit_bytes)

    def clear(self) -> int:
        """Remove every entry; returns how many there were."""
        paths = [path for path, _ in self._entries()]
        for path in paths:
            _remove(path)
        self._size_bytes = None
        return len(paths)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        """All finished entries and precompiled headers; removes what crashed writers left."""
        for path in self.folder.glob("*/*"):
            try:
                stat = path.stat()
            except OSError:
                continue  # another process evicted it
            if path.suffix == ".part":
                if time.time() - stat.st_mtime > ABANDONED_SECONDS:
                    _remove(path)
                continue
            yield path, stat

    def _evict(self, keep: Path) -> int:
        """Bring the folder below three quarters of the limit if it is above it."""
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime)
        total = sum(stat.st_size for _, stat in entries)
        if total <= self.limit_bytes:
            return total
        for path, stat in entries:
            if path == keep:
                continue
            _remove(path)
            total -= stat.st_size
            if total <= self.limit_bytes * 3 // 4:
                break
        return total


def _write_atomically(path: Path, content: bytes) -> None:
    import tempfile  # a fifth of PyMetal's import time, and only writers need it

    handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        _remove(Path(temporary))
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):  # gone already, or not ours to remove
        path.unlink()


def default_folder() -> Path:
    """`PYMETAL_CACHE_DIR`, else the platform's cache folder."""
    if named := os.environ.get("PYMETAL_CACHE_DIR"):
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pymetal"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification ignores relative paths.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "pymetal"


@cache
def _open(folder: Path) -> DiskCache:
    return DiskCache(folder)


def disk() -> DiskCache:
    """This process's cache of the folder that the environment names now."""
    return _open(default_folder())


def fetch(key: str, make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """The entry `key`, made and kept if it is missing; and whether it was there.

    `key` is a `digest`. What `make` raises passes through and nothing is kept.
    """
    cached = disk().get(key)
    if cached is not None:
        return cached, True
    data = make()
    disk().put(key, data)
    return data, False


def digest(*parts: object) -> str:
    """A key from everything that matters: bytes as they are, other parts as their `repr`.

    Lengths are hashed too, so that ("ab", "c") and ("a", "bc") differ.
    """
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


@cache
def package_fingerprint() -> str:
    """PyMetal's version and its own files, headers and native module included.

    A checkout under work changes without changing its version; one `stat` a file (about a
    millisecond for all) keeps its cache honest.
    """
    from pymetal import __version__

    root = Path(__file__).parent
    paths: list[str] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        paths += (os.path.join(folder, name) for name in sorted(names))
    native = find_spec("pymetal._native")  # elsewhere in an editable install
    if native is not None and native.origin is not None and native.origin not in paths:
        paths.append(native.origin)
    files: list[tuple[str, int, int]] = []
    for path in paths:
        with suppress(OSError):  # an editor's temporary file, gone since
            stat = os.stat(path)
            files.append((os.path.relpath(path, root), stat.st_mtime_ns, stat.st_size))
    return digest(__version__, files)


@cache
def cpu_fingerprint() -> str:
    """The processor's model and features, as far as the system tells them cheaply."""
    facts = [platform.machine()]  # `platform.processor` would start a process
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                name = line.split(":")[0].strip()
                if name in ("model name", "flags", "Features", "CPU implementer", "CPU part"):
                    facts.append(line.strip())
                if not line.strip():
                    break  # the other processors are the same
    except OSError:
        pass  # no /proc on macOS, where `machine` decides
    return digest(*facts)
