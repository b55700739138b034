"""A kernel's parameter list: what each parameter is, and what to ask clang about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pymetal.msl.rewrite.attributes import Attribute, attributes_in
from pymetal.msl.rewrite.names import Member, Names
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

BUILTINS = frozenset(
    (
        "thread_position_in_grid",
        "thread_position_in_threadgroup",
        "thread_index_in_threadgroup",
        "thread_index_in_simdgroup",
        "thread_index_in_quadgroup",
        "simdgroup_index_in_threadgroup",
        "quadgroup_index_in_threadgroup",
        "threadgroup_position_in_grid",
        "threadgroups_per_grid",
        "threads_per_grid",
        "threads_per_threadgroup",
        "threads_per_simdgroup",
        "thread_execution_width",
        "dispatch_threads_per_threadgroup",
        "simdgroups_per_threadgroup",
        "dispatch_simdgroups_per_threadgroup",
        "quadgroups_per_threadgroup",
        "dispatch_quadgroups_per_threadgroup",
        "grid_origin",
        "grid_size",
    )
)
# Attributes that say nothing that matters here.
_IGNORED = frozenset(("maybe_unused", "raster_order_group", "access", "user"))
UNSUPPORTED = {
    "texture": "textures",
    "sampler": "samplers",
    "stage_in": "stage_in",
    "imageblock_data": "imageblocks",
    "payload": "ray tracing",
}
_SPACES = ("device", "constant", "threadgroup", "thread")
_QUALIFIERS = frozenset((*_SPACES, "volatile", "restrict", "__restrict", "coherent", "const"))
_MOST_FIELDS_DEEP = 8
MAX_BUFFER_INDEX = 30

Kind = Literal["buffer", "threadgroup", "builtin"]


@dataclass
class FieldQuery:
    """A struct member, as asked for by `queries`; `inner` if it is a struct of known members.

    `space`: of what it points to, if it is a pointer.
    """

    name: str
    inner: tuple[FieldQuery, ...] = ()
    space: str = ""


@dataclass
class Parameter:
    """One parameter. `type_text` is the C++ type, without pointer or reference.

    `inner_space`: what a pointer to pointers leads to in the end.
    """

    name: str
    token: int
    kind: Kind
    type_text: str
    builtin: str = ""
    address_space: str = ""
    is_reference: bool = False
    index_text: str = ""
    enabled_by: str = ""
    fields: tuple[FieldQuery, ...] = ()
    inner_space: str = ""

    def queries(self, names: Names) -> list[str]:
        """Expressions for clang, in the order that `emit` reads their values."""
        kind = self.type_text
        name = f"pymetal::type_name<{kind}>()"
        if self.kind == "builtin":
            return [name]
        index = f"(int)({self.index_text or -1})"
        size = f"pymetal::size_of<{kind}>(), pymetal::align_of<{kind}>()"
        self.fields = _fields(names, _last_name(kind), 0)
        return [index, size, name, *_field_queries(f"pymetal::bare<{kind}>", self.fields)]


def _last_name(type_text: str) -> str:
    """The struct's own name in `ns::Params<T>`."""
    words = type_text.split("<")[0].split("::")[-1].split()
    return words[-1] if words else ""


def _fields(names: Names, type_name: str, depth: int) -> tuple[FieldQuery, ...]:
    members: tuple[Member, ...] = names.structs.get(type_name, ())
    if depth > _MOST_FIELDS_DEEP:
        return ()
    return tuple(
        FieldQuery(m.name, _fields(names, m.type_name, depth + 1), m.space) for m in members
    )


def _field_queries(owner: str, fields: tuple[FieldQuery, ...]) -> list[str]:
    found = []
    for field in fields:
        member = f"decltype({owner}::{field.name})"
        found.append(f"(int)__builtin_offsetof({owner}, {field.name})")
        found.append(f"(int)sizeof({member}), pymetal::type_name<{member}>()")
        found += _field_queries(f"pymetal::bare<{member}>", field.inner)
    return found


def read_parameters(tokens: Tokens, opening: int, problems: list[Problem]) -> list[Parameter]:
    """The parameters in the parentheses at `opening`; those that make no sense become problems."""
    parameters = []
    for first, last in tokens.arguments(opening, declaring=True):
        if tokens.words(first, last) not in ([], ["void"]):
            parameter = _read(tokens, first, last, problems)
            if parameter is not None:
                parameters.append(parameter)
    return parameters


