"""What PyMetal needs, whether it works here, and the command that mends it.

`pymetal doctor` prints these findings, `pymetal info` the facts. Each check compiles or runs
something: a tool that is only found may still refuse to work.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["works", "missing", "broken", "note"]

KERNEL = """
#include <metal_stdlib>
using namespace metal;
kernel void doctor(device float* out [[buffer(0)]], constant float& x [[buffer(1)]],
                   uint gid [[thread_position_in_grid]]) {
    out[gid] = x * gid;
}
"""
SOFTWARE = "'pymetal[software]'" if sys.platform == "darwin" else "pymetal"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` is a command or a sentence, "" if all is well."""

    subject: str
    state: State
    text: str
    remedy: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether something that PyMetal needs here does not work."""
        return self.state in ("missing", "broken")


def examine() -> Iterator[Finding]:
    """Every finding, as soon as it is there."""
    yield Finding("system", "note", f"{platform.platform()}, Python {platform.python_version()}")
    yield _cache()
    yield from _software()
    yield from _metal()
    yield _precompiled()


def device_facts(name: str) -> dict[str, Any]:
    """What is known of a device beyond its limits."""
    import pymetal

    return _metal_facts(pymetal.device(name)) if name == "metal" else _software_facts()


# --- the software device ------------------------------------------------------------------------


def _software() -> Iterator[Finding]:
    clang = _try(_clang)
    llvm = _try(_llvm)
    # On a Mac with a GPU the software device is an extra.
    is_needed = not _metal_is_present()
    for subject, found, package in (("clang", clang, "ziglang"), ("LLVM", llvm, "llvmlite")):
        if isinstance(found, str):
            yield Finding(subject, "works", found)
        else:
            state: State = "missing" if is_needed else "note"
            yield Finding(subject, state, str(found), f"pip install {package}")
    if isinstance(clang, str) and isinstance(llvm, str):
        yield _runs("cpu", f"pip install --force-reinstall {SOFTWARE}")


def _software_facts() -> dict[str, Any]:
    from pymetal import _native

    clang, llvm = _try(_clang), _try(_llvm)
    return {
        "processor": _processor(),
        "workers": _native.worker_count(),
        "clang": clang if isinstance(clang, str) else "missing",
        "llvm": llvm if isinstance(llvm, str) else "missing",
    }


def _clang() -> str:
    from pymetal.msl.clang import find_clang

    found = find_clang()
    version: str = found.version()
    return f"{version.splitlines()[0]} ({' '.join(found.command)})"


def _llvm() -> str:
    import llvmlite
    from llvmlite import binding

    numbers = ".".join(map(str, binding.llvm_version_info))
    return f"LLVM {numbers} (llvmlite {llvmlite.__version__})"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


# --- the Metal device ---------------------------------------------------------------------------


def _metal() -> Iterator[Finding]:
    if not _metal_is_present():
        yield _no_metal()
        return
    import pymetal

    facts = device_facts("metal")
    families = ", ".join(facts["families"])
    yield Finding("GPU", "works", f"{facts['gpu']}, {families}, macOS {facts['macos']}")
    if pymetal.device("metal").is_paravirtual:  # type: ignore[attr-defined]
        yield Finding("GPU", "note", "a virtual machine's GPU, known to return zeros", "use a Mac")
    yield _runs("metal", "restart the machine; if it stays, report it with this output")
    for variable, meaning in (
        ("MTL_CAPTURE_ENABLED", "GPU capture"),
        ("MTL_SHADER_VALIDATION", "Metal's own bounds checks"),
    ):
        is_on = os.environ.get(variable) == "1"
        how = "" if is_on else f"export {variable}=1 before Python starts"
        yield Finding(meaning, "note", "on" if is_on else "off", how)
    if sys.platform == "darwin":
        yield _xcrun()


def _metal_is_present() -> bool:
    from pymetal.metal import is_present

    return is_present()


def _no_metal() -> Finding:
    if sys.platform == "darwin":
        return Finding(
            "GPU",
            "missing",
            "Metal lists none",
            "run on the Mac itself, or in a virtual machine with a paravirtual GPU",
        )
    return Finding("GPU", "note", "Metal is macOS's; here kernels run on the software device")


def _metal_facts(device: Any) -> dict[str, Any]:
    info = device.info
    return {
        "gpu": info.name,
        "families": list(info.families),
        "macos": ".".join(map(str, info.os_version)),
        "has_unified_memory": info.has_unified_memory,
        "has_nonuniform_threadgroups": info.has_nonuniform_threadgroups,
        "recommended_working_set_bytes": info.recommended_working_set_bytes,
        "is_paravirtual": device.is_paravirtual,
    }


def _xcrun() -> Finding:
    """Whether Apple's offline compiler works: only wheel builds need it."""
    remedy = (
        "install Xcode; sudo xcode-select -s /Applications/Xcode.app; "
        "from Xcode 26 on also: xcodebuild -downloadComponent MetalToolchain"
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "doctor.metal"
        source.write_text(KERNEL)
        command = ["xcrun", "-sdk", "macosx", "metal", "-c", str(source), "-o", f"{source}.air"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Finding("xcrun metal", "note", f"precompiling does not work: {error}", remedy)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        text = f"precompiling does not work: {said[0] if said else done.returncode}"
        return Finding("xcrun metal", "note", text, remedy)
    return Finding("xcrun metal", "works", "compiles")


# --- both ---------------------------------------------------------------------------------------


def _runs(name: str, remedy: str) -> Finding:
    """Compile a kernel on a device, run it, and compare."""
    import numpy as np

    import pymetal
    from pymetal.errors import Error

    subject = f"device {name}"
    try:
        kernel = pymetal.compile(KERNEL, device=name)["doctor"]
        out = kernel(pymetal.output(100), 0.5, grid=100, threadgroup=32)
    except Error as error:
        return Finding(subject, "broken", str(error), remedy)
    if not np.array_equal(out, np.arange(100, dtype=np.float32) / 2):
        return Finding(subject, "broken", f"a kernel ran and gave wrong results: {out}", remedy)
    return Finding(subject, "works", f"a kernel compiles and runs right ({kernel.report.engine})")


def _cache() -> Finding:
    from pymetal.cache import default_folder

    folder = default_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror}): kernels are compiled each time"
        return Finding("cache", "note", text, "export PYMETAL_CACHE_DIR=... to a folder of yours")
    return Finding("cache", "works", str(folder))


def _precompiled() -> Finding:
    from pymetal.find import shipped_metallib

    library = shipped_metallib()
    if library.is_file():
        return Finding("shipped kernels", "works", f"precompiled, in {library.parent}")
    return Finding("shipped kernels", "note", f"compiled when first used, from {library.parent}")


def _try(function: Callable[[], str]) -> str | Exception:
    from pymetal.errors import Error

    try:
        return function()
    except (Error, ImportError, OSError) as error:
        return error
