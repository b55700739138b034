"""One kernel and its function constants -> one canonical function (docs/air.md, section 3).

    module        only what the kernel reaches, as LLVM prints it
    normalise     one address space, known intrinsics, Metal's arithmetic     (normalise.py)
    wrap          @canon maps its own parameters to the kernel's               (wrapper.py)
    inline        static initialisers evaluated, everything inlined into @canon
    sites         each operation that lanes do together gets its number
    optimise      LLVM's O2 without vectorisation
    finish        threadgroup variables become offsets                         (threadgroup.py)

The result is text: both engines and the disk cache take it, and no LLVM object outlives the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import llvmlite.binding as llvm

from pymetal.air import (
    constants,
    initialisers,
    pointers,
    program_inputs,
    recursion,
    signatures,
    threadgroup,
)
from pymetal.air.function import Function
from pymetal.air.llvm_module import parse_assembly, run_passes
from pymetal.air.module import Module
from pymetal.air.normalise import define_arithmetic, define_intrinsics, flatten
from pymetal.air.sites import number_sites
from pymetal.air.vocabulary import is_known
from pymetal.air.wrapper import Parameter, quoted, wrap
from pymetal.errors import ArgumentError, LibraryError, UnsupportedError

NAME = "canon"


@dataclass(frozen=True)
class CanonicalFunction:
    """A kernel as both engines compile it: the function `@canon` of the module `ir`.

    ir                 LLVM IR without target triple or data layout: 64-bit, little-endian
    parameters         what `@canon` takes, in order
    function           reflection with the arguments that function constants left
    threadgroup_bytes  size of the kernel's own threadgroup variables, at %threadgroup_memory;
                       arguments in threadgroup memory are parameters of their own
    sites              how many operations lanes do together: "pymetal.site" is less
    intrinsics         names of the `air.*` functions that `ir` declares
    flush_denormals    whether denormal floats count as zero (Apple's compiler says so)
    """

    ir: str
    parameters: tuple[Parameter, ...]
    function: Function
    threadgroup_bytes: int
    sites: int
    intrinsics: tuple[str, ...]
    flush_denormals: bool = False


class Instrument(Protocol):
    """A pass that adds calls of `pymetal_check…` to a function that is not optimised then."""

    def arithmetic(self, text: str) -> str:
        """Before shifts, divisions and conversions get Metal's meaning."""

    def memory(self, text: str, name: str, parameters: tuple[Parameter, ...]) -> str:
        """When everything is inlined into `@name`; removes debug information."""


def canonical(
    module: Module,
    function: Function,
    values: Mapping[str | int, Any] | None = None,
    instrument: Instrument | None = None,
) -> CanonicalFunction:
    """Make `function` of `module` canonical, with function constants `values`.

    With `instrument` it is instrumented instead of optimised.

    Raises ArgumentError for constants that do not fit, UnsupportedError for what the software
    device lacks (an unknown intrinsic, recursion) and LibraryError for a broken module.
    """
    switches = module.predicates(function.symbol)
    text, types = _reachable(module, function, set(switches.values()))
    text = _set_constants(text, module, function, values or {})
    text = flatten(text, relax_alignment=instrument is None)
    if instrument is not None:
        text = initialisers.apart(text, instrument.arithmetic)
    text = define_intrinsics(define_arithmetic(text))
    text, parameters = wrap(text, function, types, switches)
    text = program_inputs.made_local(_inline(text, function), NAME)
    text, function, parameters = _drop_switched_off(text, function, parameters, switches)
    text, sites = number_sites(text)
    if instrument is None:
        text = _optimise(text, function)
    else:
        text = instrument.memory(_registers(text, function), NAME, parameters)
    intrinsics = _check_symbols(text, function)
    text, threadgroup_bytes = threadgroup.lay_out(text, NAME)
    return CanonicalFunction(
        text,
        parameters,
        function,
        threadgroup_bytes,
        sites,
        intrinsics,
        "denorms_disable" in module.compile_options,
    )


def _reachable(module: Module, function: Function, keep: set[str]) -> tuple[str, tuple[str, ...]]:
    """The text of what the kernel reaches, and the kernel's LLVM parameter types."""
    parsed = module.parse()
    for value in (*parsed.functions, *parsed.global_variables):
        name = value.name
        # llvm.used and its like keep everything alive that any kernel of the library needs.
        if name == "llvm.global_ctors" or value.is_declaration or name in keep:
            continue
        value.linkage = "external" if name == function.symbol else "internal"
    _run(parsed, "global_dead_code_eliminate", "strip_dead_prototype")
    try:
        kernel = parsed.get_function(function.symbol)
    except NameError as error:
        raise LibraryError(
            f"{module.label}: no function '{function.symbol}' in its module"
        ) from error
    if kernel.is_declaration:
        raise LibraryError(f"{module.label}: '{function.symbol}' has no body")
    types = tuple(re.sub(r" addrspace\(\d+\)", "", str(a.type)) for a in kernel.arguments)
    if len(types) != len(function.arguments):
        raise LibraryError(
            f"{module.label}: '{function.symbol}' has {len(types)} parameters, its metadata "
            f"{len(function.arguments)}"
        )
    text = str(parsed)
    for name in sorted(keep):  # declarations that no code reads are gone
        symbol = quoted(name)
        if not re.search(rf"^@{re.escape(symbol)} = ", text, re.M):
            text = f"@{symbol} = external constant i8, align 1\n{text}"
    return text, types


def _set_constants(
    text: str, module: Module, function: Function, values: Mapping[str | int, Any]
) -> str:
    """Function constants become constants with their values."""
    if not module.constants and not values:
        return text
    literals = constants.resolve(function, values)
    end = text.find("\ndefine ")  # LLVM prints variables before functions
    variables = text[:end]
    for symbol, constant in module.constants.items():
        given = literals.get(constant)
        variables = _define_variable(variables, symbol, given)
        variables = _define_variable(
            variables, f"{constant.name}.is_defined", str(int(bool(given)))
        )
    return variables + text[end:]


def _define_variable(text: str, symbol: str, value: str | None) -> str:
    """Make the variable `symbol` a constant: `value`, else its own initialiser, else zero."""
    name = re.escape(symbol)
    # name = linkage..., `global` or `constant`, type, perhaps an initialiser, section, align
    pattern = re.compile(
        rf'^(@(?:{name}|"{name}") = )[^\n]*?\b(?:global|constant) '
        rf"(<[^>\n]*>|\w+)([^\n,]*|<[^>\n]*>)((?:, align \d+)?)[^\n]*$",
        re.M,
    )

    def define(match: re.Match[str]) -> str:
        default = match[3].strip()
        literal = value or (default if default not in ("", "undef") else "zeroinitializer")
        return f"{match[1]}internal constant {match[2]} {literal}{match[4]}"

    return pattern.sub(define, text, count=1)


def _inline(text: str, function: Function) -> str:
    """Evaluate static initialisers and inline everything; only @canon is left."""
    initialises = "@llvm.global_ctors" in text
    if initialises:
        text = initialisers.narrowed(text)
    parsed = _parse(pointers.dispatch(text), function)
    for f in parsed.functions:
        if not f.is_declaration and f.name != NAME and not f.name.startswith("pymetal.enabled."):
            f.linkage = "internal"
            f.add_function_attribute("alwaysinline")
    if initialises:
        _run(parsed, "always_inliner")
        initialisers.simplify(parsed, _target_machine())
    _run(parsed, "global_opt", "always_inliner", "global_dead_code_eliminate")
    result = str(parsed)
    if re.search(r"^@llvm\.global_ctors = [^\n]*\bptr @", result, re.M):
        raise UnsupportedError(
            f"{function.name}: a variable at program scope has an initialiser that only running "
            f"code could evaluate",
            feature="program-scope initialisers",
        )
    result = re.sub(r"^@llvm\.global_ctors = [^\n]*\n", "", result, flags=re.M)
    left = _left(result)
    if not left:
        return result
    copied, depth = recursion.unroll(result, left)
    if depth:
        parsed = _parse(copied, function)
        _run(parsed, "always_inliner", "global_dead_code_eliminate")
        result = str(parsed)
    if not depth or _left(result):
        raise UnsupportedError(
            f"{function.name}: '{left[0].strip(chr(34))}' calls itself, directly or through "
            f"others, too often to be copied for each depth of its calls",
            feature="recursion",
        )
    return result


def _left(text: str) -> list[str]:
    """The functions besides @canon, as LLVM spells their names."""
    names: list[str] = re.findall(r'^define [^\n]*?@("[^"]*"|[-\w.$]+)\(', text, re.M)
    return [n for n in names if n != NAME and not n.startswith("pymetal.enabled.")]


def _drop_switched_off(
    text: str, function: Function, parameters: tuple[Parameter, ...], switches: Mapping[int, str]
) -> tuple[str, Function, tuple[Parameter, ...]]:
    """Remove the arguments whose function constant is false."""
    if not switches:
        return text, function, parameters
    off = set()
    for position in switches:
        match = re.search(
            rf"^define [^\n]*@pymetal\.enabled\.{position}\([^\n]*\n"
            rf"(?:  %value = load i8, ptr @(?P<switch>[^\n,]+)[^\n]*\n  ret i8 %value|"
            rf"  ret i8 (?P<value>\d+))\n}}\n",
            text,
            re.M,
        )
        if match and match["switch"]:
            switch = re.escape(match["switch"])
            match = re.search(rf"^@{switch} = [^\n]*constant i8 (?P<value>\d+)", text, re.M)
        argument = function.arguments[position]
        if match is None:
            raise ArgumentError(
                f"{function.name}: whether argument '{argument.name}' is there depends on "
                f"function constant '{argument.enabled_by}', which has no value",
                argument=argument.enabled_by,
            )
        if match["value"] == "0":
            off.add(position)
    text = re.sub(r"^define [^\n]*@pymetal\.enabled\.\d+\(.*?^}\n", "", text, flags=re.M | re.S)
    kept: list[Parameter] = []
    for parameter in parameters:
        if parameter.argument in off:
            # The parameter and its comma go from the head; nothing reads the value any more.
            name = re.escape(parameter.name)
            head = re.compile(rf",[^,()]*(?:\([^()]*\)[^,()]*)*%{name}(?=[,)])")
            text = head.sub("", text, count=1)
            text = re.sub(rf"%{name}(?![\w.$-])", "null", text)
        else:
            plain = parameter.name.partition(".or.")[0]
            if any(p.name == plain for p in kept):
                argument = function.arguments[parameter.argument]
                raise ArgumentError(
                    f"{function.name}: argument '{argument.name}' and another of {argument.kind} "
                    f"index {argument.index} are both switched on by function constants",
                    argument=argument.enabled_by,
                )
            text = re.sub(rf"%{re.escape(parameter.name)}(?![\w.$-])", f"%{plain}", text)
            kept.append(replace(parameter, name=plain))
    # What is left is there: no constant is to be asked again.
    arguments = tuple(
        replace(a, enabled_by="") for i, a in enumerate(function.arguments) if i not in off
    )
    return text, replace(function, arguments=arguments), tuple(kept)


# Attachments that only LLVM's optimiser reads, and calls that only tell it something.
_HINT = re.compile(r", !(?!dbg )[a-z_.]+ !\d+(?=[,\n])")
_HINT_CALL = re.compile(
    r"^  [^\n@=]*call [^\n@]*@llvm\.(?:lifetime|assume|experimental\.noalias|dbg)\b[^\n]*\n", re.M
)
_COMMENT = re.compile(r"^;[^\n]*\n| +; preds = [^\n]*$", re.M)


_UNROLL = re.compile(r'!"llvm\.loop\.unroll\.(enable|full|count)"')
# Other requests of the source's that this pipeline does not follow.
_LOOP_REQUEST = re.compile(r'!"llvm\.loop\.(vectorize|interleave|distribute)\.')


def _unroll(text: str, function: Function) -> str:
    """Unroll the loops that the source says to unroll, and take the request back.

    LLVM's O2 would write a warning to stderr for each such loop that cannot be unrolled.
    """
    text = _LOOP_REQUEST.sub(r'!"pymetal.loop.\1.', text)
    if not _UNROLL.search(text):
        return text
    parsed = _parse(text, function)
    _run(parsed, "sroa", "simplify_cfg", "instruction_combine", "loop_rotate", "loop_unroll")
    return _UNROLL.sub(r'!"pymetal.loop.unroll.\1"', str(parsed))


def _registers(text: str, function: Function) -> str:
    """Local scalars become values, and nothing else is optimised."""
    parsed = _parse(text, function)
    _run(parsed, "sroa", "simplify_cfg", "global_dead_code_eliminate", "strip_dead_prototype")
    return _clean(str(parsed))


def _optimise(text: str, function: Function) -> str:
    parsed = _parse(_unroll(text, function), function)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False
    options.slp_vectorization = False
    llvm.create_pass_builder(_target_machine(), options).getModulePassManager().run(
        parsed, llvm.create_pass_builder(_target_machine(), options)
    )
    _run(parsed, "global_dead_code_eliminate", "strip_dead_prototype")
    return _clean(str(parsed))


def _clean(text: str) -> str:
    """Without LLVM's hints, or what names a target."""
    result = _HINT_CALL.sub("", _COMMENT.sub("", _HINT.sub("", text)))
    if "!llvm.dbg.cu" not in result:
        result = re.sub(r"^!.*\n", "", result, flags=re.M)
    # What LLVM inferred of memory predates the threadgroup variables' move to this parameter.
    result = re.sub(r"ptr [^,%]*(?=%threadgroup_memory[,)])", "ptr noundef ", result)
    group = re.search(rf"^define [^\n]*@{NAME}\([^\n]* (#\d+) [^\n]*{{$", result, re.M)
    if group:
        inferred = re.compile(rf"^(attributes {group[1]} = [^\n]*?)memory\([^)]*\) ", re.M)
        result = inferred.sub(r"\1", result)
    result = re.sub(r"^(?:target |source_filename)[^\n]*\n", "", result, flags=re.M)
    return _spell_out_types(result) if re.search(r"\b(?:insert|extract)value %", result) else result


_TYPE_NAME = r'%(?:"[^"]*"|[-\w.$]+)'


def _spell_out_types(text: str) -> str:
    """Replace named structs by their members: structs that are values need no look-up then."""
    types = dict(re.findall(rf"^({_TYPE_NAME}) = type ([^\n]*)$", text, re.M))
    text = re.sub(rf"^{_TYPE_NAME} = type [^\n]*\n", "", text, flags=re.M)
    if not types:
        return text
    longest_first = sorted(types, key=len, reverse=True)
    names = re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?![-\w.$])")

    def spell(match: re.Match[str]) -> str:
        return names.sub(spell, types[match[0]])

    return names.sub(spell, text)


