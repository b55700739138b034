"""clang's LLVM IR to AIR: annotations become `!air.kernel` metadata, and only kernels stay public.

Works on the text of the module, which clang prints and LLVM parses again; metadata has no other
way in through llvmlite.
"""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm

from pymetal.air.container import Entry
from pymetal.air.llvm_module import parse_assembly, run_passes
from pymetal.errors import ToolchainError
from pymetal.msl.annotations import Annotation, read_annotations
from pymetal.msl.diagnostics import Reporter
from pymetal.msl.metadata import MetadataWriter, quoted
from pymetal.msl.reflection import KernelFunction, constant_nodes, constant_symbols, kernel_node
from pymetal.msl.rewrite import Program, program_inputs
from pymetal.msl.rewrite.threadgroup import SECTION

_PRODUCER = "PyMetal metal version {major}.{minor} ({clang})"
_IDENT = re.compile(r"^!llvm\.ident = !\{(!\d+)\}$", re.M)
_GLOBAL = re.compile(
    r'^@(?P<name>"[^"]*"|[-\w.$]+) = (?P<how>[^\n]*?)\bglobal (?P<rest>[^\n]*)$', re.M
)


def emit(
    text: str,
    program: Program,
    reporter: Reporter,
    language_version: tuple[int, int],
    flush_denormals: bool = False,
) -> list[Entry]:
    """The container's entries for every kernel in clang's module `text`.

    `flush_denormals`: kernels may take denormal floats for zero.
    """
    annotations, text = read_annotations(text)
    functions = _functions(annotations, program)
    _refuse_variables(text, program, reporter)
    writer = MetadataWriter(text)
    symbols = _computed_switches(text, functions) | constant_symbols(annotations, program)
    taken: set[str] = set()
    entries: list[tuple[str, str]] = []
    renamed: dict[str, str] = {}
    kernels = []
    for function in functions.values():
        symbol = function.names[0] if function.names[0] not in taken else function.symbol
        taken.update(function.names)
        entries += [(name, symbol) for name in function.names]
        renamed[function.symbol] = symbol
        kernels.append(kernel_node(writer, function, symbol, symbols, program, reporter))
    constants = constant_nodes(writer, annotations, program, reporter)
    reporter.raise_errors()
    text = _rename(text, renamed)
    writer.named("air.kernel", kernels)
    if constants:
        writer.named("air.function_constants", constants)
    writer.named("air.version", [writer.node("i32 2", "i32 6", "i32 0")])
    version = [f"i32 {number}" for number in (*language_version, 0)]
    writer.named("air.language_version", [writer.node(quoted("Metal"), *version)])
    if flush_denormals:
        writer.named("air.compile_options", [writer.node(quoted("air.compile.denorms_disable"))])
    text = _mark(_corrected(text), writer, language_version) + _kept(functions, symbols)
    bitcode = _assemble(text + writer.text(), {symbol for _, symbol in entries})
    return [Entry(name, symbol, bitcode) for name, symbol in entries]


def _functions(annotations: list[Annotation], program: Program) -> dict[str, KernelFunction]:
    found: dict[str, KernelFunction] = {}
    for annotation in annotations:
        if annotation.kind == "air.kernel":
            number = annotation.values[0]
            assert isinstance(number, int)
            kernel = program.kernels[number]
            found[annotation.symbol] = KernelFunction(
                annotation.symbol, kernel, annotation.values[1:], []
            )
    for annotation in annotations:
        if annotation.kind == "air.host_name" and annotation.symbol in found:
            found[annotation.symbol].host_names.append(str(annotation.values[0]))
    for function in found.values():
        if not function.kernel.is_template:
            function.host_names += function.kernel.host_names
    return found


def _computed_switches(text: str, functions: dict[str, KernelFunction]) -> dict[str, str]:
    """The globals of the names that switch arguments on; some are computed from constants."""
    names = {
        p.enabled_by.split("::")[-1].strip()
        for f in functions.values()
        for p in f.kernel.parameters
    }
    if not names - {""}:
        return {}
    symbols = [match["name"] for match in _GLOBAL.finditer(text)]
    return {_plain_name(symbol): symbol for symbol in symbols if _plain_name(symbol) in names}


def _refuse_variables(text: str, program: Program, reporter: Reporter) -> None:
    """Variables that are neither constant nor in threadgroup memory do not exist in Metal."""
    initialised = set(re.findall(r"store [^\n]*, ptr @([-\w.$]+)", _initialisers(text)))
    for match in _GLOBAL.finditer(text):
        name = match["name"]
        if f'section "{SECTION}"' in match["rest"]:
            size = _size_bytes(match["rest"])
            if size > _MAX_THREADGROUP_BYTES:
                plain = _plain_name(name)
                at = program.tokens.places.get(plain, [0])[0]
                message = (
                    f"threadgroup variable '{plain}' has {size} bytes; a threadgroup has 32768"
                )
                reporter.add(at, program, message)
            continue
        if name.startswith(("llvm.", program_inputs.PREFIX)):
            continue
        if name in initialised or "section" in match["rest"]:
            continue
        tokens = program.tokens
        plain = _plain_name(name)
        at = tokens.places.get(plain, [0])[0]
        reporter.add(
            at,
            program,
            f"variable '{plain}' outlives a thread: it must be in the constant or threadgroup "
            "address space",
        )


