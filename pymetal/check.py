"""`pymetal check`: does every kernel of these files compile, front end and engine?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pymetal.air.function import Argument, Function
from pymetal.datatypes import data_type
from pymetal.devices import Device, DeviceLibrary
from pymetal.devices import device as pick_device
from pymetal.errors import CompileError, Diagnostic, Error, FunctionNotFoundError
from pymetal.library import read_source
from pymetal.sanitizer import Report
from pymetal.shown import counted
from pymetal.source import CompileOptions, Source


@dataclass
class LaunchResult:
    """One checked run of a kernel, as line `line` of its file describes it."""

    line: int
    reports: list[Report] = field(default_factory=list)
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error and not any(r.severity == "error" for r in self.reports)

    def __str__(self) -> str:
        texts = [str(report) for report in self.reports] or ([self.error] if self.error else [])
        state = "nothing found" if not texts else "FAILED" if not self.ok else "warnings"
        found = [line for text in texts for line in text.splitlines()]
        return "\n  ".join([f"run as line {self.line} says: {state}", *found])


@dataclass
class KernelResult:
    """One kernel: what it takes, whether the engine accepts it, what a target lacks for it."""

    name: str
    arguments: tuple[Argument, ...] = ()
    engine: str = ""
    compile_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: str = ""
    lacking: list[str] = field(default_factory=list)
    launches: list[LaunchResult] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.error or self.lacking) and all(run.ok for run in self.launches)


@dataclass
class FileResult:
    """One file: what the front end says of it, and its kernels."""

    file: str
    seconds: float = 0.0
    diagnostics: tuple[Diagnostic, ...] = ()
    error: str = ""
    kernels: list[KernelResult] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.error and all(kernel.ok for kernel in self.kernels)


@dataclass
class CheckResult:
    """Every file; `str` is the report for people, `as_json` the one for machines."""

    device: str
    files: list[FileResult]
    launched: bool = False  # whether launches that the files describe were run

    @property
    def ok(self) -> bool:
        return all(file.ok for file in self.files)

    @property
    def reports(self) -> list[Report]:
        """What checked runs found."""
        kernels = [kernel for file in self.files for kernel in file.kernels]
        return [r for kernel in kernels for run in kernel.launches for r in run.reports]

    def __str__(self) -> str:
        lines: list[str] = []
        for file in self.files:
            lines.append(f"{file.file}: {'ok' if file.ok else 'FAILED'} ({file.seconds:.2f} s)")
            if file.error:
                lines += [f"  {line}" for line in file.error.splitlines()]
            for kernel in file.kernels:
                takes = ", ".join(str(a) for a in kernel.arguments if a.kind != "builtin")
                state = "FAILED" if kernel.error else kernel.engine
                lines.append(f"  {kernel.name}({takes}): {state}")
                lines += [f"    {note}" for note in kernel.notes]
                lines += [f"    {line}" for line in kernel.error.splitlines()]
                lines += [f"    not portable: {line}" for line in kernel.lacking]
                if self.launched and not (file.error or kernel.error or kernel.launches):
                    lines.append("    not run: no `// launch:` comment names it")
                lines += [f"    {x}" for run in kernel.launches for x in str(run).splitlines()]
        kernels = [kernel for file in self.files for kernel in file.kernels]
        failed = sum(not kernel.ok for kernel in kernels) + sum(bool(f.error) for f in self.files)
        lines.append(
            f"{counted(len(self.files), 'file')}, {counted(len(kernels), 'kernel')} "
            f"on {self.device}: {f'{failed} failed' if failed else 'all accepted'}"
        )
        if self.launched:
            runs = [run for kernel in kernels for run in kernel.launches]
            bad = sum(not run.ok for run in runs)
            unrun = sum(not kernel.launches for kernel in kernels)
            lines.append(
                f"{counted(len(runs), 'checked run')}: "
                f"{f'{bad} failed' if bad else 'nothing found'}"
                + (f"; {counted(unrun, 'kernel')} not run" if unrun else "")
            )
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "device": self.device,
            "ok": self.ok,
            "launched": self.launched,
            "files": [{"ok": file.ok, **_plain(file)} for file in self.files],
        }


def _plain(file: FileResult) -> dict[str, Any]:
    facts = asdict(file)
    facts["kernels"] = [
        {
            "ok": kernel.ok,
            **asdict(kernel),
            "launches": [{"ok": run.ok, **asdict(run)} for run in kernel.launches],
        }
        for kernel in file.kernels
    ]
    return facts


def check_paths(
    paths: Sequence[Path],
    device: str | Device | None = None,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
    options: CompileOptions | None = None,
    targets: Sequence[str] = (),
) -> CheckResult:
    """Compile every kernel of the files, and of the `.metal` files in the folders.

    `progress` hands the files on one by one, and may show how far they are. `targets` are GPU
    families (`pymetal.portability.TARGETS`) that must have what each kernel needs.
    """
    chosen = pick_device(device)
    files = metal_files(paths)
    given = options or CompileOptions()
    results = [_check_file(path, chosen, given, targets) for path in progress(files)]
    return CheckResult(chosen.name, results)


def metal_files(paths: Sequence[Path]) -> list[Path]:
    """The files, and the `.metal` files in the folders; none missing."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.rglob("*.metal")) if path.is_dir() else [path]
        if not found or not found[0].is_file():
            raise FunctionNotFoundError(
                f"no .metal files in {path}" if path.is_dir() else f"there is no file {path}"
            )
        files += found
    return files


