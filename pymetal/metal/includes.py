"""Local includes put in place: Metal compiles a string at run time and opens no files.

`#line` directives keep every diagnostic at its own file and line. What is not found here
(`<metal_stdlib>`, or a file that only Apple's headers have) is left for the compiler.
"""

from __future__ import annotations

import re
from pathlib import Path

from pymetal.errors import CompileError, Diagnostic
from pymetal.source import CompileOptions, Source, checked_text

_INCLUDE = re.compile(r'\s*#\s*include\s*(?P<open>["<])(?P<name>[^">]+)[">]')
_ONCE = re.compile(r"\s*#\s*pragma\s+once\b")
_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)

# As deep as clang goes; a file that includes itself without a guard reaches it.
_MAX_DEPTH = 200


def inlined(source: Source, options: CompileOptions) -> str:
    """The text of `source` with what it includes, each line still known by file and number."""
    from pymetal.msl import local_includes

    if not local_includes(source, options):
        return source.text
    roots = [folder.resolve() for folder in options.include_dirs]
    if source.path is not None:
        roots.append(source.path.resolve().parent)
    return _inline(source.text, source.display_name, source.path, options, roots, set(), 0)


def _inline(
    text: str,
    name: str,
    path: Path | None,
    options: CompileOptions,
    roots: list[Path],
    seen_once: set[Path],
    depth: int,
) -> str:
    code = _without_comments(text).split("\n")
    out = [_line(1, name)]
    for number, (line, bare) in enumerate(zip(text.split("\n"), code, strict=True), start=1):
        if _ONCE.match(bare):
            if path is not None:
                seen_once.add(path.resolve())
            out.append("")  # the pragma would only draw a warning here
            continue
        match = _INCLUDE.match(bare)
        beside = path if match and match["open"] == '"' else None
        found = _find(match["name"], beside, options) if match else None
        if match is None or found is None:
            out.append(line)
            continue
        if found.resolve() in seen_once:
            out.append("")
            continue
        wrong = "#include nested too deeply" if depth == _MAX_DEPTH else ""
        if not any(found.resolve().is_relative_to(root) for root in roots):
            wrong = f"'{found}' lies outside the include folders; name its folder in include_dirs"
        if wrong:
            where = Diagnostic("error", wrong, name, number, 1, line)
            raise CompileError("1 error", [where])
        out.append(_inline(_read(found), str(found), found, options, roots, seen_once, depth + 1))
        out.append(_line(number + 1, name))
    return "\n".join(out)


def _line(number: int, name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'#line {number} "{escaped}"'


def _find(name: str, including: Path | None, options: CompileOptions) -> Path | None:
    """The file in the folder of `including`, if given, or else in those of the options."""
    folders = [including.parent] if including is not None else []
    for folder in (*folders, *options.include_dirs):
        path = folder / name
        if path.is_file():
            return path
    return None


def _read(path: Path) -> str:
    try:
        return checked_text(path.read_text("utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CompileError(f"{path} cannot be read: {error}") from None


def _without_comments(text: str) -> str:
    """`text` with comments blank, line for line, so that a commented include stays one."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _COMMENT.sub(blank, text)
