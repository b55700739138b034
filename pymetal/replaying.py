"""Replays: a launch with all it needs in one file, to be run again elsewhere.

A replay is a zip archive: `replay.json`, the source (or the `.metallib`) and a raw file for each
argument's memory as it was before the launch. Nothing in it is executed but the kernel.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pymetal.arrays import zeroed
from pymetal.datatypes import argument_dtype
from pymetal.devices import Binding, Device
from pymetal.errors import ArgumentError, KernelFault
from pymetal.kernel import Kernel, Prepared
from pymetal.library import Library, load
from pymetal.library import compile as compile_source
from pymetal.origin import Origin

FORMAT = 1
# A replay made to fill memory is refused before it is read.
MAX_JSON_BYTES = 1 << 20
MAX_SOURCE_BYTES = 1 << 28

Array = np.ndarray[Any, Any]


def save(
    path: str | os.PathLike[str],
    kernel: Kernel,
    launch: Prepared,
    check: str = "",
    seed: int | None = None,
) -> None:
    """Write a launch that has not run yet.

    Raises
    ------
    ArgumentError
        The file cannot be written, or an argument holds pointers, whose memory is not known.
    """
    if any(binding.reached for binding in launch.bindings):
        raise ArgumentError(f"{kernel.name}: launches with argument buffers cannot be saved")
    origin = kernel._made_from
    arguments = []
    for binding in launch.bindings:
        array = binding.array
        is_output = binding.argument.index in launch.fresh
        plain = array.dtype.names is None
        arguments.append(
            {
                "name": binding.argument.name,
                "dtype": array.dtype.name if plain else None,  # None: as the kernel declares it
                "shape": list(array.shape),
                "file": None if is_output else f"arguments/{binding.argument.index}",
            }
        )
    facts = {
        "format": FORMAT,
        "kernel": kernel.name,
        "constants": kernel._constants,
        "options": _options(origin),
        "file": origin.name,
        "check": check,
        "engine": kernel.report.engine,
        "device": kernel.device.name,
        "grid": launch.grid,
        "threadgroup": launch.threadgroup,
        "threadgroup_memory": {str(k): v for k, v in launch.threadgroup_memory.items()},
        "arguments": arguments,
        "seed": seed,
    }
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("replay.json", json.dumps(facts, indent=2) + "\n")
            if origin.source is not None:
                archive.writestr("source.metal", origin.whole_text())
            else:
                archive.writestr("library.metallib", origin.metallib)
            for binding, argument in zip(launch.bindings, arguments, strict=True):
                if argument["file"] is not None:
                    data = np.ascontiguousarray(binding.array).tobytes()
                    archive.writestr(str(argument["file"]), data)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written: {error.strerror or error}") from None


def _options(origin: Origin) -> dict[str, Any]:
    options = asdict(origin.options)
    # What they include is in the source.
    return {k: v for k, v in options.items() if k not in ("include_dirs", "debug")}


def run_saving(
    run: Callable[[], None],
    path: str | os.PathLike[str],
    kernel: Kernel,
    launch: Prepared,
    check: str,
) -> None:
    """Run a launch; save it, with its arrays as they were before, if it fails."""
    before = [_with_copy(b) if b.written else b for b in launch.bindings]
    try:
        run()
    except KernelFault as fault:
        save(path, kernel, launch._replace(bindings=before), check)
        raise _told(fault, path) from None


def _with_copy(binding: Binding) -> Binding:
    return replace(binding, array=binding.array.copy())


def _told(fault: KernelFault, path: str | os.PathLike[str]) -> KernelFault:
    """The same fault, which says where the launch was saved."""
    fault.message += f"\n  saved; to run it again: pymetal replay {os.fspath(path)}"
    fault.args = (fault.message,)
    fault.replay = os.fspath(path)  # type: ignore[attr-defined]
    return fault


@dataclass(frozen=True)
class Replay:
    """A launch read from a file. `values` are the kernel's arguments by name."""

    kernel: Kernel
    values: Mapping[str, Array]
    results: tuple[str, ...]  # what the kernel may write
    grid: tuple[int, ...]
    threadgroup: tuple[int, ...]
    threadgroup_memory: Mapping[int, int]
    check: str
    seed: int | None

    def run(
        self, check: bool | str | None = None, timeout: float | None = None
    ) -> dict[str, Array]:
        """Launch it; what it wrote, by argument. `check` None: as it was launched first."""
        values = {name: _shared(array) for name, array in self.values.items()}
        if check is None:
            check = {"": False, "checks": True}.get(self.check, self.check)
        self.kernel.launch(
            list(values.values()),
            self.grid,
            self.threadgroup,
            self.threadgroup_memory or None,
            timeout=timeout,
            check=check,
        )
        return {name: values[name] for name in self.results}


