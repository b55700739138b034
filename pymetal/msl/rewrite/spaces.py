"""Pointers and references that change address space: plain C++ accepts them, Metal does not.

By tokens, and only where they leave no doubt: pointers and variables whose declaration in the
function is the only one of that name, functions of one name and no template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pymetal.msl.declarations import Declaration
from pymetal.msl.rewrite.problems import Problem
from pymetal.msl.tokens import Tokens

_SPACES = frozenset(("device", "constant", "threadgroup", "thread"))
_STARTS = frozenset((";", "{", "}", "(", ",", ")"))
_STATEMENT_ENDS = frozenset((";", "{", "}", ")", "else"))
_NO_TYPES = frozenset(
    (
        "return",
        "else",
        "case",
        "goto",
        "sizeof",
        "throw",
        "delete",
        "new",
        "do",
        "using",
        "typename",
    )
)
# In an expression with one of these at hand, its type and space are not plain.
_UNCLEAR = frozenset(("?", "==", "!=", "<=", ">=", "&&", "||", "->", "<", ">", "="))


@dataclass(frozen=True)
class Wanted:
    """What a parameter, or a pointer that is assigned to, points or refers to; "" if unknown."""

    space: str = ""
    is_reference: bool = False


def parameter(tokens: Tokens, first: int, last: int) -> Wanted:
    """What tokens [first, last) declare. References to const may refer to a copy: unknown."""
    space, _ = _target(tokens, first, last, "*")
    if space:
        return Wanted(space)
    words = tokens.text[first:last]
    space, _ = _target(tokens, first, last, "&")
    return Wanted("" if "const" in words else space, True)


def check(
    tokens: Tokens,
    declaration: Declaration,
    called: Mapping[str, Sequence[Wanted]],
    problems: list[Problem],
) -> None:
    """Initialisers of and assignments to pointers, and arguments of `called` functions."""
    known = _locals(tokens, declaration)
    for first, last, wanted in _conversions(tokens, declaration.body, known, called):
        token, given = known.of_expression(tokens, first, last, wanted.is_reference)
        if wanted.space and given and wanted.space != given:
            where = f"{given} memory, not to {wanted.space} memory"
            what = "refers" if wanted.is_reference else "points"
            problems.append(Problem(token, f"'{tokens.text[token]}' {what} to {where}"))


@dataclass
class _Known:
    """Names declared once in a function, by what they are.

    `targets`: the space that pointers point to and arrays lie in; `objects`: that of variables, and
    of what references refer to. `pointers` can be assigned to.
    """

    targets: dict[str, str] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    pointers: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)

    def note(self, name: str) -> None:
        (self.twice if name in self.seen else self.seen).add(name)

    def forget_doubtful(self) -> None:
        for name in self.twice:
            self.targets.pop(name, None)
            self.objects.pop(name, None)

    def of_expression(
        self, tokens: Tokens, first: int, last: int, is_reference: bool
    ) -> tuple[int, str]:
        """The token that names what [first, last) points or refers to, and in which space that is.

        x, x + i, &x, &x[i], &x[i].y; as a reference x, *x, x[i] and x[i].y.
        """
        text = tokens.text
        at, space = first, ""
        takes_address = text[first] == "&"
        dereferences = text[first] == "*"
        if takes_address or dereferences:
            at += 1
        if at >= last or not _UNCLEAR.isdisjoint(text[at:last]):
            return first, ""
        name, rest = text[at], at + 1
        if rest == last:
            if takes_address or (is_reference and not dereferences):
                space = self.objects.get(name, "")
            elif dereferences == is_reference:
                space = self.targets.get(name, "")
        elif text[rest] == "[" and takes_address != is_reference and not dereferences:
            end = tokens.partner[rest] + 1
            while end < last and text[end] == "." and tokens.kind[end + 1] == "name":
                end += 2
            space = self.targets.get(name, "") if end == last else ""
        elif text[rest] in ("+", "-") and not (takes_address or dereferences or is_reference):
            space = self.targets.get(name, "")
        return at, space


def _conversions(
    tokens: Tokens, body: int, known: _Known, called: Mapping[str, Sequence[Wanted]]
) -> Iterator[tuple[int, int, Wanted]]:
    """Every expression that must point or refer to a certain space."""
    text = tokens.text
    for i in range(body, tokens.partner[body]):
        if text[i] == "=":
            start = i
            while text[start - 1] not in _STARTS:
                start -= 1
            space, _ = _target(tokens, start, i, "*")
            assigns = start == i - 1 and text[start - 1] in _STATEMENT_ENDS
            if assigns and text[start] in known.pointers:
                space = known.targets.get(text[start], "")
            if space:
                yield i + 1, tokens.expression_end(i + 1), Wanted(space)
        elif text[i] in called and text[i + 1] == "(":
            arguments, parameters = tokens.arguments(i + 1), called[text[i]]
            if len(arguments) == len(parameters):
                for (first, last), wanted in zip(arguments, parameters, strict=True):
                    yield first, last, wanted


def _target(tokens: Tokens, first: int, last: int, mark: str) -> tuple[str, str]:
    """(space, name) of the pointer (`mark` "*") or reference ("&") declared; "" where unclear."""
    attributes = (i for i in range(first, last) if tokens.text[i] == tokens.text[i + 1] == "[")
    last = next(attributes, last)
    words = tokens.text[first:last]
    spaces = [word for word in words if word in _SPACES]
    marks = [word for word in words if word in ("*", "&", "&&")]
    if len(spaces) != 1 or marks != [mark] or "(" in words or "<" in words:
        return "", ""
    star = words.index(mark)
    names = [
        word
        for word, kind in zip(words[star + 1 :], tokens.kind[first + star + 1 : last], strict=True)
        if kind == "name" and word not in ("const", "restrict", "__restrict")
    ]
    if spaces[0] in words[star:]:
        return "", ""
    return spaces[0], names[0] if names else ""


def _locals(tokens: Tokens, declaration: Declaration) -> _Known:
    """What the parameters and variables of a function are."""
    known = _Known()
    text, kind = tokens.text, tokens.kind
    for first, last in tokens.arguments(declaration.parameters, declaring=True):
        space, name = _target(tokens, first, last, "*")
        refers, referrer = _target(tokens, first, last, "&")
        if name:
            known.targets[name] = space
            known.pointers.add(name)
        elif referrer:
            known.objects[referrer] = refers
        for word in {text[i] for i in range(first, last) if kind[i] == "name"}:
            known.note(word)
    end = tokens.partner[declaration.body]
    for i in range(declaration.body, end):
        declares = kind[i] == "name" and text[i + 1] in ("=", ";", "[", ",", "(", "{", ":", ")")
        typed = kind[i - 1] == "name" or text[i - 1] in ("*", "&", ">")
        if not declares or not typed or text[i - 1] in ("return", "else"):
            continue
        start = i
        while text[start - 1] not in _STARTS:
            start -= 1
        words = text[start:i]
        if text[i - 1] in ("*", "&") and text[i - 2] not in ("*", "&") and kind[i - 2] != "name":
            continue  # an operator: nothing is declared
        known.note(text[i])
        space, name = _target(tokens, start, i + 1, "*")
        refers, referrer = _target(tokens, start, i + 1, "&")
        if name == text[i]:
            known.targets[name] = space
            known.pointers.add(name)
        elif referrer == text[i]:
            known.objects[referrer] = refers
        elif kind[i - 1] == "name" and _NO_TYPES.isdisjoint(words):
            own = "threadgroup" if "threadgroup" in words else "thread"
            if {"*", "&", "&&", "constant", "device", "static", "auto"} & set(words):
                continue
            known.objects[text[i]] = own
            if text[i + 1] == "[":
                known.targets[text[i]] = own
    known.forget_doubtful()
    return known
