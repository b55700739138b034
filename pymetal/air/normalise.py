"""Text of an AIR module -> text that has one address space, two-element matrices, Metal's
arithmetic and only the intrinsics that both engines know.

These are the steps of making a canonical function (canonical.py) that change types or single
instructions. They work on the lines that LLVM prints, whose form is fixed; what a step meets and
does not understand is an error, never left as it was.
"""

from __future__ import annotations

import re

from pymetal.air.intrinsics import definition
from pymetal.air.operand_types import types_of
from pymetal.air.vocabulary import Signature, is_known
from pymetal.errors import LibraryError, UnsupportedError

THREADGROUP_SECTION = "air.threadgroup"

_GLOBAL_NAME = r'@(?:"[^"]*"|[-\w.$]+)'
_APPLE_THREADGROUP = re.compile(
    rf"^({_GLOBAL_NAME} = )[^\n]*?addrspace\(3\) (?:global|constant) (.*?)"
    rf" (?:undef|poison|zeroinitializer|null|false|-?\d[-+.\w]*)(?:, section \"[^\"]*\")?"
    rf"((?:, align \d+)?)(?:, ![^\n]*)?$",
    re.M,
)
_OUR_THREADGROUP = re.compile(
    rf"^({_GLOBAL_NAME} = )[^\n]*?(?:global|constant) (.*?)"
    rf' (?:undef|poison|zeroinitializer|null|false|-?\d[-+.\w]*), section "{THREADGROUP_SECTION}"'
    rf"[^\n]*?((?:, align \d+)?)(?:, ![^\n]*)?$",
    re.M,
)
_SPACE = re.compile(r" ?addrspace\(\d+\)")
_SPACE_CAST = re.compile(r"\baddrspacecast\b(?= [(p<])")
_SPACE_IN_NAME = re.compile(r"@llvm\.[\w.]+\.p[1-9]\d*[\w.]*")
_MATRIX = re.compile(r"<64 x (half|bfloat|float|i16|i32)>")  # or its bits
_MATRIX_CONSTANT = re.compile(r"(<64 x (?:half|bfloat|float)>) <([^,<>]+, [^,<>]+)[^<>]*>")
_MATRIX_MASK = re.compile(r"(shufflevector <[^\n]*), <64 x i32> (<[^>\n]*>|\w+)")
_FROM_MATRIX_MASK = re.compile(r"(shufflevector <64 x [^\n]*, )<(\d+) x i32> (<[^>\n]*>)")
# AIR 2.8 gives extents, strides and origin; a name of its own tells that from the older form.
_STRIDED = re.compile(
    r"^declare [^\n]*(@air\.simdgroup_matrix_8x8_(?:load|store)\.v64\w+\.p\d\w+)"
    r"\([^\n]*ptr(?:[^<\n]*<2 x i64>){3}",
    re.M,
)
# An array's memory may start at any of its elements, and a vector cast from it too.
_VECTOR_ACCESS = re.compile(
    r"^(\s+(?:%\S+ = load|store) <\d+ x (i8|i16|half|bfloat|i32|float|i64)>[^\n]*?, align )\d+",
    re.M,
)
_ELEMENT_BYTES = {"i8": 1, "i16": 2, "half": 2, "bfloat": 2, "i32": 4, "float": 4, "i64": 8}
# Named metadata other than debug information's, comdats, the producer's target.
_UNNEEDED = re.compile(
    r"^(?:target |source_filename|\$|!(?!\d|llvm\.(?:dbg|module)))[^\n]*\n", re.M
)
_COMDAT = re.compile(r",? comdat(?:\([^)\n]*\))?")
_HOST_ATTRIBUTES = re.compile(r'"(?:target-cpu|target-features|tune-cpu)"="[^"]*" ?')
_NO_INLINING = re.compile(r"\b(?:noinline|optnone) ")


def flatten(text: str, relax_alignment: bool = True) -> str:
    """One address space, matrices of two elements a lane, nothing of the producer's target.

    Threadgroup variables become external globals in one section: nobody may assume what they
    hold before the kernel stores to them.
    """
    if "\nmodule asm" in text or re.search(r"\bcall [^@\n]*\basm\b", text):
        raise UnsupportedError("inline assembly is not Metal", feature="inline assembly")
    external = rf'\1external global \2, section "{THREADGROUP_SECTION}"\3'
    if "addrspace(" in text:
        text = _APPLE_THREADGROUP.sub(external, text)
        text = _SPACE.sub("", text)
        text = _SPACE_CAST.sub("bitcast", text)
        text = _SPACE_IN_NAME.sub(lambda m: re.sub(r"\.p[1-9]\d*", ".p0", m[0]), text)
    if f'section "{THREADGROUP_SECTION}"' in text:
        text = _OUR_THREADGROUP.sub(external, text)
    if "<64 x " in text:
        text = _flatten_matrices(text)
    if relax_alignment:
        text = _VECTOR_ACCESS.sub(lambda m: f"{m[1]}{_ELEMENT_BYTES[m[2]]}", text)
    text = _UNNEEDED.sub("", text)
    if "comdat" in text:
        text = "\n".join(
            _COMDAT.sub("", line) if line[:1] in ("@", "d") else line for line in text.split("\n")
        )
    attributes = text.find("\nattributes #")
    if attributes >= 0:
        tail = _HOST_ATTRIBUTES.sub("", text[attributes:])
        text = text[:attributes] + _NO_INLINING.sub("", tail).replace("{ }", "{ nounwind }")
    return text


