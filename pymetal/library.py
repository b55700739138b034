"""Libraries: compiled Metal source, or a `.metallib`, and the kernels in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from pymetal.air.function import Function, FunctionConstant
from pymetal.datatypes import data_type
from pymetal.devices import Device, DeviceLibrary
from pymetal.devices import device as pick_device
from pymetal.errors import ArgumentError, CompileError, FunctionNotFoundError, LibraryError
from pymetal.kernel import Kernel
from pymetal.locks import ForkSafeLock
from pymetal.options import compile_options, given_source
from pymetal.origin import Origin
from pymetal.scalars import Misfit, convert_number
from pymetal.shown import shown
from pymetal.source import MathMode, Source, checked_text

Constants = Mapping[str | int, Any]


class Library(Mapping[str, Kernel]):
    """A mapping of function names to kernels, which are attributes too.

    Kernels are compiled when first asked for, once for each set of constants.
    """

    def __init__(
        self,
        device: Device,
        compiled: DeviceLibrary,
        origin: str,
        notes: Sequence[str] = (),
        made_from: Origin | None = None,
    ) -> None:
        """`made_from`: the source, to find kernels in and to make them again."""
        self._device = device
        self._compiled = compiled
        self._origin = origin
        self._notes = notes  # for the report of every kernel
        self._made_from = made_from or Origin(origin)
        self._text = self._made_from.source.text if self._made_from.source is not None else ""
        self._kernels: dict[tuple[str, tuple[tuple[str, Any], ...]], Kernel] = {}
        self._plain: dict[str, Kernel] = {}  # those without constants
        self._lock = ForkSafeLock()

    @property
    def device(self) -> Device:
        return self._device

    def function(self, name: str) -> Function:
        """What the library says of a function, without compiling it further."""
        return self._compiled.function(name)

    def kernel(self, name: str, constants: Constants | None = None) -> Kernel:
        """The kernel of that name with its function constants, given by name or index.

        Raises
        ------
        FunctionNotFoundError
            There is none; lists those there are.
        ArgumentError
            A constant is missing, unknown or does not fit its type.
        """
        if not isinstance(name, str):
            raise ArgumentError(f"a kernel's name is a string, got {type(name).__name__}")
        if constants is None and (plain := self._plain.get(name)) is not None:
            return plain
        values = _checked_constants(
            self._compiled.function(name), {} if constants is None else constants
        )
        key = (name, tuple(sorted(values.items())))
        with self._lock:
            kernel = self._kernels.get(key)
            if kernel is None:
                pipeline = self._compiled.pipeline(name, {key: values[key] for key in values})
                pipeline.report.notes.extend(self._notes)
                kernel = self._kernels[key] = Kernel(
                    self._device, pipeline, values, self._location(name), self._made_from
                )
        if not values:
            self._plain[name] = kernel
        return kernel

    def _location(self, name: str) -> str:
        """FILE:LINE of a kernel; the file alone where a macro or template makes it."""
        declared = re.search(rf"\bkernel\b[^;{{}}()]*?\b({re.escape(name)})\s*\(", self._text)
        if declared is None:
            return self._origin
        return f"{self._origin}:{self._text.count(chr(10), 0, declared.start(1)) + 1}"

    def __getitem__(self, name: str) -> Kernel:
        try:
            return self.kernel(name)
        except FunctionNotFoundError as error:
            raise KeyError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._compiled.function_names)

    def __len__(self) -> int:
        return len(self._compiled.function_names)

    # Two libraries are equal if they are one; comparing kernels would compile them all.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __contains__(self, name: object) -> bool:
        return name in self._compiled.function_names

    def __getattr__(self, name: str) -> Kernel:
        if name.startswith("_"):  # copy, pickle and friends look for these
            raise AttributeError(name)
        try:
            return self.kernel(name)
        except FunctionNotFoundError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __repr__(self) -> str:
        names = ", ".join(self) or "no kernels"
        return f"<pymetal.Library {self._origin} on {self._device.name}: {names}>"


def compile(
    source: str | PathLike[str],
    *,
    include_dirs: Sequence[str | PathLike[str]] | str | PathLike[str] = (),
    macros: Mapping[str, Any] | None = None,
    math_mode: MathMode = "safe",
    language_version: tuple[int, int] | None = None,
    enable_logging: bool = False,
    device: str | Device | None = None,
) -> Library:
    """Compile Metal source.

    Parameters
    ----------
    source
        A path (a `Path`, or a one-line string that ends in `.metal`), or the source itself.
    include_dirs
        A folder, or several, to search for headers beside the source's own.
    macros
        Names to define and their values.
    math_mode
        "safe" keeps IEEE semantics, unlike Apple's default, "fast".
    language_version
        (major, minor) of the Metal language; None for the newest known.
    enable_logging
        What kernels log with `os_log` goes to the logger `pymetal.kernel`. On a GPU from
        macOS 15 on.

    Raises
    ------
    CompileError
        The source is wrong; holds every diagnostic.
    UnsupportedError
        It uses what the device lacks.
    ArgumentError
        An option is none.
    """
    options = compile_options(include_dirs, macros, math_mode, language_version, enable_logging)
    given = given_source(source)
    loaded = read_source(given) if isinstance(given, Path) else given
    chosen = pick_device(device)
    compiled = chosen.library_from_source(loaded, options)
    made_from = Origin(loaded.display_name, loaded, options)
    return Library(chosen, compiled, loaded.display_name, made_from=made_from)


def load(metallib: bytes | str | PathLike[str], *, device: str | Device | None = None) -> Library:
    """Load a `.metallib`, from its path or its bytes.

    Raises
    ------
    LibraryError
        It cannot be read, or is not a library of Metal kernels.
    """
    if isinstance(metallib, (bytes, bytearray, memoryview)):
        data, name = bytes(metallib), "<bytes>"
    elif isinstance(metallib, (str, PathLike)):
        name = fspath(metallib)
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise LibraryError(f"{name} cannot be read: {error.strerror or error}") from None
        except ValueError as error:  # a path that no system has
            raise LibraryError(f"{shown(name)} cannot be read: {error}") from None
    else:
        raise ArgumentError(f"metallib is {type(metallib).__name__}; pass a path, or its bytes")
    chosen = pick_device(device)
    made_from = Origin(name, metallib=data)
    return Library(chosen, chosen.library_from_metallib(data, name), name, made_from=made_from)


def read_source(path: Path) -> Source:
    """The Metal source in a file, which must be UTF-8."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FunctionNotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise CompileError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path that no system has
        raise CompileError(f"{shown(str(path))} cannot be read: {error}") from None
    try:
        return Source(checked_text(data.decode("utf-8-sig"), str(path)), path)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CompileError(
            f"{path}:{line}: the file is not UTF-8: byte 0x{data[error.start]:02x} at offset "
            f"{error.start}; save it as UTF-8"
        ) from None


