"""Modules from text: sections, globals, functions. Instructions are in `read_instruction`."""

from __future__ import annotations

import re

from pymetal.air.ir.instruction import Instruction
from pymetal.air.ir.module import Block, Function, GlobalVariable, Module, Parameter
from pymetal.air.ir.read_instruction import read_instruction
from pymetal.air.ir.tokens import TOKEN, Cursor
from pymetal.air.ir.types import SIMPLE, pointer
from pymetal.errors import LibraryError

LABEL = re.compile(r'("[^"]*"|[-\w.$]+):')


def read(text: str) -> Module:
    """The module that `text` spells. LibraryError names the first line that is not understood."""
    module = Module()
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end]
        position = end + 1
        if not line or line[0] == ";":
            continue
        if line.startswith("define"):
            end = text.find("\n}", position - 1)
            if end < 0:
                raise LibraryError(f"cannot read LLVM IR: a body has no end\n  {line}")
            function = _read_head(line)
            function.is_declaration = False
            function.unread_body = (text[position : end + 1], _read_body)
            module.functions[function.name] = function
            position = end + 3
        else:
            _read_line(module, line)
    return module


def _read_line(module: Module, line: str) -> None:
    first = line[0]
    name, _, rest = line.partition(" = ")
    if first == "@":
        if rest.startswith(("alias", "ifunc")) or " alias " in rest.partition('"')[0]:
            module.aliases[name[1:]] = rest
        else:
            variable = _read_global(line)
            module.globals[variable.name] = variable
    elif first == "!":
        module.metadata[name] = rest
    elif first == "%":
        body = rest.removeprefix("type ")
        module.types[name[1:]] = None if body == "opaque" else Cursor(body).type()
    elif first == "$":
        module.comdats[name[1:]] = rest
    elif line.startswith("declare"):
        function = _read_head(line)
        module.functions[function.name] = function
    elif line.startswith("attributes "):
        group = rest.strip()
        module.attribute_groups[name.split()[1]] = group[1:-1].strip()
    elif line.startswith("source_filename"):
        module.source_filename = rest[1:-1]
    elif line.startswith("target datalayout"):
        module.data_layout = rest[1:-1]
    elif line.startswith("target triple"):
        module.triple = rest[1:-1]
    elif line.startswith("module asm"):
        module.assembly.append(line.removeprefix("module asm "))
    else:
        raise LibraryError(f"cannot read LLVM IR: not a known line\n  {line}")


def _read_global(line: str) -> GlobalVariable:
    cursor = Cursor(line)
    name = cursor.next()[1:]
    cursor.expect("=")
    qualifiers = []
    space = 0
    while cursor.peek() not in ("global", "constant"):
        if cursor.peek() == "addrspace":
            space = cursor.address_space()
            qualifiers.append(f"addrspace({space})")
            continue
        word = cursor.next()
        if not word:
            raise cursor.fail("expected 'global' or 'constant'")
        qualifiers.append(word + (cursor.balanced() if cursor.peek() == "(" else ""))
    is_constant = cursor.next() == "constant"
    type_ = cursor.type()
    initializer = None if cursor.peek() in (",", "") else cursor.value(type_)
    return GlobalVariable(
        name=name,
        value_type=type_,
        pointer=pointer(space),
        qualifiers=" ".join(qualifiers),
        is_constant=is_constant,
        initializer=initializer,
        suffix=_rest(cursor),
    )


def _rest(cursor: Cursor) -> str:
    """The text after the cursor as it stands in the line."""
    if not cursor.peek():
        return ""
    matches = TOKEN.finditer(cursor.line)
    start = next(m for i, m in enumerate(matches) if i == cursor.position).start()
    return cursor.line[start:].rstrip(" {")


def _read_head(line: str) -> Function:
    cursor = Cursor(line)
    declares = cursor.next() == "declare"
    before: list[str] = []
    while declares and cursor.peek().startswith("!"):  # metadata of a declaration
        before.append(f"{cursor.next()} {cursor.next()}")
    # Linkage and the like, then result attributes: the result's type ends them.
    while (token := cursor.peek()) and token not in SIMPLE and token != "ptr":
        if token[0] in "<[{%" or (token[0] == "i" and token[1:].isdigit()):
            break
        text = cursor.next()
        if cursor.peek() == "(":
            text += cursor.balanced()
        elif text == "align":
            text += f" {cursor.number()}"
        before.append(text)
    result = cursor.type()
    name = cursor.next()
    if not name.startswith("@"):
        raise cursor.fail("expected the function's name")
    cursor.expect("(")
    parameters: list[Parameter] = []
    variadic = False
    while not cursor.accept(")"):
        if cursor.accept("..."):
            variadic = True
            continue
        type_ = cursor.type()
        attributes = cursor.attributes()
        parameter = cursor.local_name() if cursor.peek()[:1] == "%" else ""
        parameters.append(Parameter(type_, parameter, attributes))
        cursor.accept(",")
    function = Function(name[1:], result, parameters)
    function.qualifiers = " ".join(before)
    function.variadic = variadic
    function.suffix = _rest(cursor)
    return function


def _read_body(function: Function, text: str) -> list[Block]:
    blocks: list[Block] = []
    current: list[Instruction] | None = None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("  "):
            if line.endswith("["):  # a switch: up to its closing bracket
                for more in lines:
                    line += more
                    if more.lstrip().startswith("]"):  # attachments may follow
                        break
            if current is None:
                # The unnamed entry takes the number after the unnamed parameters.
                count = sum(p.name.isdigit() for p in function.parameters)
                current = []
                blocks.append(Block(str(count), current))
            instruction = read_instruction(line)
            if instruction is not None:
                current.append(instruction)
        elif label := LABEL.match(line):
            current = []
            blocks.append(Block(label.group(1), current))
        elif line.strip() and not line.startswith(";"):
            raise LibraryError(f"cannot read LLVM IR: not a known line\n  {line}")
    return blocks


def read_attributes(text: str, groups: dict[str, str]) -> dict[str, str]:
    """Attributes as a dictionary: `nounwind "site"="3" align 4 #2` with #2 looked up."""
    found: dict[str, str] = {}
    cursor = Cursor(text)
    while token := cursor.next():
        if token.startswith("#"):
            found |= read_attributes(groups[token], groups)
        elif token.startswith('"'):
            found[token[1:-1]] = cursor.next()[1:-1] if cursor.accept("=") else ""
        elif cursor.peek() == "(":
            found[token] = cursor.balanced()
        elif cursor.accept("=") or cursor.peek().isdigit():
            found[token] = cursor.next()
        else:
            found[token] = ""
    return found
