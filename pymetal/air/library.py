"""A `.metallib` as a device sees it: kernels by name, their reflection, their canonical function.

Nothing is read before it is asked for, and a module that several kernels share is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymetal.air.canonical import CanonicalFunction, Instrument, canonical
from pymetal.air.container import Container
from pymetal.air.function import Function
from pymetal.air.module import Module


class Library:
    """The kernels of one container."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._modules: dict[bytes, Module] = {}
        self._functions: dict[str, tuple[Module, Function]] = {}

    @classmethod
    def from_bytes(cls, data: bytes, label: str = "<metallib>") -> Library:
        """A library in memory; `label` names it in errors."""
        return cls(Container(data, label))

    @classmethod
    def open(cls, path: str | Path) -> Library:
        """A library in a file, which is mapped and read as needed."""
        return cls(Container.open(path))

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels, in the file's order."""
        return self._container.names

    def function(self, name: str) -> Function:
        """Reflection of one kernel; raises FunctionNotFoundError, listing those there are."""
        return self._load(name)[1]

    def canonical(
        self,
        name: str,
        constants: Mapping[str | int, Any] | None = None,
        instrument: Instrument | None = None,
    ) -> CanonicalFunction:
        """One kernel, with its function constants by name or index, as the engines compile it."""
        module, function = self._load(name)
        return canonical(module, function, constants, instrument)

    def _load(self, name: str) -> tuple[Module, Function]:
        if name not in self._functions:
            entry = self._container.entry(name)
            if entry.bitcode not in self._modules:
                self._modules[entry.bitcode] = Module(entry.bitcode, self._container.label)
            module = self._modules[entry.bitcode]
            symbol = entry.symbol
            if symbol not in module.kernels and len(module.kernels) == 1:
                symbol = next(iter(module.kernels))  # Apple's host_name may differ
            self._functions[name] = module, module.function(symbol, name)
        return self._functions[name]
