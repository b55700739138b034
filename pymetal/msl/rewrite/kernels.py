"""Kernel functions: their parameters, names and instantiations.

A kernel keeps its C++ signature. What Metal says of it besides travels as an annotation whose
arguments clang evaluates once per instantiation of a template:

    annotate("air.kernel", NUMBER, LIMIT, ...)      NUMBER counts `Program.kernels`
    annotate("air.host_name", "NAME")               on an explicit instantiation

followed, for each parameter in turn, by what only the compiler knows: the type's name for a
builtin; index, size, alignment and type name for a buffer, then offset, size and type name for each
member of its struct. `emit` reads them back in the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pymetal.msl.declarations import Declaration, after_template, name_token
from pymetal.msl.rewrite.attributes import Attribute, attributes_in
from pymetal.msl.rewrite.names import Names
from pymetal.msl.rewrite.parameters import Parameter, read_parameters
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

# Said before a return type; the type itself must be void.
_SPECIFIERS = frozenset(["kernel", "static", "inline", "extern", "constexpr", "void", "METAL_FUNC"])


@dataclass
class Kernel:
    """One kernel function in the source. `token` is its name's."""

    name: str
    token: int
    parameters: list[Parameter]
    is_template: bool
    host_names: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """What callers know it as: its own name, or those of its instantiations."""
        return self.host_names if self.is_template else self.host_names or [self.name]


def rewrite(
    tokens: Tokens,
    declarations: Sequence[Declaration],
    names: Names,
    requested: Collection[str] | None,
    problems: list[Problem],
) -> list[Kernel]:
    """Annotate every kernel, and leave out those that are not requested."""
    kernels: list[Kernel] = []
    for declaration in declarations:
        if declaration.kind != "function" or declaration.body == -1 or declaration.in_class:
            continue
        start = after_template(tokens, declaration)
        attributes = attributes_in(tokens, start, declaration.parameters)
        if not is_kernel(tokens, start, declaration.parameters, attributes):
            continue
        kernel = _kernel(tokens, declaration, start, attributes, problems)
        _check_unique(kernel, kernels, problems)
        _remove_word(tokens, start, declaration.parameters)
        kernels.append(kernel)
        if requested is None or kernel.is_template or set(kernel.names) & set(requested):
            annotation = _annotation(tokens, kernel, len(kernels) - 1, attributes, names)
            tokens.annotate(start, annotation)
        else:
            tokens.insert_before(start, "__attribute__((internal_linkage)) ")
    by_name = {kernel.name: kernel for kernel in kernels}
    for declaration in declarations:
        i = declaration.start
        if tokens.text[i] == "template" and tokens.text[i + 1] != "<":
            _instantiation(tokens, declaration, by_name, requested, problems)
        elif declaration.kind == "function" and declaration.body == -1:
            _remove_word(tokens, i, declaration.parameters)  # a kernel declared ahead
    return kernels


def is_kernel(tokens: Tokens, first: int, last: int, attributes: list[Attribute]) -> bool:
    """Whether the head in tokens [first, last) is that of a kernel."""
    return "kernel" in tokens.words(first, last) and (
        any(a.name == "kernel" for a in attributes)
        or any(
            tokens.text[i] == "kernel" and tokens.text[i - 1] not in ("::", "[", ",", "(")
            for i in range(first, last)
        )
    )


def _remove_word(tokens: Tokens, first: int, last: int) -> None:
    for i in range(first, last):
        if tokens.text[i] == "kernel" and tokens.text[i - 1] not in ("::", "[", ",", "("):
            tokens.replace(i, " " * len("kernel"))


def _kernel(
    tokens: Tokens,
    declaration: Declaration,
    start: int,
    attributes: list[Attribute],
    problems: list[Problem],
) -> Kernel:
    name = name_token(tokens, declaration)
    is_template = start != declaration.start
    kernel = Kernel(tokens.text[name], name, [], is_template)
    for attribute in attributes:
        if attribute.name == "host_name":
            kernel.host_names.append(attribute.string(tokens))
    _check_result(tokens, start, name, problems)
    kernel.parameters = read_parameters(tokens, declaration.parameters, problems)
    return kernel


def _check_result(tokens: Tokens, start: int, name: int, problems: list[Problem]) -> None:
    i = start
    while i < name:
        end = tokens.attribute_end(i)
        if end != -1:
            i = end
        elif tokens.text[i] in ("__attribute__", "alignas") or tokens.kind[i] == "string":
            i = tokens.partner[i + 1] if tokens.text[i + 1] == "(" else i
        elif tokens.text[i] not in _SPECIFIERS:
            message = f"kernel '{tokens.text[name]}' must return void, not '{tokens.text[i]}'"
            problems.append(Problem(i, message))
            return
        i += 1


def _check_unique(kernel: Kernel, others: list[Kernel], problems: list[Problem]) -> None:
    for other in others:
        if other.name == kernel.name and not (other.is_template or kernel.is_template):
            problems.append(Problem(kernel.token, f"redefinition of kernel '{kernel.name}'"))


def _annotation(
    tokens: Tokens, kernel: Kernel, number: int, attributes: list[Attribute], names: Names
) -> str:
    limit = "0"
    for attribute in attributes:
        if attribute.name == "max_total_threads_per_threadgroup":
            limit = attribute.text(tokens) or "0"
    values = [str(number), f"(int)({limit})"]
    for parameter in kernel.parameters:
        values += parameter.queries(names)
    return f'__attribute__((annotate("air.kernel", {", ".join(values)}))) '


def _instantiation(
    tokens: Tokens,
    declaration: Declaration,
    by_name: dict[str, Kernel],
    requested: Collection[str] | None,
    problems: list[Problem],
) -> None:
    """`template [[host_name("x")]] [[kernel]] void f<float>(...);`, or with decltype(f<float>)."""
    first, last = declaration.start + 1, declaration.end - 1
    attributes = attributes_in(tokens, first, last)
    host = next((a for a in attributes if a.name == "host_name"), None)
    stop = declaration.parameters if declaration.parameters != -1 else last
    _remove_word(tokens, first, stop)
    if host is None:
        return
    name = host.string(tokens)
    if requested is not None and name not in requested:
        tokens.remove(declaration.start, declaration.end)
        return
    kernel = _instantiated(tokens, first, stop, by_name)
    if kernel is None:
        problems.append(Problem(host.token, f'host_name("{name}") is not on a kernel\'s instance'))
        return
    kernel.host_names.append(name)
    tokens.insert_before(first, f' __attribute__((annotate("air.host_name", "{name}"))) ')


def _instantiated(
    tokens: Tokens, first: int, last: int, by_name: dict[str, Kernel]
) -> Kernel | None:
    """The kernel whose name stands last, before its template arguments."""
    for i in range(last - 1, first, -1):
        if tokens.text[i] in by_name and tokens.text[i + 1] in ("<", "(", ";"):
            return by_name[tokens.text[i]]
    return None
