"""Calls through pointers to functions: a choice among the functions whose address is taken.

A pointer becomes a number, and a call through it the call of a function that compares numbers.
Everything is inlined into the canonical function then, and no address of code is left. What points
to none of them faults (pymetal/cpu/faults.py).
"""

from __future__ import annotations

import re

from pymetal.air.fault_addresses import NO_FUNCTION
from pymetal.air.normalise import insert_functions
from pymetal.air.operand_types import TYPE, types_of

_NAME = r'"[^"]*"|[-\w.$]+'
_CALL = re.compile(
    rf"^(?P<head>  (?:%[-\w.$]+ = )?(?:(?:tail|musttail|notail) )?call [^@\n(]*?)"
    rf"(?P<result>{TYPE}) (?P<pointer>%[-\w.$]+)\((?P<operands>.*)\)(?P<rest>[^)\n]*)$",
    re.M,
)
_DEFINITION = re.compile(
    rf"^define [^@\n]*?(?P<result>{TYPE}) @(?P<name>{_NAME})"
    r"\((?P<parameters>[^\n]*?)\)[^()\n]*\{$",
    re.M,
)


def dispatch(text: str) -> str:
    """Replace calls through pointers by calls of functions that choose.

    Calls of a type that no function has whose address is taken stay.
    """
    if not _CALL.search(text):
        return text
    taken: dict[str, list[str]] = {}  # type -> names
    numbers: dict[str, int] = {}
    for match in _DEFINITION.finditer(text):
        name = match["name"]
        if re.search(rf"^(?!@llvm\.)[^\n]*@{re.escape(name)}(?![-\w.$(])", text, re.M):
            numbers[name] = len(numbers) + 1
            key = f"{match['result']} ({', '.join(types_of(match['parameters']))})"
            taken.setdefault(key, []).append(name)
    for name, number in numbers.items():
        address = re.compile(rf"@{re.escape(name)}(?![-\w.$(])")
        text = address.sub(f"inttoptr (i64 {number} to ptr)", text)
    chosen: dict[str, str] = {}  # type -> definition

    def choose(match: re.Match[str]) -> str:
        types = types_of(match["operands"])
        key = f"{match['result']} ({', '.join(types)})"
        if key not in taken:
            return match[0]
        name = f"pymetal.choice.{[*taken].index(key)}"
        chosen[key] = _choice(name, match["result"], types, {n: numbers[n] for n in taken[key]})
        operands = ", ".join(filter(None, [f"ptr {match['pointer']}", match["operands"]]))
        return f"{match['head']}{match['result']} @{name}({operands}){match['rest']}"

    text = _CALL.sub(choose, text)
    return insert_functions(text, "".join(chosen.values()))


def _choice(name: str, result: str, types: list[str], numbers: dict[str, int]) -> str:
    parameters = "".join(f", {type_} %p{i}" for i, type_ in enumerate(types))
    operands = ", ".join(f"{type_} %p{i}" for i, type_ in enumerate(types))
    cases = " ".join(f"i64 {n}, label %f{n}" for n in numbers.values())
    is_void = result == "void"
    lines = [
        f"define internal {result} @{name}(ptr %f{parameters}) alwaysinline {{",
        "  %n = ptrtoint ptr %f to i64",
        f"  switch i64 %n, label %none [ {cases} ]",
    ]
    for function, n in numbers.items():
        value = "" if is_void else f"%r{n} = "
        lines += [f"f{n}:", f"  {value}call {result} @{function}({operands})"]
        lines.append("  ret void" if is_void else f"  ret {result} %r{n}")
    lines += ["none:", f"  store i32 0, ptr inttoptr (i64 {NO_FUNCTION} to ptr), align 4"]
    lines += ["  ret void" if is_void else f"  ret {result} zeroinitializer", "}", ""]
    return "\n".join(lines)
