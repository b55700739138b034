"""Errors carry their facts, pickle, and are caught as the built-in errors they resemble."""

from __future__ import annotations

import copy
import pickle

import pytest

from pymetal import errors
from pymetal.errors import CompileError, Diagnostic, Error

PUBLIC = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Error)
]
DIAGNOSTICS = (
    Diagnostic("error", "unknown type name 'flaot'", "k.metal", 3, 5, "    flaot x;"),
    Diagnostic("error", "expected ';'", "k.metal", 4, 1, "}"),
)


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("send", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_errors_survive_pickling_and_copying(kind, send):
    error = kind("what, where, what to do", *([DIAGNOSTICS] if kind is CompileError else []))
    error.extra = {"index": 3}
    again = send(error)
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_compile_error_shows_every_diagnostic_with_its_caret():
    text = str(CompileError("k.metal does not compile", DIAGNOSTICS))
    assert "k.metal:3:5: error: unknown type name 'flaot'\n    flaot x;\n    ^" in text
    assert "k.metal:4:1: error: expected ';'\n}\n^" in text


def test_a_compile_error_is_a_syntax_error_where_the_first_diagnostic_is():
    error = CompileError("k.metal does not compile", DIAGNOSTICS)
    assert isinstance(error, SyntaxError)
    assert (error.filename, error.lineno, error.offset) == ("k.metal", 3, 5)
    again = pickle.loads(pickle.dumps(error))
    assert (again.filename, again.lineno, again.offset) == ("k.metal", 3, 5)


def test_a_caret_stays_under_its_character_after_tabs():
    diagnostic = Diagnostic("error", "no", "k.metal", 1, 3, "\t\tx;")
    assert str(diagnostic).splitlines()[2] == "\t\t^"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("ArgumentError", TypeError),
        ("ArgumentError", ValueError),
        ("LaunchError", ValueError),
        ("FunctionNotFoundError", LookupError),
        ("UnsupportedError", NotImplementedError),
    ],
)
def test_errors_are_their_builtin_relatives_too(kind, builtin):
    assert issubclass(getattr(errors, kind), builtin)
