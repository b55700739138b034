"""Functions that call themselves, in modules that Apple's compiler wrote: so many calls deep.

Everything is inlined into the canonical function, so a recursive function is copied for each depth
of its calls. The last copy's own calls write to an address that nothing is mapped at: the launch
ends in a KernelFault that says so (pymetal/cpu/faults.py), and no wrong value is ever used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pymetal.air.fault_addresses import CALLS_TOO_DEEP

MOST_CALLS_DEEP = 8
_FEWEST_CALLS_DEEP = 3
# Copies of functions that call themselves twice double with each depth.
_MOST_LINES = 20_000

_DEBUG = re.compile(r"(?:,)? !dbg !\d+")


def unroll(text: str, names: Sequence[str]) -> tuple[str, int]:
    """Replace calls of the recursive functions `names` by copies; returns how deep, 0 if too many.

    The functions themselves stay: they are dead then.
    """
    bodies = {name: body for name in names if (body := _definition(text, name))}
    call = re.compile(rf"@({'|'.join(re.escape(name) for name in bodies)})\(")
    branching = max(len(call.findall(body)) - 1 for body in bodies.values())
    lines = sum(body.count("\n") for body in bodies.values())
    depth = next(
        (d for d in range(MOST_CALLS_DEEP, 0, -1) if lines * branching**d <= _MOST_LINES), 0
    )
    if len(bodies) < len(names) or depth < _FEWEST_CALLS_DEEP:
        return text, 0
    copies = []
    for level in range(1, depth + 1):
        for name, body in bodies.items():
            head, rest = body.split("\n", 1)
            head = head.replace(f"@{name}(", f"@{_copy(name, level)}(")
            after = level + 1
            rest = call.sub(lambda m, after=after: f"@{_copy(m[1], after)}(", rest)  # type: ignore[misc]
            copies.append(_DEBUG.sub("", f"{head}\n{rest}"))
    for name, body in bodies.items():
        copies.append(_too_deep(body.split("\n", 1)[0], name, depth + 1))
    for body in bodies.values():
        text = text.replace(body, "")
    text = call.sub(lambda m: f"@{_copy(m[1], 1)}(", text)
    at = text.find("\nattributes #")
    at = at if at >= 0 else len(text)
    return f"{text[:at]}\n{''.join(copies)}{text[at:]}", depth


def _copy(name: str, level: int) -> str:
    """The name of a copy; a quoted name stays quoted."""
    return f'{name[:-1]}.{level}"' if name.endswith('"') else f"{name}.{level}"


def _definition(text: str, name: str) -> str:
    start = re.search(rf"^define [^\n]*@{re.escape(name)}\(", text, re.M)
    if start is None:
        return ""
    return text[start.start() : text.index("\n}\n", start.start()) + 3]


def _too_deep(head: str, name: str, level: int) -> str:
    """A function of the same type that only faults."""
    head = _DEBUG.sub("", head).replace(f"@{name}(", f"@{_copy(name, level)}(")
    type_ = re.sub(r"^define |@.*$", "", head)
    type_ = re.sub(
        r"\b(?:internal|linkonce_odr|weak_odr|dso_local|hidden|local_unnamed_addr|unnamed_addr|fastcc|"
        r"noundef|nofpclass\([^)]*\)|signext|zeroext|noalias|nonnull|(?:dereferenceable|align|range)"
        r"(?:\([^)]*\)| \d+))\s?",
        "",
        type_,
    ).strip()
    result = "ret void" if type_ == "void" else f"ret {type_} zeroinitializer"
    fault = f"store i32 0, ptr inttoptr (i64 {CALLS_TOO_DEEP} to ptr), align 4"
    return f"{head}\n  {fault}\n  {result}\n}}\n"