_MAX_THREADGROUP_BYTES = 32 * 1024
_SIZES = {"i8": 1, "i16": 2, "half": 2, "bfloat": 2, "i32": 4, "float": 4, "i64": 8, "ptr": 8}


def _size_bytes(type_: str) -> int:
    """The size of arrays of scalars and vectors that `type_` starts with; 0 for others."""
    match = re.match(r"((?:\[\d+ x )*)(?:<(\d+) x )?(\w+)", type_)
    if match is None or match[3] not in _SIZES:
        return 0
    size = _SIZES[match[3]] * int(match[2] or 1)
    for count in re.findall(r"\d+", match[1]):
        size *= int(count)
    return size


def _initialisers(text: str) -> str:
    """The bodies of functions that initialise variables from function constants."""
    bodies = re.findall(r"^define internal void @__cxx_global_var_init.*?^}", text, re.M | re.S)
    return "\n".join(bodies)


def _plain_name(symbol: str) -> str:
    """The last name in a mangled symbol; the symbol itself if it is not mangled."""
    end = re.sub(r"(?:_\d*|\.\d+)?$", "", symbol).removesuffix("E")
    for length in re.finditer(r"\d+", end):
        for start in range(length.start(), length.end()):  # Dv4_j1s: 4 counts lanes, 1 letters
            name = end[length.end() :]
            if int(end[start : length.end()]) == len(name):
                return name
    return symbol


_SYMBOL = re.compile(r'(?<=[@$])(?:"(?P<quoted>[^"]*)"|(?P<plain>[-\w.$]+))')


def _rename(text: str, names: dict[str, str]) -> str:
    """The module with those symbols under other names."""

    def new(match: re.Match[str]) -> str:
        name = names.get(match["plain"] or match["quoted"])
        if name is None:
            return match[0]
        return name if re.fullmatch(r"[-\w.$]+", name) else f'"{name}"'

    return _SYMBOL.sub(new, text)


_BOOL_ELEMENT = re.compile(
    r"^  (?P<result>%[-\w.$]+) = insertelement (?P<vector><\d+ x i1> [^,\n]+), "
    r"i8 (?P<value>%[-\w.$]+), ",
    re.M,
)


def _corrected(text: str) -> str:
    """clang 22 writes a bool as i8 into a vector of bools when the index is not constant.

    Invalid IR, which LLVM refuses to read. Delete when clang stores an i1.
    """

    def trunc(match: re.Match[str]) -> str:
        bit = f"%bool.{match['result'][1:]}"
        return (
            f"  {bit} = trunc i8 {match['value']} to i1\n"
            f"  {match['result']} = insertelement {match['vector']}, i1 {bit}, "
        )

    return _BOOL_ELEMENT.sub(trunc, text)


def _kept(functions: dict[str, KernelFunction], symbols: dict[str, str]) -> str:
    """Function constants that only switch arguments on stay, though no code reads them."""
    switches = {p.enabled_by for f in functions.values() for p in f.kernel.parameters}
    kept = [f"ptr @{symbols[name]}" for name in sorted(switches) if name in symbols]
    if not kept:
        return ""
    array = f"[{len(kept)} x ptr] [{', '.join(kept)}]"
    return f'\n@llvm.compiler.used = appending global {array}, section "llvm.metadata"\n'


def _mark(text: str, writer: MetadataWriter, language_version: tuple[int, int]) -> str:
    """Say who wrote the module, in the place where clang says so."""
    match = _IDENT.search(text)
    clang = "clang"
    if match:
        node = re.search(rf'^{match[1]} = !\{{!"([^"]*)"\}}$', text, re.M)
        clang = node[1] if node else clang
        text = text[: match.start()] + text[match.end() :]
    producer = _PRODUCER.format(major=language_version[0], minor=language_version[1], clang=clang)
    writer.named("llvm.ident", [writer.node(quoted(producer))])
    return text


def _assemble(text: str, kernels: set[str]) -> bytes:
    """Bitcode of the module, without what no kernel reaches."""
    try:
        module: Any = parse_assembly(text)
    except RuntimeError as error:
        raise ToolchainError(f"LLVM does not read what clang wrote: {error}") from error
    for value in (*module.functions, *module.global_variables):
        if value.is_declaration or value.name in kernels or value.name.startswith("llvm."):
            continue
        value.linkage = "internal"
    _remove_unreached(module)
    bitcode: bytes = module.as_bitcode()
    return bitcode


def _remove_unreached(module: Any) -> None:
    llvm.initialize_native_target()
    machine = llvm.Target.from_default_triple().create_target_machine()
    run_passes(module, machine, "global_dead_code_eliminate")