def _check_symbols(text: str, function: Function) -> tuple[str, ...]:
    """The `air.*` functions that `text` calls; what no engine knows is refused by name."""
    if re.search(r"\bcall [^@\n(]*%[-\w.$]+\(", text):
        raise UnsupportedError(
            f"{function.name}: calls through a function pointer", feature="function pointers"
        )
    names = re.findall(r'^declare [^\n]*?@("[^"]*"|[-\w.$]+)\(', text, re.M)
    names += re.findall(r'^@("[^"]*"|[-\w.$]+) = external (?![^\n]*"air\.threadgroup")', text, re.M)
    unknown = [
        n.strip('"')
        for n in names
        if not is_known(n) and not n.startswith("pymetal_check") and _is_called(text, n)
    ]
    if unknown:
        raise UnsupportedError(
            f"{function.name}: the software device lacks {', '.join(map(repr, unknown))}",
            feature=unknown[0],
        )
    wrong = signatures.mistyped(text)
    if wrong:
        raise LibraryError(f"{function.name}: '{wrong}' is called with types that it does not have")
    return tuple(n for n in names if n.startswith("air."))


def _is_called(text: str, name: str) -> bool:
    """Whether anything but its declaration names it (hints were removed after optimising)."""
    return text.count(f"@{name}") > 1


def _parse(text: str, function: Function) -> Any:
    try:
        parsed = parse_assembly(text)
        parsed.verify()
    except RuntimeError as error:
        raise LibraryError(f"{function.name}: its AIR is not valid: {error}") from error
    machine = _target_machine()
    parsed.triple = machine.triple
    parsed.data_layout = str(machine.target_data)
    return parsed


def _run(module: Any, *passes: str) -> None:
    run_passes(module, _target_machine(), *passes)


@cache
def _target_machine() -> Any:
    """The host, whose data layout agrees with every 64-bit, little-endian one on AIR's types."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(opt=2)
