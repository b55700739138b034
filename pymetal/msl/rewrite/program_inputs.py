"""Inputs declared at program scope: `uint2 position [[thread_position_in_grid]];`.

Metal Shading Language Specification, section 5.9. They become external variables under the name of
what they are, which the loader sets when a kernel starts (pymetal/air/program_inputs.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from pymetal.msl.declarations import Declaration
from pymetal.msl.rewrite.attributes import attributes_in
from pymetal.msl.rewrite.parameters import BUILTINS
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

PREFIX = "pymetal.builtin."
_DROPPED = frozenset(("constant", "constexpr", "static", "inline", "extern", "thread"))
_TYPES = frozenset(f"{scalar}{lanes}" for scalar in ("uint", "ushort") for lanes in ("", "2", "3"))
_BINDINGS = frozenset(("buffer", "threadgroup"))


def rewrite(tokens: Tokens, declarations: Sequence[Declaration], problems: list[Problem]) -> None:
    """Rewrite each variable at program scope that has the attribute of a kernel's input."""
    number = 0
    for declaration in declarations:
        end = declaration.head_end
        if declaration.kind != "other" or declaration.in_class or tokens.text[end - 1] != "]":
            continue
        for attribute in attributes_in(tokens, declaration.start, end):
            name = attribute.token - 3
            said = f"program-scope variable '{tokens.text[name]}' [[{attribute.name}]]"
            if attribute.name in _BINDINGS:
                feature = "program-scope bindings"
                problems.append(Problem(name, f"{said}: {feature} are not supported", feature))
            if attribute.name not in BUILTINS:
                continue
            type_ = tokens.text[name - 1]
            if type_ not in _TYPES:
                types = ", ".join(sorted(_TYPES))
                problems.append(Problem(name, f"{said} is '{type_}'; it can be {types}"))
            for i in range(declaration.start, name):
                if tokens.text[i] in _DROPPED:
                    tokens.remove(i, i + 1)
            tokens.insert_before(declaration.start, "extern ")
            label = f"{PREFIX}{attribute.name}.{number}"
            tokens.insert_after(name, f' __asm__("{label}")')
            number += 1
