"""Variables at program scope that are computed from function constants.

clang writes code that computes them before the kernel; once the constants are known, LLVM can
evaluate it, if it finds plain stores of whole variables. Here that code is brought to this form.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm

_CODE = re.compile(
    r"^define internal void @(?:__cxx_global_var_init|_GLOBAL__sub_I_)[^\n]*\{\n.*?^\}", re.M | re.S
)
# clang stores a vector of three lanes as four, of which the variable has three.
_STORE = re.compile(
    r"^  (?P<wide>%[-\w.$]+) = shufflevector (?P<type><3 x \w+>) (?P<value>%[-\w.$]+), <3 x \w+> "
    r"\w+, <4 x i32> <[^>\n]*>[^\n]*\n  store <4 x \w+> (?P=wide), ptr (?P<to>@[^,\n]+)",
    re.M,
)
_LOAD = re.compile(
    r"^  (?P<wide>%[-\w.$]+) = load <4 x \w+>, ptr (?P<from>@[^,\n]+)[^\n]*\n"
    r"  (?P<value>%[-\w.$]+) = shufflevector <4 x \w+> (?P=wide), <4 x \w+> \w+, <3 x i32> "
    r"<i32 0, i32 1, i32 2>",
    re.M,
)
_LANES = re.compile(r"load <4 x (\w+)>")


def narrowed(text: str) -> str:
    """The module `text`, its variables' initialisers reading and writing three lanes as three."""
    return _CODE.sub(lambda code: _LOAD.sub(_load, _STORE.sub(_store, code.group())), text)


def apart(text: str, change: Callable[[str], str]) -> str:
    """`change(text)` without the initialisers, which stay as they are."""
    kept = _CODE.findall(text)
    changed = change(_CODE.sub("", text))
    return changed + "\n" + "\n".join(kept) if kept else changed


def _store(match: re.Match[str]) -> str:
    # Values are numbered in order: the number of the wide one must not go missing.
    kind, value, wide = match["type"], match["value"], match["wide"]
    return f"  {wide} = freeze {kind} {value}\n  store {kind} {value}, ptr {match['to']}"


def _load(match: re.Match[str]) -> str:
    lanes = _LANES.search(match.group())
    assert lanes is not None
    kind = f"<3 x {lanes[1]}>"
    return (
        f"  {match['wide']} = load {kind}, ptr {match['from']}\n"
        f"  {match['value']} = freeze {kind} {match['wide']}"
    )


def simplify(module: Any, machine: Any) -> None:
    """Bring what runs before the kernel, all inlined, to stores of whole variables."""
    manager = llvm.create_new_function_pass_manager()
    for name in ("sroa", "simplify_cfg", "instruction_combine", "loop_rotate", "loop_unroll"):
        getattr(manager, f"add_{name}_pass")()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    for function in module.functions:
        if function.name.startswith("_GLOBAL__sub_I_") and not function.is_declaration:
            for _ in range(2):  # once more for what the unrolled loops' arrays have become
                manager.run(function, builder)
