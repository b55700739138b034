"""Each shipped kernel says in its header what it takes; here the compiler says the same."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import pymetal
from pymetal.find import shipped_dir

FILES = sorted(shipped_dir().glob("*.metal"))


@dataclass
class Header:
    """A file's comment: function names of the launch table, and buffer tables by function."""

    functions: list[str] = field(default_factory=list)
    launches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    buffers: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)


def read_header(path: Path) -> Header:
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:])
    header = Header(words={line.split()[0] for line in lines if line.strip()})
    table = None
    whose: list[str] = []
    for line in lines:
        cells = re.split(r" {2,}", line.strip())
        if not line.strip():
            table = None
        elif cells[0] == "function":
            table = "functions"
        elif line.startswith(" Buffers of "):
            whose = line.strip().removeprefix("Buffers of ").rstrip(":").split(", ")
        elif cells[0] == "buffer":
            table = "buffers"
            header.buffers |= {name: [] for name in whose or header.functions}
        elif table == "functions" and not line.startswith("     "):
            header.functions.append(cells[0])
            header.launches[cells[0]] = tuple(cells[1:])
        elif table == "buffers":
            for name in whose or header.functions:
                header.buffers[name].append(tuple(cells))
    return header


@pytest.fixture(scope="module")
def libraries():
    """Every shipped file, compiled once."""
    return {path.stem: pymetal.compile(path) for path in FILES}


def base_name(function: str, header: Header) -> str:
    """The function of the launch table that this is a variant of, such as `_half`."""
    fitting = [name for name in header.functions if function.startswith(name)]
    return max(fitting, key=len, default="")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_header_lists_every_function_and_the_file_is_named_after_the_first(path, libraries):
    header = read_header(path)
    assert header.functions[0] == path.stem
    compiled = libraries[path.stem]
    assert set(header.functions) <= set(compiled)
    for function in compiled:
        assert base_name(function, header), f"{function} is in no launch table"
    assert {"formula", "reference"} <= header.words


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_buffer_tables_are_what_the_compiler_sees(path, libraries):
    header = read_header(path)
    for name, kernel_function in functions(libraries[path.stem]):
        table = header.buffers[base_name(name, header)]
        assert len(table) == len(kernel_function.bindable), name
        for row, argument in zip(table, kernel_function.bindable, strict=True):
            index, argument_name, type_name, _shape, access = row
            assert int(index) == argument.index
            assert argument_name == argument.name
            assert (access == "read") == (argument.access == "read")
            assert type_name.split()[0] == argument.address_space
            assert type_name.endswith("&") == argument.is_reference
            declared = re.sub(r"\b(device|constant|const)\b|[&*]|\s", "", type_name)
            if not re.search(r"\b[TS]\b", declared):
                assert declared == argument.type_name


def functions(library):
    return [(name, library.function(name)) for name in library]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_line_is_longer_than_100_columns(path):
    assert max(map(len, path.read_text().splitlines())) <= 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_documentation_says_the_same_of_launches(path):
    documentation = Path(__file__).parent.parent / "docs" / "kernels.md"
    if not documentation.is_file():
        pytest.skip("there is no source checkout around these tests")
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in documentation.read_text().splitlines()
    ]
    documented = {row[2].strip("`"): tuple(row[3:5]) for row in rows if len(row) == 7}
    for name, launch in read_header(path).launches.items():
        assert documented[name] == launch


def test_meson_installs_every_kernel():
    build_file = Path(__file__).parent.parent / "kernels" / "meson.build"
    if not build_file.is_file():
        pytest.skip("there is no source checkout around these tests")
    listed = set(re.findall(r"'(\w+\.metal)'", build_file.read_text()))
    assert listed == {path.name for path in build_file.parent.glob("*.metal")}
