"""LLVM modules in contexts of their own, freed in the right order; passes over them.

A fresh context per module keeps names and types from piling up. llvmlite frees a context in that
object's own finaliser; when an exception's traceback makes a cycle of module and context, Python
may run it before the module's, which then frees into freed memory. Here the last module of a
context frees it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding as llvm


def parse_assembly(text: str, beside: Any = None) -> Any:
    """The module in textual IR, in the context of the module `beside` or in one of its own.

    Raises
    ------
    RuntimeError
        LLVM's own words for what is wrong.
    """
    return _parse(llvm.parse_assembly, text, beside)


def parse_bitcode(bitcode: bytes) -> Any:
    """The module in bitcode; raises as `parse_assembly` does."""
    return _parse(llvm.parse_bitcode, bitcode, None)


def run_passes(module: Any, machine: Any, *names: str) -> None:
    """LLVM's passes with those names, in order."""
    manager = llvm.create_new_module_pass_manager()
    for name in names:
        getattr(manager, f"add_{name}_pass")()
    options = llvm.create_pipeline_tuning_options(speed_level=0)
    manager.run(module, llvm.create_pass_builder(machine, options))


def _parse(parse: Any, data: str | bytes, beside: Any) -> Any:
    context = _Context() if beside is None else beside.context
    context.hold()
    try:
        return _Module(parse(data, context), context)
    except RuntimeError:
        context.release()
        raise


class _Context(llvm.ContextRef):  # type: ignore[misc]
    """A context that counts its modules."""

    _owned = True  # by its modules: llvmlite's finaliser leaves it alone

    def __init__(self) -> None:
        fresh = llvm.create_context()
        super().__init__(fresh._ptr)
        fresh.detach()
        self._modules = 0

    def close(self) -> None:
        """Nothing: Python may finalise a context before its modules."""

    def hold(self) -> None:
        self._modules += 1

    def release(self) -> None:
        self._modules -= 1
        if not self._modules:
            self._dispose()
            self.detach()


class _Module(llvm.ModuleRef):  # type: ignore[misc]
    """A module that lets go of its context when it is freed, or linked into another."""

    def __init__(self, parsed: Any, context: _Context) -> None:
        super().__init__(parsed._ptr, context)
        parsed.detach()

    @property
    def context(self) -> _Context:
        held: _Context = self._context
        return held

    def detach(self) -> None:
        if not self.closed:
            super().detach()
            self.context.release()
