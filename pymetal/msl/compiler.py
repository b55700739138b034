"""MSL to AIR: the way from source text to a `.metallib`, stage by stage.

    preprocess   clang -E                         preprocess.py
    rewrite      Metal tokens to C++ tokens       rewrite/
    compile      clang, our headers precompiled   headers.py, options.py
    emit         annotations to AIR metadata      emit.py

What goes wrong in any stage is a CompileError in terms of the original source (diagnostics.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from pymetal.air.container import Entry, write_metallib
from pymetal.errors import CompileError, Diagnostic, FunctionNotFoundError, UnsupportedError
from pymetal.msl import headers
from pymetal.msl.clang import find_clang
from pymetal.msl.diagnostics import Reporter
from pymetal.msl.options import compile_flags, language_version
from pymetal.msl.preprocess import preprocess
from pymetal.msl.rewrite import Program, rewrite
from pymetal.msl.versions import too_new
from pymetal.source import CompileOptions, Source

_EMIT = ("-S", "-emit-llvm")
_CHECK = ("-fsyntax-only",)


def compile_source(
    source: Source, options: CompileOptions, kernels: Sequence[str] | None = None
) -> bytes:
    """Compile `source` to a `.metallib` of all its kernels, or of `kernels` only.

    Raises CompileError with every diagnostic, UnsupportedError for Metal that is not supported,
    FunctionNotFoundError if one of `kernels` is not there.
    """
    entries = compile_entries(source, options, kernels)
    return write_metallib(entries, language_version=language_version(options))


def compile_entries(
    source: Source, options: CompileOptions, kernels: Sequence[str] | None = None
) -> list[Entry]:
    """The functions that `compile_source` puts into its container."""
    from pymetal.msl.emit import emit  # LLVM's bindings load in 50 ms: only once clang is happy

    reporter, program, flags = _front(source, options, kernels)
    _refuse_apart(reporter, program, kernels)
    if kernels is not None:
        known = list(_listing(program))
        for name in kernels:
            if name not in known:
                has = ", ".join(known) or "none"
                raise FunctionNotFoundError(
                    f"{source.display_name}: no kernel '{name}'; it has {has}",
                    available=tuple(known),
                )
    text = _clang(reporter, program, flags, _EMIT, options.debug)
    flush = options.math_mode != "safe"
    return emit(text, program, reporter, language_version(options), flush)


def check_source(source: Source, options: CompileOptions) -> tuple[Diagnostic, ...]:
    """Every diagnostic of the whole file, none of its kernels compiled; empty if all is well."""
    try:
        reporter, program, flags = _front(source, options, None)
        _refuse_apart(reporter, program, None)
        _clang(reporter, program, flags, _CHECK)
    except CompileError as error:
        return error.diagnostics
    except UnsupportedError as error:
        return tuple(error.__dict__.get("diagnostics", ()))
    return ()


def kernel_names(source: Source, options: CompileOptions) -> tuple[str, ...]:
    """The kernels that `source` has, known without compiling any of them."""
    return tuple(list_kernels(source, options))


def list_kernels(source: Source, options: CompileOptions) -> dict[str, str]:
    """The kernels that `source` has, each with the feature that the software device lacks for it.

    That is "" for those that can be compiled without the others.
    """
    _, program, _ = _front(source, options, None)
    return _listing(program)


def _listing(program: Program) -> dict[str, str]:
    listing = {name: "" for kernel in program.kernels for name in kernel.names}
    return listing | {name: apart.feature for apart in program.apart for name in apart.kernels}


def _refuse_apart(reporter: Reporter, program: Program, kernels: Sequence[str] | None) -> None:
    """Kernels that were set apart are errors where they are wanted: named, or with all others."""
    for apart in program.apart:
        if apart.kernels and (kernels is None or set(apart.kernels) & set(kernels)):
            reporter.add_unsupported(apart)


def _front(
    source: Source, options: CompileOptions, kernels: Sequence[str] | None
) -> tuple[Reporter, Program, list[str]]:
    preprocessed = preprocess(source, options)
    reporter = Reporter(source, preprocessed)
    if preprocessed.errors:
        reporter.add_preprocessor_errors(preprocessed.errors)
        reporter.raise_errors()
    program = rewrite(preprocessed.text, kernels)
    reporter.add_problems(program)
    if options.language_version is not None:
        found = too_new(program.tokens, options.language_version)
        if found is not None:
            reporter.add(found[0], program, found[1])
            reporter.raise_errors()
    return reporter, program, compile_flags(options, preprocessed.tensors)


def _clang(
    reporter: Reporter,
    program: Program,
    flags: list[str],
    stage: Sequence[str],
    debug: bool = False,
) -> str:
    clang = find_clang()
    lines = ["-gline-tables-only", "-fno-discard-value-names"] if debug else []
    for attempt in (1, 2):
        library = headers.precompiled(clang, flags)
        arguments = [*flags, "-include-pch", str(library), *reporter.clang_flags, *lines, *stage]
        done = clang.run([*arguments, "-x", "c++", "-", "-o", "-"], program.text.text)
        refused = ".pch'" in done.stderr or "corrupted precompiled file" in done.stderr
        if done.returncode == 0 or attempt == 2 or not refused:
            break
        headers.discard(library)  # damaged, or of headers changed meanwhile: once more
    if done.returncode != 0:
        reporter.add_compiler_errors(done.stderr, program)
    reporter.raise_errors()
    return done.stdout