def _flatten_matrices(text: str) -> str:
    """`<64 x T>` of a matrix -> `<2 x T>`: a lane holds its elements in the first two."""

    def indices(mask: str) -> str:
        def one(match: re.Match[str]) -> str:
            index = int(match[1])
            if index >= 64 and index - 64 < 2:
                return f"i32 {index - 62}"
            return match[0] if index < 2 else "i32 poison"

        return re.sub(r"i32 (\d+)", one, mask)

    def to_matrix(match: re.Match[str]) -> str:
        mask = match[2]
        if mask.startswith("<"):
            mask = f"<{', '.join(mask[1:-1].split(', ')[:2])}>"
        # From a vector that is no matrix the mask counts that vector's elements.
        return f"{match[1]}, <2 x i32> {indices(mask) if '<64 x' in match[1] else mask}"

    for name in _STRIDED.findall(text):
        text = text.replace(f"{name}(", f"{name}.strided(")
    text = _FROM_MATRIX_MASK.sub(
        lambda m: m[0] if m[2] == "64" else f"{m[1]}<{m[2]} x i32> {indices(m[3])}", text
    )
    text = _MATRIX_MASK.sub(to_matrix, text)
    return _MATRIX.sub(r"<2 x \1>", _MATRIX_CONSTANT.sub(r"\1 <\2>", text))


_NUMBER = r"(?:%[-\w.$]+|%\"[^\"]*\"|-?\d+|true|false|undef|poison|zeroinitializer)"
_OPERAND = rf"(?:{_NUMBER}|splat \([^)]*\)|<[^<>]*>)"
_DIVISION = re.compile(
    rf"^(  %\S+ = )([su](?:div|rem)) (?:exact )?(i\d+|<\d+ x i\d+>) ({_OPERAND}), ({_OPERAND})"
    rf"((?:, !\w+ !\d+)*)$",
    re.M,
)
_SHIFT = re.compile(
    rf"^(  (%\S+) = (?:shl|lshr|ashr) (?:(?:nuw|nsw|exact) )*)(i(\d+)|<\d+ x i(\d+)>) "
    rf"({_OPERAND}), ({_OPERAND})((?:, !\w+ !\d+)*)$",
    re.M,
)
_TO_INTEGER = re.compile(
    r"^(  (%\S+) = )fpto([su])i (<\d+ x \w+>|\S+) (%\S+|.*?) to (i\d+|<\d+ x i\d+>)"
    r"((?:, !\w+ !\d+)*)$",
    re.M,
)
_LITERAL = re.compile(r"(?:splat \(i\d+ )?(-?\d+)\)?")


def define_arithmetic(text: str) -> str:
    """Metal's meaning for what LLVM leaves undefined or a CPU traps on.

    Division by zero gives 0, the smallest integer divided by -1 itself; shift counts are masked
    to the width; float to integer saturates, NaN gives 0.
    """
    helpers: dict[str, str] = {}

    def divide(match: re.Match[str]) -> str:
        result, operation, type_, a, b, rest = match.groups()
        divisor = _LITERAL.fullmatch(b)
        if divisor and int(divisor[1]) not in (0, -1):
            return match[0]
        name = f"pymetal.{operation}.{re.sub(r'[<> ]', '', type_)}"
        if name not in helpers:
            helpers[name] = _division(name, operation, type_)
        return f"{result}call {type_} @{name}({type_} {a}, {type_} {b}){rest}"

    def shift(match: re.Match[str]) -> str:
        head, name, type_, scalar, element, a, count, rest = match.groups()
        width = int(scalar or element)
        constant = _LITERAL.fullmatch(count)
        if constant and 0 <= int(constant[1]) < width:
            return match[0]
        mask = f"splat (i{width} {width - 1})" if element else str(width - 1)
        masked = f"%count.{name[1:].strip(chr(34))}"
        masked = masked if re.fullmatch(r"%[-\w.$]+", masked) else f'%"{masked[1:]}"'
        return f"  {masked} = and {type_} {count}, {mask}\n{head}{type_} {a}, {masked}{rest}"

    def convert(match: re.Match[str]) -> str:
        result, _, sign, source, value, target, rest = match.groups()
        count = re.match(r"<(\d+) x ", target)
        suffix = f"{f'v{count[1]}' if count else ''}{target.rpartition('x ')[2].rstrip('>')}"
        from_ = re.sub(r"<(\d+) x (\w+)>", r"v\1\2", source)
        name = f"air.convert.{sign}.{suffix}.f.{_short(from_)}"
        helpers.setdefault(name, f"declare {target} @{name}({source})\n")
        return f"{result}call {target} @{name}({source} {value}){rest}"

    text = _DIVISION.sub(divide, text)
    text = _SHIFT.sub(shift, text)
    text = _TO_INTEGER.sub(convert, text)
    left = re.search(r"^  %\S+ = fpto[su]i .*$", text, re.M)
    if left:
        raise LibraryError(f"cannot read LLVM IR: {left[0].strip()}")
    declared = set(re.findall(r"^declare [^\n]*?@([\w.]+)\(", text, re.M))
    added = [body for name, body in helpers.items() if name not in declared]
    return insert_functions(text, "".join(added))


