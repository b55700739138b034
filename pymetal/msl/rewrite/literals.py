"""Floating literals: unsuffixed ones are float in Metal; 1.0h is half and 1.0bf is bfloat."""

from __future__ import annotations

import re

from pymetal.msl.tokens import Tokens

_DECIMAL = re.compile(r"(?=.*[.eE])([0-9']*\.?[0-9']*(?:[eE][+-]?[0-9]+)?)")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F'.]*[pP][+-]?[0-9]+")
_SUFFIXED = re.compile(r"(?!0[xX])(?P<value>[0-9'.]+(?:[eE][+-]?[0-9]+)?)(?P<suffix>[hH]|bf|BF)")


def rewrite(tokens: Tokens) -> None:
    """Give each floating literal the type that Metal gives it."""
    for number, places in tokens.places.items():
        if tokens.kind[places[0]] == "number":
            typed = _typed(number)
            for i in places if typed != number else ():
                tokens.replace(i, typed)


def _typed(number: str) -> str:
    if _DECIMAL.fullmatch(number) or _HEXADECIMAL.fullmatch(number):
        return number + "f"
    match = _SUFFIXED.fullmatch(number)
    if match is None:
        return number
    value = match["value"]
    kind = "half" if match["suffix"] in "hH" else "bfloat"
    is_whole = not any(c in value for c in ".eE")
    return f"{kind}({value}{'' if is_whole else 'f'})"
