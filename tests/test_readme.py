"""The README's example is run as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pymetal import cli

README = Path(__file__).parent.parent / "README.md"


def block(language: str) -> str:
    if not README.is_file():
        pytest.skip("there is no source checkout around these tests")
    found = re.search(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"the README has no {language} example"
    return found[1]


def test_the_example_runs_in_a_new_folder(kernels):
    (kernels / "matmul.metal").write_text(block("metal"))
    names: dict[str, object] = {}
    exec(compile(block("python"), "README.md", "exec"), names)
    assert names["C"].shape == (512, 512)


def test_the_report_shown_is_the_first_one_printed(monkeypatch, capsys):
    if not README.is_file():
        pytest.skip("there is no source checkout around these tests")
    shown = re.search(r"^\$ pymetal (run .*--check)\n(.*?)^…$", README.read_text(), re.M | re.S)
    monkeypatch.chdir(README.parent)
    assert cli.main([*shlex.split(shown[1]), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith(shown[2])


def test_the_kernel_shown_is_the_one_shipped():
    shipped = (README.parent / "kernels" / "matmul.metal").read_text()
    code = block("metal")
    assert code[code.index("kernel void") :] in shipped