def _check_file(
    path: Path, device: Device, options: CompileOptions, targets: Sequence[str]
) -> FileResult:
    result = FileResult(str(path))
    start = time.perf_counter()
    try:
        source = None if path.suffix == ".metallib" else read_source(path)
        if source is None:
            library = device.library_from_metallib(path.read_bytes(), str(path))
        else:
            library = device.library_from_source(source, options)
        library.expect_all()
        result.kernels = [_check_kernel(library, name) for name in library.function_names]
        if targets:
            for kernel in result.kernels:
                if not kernel.error:
                    kernel.lacking = _lacking(path, source, options, kernel, targets)
    except CompileError as error:
        result.diagnostics = error.diagnostics
        result.error = str(error)
    except Error as error:
        result.error = str(error)
    result.seconds = time.perf_counter() - start
    return result


def _check_kernel(library: DeviceLibrary, name: str) -> KernelResult:
    result = KernelResult(name)
    try:
        function = library.function(name)
        result.arguments = function.arguments
        constants = _example_constants(function)
        if constants:
            values = ", ".join(f"{key} = {value}" for key, value in constants.items())
            result.notes.append(f"compiled with {values}")
        report = library.pipeline(name, constants).report
        result.engine, result.compile_seconds = report.engine, report.compile_seconds
        result.notes += report.notes
    except Error as error:
        result.error = str(error)
    return result


def _lacking(
    path: Path,
    source: Source | None,
    options: CompileOptions,
    kernel: KernelResult,
    targets: Sequence[str],
) -> list[str]:
    from pymetal import portability
    from pymetal.air.library import Library
    from pymetal.msl import compile_source

    if source is None:
        library = Library.open(path)
    else:
        data = compile_source(source, options, (kernel.name,))
        library = Library.from_bytes(data, str(path))
    constants = _example_constants(library.function(kernel.name))
    text = source.text if source is not None else ""
    return portability.problems(library, kernel.name, constants, targets, text)


def _example_constants(function: Function) -> dict[str | int, Any]:
    """Something to compile with: true or one for each constant that must be given."""
    constants: dict[str | int, Any] = {}
    for constant in function.constants:
        kind = data_type(constant.type_name)
        if not constant.required or kind is None:
            continue
        one = kind.dtype.type(1).item()
        constants[constant.name] = one if kind.is_scalar else (one,) * kind.count
    return constants