def _short(type_: str) -> str:
    return type_.replace("bfloat", "bf16").replace("half", "f16").replace("float", "f32")


def _division(name: str, operation: str, type_: str) -> str:
    vector = type_.startswith("<")
    element = type_.rpartition("x ")[2].rstrip(">") if vector else type_
    bools = type_.replace(f"x {element}", "x i1") if vector else "i1"

    def constant(value: int) -> str:
        return f"splat ({element} {value})" if vector else str(value)

    lines = [f"  %zero = icmp eq {type_} %b, {constant(0)}"]
    unsafe = "%zero"
    if operation[0] == "s":
        lines += [
            f"  %minus = icmp eq {type_} %b, {constant(-1)}",
            f"  %unsafe = or {bools} %zero, %minus",
        ]
        unsafe = "%unsafe"
    lines += [
        f"  %divisor = select {bools} {unsafe}, {type_} {constant(1)}, {type_} %b",
        f"  %value = {operation} {type_} %a, %divisor",
    ]
    value = "%value"  # a remainder of dividing by 1 is 0 already
    if operation == "sdiv":
        lines += [
            f"  %negated = sub {type_} {constant(0)}, %a",
            f"  %signed = select {bools} %minus, {type_} %negated, {type_} %value",
        ]
        value = "%signed"
    if operation.endswith("div"):
        lines.append(f"  %result = select {bools} %zero, {type_} {constant(0)}, {type_} {value}")
        value = "%result"
    body = "\n".join(lines)
    return (
        f"define internal {type_} @{name}({type_} %a, {type_} %b) alwaysinline {{\n{body}\n"
        f"  ret {type_} {value}\n}}\n"
    )


_DECLARE = re.compile(rf"^declare ([^\n]*?)({_GLOBAL_NAME})\(([^\n]*)$\n", re.M)


def define_intrinsics(text: str) -> str:
    """Give each declared intrinsic its body, or the vocabulary's own declaration.

    Undefined symbols that are neither are left; the optimiser may find that nobody calls them.
    """
    done: dict[str, str] = {}
    waiting: list[Signature] = []

    def take(match: re.Match[str]) -> str:
        name = match[2][1:]
        if (
            not name.startswith("air.")
            or name.startswith("air.get_thread_index_in")
            or (name.startswith("air.get_simdgroup_index_in"))
        ):
            return "" if name.startswith("llvm.") else match[0]
        waiting.append(Signature(name, _result_type(match[1]), tuple(types_of(match[3]))))
        return ""

    text = _DECLARE.sub(take, text)
    while waiting:
        signature = waiting.pop()
        declared = re.search(rf"^declare [^\n]*@{re.escape(signature.name)}\(", text, re.M)
        if signature.name in done or declared:
            continue
        try:
            found = None if is_known(signature.name) else definition(signature)
        except (IndexError, KeyError, ValueError) as error:
            raise LibraryError(
                f"'{signature.name}' is declared with types that it does not have"
            ) from error
        done[signature.name] = found[0] if found else signature.declaration
        waiting += found[1] if found else []
    return insert_functions(text, "".join(done.values()))


def insert_functions(text: str, functions: str) -> str:
    """Add functions before attributes and metadata, where LLVM's printer has them."""
    places = [p for p in (text.find("\nattributes #"), text.find("\n!")) if p >= 0]
    at = min(places, default=len(text))
    return f"{text[:at]}\n{functions}{text[at:]}"


def _result_type(text: str) -> str:
    """The type at the end of `noundef float `."""
    text = text.strip()
    if text.endswith(">"):
        return text[text.rindex("<") :]
    if text.endswith("}"):
        return text[text.index("{") :]
    return text.rpartition(" ")[2]
