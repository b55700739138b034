"""Notices that files change: what `pymetal watch` waits for.

It asks for the files' stamps every few milliseconds. That works on every system and file system,
sees files replaced by rename (as editors save) and files that come back after they were gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

POLL_SECONDS = 0.02

Stamp = tuple[int, int, int] | None


def changes(
    paths: Callable[[], Iterable[Path]], poll_seconds: float = POLL_SECONDS
) -> Iterator[None]:
    """Yield at once, then whenever one of the files has changed, appeared or gone.

    `paths` is asked anew for each turn, before it begins: what changes while the caller works
    makes the next turn.
    """
    while True:
        before = _stamps(paths())
        yield
        while (now := _stamps(before)) == before:
            time.sleep(poll_seconds)
        # A file that is still being written is seen once, when it is whole.
        while True:
            time.sleep(poll_seconds)
            settled, now = now, _stamps(before)
            if settled == now:
                break


def _stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> Stamp:
    """What changes when a file does; None where there is no file."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
