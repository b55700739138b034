"""LLVM IR to native code: an ELF object that `native/cpu/code.cpp` loads.

Objects are what the cache keeps, so a process that finds its kernels cached never loads LLVM. Only
modules that compile something import this one.
"""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from pymetal import _native
from pymetal.errors import UnsupportedError

# LLVM's target machines and global state are used by one thread at a time.
lock = threading.RLock()


@cache
def target_machine() -> Any:
    """The host's processor with all its features; ELF on every system (see code.h)."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    features = llvm.get_host_cpu_features().flatten()
    if sys.platform == "darwin" and machine == "aarch64":
        features += ",+reserve-x18"  # the system's own register there
    target = llvm.Target.from_triple(f"{machine}-unknown-linux-gnu")
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=features,
        opt=2,
        reloc="pic",
        codemodel="small",
        jit=False,
    )


@cache
def target_features() -> str:
    """The host's features, as LLVM lists them."""
    return str(llvm.get_host_cpu_features().flatten())


def compile_ir(
    texts: Sequence[str],
    entry: str,
    *,
    kernel: str,
    speed: int = 2,
    vectorize: bool = False,
) -> bytes:
    """Link modules of IR, optimise and emit an object whose one visible function is `entry`.

    Raises
    ------
    UnsupportedError
        Something is called that nobody defines; `kernel` names the caller.
    """
    with lock:
        machine = target_machine()
        context = llvm.create_context()
        module, *others = (parse(text, machine, context) for text in texts)
        for other in others:
            module.link_in(other)
        _check_symbols(module, kernel)
        for function in module.functions:
            if not function.is_declaration and function.name != entry:
                function.linkage = "internal"
        options = llvm.create_pipeline_tuning_options(speed_level=speed)
        options.loop_vectorization = options.slp_vectorization = vectorize
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return bytes(machine.emit_object(module))


def parse(text: str, machine: Any, context: Any) -> Any:
    """A module of LLVM's, for the host."""
    module = llvm.parse_assembly(text, context)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return module


@cache
def _known_symbols() -> frozenset[str]:
    return frozenset(_native.symbols())


def _check_symbols(module: Any, kernel: str) -> None:
    """Refuse what is neither defined, LLVM's own, nor the runtime's, before it becomes a jump."""
    missing = sorted(
        value.name
        for value in [*module.functions, *module.global_variables]
        if value.is_declaration
        and not value.name.startswith("llvm.")
        and value.name not in _known_symbols()
    )
    if missing:
        raise UnsupportedError(
            f"kernel '{kernel}' uses {', '.join(missing)}, which the software device lacks",
            feature=missing[0],
            missing=tuple(missing),
        )