def _read(tokens: Tokens, first: int, last: int, problems: list[Problem]) -> Parameter | None:
    attributes = attributes_in(tokens, first, last)
    declared = [i for i in range(first, last) if not _in_attribute(tokens, first, i)]
    declared = _without_scope(tokens, declared)
    declared = _without_alias(tokens, declared)
    name_at = _name(tokens, declared)
    name = tokens.text[name_at] if name_at != -1 else ""
    at = name_at if name_at != -1 else first
    kind_words, is_pointer, is_reference = _type_words(tokens, declared, name_at)
    spaces = _spaces(tokens, declared, name_at)
    space = spaces[-1] if spaces else ""
    parameter = Parameter(name, at, "buffer", " ".join(kind_words), "", space, is_reference)
    if "*" in kind_words:
        parameter.inner_space = spaces[0] if spaces and spaces[0] else "device"
    if not _apply(tokens, parameter, attributes, problems):
        return None
    if parameter.kind == "builtin":
        if is_pointer or is_reference:
            problems.append(Problem(at, f"'{name}' [[{parameter.builtin}]] must be a value"))
            return None
        return parameter
    called = f"kernel parameter '{name}'"
    if not (is_pointer or is_reference) and "tensor" in kind_words:
        feature = "tensors bound by the host"
        problems.append(Problem(at, f"{called}: {feature} are not supported", feature))
        return None
    if not (is_pointer or is_reference):
        message = (
            f"{called} has no attribute that gives it a value; a buffer is a pointer or reference"
        )
        problems.append(Problem(at, message))
    elif space in ("", "thread"):
        message = (
            f"{called} must point to the device, constant or threadgroup address space; "
            "say which, as in 'device float*'"
        )
        problems.append(Problem(at, message))
    elif (space == "threadgroup") != (parameter.kind == "threadgroup"):
        right = "threadgroup" if space == "threadgroup" else "buffer"
        problems.append(Problem(at, f"{called} is in {space} memory: it takes [[{right}(n)]]"))
    else:
        return parameter
    return None


def _apply(
    tokens: Tokens, parameter: Parameter, attributes: list[Attribute], problems: list[Problem]
) -> bool:
    """Take the attributes into the parameter; False when one makes it impossible."""
    has_slot = False
    for attribute in attributes:
        name = attribute.name
        if name in ("buffer", "threadgroup"):
            if has_slot:
                message = f"kernel parameter '{parameter.name}' has two indices"
                problems.append(Problem(attribute.token, message))
            parameter.kind = "buffer" if name == "buffer" else "threadgroup"
            parameter.index_text = attribute.text(tokens)
            has_slot = True
        elif name == "function_constant":
            parameter.enabled_by = attribute.text(tokens)
        elif name in BUILTINS:
            parameter.kind = "builtin"
            parameter.builtin = name
        elif name in UNSUPPORTED:
            feature = UNSUPPORTED[name]
            message = f"kernel parameter '{parameter.name}' [[{name}]]: not supported"
            problems.append(Problem(attribute.token, message, feature))
            return False
        elif name not in _IGNORED:
            message = f"unknown attribute '{name}' on kernel parameter '{parameter.name}'"
            problems.append(Problem(attribute.token, message))
            return False
    if not has_slot and parameter.kind != "builtin" and parameter.address_space == "threadgroup":
        parameter.kind = "threadgroup"
    return True


def _spaces(tokens: Tokens, declared: list[int], name_at: int) -> list[str]:
    """The address space of each level of pointers, the innermost type's first; "" for none."""
    spaces = [""]
    closes = -1
    for i in declared:
        c = tokens.text[i]
        if i == name_at:
            break
        if c == "<":
            closes = max(closes, tokens.angle_end(i, declaring=True))
        if c in _SPACES and not spaces[-1]:
            spaces[-1] = c
        elif c in ("*", "&") and i > closes:
            spaces.append("")
    # Behind the last star there is only the name.
    return spaces[:-1] if len(spaces) > 1 else [space for space in spaces if space]