def _checked_constants(function: Function, constants: Constants) -> dict[str, Any]:
    """Constants by name, each of its declared type."""
    if not isinstance(constants, Mapping):
        raise ArgumentError(
            f"{function.name}: constants is {type(constants).__name__}, not a dict of "
            "{name or index: value}"
        )
    by_key: dict[str | int, FunctionConstant] = {}
    for constant in function.constants:
        by_key[constant.name] = by_key[constant.index] = constant
    listed = ", ".join(f"{c.type_name} {c.name} ({c.index})" for c in function.constants) or "none"
    values: dict[str, Any] = {}
    for key, value in constants.items():
        declared = by_key.get(key)
        if declared is None:
            raise ArgumentError(
                f"{function.name} has no function constant {shown(key)}; it has {listed}",
                argument=str(key),
            )
        if declared.name in values:
            raise ArgumentError(
                f"{function.name}: function constant '{declared.name}' is given twice, by name "
                f"and by index {declared.index}",
                argument=declared.name,
            )
        values[declared.name] = _constant(function, declared, value)
    for constant in function.constants:
        if constant.required and constant.name not in values:
            raise ArgumentError(
                f"{function.name} needs function constant {constant.type_name} "
                f"'{constant.name}': pass constants={{{constant.name!r}: …}}",
                argument=constant.name,
            )
    return values


def _constant(function: Function, constant: FunctionConstant, value: Any) -> Any:
    kind = data_type(constant.type_name)
    try:
        if kind is None:
            raise Misfit(f"type {constant.type_name} is not supported")
        if kind.is_scalar:
            return convert_number(value, kind).item()
        if not isinstance(value, (tuple, list)) or len(value) != kind.count:
            raise Misfit(f"{constant.type_name} takes {kind.count} numbers, got {shown(value)}")
        return tuple(convert_number(item, kind).item() for item in value)
    except Misfit as misfit:
        raise ArgumentError(
            f"{function.name}: function constant '{constant.name}': {misfit}",
            argument=constant.name,
        ) from None
