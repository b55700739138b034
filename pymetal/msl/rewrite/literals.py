"""Floating literals: unsuffixed ones are float in Metal; 1.0h is half and 1.0bf is bfloat."""

from __future__ import annotations

import re

from pymetal.msl.tokens import Tokens

_DECIMAL = re.compile(r"(?=.*[.eE])([0-9']*\.?[0-9']*(?:[eE][+-]?[0-9]+)?)")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F'.]*[pP][+-]?[0-9]+")
_SUFFIXED = re.compile(r"(?!0[xX])(?P<value>[0-9'.]+(?:[eE][+-]?[0-9]+)?)(?P<suffix>[hH]|bf|BF)")


def rewrite(tokens: Tokens) -> None:
    """Give each floating literal the type that Metal gives it."""
    for i in range(tokens.count):
        if tokens.kind[i] != "number":
            continue
        number = tokens.text[i]
        if _DECIMAL.fullmatch(number) or _HEXADECIMAL.fullmatch(number):
            tokens.replace(i, number + "f")
            continue
        match = _SUFFIXED.fullmatch(number)
        if match:
            value = match["value"]
            kind = "half" if match["suffix"] in "hH" else "bfloat"
            is_whole = not any(c in value for c in ".eE")
            tokens.replace(i, f"{kind}({value}{'' if is_whole else 'f'})")