def _shared(array: Array) -> Array:
    """A copy between guards."""
    made = zeroed(array.shape, array.dtype)
    made[...] = array
    return made


def replay(
    path: str | os.PathLike[str],
    *,
    check: bool | str | None = None,
    device: str | Device | None = None,
    timeout: float | None = None,
) -> dict[str, Array]:
    """Run a saved launch again.

    Parameters
    ----------
    path
        What `save_on_fault=` or `pymetal run --save-replay` wrote.
    check
        As in a call; None: as when it was saved.
    device
        None: the one it ran on, if that is present here; for checks the software device.

    Returns
    -------
    The arrays that the kernel may write, by argument.

    Raises
    ------
    ArgumentError
        The file cannot be read, or is no replay.
    KernelFault
        It went wrong again.
    """
    return read(path, device, check).run(check, timeout)


def read(
    path: str | os.PathLike[str],
    device: str | Device | None = None,
    check: bool | str | None = None,
) -> Replay:
    """A replay, its kernel compiled. See `replay`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, Path(path), device, check)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{path} is no replay: {error}") from None


def _read(
    archive: zipfile.ZipFile,
    path: Path,
    device: str | Device | None,
    check: bool | str | None,
) -> Replay:
    facts = json.loads(_member(archive, "replay.json", MAX_JSON_BYTES))
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ArgumentError(f"{path} is no replay of format {FORMAT}")
    if device is None:
        checks = facts["check"] if check is None else check
        device = "cpu" if checks else _present(str(facts["device"]))
    library = _library(archive, facts, device)
    kernel = library.kernel(str(facts["kernel"]), dict(facts["constants"]))
    declared = {argument.name: argument for argument in kernel.arguments}
    values: dict[str, Array] = {}
    for entry in facts["arguments"]:
        argument = declared[entry["name"]]
        dtype = argument_dtype(argument) if entry["dtype"] is None else _dtype(entry["dtype"])
        if dtype is None:
            raise ValueError(f"argument '{argument.name}' has no dtype")
        shape = tuple(int(n) for n in entry["shape"])
        if entry["file"] is None:
            values[argument.name] = zeroed(shape, dtype)
            continue
        size = math.prod(shape) * dtype.itemsize
        data = _member(archive, str(entry["file"]), size)
        values[argument.name] = np.frombuffer(data, dtype).reshape(shape)
    if list(values) != list(declared):
        raise ValueError(f"its arguments are {', '.join(values)}, not {', '.join(declared)}")
    return Replay(
        kernel,
        values,
        tuple(name for name, argument in declared.items() if argument.access != "read"),
        tuple(facts["grid"]),
        tuple(facts["threadgroup"]),
        {int(k): int(v) for k, v in facts["threadgroup_memory"].items()},
        str(facts["check"]),
        facts["seed"],
    )


def _library(archive: zipfile.ZipFile, facts: Mapping[str, Any], device: str | Device) -> Library:
    if "library.metallib" in archive.namelist():
        return load(_member(archive, "library.metallib", MAX_SOURCE_BYTES), device=device)
    options = facts["options"]
    version = options["language_version"]
    text = _member(archive, "source.metal", MAX_SOURCE_BYTES).decode("utf-8") + "\n"
    file = str(facts.get("file", ""))
    if re.fullmatch(r'[^"\\<>\x00-\x1f]+', file):  # reports name it, not "<source>"
        text = f'#line 1 "{file}"\n{text}'
    return compile_source(
        text,
        macros=dict(options["macros"]),
        math_mode=options["math_mode"],
        language_version=None if version is None else (int(version[0]), int(version[1])),
        enable_logging=bool(options["enable_logging"]),
        device=device,
    )


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ValueError(f"{name} is {info.file_size} bytes, more than {most}")
    return archive.read(info)


def _dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def _present(name: str) -> str:
    from pymetal.devices import device_names

    return name if name in device_names() else "cpu"
