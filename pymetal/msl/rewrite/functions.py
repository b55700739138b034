"""What plain C++ accepts of functions and Metal does not: recursion, calls of kernels, pointers
that change address space.

By tokens, and only where they leave no doubt: functions of one name and no template, pointers
whose declaration in the function is the only one of that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from pymetal.msl.declarations import Declaration, name_token
from pymetal.msl.options import INCLUDE
from pymetal.msl.rewrite import spaces
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens


@dataclass
class _Function:
    declaration: Declaration
    name: str
    is_kernel: bool
    wanted: list[spaces.Wanted]  # of each parameter
    calls: dict[str, int] = field(default_factory=dict)  # name -> its first token


def check(tokens: Tokens, declarations: Sequence[Declaration], problems: list[Problem]) -> None:
    """Add a problem for each."""
    functions = _functions(tokens, declarations)
    for function in functions.values():
        if function.declaration.body != -1:
            _calls(tokens, function, functions)
            wanted = {n: functions[n].wanted for n in function.calls if not functions[n].is_kernel}
            spaces.check(tokens, function.declaration, wanted, problems)
    for function in sorted(functions.values(), key=lambda f: f.declaration.start):
        for name, token in function.calls.items():
            called = functions[name]
            if called.is_kernel:
                problems.append(Problem(token, f"kernel '{name}' cannot be called"))
            elif _reaches(functions, called, function.name) and function.name not in _library():
                message = f"recursion is not supported in Metal: '{function.name}' calls itself"
                problems.append(Problem(token, message))
                return


@cache
def _library() -> frozenset[str]:
    """Words of the library's headers: float min(float3) overloads, and may call, what is there."""
    words: set[str] = set()
    for header in INCLUDE.glob("pymetal_*.h"):
        words.update(re.findall(r"\b[a-z]\w{2,}\b", header.read_text(encoding="utf-8")))
    return frozenset(words)


def _functions(tokens: Tokens, declarations: Sequence[Declaration]) -> dict[str, _Function]:
    """Functions that are the only ones of their name, by name."""
    found: dict[str, _Function] = {}
    many: set[str] = set()
    for declaration in declarations:
        if declaration.kind != "function" or declaration.parameters == -1:
            continue
        name_at = name_token(tokens, declaration)
        name = tokens.text[name_at]
        head = tokens.text[declaration.start : name_at]
        plain = tokens.kind[name_at] == "name" and {"template", "operator"}.isdisjoint(head)
        # What `constexpr` functions do while compiling may recur; what is left is found later.
        if not plain or declaration.in_class or "constexpr" in head:
            many.add(name)
            continue
        wanted = [
            spaces.parameter(tokens, first, last)
            for first, last in tokens.arguments(declaration.parameters, declaring=True)
        ]
        known = found.get(name)
        if known is None or (known.declaration.body == -1 and known.wanted == wanted):
            found[name] = _Function(declaration, name, "kernel" in head, wanted)
        elif declaration.body != -1 or known.wanted != wanted:
            many.add(name)
    return {name: function for name, function in found.items() if name not in many}


def _calls(tokens: Tokens, function: _Function, functions: dict[str, _Function]) -> None:
    body = function.declaration.body
    for i in range(body, tokens.partner[body]):
        name = tokens.text[i]
        if name in functions and tokens.text[i + 1] == "(":
            before = tokens.text[i - 1]
            if (
                before not in (".", "->", "::") and tokens.kind[i - 1] != "name"
            ) or before == "return":
                function.calls.setdefault(name, i)


def _reaches(functions: dict[str, _Function], start: _Function, name: str) -> bool:
    waiting, seen = [start.name], set()
    while waiting:
        at = waiting.pop()
        if at == name:
            return True
        if at not in seen:
            seen.add(at)
            waiting += functions[at].calls
    return False
