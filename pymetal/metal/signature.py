"""What Metal's reflection leaves out, read from the source: the kernel as it was declared.

Reflection gives a pipeline's buffers by name, index, type, access and size. It says nothing of
their order, of builtins, of `constant` and `device`, nor of references and pointers. Those stand
in the parameter list. Where it cannot be read (a macro made it) reflection has to do alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymetal.msl.tokens import Tokens

_SPACES = ("device", "constant", "threadgroup")
_QUALIFIERS = {"const", "volatile", "restrict", "__restrict", "thread", "struct", "metal", "::"}
# Attributes that give an argument its place; any other makes it a builtin.
_PLACES = ("buffer", "texture", "sampler", "threadgroup")


@dataclass(frozen=True)
class Declared:
    """One parameter as its source spells it. `space` is "" for values and textures."""

    name: str
    type_name: str
    space: str = ""
    is_const: bool = False
    is_reference: bool = False
    holds_pointers: bool = False  # is a pointer to pointers
    builtin: str = ""
    enabled_by: str = ""


def signatures(source: str) -> dict[str, tuple[Declared, ...]]:
    """The parameters of every kernel that `source` declares or instantiates, by host name."""
    tokens = Tokens(source)
    kernels: dict[str, tuple[Declared, ...]] = {}
    host_names: dict[str, str] = {}
    for i in range(tokens.count):
        if tokens.text[i] == "kernel":
            found = _kernel(tokens, i)
            if found is not None:
                kernels[found[0]] = found[1]
        elif tokens.text[i] == "host_name" and tokens.text[i + 1] == "(":
            base = _instantiated(tokens, i, kernels)
            if base:
                host_names[tokens.text[i + 2].strip('"')] = base
    return kernels | {name: kernels[base] for name, base in host_names.items()}


def signature_of(
    name: str, arguments: set[str], declared: dict[str, tuple[Declared, ...]]
) -> tuple[Declared, ...] | None:
    """The declaration of kernel `name`, whose buffers are called `arguments`.

    A name that a macro made of a template's is not in `declared`. Templates with all these
    arguments then stand in for it if they agree on everything but types.
    """
    if name in declared:
        return declared[name]
    fitting = [d for d in declared.values() if arguments <= {p.name for p in d}]
    # Those with other buffers too stand in only where none has just these.
    fitting = [d for d in fitting if _always_bound(d) <= arguments] or fitting
    shapes = {tuple((p.name, p.space, p.is_reference) for p in d if p.space) for d in fitting}
    return fitting[0] if len(shapes) == 1 else None


def _always_bound(parameters: tuple[Declared, ...]) -> set[str]:
    return {p.name for p in parameters if p.space and not p.enabled_by}


def _kernel(tokens: Tokens, i: int) -> tuple[str, tuple[Declared, ...]] | None:
    """Name and parameters of the definition that `kernel` (or `[[kernel]]`) at i begins."""
    i += 1
    while tokens.text[i] == "]":  # of [[kernel]]
        i += 1
    while (end := tokens.attribute_end(i)) != -1:
        i = end + 1
    if tokens.text[i] != "void":
        return None
    i += 1
    while (end := tokens.attribute_end(i)) != -1:
        i = end + 1
    if tokens.kind[i] != "name" or tokens.text[i + 1] != "(":
        return None
    if tokens.partner[i + 1] == tokens.count:  # never closed
        return None
    parameters = [_parameter(tokens, a, b) for a, b in tokens.arguments(i + 1)]
    declared = [p for p in parameters if p is not None]
    if len(declared) != len(parameters):
        return None
    return tokens.text[i], tuple(declared)


def _instantiated(tokens: Tokens, i: int, kernels: dict[str, tuple[Declared, ...]]) -> str:
    """The kernel template that the instantiation around `host_name` at i names."""
    while i < tokens.count and tokens.text[i] not in (";", "{"):
        if tokens.text[i] in kernels:
            return tokens.text[i]
        i += 1
    return ""


def _parameter(tokens: Tokens, first: int, last: int) -> Declared | None:
    attributes: dict[str, str] = {}
    plain: list[int] = []
    i = first
    while i < last:
        end = tokens.attribute_end(i)
        if end == -1:
            plain.append(i)
            i += 1
            continue
        for a, b in tokens.arguments(i + 1):
            attributes[tokens.text[a]] = "".join(tokens.words(a + 2, b - 1))
        i = end + 1
    words = [tokens.text[i] for i in plain]
    names = [w for w in words if w.isidentifier() and w not in _QUALIFIERS]
    if words == ["void"] or len(names) < 2:
        return None
    space = next((w for w in words if w in _SPACES), "")
    name = names[-1]
    kept = words[: len(words) - 1 - words[::-1].index(name)]
    type_words = [w for w in kept if w not in (*_QUALIFIERS, *_SPACES, "*", "&", "(")]
    builtin = next((a for a in attributes if a not in (*_PLACES, "function_constant")), "")
    return Declared(
        name,
        " ".join(type_words).replace(" < ", "<").replace(" >", ">").replace(" , ", ", "),
        space,
        is_const="const" in words or space == "constant",
        is_reference="&" in words,
        holds_pointers=words.count("*") > 1,
        builtin=builtin if not space else "",
        enabled_by=attributes.get("function_constant", "").rpartition("::")[2],
    )
