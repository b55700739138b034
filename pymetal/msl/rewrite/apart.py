"""What the software device cannot run, in a file that also has kernels which it can.

Files hold shaders for rendering beside their kernels, and kernels that take textures beside others
that do not. Metal compiles them all; here such declarations, and whatever names them, are blanked
out before the rewriter looks, so that the other kernels run. Kernels among them stay known by name:
asking for one is an UnsupportedError that names the feature.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from pymetal.msl.declarations import Declaration, after_template, name_token
from pymetal.msl.rewrite import forbidden
from pymetal.msl.rewrite.attributes import attributes_in
from pymetal.msl.rewrite.kernels import is_kernel
from pymetal.msl.rewrite.names import declared_name
from pymetal.msl.rewrite.parameters import UNSUPPORTED
from pymetal.msl.tokens import Tokens

_TYPE = re.compile(
    r"(?P<textures>texture(?:1d|2d|3d|cube)(?:_ms)?(?:_array)?|texture_buffer"
    r"|depth(?:2d|cube)(?:_ms)?(?:_array)?)"
    r"|(?P<samplers>sampler)"
    r"|(?P<ray_tracing>(?:instance_|primitive_)?acceleration_structure|intersector"
    r"|intersection_(?:query|result|function_table))"
    r"|(?P<visible_function_tables>visible_function_table)"
    r"|(?P<imageblocks>imageblock|threadgroup_imageblock)"
    r"|(?P<rendering>patch_control_point|interpolant|discard_fragment|dfdx|dfdy|fwidth)"
)
_LINE_MARKER = re.compile(r"[ \t]*#[ \t]*\d")


@dataclass(frozen=True)
class Apart:
    """A declaration set apart: the names of kernels that it declares, and what they lack, where."""

    declaration: Declaration
    kernels: tuple[str, ...]
    feature: str
    offset: int


def find(tokens: Tokens, declarations: Sequence[Declaration]) -> list[Apart]:
    """What to set apart; nothing where no kernel would be left."""
    suspects = tokens.find(word for word in tokens.places if _is_suspect(word))
    if not suspects:
        return []
    whole = [d for d in declarations if d.kind != "namespace" and not d.in_class]
    lacking: dict[int, tuple[str, int]] = {}  # index in `whole` -> feature, token
    names: dict[str, str] = {}  # of what lacks a feature -> the feature
    for n, declaration in enumerate(whole):
        first = bisect_left(suspects, declaration.start)
        last = bisect_left(suspects, declaration.end)
        found = _lacks(tokens, declaration, suspects[first:last])
        if found is not None:
            lacking[n] = found
            names.setdefault(_name(tokens, declaration), found[0])
    if not lacking:
        return []
    waiting = True
    while waiting:
        waiting = False
        for n, declaration in enumerate(whole):
            found = None if n in lacking else _mentions(tokens, declaration, names)
            if found is not None:
                lacking[n] = found
                names.setdefault(_name(tokens, declaration), found[0])
                waiting = True
    if not any(n not in lacking and _kernel_names(tokens, d) for n, d in enumerate(whole)):
        return []
    return [
        Apart(whole[n], _kernel_names(tokens, whole[n]), feature, tokens.start[token])
        for n, (feature, token) in sorted(lacking.items())
    ]


def without(tokens: Tokens, found: Sequence[Apart]) -> str:
    """The source with those declarations blank, every other character where it was."""
    source = tokens.source
    parts, position = [], 0
    for apart in found:
        last = apart.declaration.end - 1
        start = tokens.start[apart.declaration.start]
        end = tokens.start[last] + len(tokens.text[last])
        lines = source[start:end].split("\n")
        blank = [line if _LINE_MARKER.match(line) else " " * len(line) for line in lines]
        parts += [source[position:start], "\n".join(blank)]
        position = end
    return "".join(parts) + source[position:]


def _is_suspect(word: str) -> bool:
    return word in forbidden.STAGES or word in UNSUPPORTED or _TYPE.fullmatch(word) is not None


def _lacks(
    tokens: Tokens, declaration: Declaration, suspects: Sequence[int]
) -> tuple[str, int] | None:
    """The first feature that a declaration needs by itself, and the token that says so.

    `suspects`: those of its tokens that may say so.
    """
    stage = forbidden.stage_of(tokens, (i for i in suspects if i < declaration.head_end))
    if stage is not None:
        return stage
    text, kind = tokens.text, tokens.kind
    for i in suspects:
        word = text[i]
        if text[i - 1] in (".", "->", "struct", "class"):
            continue
        if text[i - 1] == "[" and text[i - 2] == "[" and word in UNSUPPORTED:
            return UNSUPPORTED[word], i
        match = _TYPE.fullmatch(word)
        if match is None or (word == "sampler" and kind[i + 1] != "name"):
            continue
        assert match.lastgroup is not None
        return match.lastgroup.replace("_", " "), i
    return None


def _mentions(
    tokens: Tokens, declaration: Declaration, names: dict[str, str]
) -> tuple[str, int] | None:
    for i in range(declaration.start, declaration.end):
        if tokens.text[i] in names and tokens.text[i - 1] not in (".", "->"):
            return names[tokens.text[i]], i
    return None


def _name(tokens: Tokens, declaration: Declaration) -> str:
    """What a declaration declares; "" (no token's text) where that is not plain."""
    text, kind = tokens.text, tokens.kind
    if declaration.parameters != -1:
        name = name_token(tokens, declaration)  # the `>` of an instance, f<float>(...): no name
        return text[name] if kind[name] == "name" else ""
    first = after_template(tokens, declaration)
    if declaration.kind == "class":
        return declared_name(tokens, first, declaration.head_end)
    if text[first] == "using":
        return text[first + 1]
    i = first
    while i < declaration.end and text[i] not in ("=", "{", "[", ";"):
        i += 1
    return text[i - 1] if kind[i - 1] == "name" else ""


def _kernel_names(tokens: Tokens, declaration: Declaration) -> tuple[str, ...]:
    """The kernels that a declaration makes: itself, or an instance of a template."""
    start, opening = declaration.start, declaration.parameters
    is_instance = tokens.text[start] == "template" and tokens.text[start + 1] != "<"
    last = opening if opening != -1 else declaration.end - 1
    attributes = attributes_in(tokens, start, last)
    hosts = tuple(a.string(tokens) for a in attributes if a.name == "host_name")
    if is_instance:
        return hosts
    head = after_template(tokens, declaration)
    if declaration.kind != "function" or declaration.body == -1 or head != start:
        return ()
    if not is_kernel(tokens, start, opening, attributes):
        return ()
    return hosts or (tokens.text[name_token(tokens, declaration)],)
