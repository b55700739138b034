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

from pymetal.msl.clang import INCLUDE
from pymetal.msl.declarations import Declaration, name_token
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

_SPACES = frozenset(("device", "constant", "threadgroup", "thread"))
_BEHIND_VALUE = frozenset((";", ",", "+", "-", ")"))
_STARTS = frozenset((";", "{", "}", "(", ",", ")"))


@dataclass
class _Function:
    """`spaces`: what each parameter points to, "" for no pointer or an unknown one."""

    declaration: Declaration
    name: str
    is_kernel: bool
    spaces: list[str]
    calls: dict[str, int] = field(default_factory=dict)  # name -> its first token


def check(tokens: Tokens, declarations: Sequence[Declaration], problems: list[Problem]) -> None:
    """Add a problem for each."""
    functions = _functions(tokens, declarations)
    for function in functions.values():
        if function.declaration.body != -1:
            _calls(tokens, function, functions)
            _pointers(tokens, function, functions, problems)
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
        spaces = [
            _pointed_space(tokens, first, last)[0]
            for first, last in tokens.arguments(declaration.parameters, declaring=True)
        ]
        known = found.get(name)
        if known is None or (known.declaration.body == -1 and known.spaces == spaces):
            found[name] = _Function(declaration, name, "kernel" in head, spaces)
        elif declaration.body != -1 or known.spaces != spaces:
            many.add(name)
    return {name: function for name, function in found.items() if name not in many}


def _pointed_space(tokens: Tokens, first: int, last: int) -> tuple[str, str]:
    """(space, name) of the pointer or array that tokens [first, last) declare, "" where none."""
    attributes = (i for i in range(first, last) if tokens.text[i] == tokens.text[i + 1] == "[")
    last = next(attributes, last)
    words = tokens.text[first:last]
    spaces = [word for word in words if word in _SPACES]
    if len(spaces) != 1 or words.count("*") != 1 or "(" in words or "<" in words:
        return "", ""
    star = words.index("*")
    names = [
        word
        for word, kind in zip(words[star + 1 :], tokens.kind[first + star + 1 : last], strict=True)
        if kind == "name" and word not in ("const", "restrict", "__restrict")
    ]
    if spaces[0] in words[star:]:
        return "", ""
    return spaces[0], names[0] if names else ""


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


def _pointers(
    tokens: Tokens,
    function: _Function,
    functions: dict[str, _Function],
    problems: list[Problem],
) -> None:
    """Initialisers of pointers and arguments of calls that point to another address space."""
    spaces = _local_spaces(tokens, function.declaration)
    body = function.declaration.body
    text = tokens.text

    def refuse(token: int, given: str, wanted: str) -> None:
        message = f"'{text[token]}' points to {given} memory, not to {wanted} memory"
        problems.append(Problem(token, message))

    for i in range(body, tokens.partner[body]):
        if text[i] == "=" and text[i + 2] in _BEHIND_VALUE:
            start = i
            while text[start - 1] not in (";", "{", "}", "(", ")"):
                start -= 1
            wanted, _ = _pointed_space(tokens, start, i)
            given = spaces.get(text[i + 1], "")
            if wanted and given and wanted != given:
                refuse(i + 1, given, wanted)
        elif text[i] in function.calls and text[i + 1] == "(":
            called = functions[text[i]]
            arguments = tokens.arguments(i + 1)
            if called.is_kernel or len(arguments) != len(called.spaces):
                continue
            for (first, last), wanted in zip(arguments, called.spaces, strict=True):
                given = spaces.get(text[first], "") if last == first + 1 else ""
                if wanted and given and wanted != given:
                    refuse(first, given, wanted)


def _local_spaces(tokens: Tokens, declaration: Declaration) -> dict[str, str]:
    """What pointers and arrays of a function point to, by name; names declared once only."""
    found: dict[str, str] = {}
    twice: set[str] = set()

    def note(name: str, space: str) -> None:
        if name in found:
            twice.add(name)
        found[name] = space

    for first, last in tokens.arguments(declaration.parameters, declaring=True):
        parts = [i for i in range(first, last) if tokens.kind[i] == "name"]
        space, name = _pointed_space(tokens, first, last)
        if name:
            note(name, space)
        else:
            for i in parts:
                note(tokens.text[i], "")
    text, kind = tokens.text, tokens.kind
    i = declaration.body
    end = tokens.partner[declaration.body]
    while i < end:
        declares = kind[i] == "name" and text[i + 1] in ("=", ";", "[", ",", "(", "{", ":", ")")
        if declares and (kind[i - 1] == "name" or text[i - 1] in ("*", "&", ">")):
            start = i
            while text[start - 1] not in _STARTS:
                start -= 1
            space, name = _pointed_space(tokens, start, i + 1)
            if name == text[i]:
                note(name, space)
            elif text[i + 1] == "[" and kind[i - 1] == "name" and text[i - 1] != "return":
                words = text[start:i]
                whole = all(word not in words for word in ("*", "&", "constant", "device"))
                note(
                    text[i],
                    ("threadgroup" if "threadgroup" in words else "thread") if whole else "",
                )
            elif text[i - 1] not in ("return", "else"):
                note(text[i], "")
        i += 1
    return {name: space for name, space in found.items() if name not in twice}
