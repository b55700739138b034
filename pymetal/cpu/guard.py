"""Bitcode from who knows where: LLVM aborts the process on some that is damaged or hostile.

So a child process reads it first, with bounded memory and time. What it finds sound is remembered
in the cache, by content: a kernel pays for this once, about a tenth of a second.
"""

from __future__ import annotations

import sys

from pymetal.cache import digest, fetch
from pymetal.errors import LibraryError

_SECONDS = 120
_CHILD = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
import llvmlite.binding as llvm
try:
    module = llvm.parse_bitcode(sys.stdin.buffer.read(), context=llvm.create_context())
    module.verify()
    str(module), [value.name for value in (*module.functions, *module.global_variables)]
except (RuntimeError, UnicodeError) as error:
    sys.exit(str(error)[:1000])
sys.stdout.write("sound")
"""


def check(bitcode: bytes, label: str, llvm: str) -> None:
    """Raise LibraryError if LLVM, whose fingerprint is `llvm`, cannot read the bitcode."""
    fetch(digest("sound", _CHILD, llvm, bitcode), lambda: _read(bitcode, label))


def _read(bitcode: bytes, label: str) -> bytes:
    import subprocess  # launches of what is known to be sound do without

    command = [sys.executable, "-I", "-c", _CHILD]
    try:
        done = subprocess.run(
            command, input=bitcode, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LibraryError(f"{label}: LLVM does not finish reading its bitcode") from error
    if done.stdout != b"sound":
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[0] if lines and done.returncode == 1 else "LLVM gave up on it"
        raise LibraryError(f"{label}: its bitcode cannot be read: {reason}", library=label)
    return done.stdout
