"""Metal source, preprocessed, to the C++ that clang compiles: token by token, line by line.

Each file here is one subject. `rewrite` runs them in order over one token list; what they learn of
kernels and function constants is what `emit` later turns into metadata.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pymetal.msl.declarations import find_declarations
from pymetal.msl.rewrite import (
    apart,
    braces,
    constants,
    declared,
    duplicates,
    forbidden,
    functions,
    kernels,
    literals,
    masks,
    program_inputs,
    threadgroup,
    vectors,
    words,
)
from pymetal.msl.rewrite.apart import Apart
from pymetal.msl.rewrite.constants import Constant
from pymetal.msl.rewrite.kernels import Kernel
from pymetal.msl.rewrite.names import Names
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Rewritten, Tokens

__all__ = ["Apart", "Constant", "Kernel", "Problem", "Program", "rewrite"]


@dataclass
class Program:
    """Rewritten source. Kernels and constants are in the order of their annotations' numbers.

    `problems` is what is wrong, or unsupported, as far as tokens can tell; `apart` what was
    left out for the sake of the other kernels.
    """

    text: Rewritten
    tokens: Tokens
    kernels: list[Kernel]
    constants: list[Constant]
    problems: list[Problem]
    apart: list[Apart]


def rewrite(text: str, requested: Collection[str] | None = None) -> Program:
    """Rewrite preprocessed source. Only kernels named in `requested` are kept, if it is given."""
    tokens = Tokens(text)
    declarations = [d for top in find_declarations(tokens) for d in top.walk()]
    set_apart = apart.find(tokens, declarations)
    if set_apart:
        tokens = Tokens(apart.without(tokens, set_apart))
        declarations = [d for top in find_declarations(tokens) for d in top.walk()]
    problems: list[Problem] = forbidden.find(tokens)
    functions.check(tokens, declarations, problems)
    declared.check(tokens, declarations, problems)
    names = Names(tokens, declarations)
    found = kernels.rewrite(tokens, declarations, names, requested, problems)
    given = constants.rewrite(tokens, declarations, problems)
    program_inputs.rewrite(tokens, declarations, problems)
    threadgroup.rewrite(tokens, declarations, problems)
    masks.rewrite(tokens, names)
    vectors.rewrite(tokens, names)
    braces.rewrite(tokens)
    literals.rewrite(tokens)
    words.rewrite(tokens)
    duplicates.rewrite(tokens, declarations)
    return Program(tokens.render(), tokens, found, given, problems, set_apart)
