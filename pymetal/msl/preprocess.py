"""Preprocessing: includes and macros expanded by clang, while the standard headers stay outside.

The standard headers that a source includes are empty; their contents are precompiled. A source
that includes nothing else and uses no other directive needs no preprocessor at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pymetal.msl.options import INCLUDE, preprocess_flags
from pymetal.source import CompileOptions, Source, checked_text

STDIN = "<stdin>"
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w*)[ \t]*(.*?)[ \t]*(?://.*|/\*[^\n]*\*/[ \t]*)?$", re.M)
_TENSORS = re.compile(
    r"[/<](?:metal_tensor|metal_cooperative_tensor|MetalPerformancePrimitives\.h"
    r"|MPPTensorOpsMatMul2d\.h)[>\"]"
)
_STANDARD = re.compile(r"<(\w+)>")
_QUOTED = re.compile(r'[<"]([^">]+)[">]')


# clang's -E leaves macros in these lines alone; the compiler proper would expand them.
_PRAGMA = r"^([ \t]*#[ \t]*pragma[ \t]+"
_UNROLL_COUNT = re.compile(rf"{_PRAGMA}unroll)\b[ \t]*(?!\(?[ \t]*\d+[ \t]*\)?$)\S.*$", re.M)
_LOOP_COUNT = re.compile(
    rf"{_PRAGMA}clang[ \t]+loop\b.*\bunroll)_count[ \t]*\((?![ \t]*\d+[ \t]*\)).*$", re.M
)


@dataclass(frozen=True)
class Preprocessed:
    """`text` has line markers where `is_source` is False; else it is the source, unchanged.

    `errors` is what clang wrote when it failed. `tensors`: the source includes those of Metal 4.
    """

    text: str
    is_source: bool
    errors: str = ""
    tensors: bool = False


def preprocess(source: Source, options: CompileOptions) -> Preprocessed:
    """Expand the source's directives."""
    if _is_plain(source, options):
        text = _DIRECTIVE.sub(lambda m: m[0] if m[1] == "pragma" else " " * len(m[0]), source.text)
        return Preprocessed(text, True, tensors=_TENSORS.search(source.text) is not None)
    from pymetal.msl.clang import find_clang  # what is plain needs no clang, nor to load this

    beside = [] if source.path is None else ["-iquote", str(source.path.absolute().parent)]
    done = find_clang().run([*preprocess_flags(options), *beside, "-"], source.text)
    errors = done.stderr if done.returncode != 0 else ""
    errors = errors or _outside(done.stdout, source, options) or _embedded(source)
    text = _without_macros_in_pragmas(done.stdout)
    return Preprocessed(text, False, errors, _TENSORS.search(done.stdout) is not None)


def _without_macros_in_pragmas(text: str) -> str:
    """Counts of unrolling that are no plain numbers may be macros: only the wish is kept."""
    if "unroll" not in text:
        return text
    return _LOOP_COUNT.sub(r"\1(enable)", _UNROLL_COUNT.sub(r"\1", text))


_ENTERED = re.compile(r'^# (\d+) "([^"]*)"((?: \d)*)$', re.M)
_EMBED = re.compile(r"^[ \t]*#[ \t]*embed\b", re.M)


def _outside(text: str, source: Source, options: CompileOptions) -> str:
    """An error for the first include that leaves the source's folder and the include folders."""
    roots = [INCLUDE, *(folder.resolve() for folder in options.include_dirs)]
    if source.path is not None:
        roots.append(source.path.resolve().parent)
    at = (STDIN, 1)
    before = 0
    for match in _ENTERED.finditer(text):
        line, name = int(match[1]), match[2]
        if " 1" in match[3] and not name.startswith("<"):
            path = Path(name).resolve()
            if not any(path.is_relative_to(root) for root in roots):
                included = at[1] + text.count("\n", before, match.start())
                return (
                    f"{at[0]}:{included}:1: error: '{name}' lies outside the include folders; "
                    "name its folder in include_dirs\n"
                )
        at, before = (name, line), match.end() + 1
    return ""


def _embedded(source: Source) -> str:
    match = _EMBED.search(source.text)
    if match is None:
        return ""
    line = source.text.count("\n", 0, match.start()) + 1
    return f"{STDIN}:{line}:1: error: '#embed' is not supported in Metal\n"


def _is_plain(source: Source, options: CompileOptions) -> bool:
    """Only standard headers and pragmas: nothing to expand."""
    text = source.text
    if options.macros or "\\\n" in text or "\r" in text or "__" in text or '"' in text:
        return False
    for match in _DIRECTIVE.finditer(text):
        if match[1] == "include":
            header = _STANDARD.fullmatch(match[2])
            if header is None or not (INCLUDE / header[1]).is_file():
                return False
        elif match[1] != "pragma":
            return False
    return True


def local_includes(source: Source, options: CompileOptions) -> dict[Path, str]:
    """Every file that the source includes, directly or not, with its text; ours left out.

    Read from the text alone: what stands under an `#if` that is false is listed too, so the
    answer holds for any macros. Files that are missing are left to the compiler.
    """
    found: dict[Path, str] = {}
    _collect(source.text, source.path, options.include_dirs, found)
    return found


def _collect(
    text: str, path: Path | None, folders: tuple[Path, ...], found: dict[Path, str]
) -> None:
    for match in _DIRECTIVE.finditer(text):
        name = _QUOTED.match(match[2]) if match[1] in ("include", "import") else None
        if name is None or (match[2].startswith("<") and (INCLUDE / name[1]).is_file()):
            continue
        beside = [path.parent] if path is not None and match[2].startswith('"') else []
        for folder in (*beside, *folders):
            file = folder / name[1]
            if file in found:
                break
            try:
                content = checked_text(file.read_text(encoding="utf-8"), str(file))
            except (OSError, UnicodeDecodeError):
                continue
            found[file] = content
            _collect(content, file, folders, found)
            break