def _without_scope(tokens: Tokens, declared: list[int]) -> list[int]:
    """`coherent(system) device float* p` without the parentheses and what is in them."""
    scopes = {
        j
        for i in declared
        if tokens.text[i] == "coherent" and tokens.text[i + 1] == "("
        for j in range(i + 1, tokens.partner[i + 1] + 1)
    }
    return [i for i in declared if i not in scopes]


def _without_alias(tokens: Tokens, declared: list[int]) -> list[int]:
    """`floats p` as the tokens of `device float* p`, if that is what `floats` stands for."""
    types = [i for i in declared if tokens.text[i] not in _QUALIFIERS]
    plain = len(types) == 2 and all(tokens.kind[i] == "name" for i in types)
    alias = _alias(tokens, types[0]) if plain else []
    if not {"*", "&"} & {tokens.text[i] for i in alias}:
        return declared
    return [*alias, types[1]]


def _alias(tokens: Tokens, name: int) -> list[int]:
    """What the alias that token `name` names was declared as; nothing for other names."""
    text = tokens.text
    for i in tokens.places[text[name]]:
        if i < name and text[i - 1] == "using" and text[i + 1] == "=":
            found = list(range(i + 2, tokens.expression_end(i + 2)))
        elif i < name and text[i + 1] == ";" and text[start := _statement(tokens, i)] == "typedef":
            found = list(range(start + 1, i))
        else:
            continue
        return (_alias(tokens, found[0]) if len(found) == 1 else []) or found
    return []


def _statement(tokens: Tokens, i: int) -> int:
    """The first token of the statement that token i is in."""
    while i > 0 and tokens.text[i - 1] not in (";", "{", "}"):
        i -= 1
    return i


def _in_attribute(tokens: Tokens, first: int, i: int) -> bool:
    for j in range(i, first - 1, -1):
        end = tokens.attribute_end(j)
        if end != -1:
            return i <= end
    return False


def _name(tokens: Tokens, declared: list[int]) -> int:
    """The declared name: the last one outside brackets, if a type stands before it."""
    depth = 0
    for i in reversed(declared):
        c = tokens.text[i]
        if c in (")", "]", ">", ">>"):
            # (&name)[4] has its name inside the parentheses.
            depth += len(c) if c[0] == ">" else int(c == "]")
        elif c in ("[", "<"):
            depth -= 1
        elif depth == 0 and tokens.kind[i] == "name" and c not in _QUALIFIERS:
            before = [j for j in declared if j < i]
            types = [j for j in before if tokens.text[j] not in _QUALIFIERS]
            ends_type = bool(types) and tokens.text[i - 1] not in ("::", "unsigned", "signed")
            return i if ends_type else -1
    return -1


def _type_words(tokens: Tokens, declared: list[int], name_at: int) -> tuple[list[str], bool, bool]:
    """The pointed-to type with its const, and whether a pointer or a reference points to it."""
    words: list[str] = []
    array: list[str] = []
    is_pointer = is_reference = False
    # Of a pointer to pointers, the last star is the parameter's own.
    ends = name_at if name_at != -1 else declared[-1] + 1 if declared else 0
    marks = [i for i in declared if tokens.text[i] in ("*", "&") and i < ends]
    own = marks[-1] if marks else -1
    i = 0
    while i < len(declared):
        token = declared[i]
        c = tokens.text[token]
        if token == name_at:
            array = [tokens.text[j] for j in declared[i + 1 :]]
            break
        if c == "<":
            close = tokens.angle_end(token, declaring=True)
            close = max(close, token)  # one that nothing closes is clang's to complain of
            while i < len(declared) and declared[i] <= close:
                words.append(tokens.text[declared[i]])
                i += 1
            continue
        if c == "*" and token != own:
            words.append(c)
        elif c == "*":
            is_pointer = True
        elif c == "&":
            is_reference = True
        elif not (is_pointer or is_reference) and (c not in _QUALIFIERS or c == "const"):
            words.append(c)
        i += 1
    if array[:1] == ["["] and not is_pointer and not is_reference:
        # T name[] and T name[N] are pointers, as in C.
        is_pointer, array = True, array[array.index("]") + 1 :]
    if words[-1:] == ["("]:  # T (&name)[N] refers to an array
        words.pop()
        array = array[1:]
    return words + array, is_pointer, is_reference
