"""Builtins that a source declares at program scope: variables that hold them in every thread.

pymetal/msl/rewrite/program_inputs.py names them `pymetal.builtin.NAME.NUMBER`. The wrapper sets
them before it calls the kernel; once all is inlined they are the thread's own.
"""

from __future__ import annotations

import re

_GLOBAL = re.compile(
    r"^@(?P<name>pymetal\.builtin\.(?P<builtin>\w+)\.\d+) = external [^\n]*?"
    r"\b(?:global|constant) (?P<type><[^>\n]*>|\w+)[^\n]*\n",
    re.M,
)


def found(text: str) -> list[tuple[str, str, str]]:
    """Name, builtin and LLVM type of each in the module `text`."""
    return [(m["name"], m["builtin"], m["type"]) for m in _GLOBAL.finditer(text)]


def writable(text: str) -> str:
    """`text` with variables where the source declares constants: the wrapper writes them."""
    return _GLOBAL.sub(lambda m: f"@{m['name']} = external global {m['type']}, align 16\n", text)


def made_local(text: str, function: str) -> str:
    """`text` with the variables in the frame of `@function`, into which all is inlined."""
    variables = found(text)
    if not variables:
        return text
    slots = "".join(f"  %{name} = alloca {type_}, align 16\n" for name, _, type_ in variables)
    head = re.compile(rf"^define [^\n]*@{re.escape(function)}\([^\n]*\{{\n", re.M)
    text = head.sub(lambda m: m.group() + slots, _GLOBAL.sub("", text), count=1)
    return re.sub(r"@(pymetal\.builtin\.\w+\.\d+)", r"%\1", text)
