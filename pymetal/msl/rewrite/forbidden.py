"""Words that are C++ but not Metal, and kinds of function other than kernels.

Types that are not supported (textures, ...) are declared in the headers, which name the feature.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

_NOT_METAL = {
    "double": "'double' is not supported in Metal; use 'float'",
    "new": "'new' is not supported in Metal",
    "virtual": "virtual functions are not supported in Metal",
    "dynamic_cast": "'dynamic_cast' is not supported in Metal",
    "typeid": "'typeid' is not supported in Metal",
    "thread_local": "'thread_local' is not supported in Metal",
    "throw": "exceptions are not supported in Metal",
    "try": "exceptions are not supported in Metal",
    "goto": "'goto' is not supported in Metal",
    "asm": "inline assembly is not supported in Metal",
    "__asm": "inline assembly is not supported in Metal",
    "__asm__": "inline assembly is not supported in Metal",
}
# clang's own functions that reach the host, or that no engine could run.
_HOST = re.compile(
    r"__builtin_(?:trap|debugtrap|verbose_trap|abort|printf|alloca\w*|return_address|frame_address"
    r"|setjmp|longjmp|va_\w+|apply\w*|eh_\w+|unwind_\w+|ia32_\w+|dump_struct|coro_\w+"
    r"|operator_new|operator_delete|thread_pointer|readcyclecounter)|__nv\w*_\w+|__syscall\w*"
)
STAGES = {
    "vertex": "vertex functions",
    "fragment": "fragment functions",
    "intersection": "ray tracing",
    "object": "mesh shaders",
    "mesh": "mesh shaders",
}
_DEVICE_ATOMICS = ("atomic_float", "atomic_ulong")
_OTHERS = ("...", "delete", "extern", "threadgroup_imageblock")
_WORDS = {*_NOT_METAL, *STAGES, *_DEVICE_ATOMICS, *_OTHERS}


def find(tokens: Tokens) -> list[Problem]:
    """One problem for each such word."""
    problems = []
    text, kind = tokens.text, tokens.kind
    for i in tokens.find(word for word in tokens.places if word in _WORDS or _HOST.match(word)):
        word, before = text[i], text[i - 1] if i else ""
        if word == "...":
            before_name = tokens.partner[i + 1] - 1
            is_list = before == "," and text[i + 1] == ")" and kind[before_name] == "name"
            if is_list and text[before_name] not in ("decltype", "catch"):
                problems.append(Problem(i, "functions with '...' are not supported in Metal"))
        elif _HOST.fullmatch(word):
            problems.append(Problem(i, f"'{word}' is not Metal"))
        elif word == "delete" and before not in ("=", "operator"):
            problems.append(Problem(i, "'delete' is not supported in Metal"))
        elif word == "extern" and text[i + 1].startswith('"'):
            problems.append(Problem(i, "functions of other languages are not supported in Metal"))
        elif word in _DEVICE_ATOMICS:
            if before == "threadgroup" or (before == "volatile" and text[i - 2] == "threadgroup"):
                problems.append(Problem(i, f"{word} is supported in device memory only"))
        elif word == "threadgroup_imageblock":
            problems.append(Problem(i, "imageblocks are not supported", "imageblocks"))
        elif word in ("asm", "__asm", "__asm__") and _is_air_name(tokens, i):
            continue
        elif word in _NOT_METAL:
            if before != "operator" and before not in (".", "->"):
                problems.append(Problem(i, _NOT_METAL[word]))
        elif word in STAGES and _is_stage(tokens, i):
            feature = STAGES[word]
            verb = "are" if feature.endswith("s") else "is"
            problems.append(Problem(i, f"{feature} {verb} not supported", feature))
    return problems


def _is_air_name(tokens: Tokens, i: int) -> bool:
    """`void f(...) __asm("air.name");` declares an AIR function: a name, and no assembly."""
    text = tokens.text
    names_air = text[i + 1] == "(" and text[i + 2].startswith('"air.') and text[i + 3] == ")"
    return names_air and text[i - 1] == ")" and text[i + 4] == ";"


def stage_of(tokens: Tokens, among: Iterable[int]) -> tuple[str, int] | None:
    """The feature that the first stage named `among` these tokens belongs to, and its token."""
    for i in among:
        if tokens.text[i] in STAGES and _is_stage(tokens, i):
            return STAGES[tokens.text[i]], i
    return None


def _is_stage(tokens: Tokens, i: int) -> bool:
    """[[vertex]] void f(, or vertex float4 f( where a declaration starts."""
    if tokens.text[i - 1] == "[" and tokens.text[i - 2] == "[" and tokens.text[i + 1] in "](":
        return True
    starts = i == 0 or tokens.text[i - 1] in (";", "}", "{", ">")
    return starts and tokens.kind[i + 1] == "name" and tokens.kind[i + 2] in ("name", "operator")
