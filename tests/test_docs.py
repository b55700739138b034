"""The documentation's examples run as they stand there, page by page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import pymetal
from pymetal import cli

DOCS = Path(__file__).parent.parent / "docs"
FENCE = re.compile(r"^```(metal|python|console)(?: title=\"(.+?)\")?\n(.*?)^```$", re.M | re.S)
PAGES = sorted(
    str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if FENCE.search(page.read_text())
)


def test_there_are_examples():
    if not DOCS.is_dir():
        pytest.skip("there is no source checkout around these tests")
    assert {"index.md", "guide.md", "cli.md", "testing.md", "performance.md"} <= set(PAGES)


def test_the_reference_lists_every_public_name():
    if not DOCS.is_dir():
        pytest.skip("there is no source checkout around these tests")
    text = (DOCS / "api.md").read_text()
    listed = re.findall(r"^::: pymetal\.(\w+)$", text, re.M)
    assert sorted(listed) == sorted({*pymetal.__all__, "testing"} - {"__version__"})
    assert len(listed) == len(set(listed))
    assert "`pymetal.__version__`" in text


def test_every_page_is_in_the_navigation():
    if not DOCS.is_dir():
        pytest.skip("there is no source checkout around these tests")
    navigation = (DOCS.parent / "mkdocs.yml").read_text().partition("\nnav:")[2]
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert set(re.findall(r": (\S+\.md)$", navigation, re.M)) == pages


def test_every_command_is_documented():
    if not DOCS.is_dir():
        pytest.skip("there is no source checkout around these tests")
    text = (DOCS / "cli.md").read_text()
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert f"[`{command.name or command.callback.__name__}`]" in text


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of(page, kernels, monkeypatch):
    """Metal goes to the file of its title, Python shares a namespace, commands exit with 0."""
    monkeypatch.setenv("COLUMNS", "200")
    names: dict[str, object] = {"__name__": page}
    if page == "cli.md":  # its commands are about the first page's kernel
        _, path, text = FENCE.search((DOCS / "index.md").read_text()).groups()
        Path(path).write_text(text)
    for language, title, text in FENCE.findall((DOCS / page).read_text()):
        if language == "metal":
            assert title, "Metal examples say which file they are"
            Path(title).write_text(text)
        elif language == "python":
            exec(compile(text, page, "exec"), names)
        else:
            for command in re.findall(r"^\$ pymetal (.+)$", text, re.M):
                assert cli.main(shlex.split(command)) == 0, command
