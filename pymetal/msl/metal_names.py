"""C++ spellings of types, as clang prints them, back to Metal's names."""

from __future__ import annotations

import re

_SCALARS = {
    "_Float16": "half",
    "__bf16": "bfloat",
    "unsigned char": "uchar",
    "unsigned short": "ushort",
    "unsigned int": "uint",
    "unsigned long": "ulong",
    "signed char": "char",
}
_SCALAR = re.compile(r"\b(?:_Float16|__bf16|unsigned (?:char|short|int|long)|signed char)\b")
_VECTOR = re.compile(r"\b(\w+) __attribute__\(\(ext_vector_type\((\d+)\)\)\)")
# clang prints a pointer to vectors, or an array of them, as if the pointer or array were one.
_TO_VECTOR = re.compile(
    r"\b(\w+) ?(\*?(?:\[\d+\])*) ?__attribute__\(\(ext_vector_type\((\d+)\)\)\)"
)
_ALIAS = re.compile(r"\b(?:metal::)?vec<(\w+), (\d+)>")
_PACKED = re.compile(r"\b(?:metal::)?packed_vec<(\w+), (\d+)>")
_BOOLS = re.compile(r"\b(?:pymetal::)?bool_vector<(\d+)>")
_ATOMIC = re.compile(r"\b(?:metal::)?_?atomic<(\w+)>")
_MATRIX = re.compile(r"\b(?:metal::)?matrix<(\w+), (\d+), (\d+)>")
_OF_LANES = re.compile(r" \(vector of \d+ '[^']*' values\)")
_AKA = re.compile(r"('(?P<name>[^']*)') \(aka '(?P<same>[^']*)'\)")
_ASSERTION = re.compile(r"^static assertion failed due to requirement '.*?': (?=[^'])")
_MAKER = re.compile(r"\bpymetal::(?:make|convert|cast_to)<([^<>]*(?:<[^<>]*>)?[^<>]*)>")


def metal_type(name: str) -> str:
    """A type as Metal spells it: `float __attribute__((ext_vector_type(4)))` is float4."""
    name = _SCALAR.sub(lambda m: _SCALARS[m[0]], name)
    name = _VECTOR.sub(r"\1\2", name)
    name = _TO_VECTOR.sub(r"\1\3\2", name)
    name = _ALIAS.sub(r"\1\2", name)
    name = _PACKED.sub(r"packed_\1\2", name)
    name = _BOOLS.sub(r"bool\1", name)
    name = _MATRIX.sub(r"\1\2x\3", name)
    return _ATOMIC.sub(r"atomic_\1", name)


def in_metal(message: str) -> str:
    """A message of clang with the types, and the rewriter's own functions, in Metal's words."""
    message = metal_type(_OF_LANES.sub("", message))
    message = _AKA.sub(lambda m: m[1] if _says_no_more(m["name"], m["same"]) else m[0], message)
    message = _ASSERTION.sub("", message)
    return _MAKER.sub(r"\1", message)


def _says_no_more(name: str, same: str) -> bool:
    return name == same or re.fullmatch(r"[\w: &*]+", same) is not None
