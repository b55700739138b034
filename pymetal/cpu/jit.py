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
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from pymetal import _native
from pymetal.air import ir
from pymetal.air.ir.layout import Layout
from pymetal.air.llvm_module import parse_assembly, run_passes
from pymetal.cpu import budget
from pymetal.errors import UnsupportedError

# LLVM's target machines and global state are used by one thread at a time.
lock = threading.RLock()


@cache
def target_machine(speed: int = 2) -> Any:
    """The host's processor with all its features; ELF on every system (see code.h).

    `speed`: how much code generation does, 0 to 2.
    """
    _initialise()
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    features = llvm.get_host_cpu_features().flatten()
    if sys.platform == "darwin" and machine == "aarch64":
        features += ",+reserve-x18"  # the system's own register there
    target = llvm.Target.from_triple(f"{machine}-unknown-linux-gnu")
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=features,
        opt=speed,
        reloc="pic",
        codemodel="small",
        jit=False,
    )


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Where a kernel's behaviour is undefined LLVM ends the code without a return, and the thread
    # would run on into whatever follows. A trap ends it as a KernelFault instead.
    llvm.set_option("pymetal", "-trap-unreachable")


@cache
def target_features() -> str:
    """The host's features, as LLVM lists them."""
    return str(llvm.get_host_cpu_features().flatten())


class NativeCode(NamedTuple):
    """An object file, and the bytes of arrays that a call of its entry keeps on the stack."""

    code: bytes
    private_bytes: int


class TooSlow(Exception):  # noqa: N818 - not an error: the caller does with less
    """LLVM would compile for longer than anybody waits; the message says how long."""


def compile_ir(texts: Sequence[str], entry: str, *, kernel: str) -> NativeCode:
    """Link modules of IR, optimise and emit an object whose one visible function is `entry`.

    Raises
    ------
    UnsupportedError
        Something is called that nobody defines; `kernel` names the caller.
    TooSlow
        Code generation would take longer than `pymetal.cpu.budget` allows.
    InvalidCode
        LLVM does not accept the IR.
    """
    with lock:
        module = _linked(texts, entry, kernel)
        _optimise_vectors(module)
        seconds = budget.code_generation(str(module))
        if seconds > budget.CODE_GENERATION_SECONDS:
            raise TooSlow(f"code that LLVM would compile for {seconds:.0f} seconds")
        return _emitted(module, entry, speed=2)


def compile_any_size(texts: Sequence[str], entry: str, *, kernel: str) -> tuple[NativeCode, str]:
    """`compile_ir` that takes less trouble over code which would take it too long.

    Also returns what was left out, "" if nothing was.
    """
    with lock:
        module = _linked(texts, entry, kernel)
        seconds = sum(budget.optimisation(text) for text in texts)
        speed = 2 if seconds <= budget.SECONDS - budget.CODE_GENERATION_SECONDS else 0
        _optimise(module, speed)
        if speed:
            seconds = budget.code_generation(str(module))
            speed = 2 if seconds <= budget.CODE_GENERATION_SECONDS else 0
        native = _emitted(module, entry, speed)
    if speed:
        return native, ""
    return native, f"compiled without optimisation, which would take {max(seconds, 1):.0f} seconds"


class InvalidCode(Exception):  # noqa: N818 - which engine made it decides what follows
    """LLVM does not accept the IR."""


def _linked(texts: Sequence[str], entry: str, kernel: str) -> Any:
    """One sound module of several, in which all but `entry` is internal."""
    machine = target_machine()
    try:
        module = parse(texts[0], machine)
        for text in texts[1:]:
            module.link_in(parse(text, machine, beside=module))
        # What is not sound would end the process in one of LLVM's passes.
        module.verify()
    except RuntimeError as error:
        raise InvalidCode(f"code that LLVM refuses: {str(error).strip()}") from error
    _check_symbols(module, kernel)
    for function in module.functions:
        if not function.is_declaration and function.name != entry:
            function.linkage = "internal"
    return module


def _optimise_vectors(module: Any) -> None:
    """LLVM's O1 of functions, and little between them, in two thirds of O1's time.

    What more would find, such as loads that can be one, was found before lanes were vectors.
    """
    machine = target_machine()
    run_passes(module, machine, "ipsccp", "dead_arg_elimination")
    builder = _pass_builder(speed=1)
    simplification = builder.getFunctionPassManager()
    for function in module.functions:
        if not function.is_declaration:
            simplification.run(function, builder)
    # Loops of calls are unrolled when what these do to memory is known.
    run_passes(module, machine, "post_order_function_attributes", "loop_unroll", "simplify_cfg")
    run_passes(module, machine, "global_dead_code_eliminate")


def _optimise(module: Any, speed: int) -> None:
    builder = _pass_builder(speed)
    builder.getModulePassManager().run(module, builder)


def _pass_builder(speed: int) -> Any:
    options = llvm.create_pipeline_tuning_options(speed_level=speed)
    options.loop_vectorization = options.slp_vectorization = False
    return llvm.create_pass_builder(target_machine(), options)


def _emitted(module: Any, entry: str, speed: int) -> NativeCode:
    private = _private_bytes(module, entry)
    return NativeCode(bytes(target_machine(speed).emit_object(module)), private)


def parse(text: str, machine: Any, beside: Any = None) -> Any:
    """A module of LLVM's, for the host; in the context of the module `beside`, if given."""
    module = parse_assembly(text, beside)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return module


def _private_bytes(module: Any, entry: str) -> int:
    """What allocas take: those of the entry, and most of what one function that it calls has."""
    named = [text for text in map(str, module.struct_types) if text.startswith("%")]
    sizes = {f.name: _allocas_bytes(f, named) for f in module.functions if not f.is_declaration}
    return sizes.pop(entry) + max(sizes.values(), default=0)


def _allocas_bytes(function: Any, named: Sequence[str]) -> int:
    """LLVM keeps allocas of fixed size in a function's first block."""
    first = str(next(iter(function.blocks)))  # its instructions one by one take long to print
    allocas = [line for line in first.split("\n") if " = alloca " in line]
    if not allocas:
        return 0
    body = "\n".join([*named, "define void @f() {", *allocas])
    read = ir.read(f"{body}\n  ret void\n}}\n")
    layout = Layout(read.types)
    return sum(
        layout.size(i.source_type) + layout.align(i.source_type)
        for i in read.functions["f"].instructions
        if i.opcode == "alloca" and i.source_type is not None
    )


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
