"""`pymetal new`: a kernel, its NumPy reference and its test, ready to be changed."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Annotated

import typer

from pymetal.cli import options, screen

# Template and where it goes, below the folder.
FILES = {
    "kernel.metal": "kernels/{name}.metal",
    "reference.py.in": "tests/{name}_reference.py",
    "test.py.in": "tests/test_{name}.py",
}


def new(
    name: Annotated[str, typer.Argument(help="Name of the kernel.", show_default=False)],
    folder: Annotated[Path, typer.Option(help="Where kernels/ and tests/ are.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a kernel, its NumPy reference and its test, all of which run as they are."""
    from string import Template

    from pymetal.errors import ArgumentError

    check_name(name)
    templates = Path(__file__).parent.parent / "templates"
    paths = {template: folder / path.format(name=name) for template, path in FILES.items()}
    present = [str(path) for path in paths.values() if path.exists()]
    if present and not force:
        raise ArgumentError(f"there already: {', '.join(present)}; --force overwrites")
    texts = {
        path: Template((templates / template).read_text(encoding="utf-8")).substitute(name=name)
        for template, path in paths.items()
    }
    check_kernel(name, texts[paths["kernel.metal"]])
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ArgumentError(f"{path} cannot be written: {error.strerror or error}") from None
    kernel, reference, test = paths.values()
    if as_json:
        written = {"kernel": str(kernel), "reference": str(reference), "test": str(test)}
        screen.print_json({"ok": True, **written})
        return
    print(f"wrote {kernel}, {reference}, {test}\n\nNext:")
    print(f"  pytest {test}")
    print(
        f"  pymetal watch {kernel} -i random:1000 -i random:1000 -i 1.5 -o 1000 --grid 1000 "
        "--threadgroup 256 --against 'scale * x + y'"
    )


def check_name(name: str) -> None:
    """Refuse what cannot be a function in Python; the compiler refuses what Metal does not take."""
    from pymetal.errors import ArgumentError

    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    if not plain or name == "np":
        raise ArgumentError(
            f"'{name}' cannot name a function: use letters, digits and _, such as my_kernel"
        )


def check_kernel(name: str, source: str) -> None:
    """Refuse names that Metal does not take, such as float."""
    import pymetal
    from pymetal.errors import ArgumentError, CompileError

    try:
        pymetal.compile(source)
    except CompileError as error:
        reason = error.diagnostics[0].message if error.diagnostics else str(error)
        raise ArgumentError(f"Metal does not take '{name}' as a kernel's name: {reason}") from None
