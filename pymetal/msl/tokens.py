"""Metal source as tokens, and edits on them that keep every line where it was.

The rewriter reads tokens and records edits; the text between tokens (space, comments,
preprocessor lines) is never touched, so line numbers survive, and `Rewritten.locate` takes
a column of the result back to the token it came from.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

# What stands between tokens comes with the next one. Since one always follows, be it the empty one
# at the end, no part of a comment is ever tried as a token.
_TOKEN = re.compile(
    r"""[ \t\r\f\v\n]* (?:(?: //[^\n]* | /\*.*?\*/ | \#[^\n]* ) [ \t\r\f\v\n]*)*
      (?: (?P<name>[A-Za-z_]\w*)
        | (?P<number>\.?\d(?:[eEpP][+-]|[\w.'])*)
        | (?P<string>"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*')
        | (?P<operator><<=|>>=|\.\.\.|->\*|->|\+\+|--|&&|\|\||::|[-+*/%&|^=!<>]=|<<|.)
        | (?P<end>\Z))""",
    re.S | re.X,
)
_AFTER_TEMPLATE = ("(", "{", "::", ",", ")")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


class Tokens:
    """Tokens of a text, as parallel lists with an empty token after the last.

    `text[i]`, `kind[i]` ("name", "number", "string", "operator", "" at the end) and `start[i]`,
    its offset. `partner[i]` is the bracket that closes or opens i, the end where there is none.
    `places` has the tokens of each text, in order.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        matches = [match for match in _TOKEN.finditer(source) if match.lastgroup != "end"]
        self.text = [match[match.lastindex or 0] for match in matches]
        self.kind = [match.lastgroup or "" for match in matches]
        self.start = [match.start(match.lastindex or 0) for match in matches]
        self.count = len(self.text)
        self.places: dict[str, list[int]] = {}
        for i, text in enumerate(self.text):
            self.places.setdefault(text, []).append(i)
        # Looking one or two tokens past either end finds empty ones.
        self.text += ["", "", "", ""]
        self.kind += ["", "", "", ""]
        self.start += [len(source)] * 4
        self.partner = [self.count] * len(self.text)
        self._match_brackets()
        self._replaced: dict[int, str] = {}
        self._before: dict[int, str] = {}
        self._after: dict[int, str] = {}
        self._annotated: set[int] = set()

    def _match_brackets(self) -> None:
        opened: list[int] = []
        for i in self.find("([{)]}"):
            c = self.text[i]
            if c in _CLOSERS:
                opened.append(i)
            else:
                # A bracket left open does not take the rest of the file with it.
                while opened and _CLOSERS[self.text[opened[-1]]] != c:
                    opened.pop()
                if opened:
                    self.partner[i] = opened.pop()
                    self.partner[self.partner[i]] = i

    def find(self, texts: Iterable[str]) -> list[int]:
        """The tokens that are one of `texts`, in order."""
        return sorted(chain.from_iterable(self.places.get(text, ()) for text in texts))

    def angle_end(self, i: int, *, declaring: bool = False) -> int:
        """The `>` that closes the template list opened by the `<` at i, or -1 if it is none.

        Where the last two close together (`>>`), the index of that token. `a < b && c > d` is no
        list, unless `declaring`: in the head of a declaration nothing is compared.
        """
        depth = 0
        while i < self.count:
            c = self.text[i]
            if c in _CLOSERS:
                if c == "{" and not declaring:
                    return -1
                i = self.partner[i]
            elif c == "<":
                depth += 1
            elif c in (">", ">>"):
                depth -= len(c)
                if depth <= 0:
                    return i
            elif c in (";", "}", ")", "]", "") or (c in ("&&", "||") and not declaring):
                return -1
            i += 1
        return -1

    def arguments(self, opening: int, *, declaring: bool = False) -> list[tuple[int, int]]:
        """The [first, last) tokens of each part between commas inside the bracket at `opening`.

        `<` opens a template list if one can close before the end, and, unless `declaring`, what
        follows can only follow a template's name: `f(a < b, c > d)` has two arguments.
        """
        end = self.partner[opening]
        parts = []
        first = i = opening + 1
        while i < end:
            c = self.text[i]
            if c in _CLOSERS:
                i = min(self.partner[i], end)
            elif c == "<" and self.kind[i - 1] == "name":
                close = self.angle_end(i, declaring=declaring)
                if -1 < close < end and (declaring or self.text[close + 1] in _AFTER_TEMPLATE):
                    i = close
            elif c == ",":
                parts.append((first, i))
                first = i + 1
            i += 1
        if first < end or parts:
            parts.append((first, end))
        return parts

    def expression_end(self, i: int) -> int:
        """The `,`, `;` or closing bracket behind the expression that starts at i."""
        while i < self.count:
            c = self.text[i]
            if c in _CLOSERS:
                i = self.partner[i]
            elif c in (",", ";", ")", "]", "}"):
                return i
            elif c == "<" and self.kind[i - 1] == "name":
                close = self.angle_end(i)
                if close != -1 and self.text[close + 1] in ("(", "{", "::"):
                    i = close
            i += 1
        return self.count

    def attribute_end(self, i: int) -> int:
        """The last `]` of the attribute list `[[...]]` that starts at i, or -1 if none does."""
        if self.text[i] != "[" or self.text[i + 1] != "[":
            return -1
        end = self.partner[i]
        if end >= self.count or self.partner[i + 1] != end - 1:
            return -1
        # An index of a lambda's result, a[[]{...}()], also starts so.
        return -1 if self.text[i + 2] in ("]", "&", "=") else end

    def words(self, first: int, last: int) -> list[str]:
        """The texts of tokens [first, last)."""
        return self.text[first:last]

    def is_right_shift(self, i: int) -> bool:
        """Whether `>>` starts at token i: two tokens, which may also close two template lists."""
        pair = self.text[i] == self.text[i + 1] == ">"
        return pair and self.start[i + 1] == self.start[i] + 1

    # ---- edits ----

    def replace(self, i: int, text: str) -> None:
        """Put `text` in the place of token i."""
        self._replaced[i] = text

    def remove(self, first: int, last: int) -> None:
        """Remove tokens [first, last); the text between them stays."""
        for i in range(first, last):
            self._replaced[i] = ""

    def is_removed(self, i: int) -> bool:
        """Whether token i has been edited away."""
        return self._replaced.get(i) == ""

    def is_edited(self, i: int) -> bool:
        """Whether token i has been replaced or removed."""
        return i in self._replaced

    def insert_before(self, i: int, text: str) -> None:
        """Add `text` in front of token i, outside what was added there before."""
        self._before[i] = text + self._before.get(i, "")

    def annotate(self, i: int, text: str) -> None:
        """Add `text` in front of token i that repeats parts of the source, mistakes included."""
        self.insert_before(i, text)
        self._annotated.add(i)

    def insert_after(self, i: int, text: str) -> None:
        """Add `text` behind token i, outside what was added there before."""
        self._after[i] = self._after.get(i, "") + text

    def current(self, first: int, last: int) -> str:
        """The text of tokens [first, last) with edits made so far, on one line.

        Without what was added in front of them, which stays there when they are removed.
        """
        added = 1 if first in self._before else 0
        pieces = [text for i in range(first, last) for text, _ in self._pieces(i)][added:]
        return " ".join(text for text in pieces if text)

    def _pieces(self, i: int) -> Iterator[tuple[str, str]]:
        """What token i becomes, in order: text and its origin, as in `Rewritten.spans`."""
        if i in self._before:
            yield self._before[i], "repeated" if i in self._annotated else "edited"
        yield self._replaced.get(i, self.text[i]), "edited" if i in self._replaced else "kept"
        if i in self._after:
            yield self._after[i], "edited"

    def render(self) -> Rewritten:
        """The edited text."""
        out: list[str] = []
        spans: list[tuple[int, int, str]] = []
        length = position = 0
        for i in sorted(self._replaced.keys() | self._before.keys() | self._after.keys()):
            start = self.start[i]
            gap = self.source[position:start]
            spans.append((length, position, "kept"))
            out.append(gap)
            length += len(gap)
            for text, origin in self._pieces(i):
                if text:
                    spans.append((length, start, origin))
                    out.append(text)
                    length += len(text)
            position = start + len(self.text[i])
        spans.append((length, position, "kept"))
        out.append(self.source[position:])
        return Rewritten("".join(out), self.source, spans)


@dataclass
class Rewritten:
    """An edited text and where its parts came from.

    `spans`: offset in `text`, offset in `source`, and "kept" (character by character), "edited"
    (all of it stands for that place) or "repeated" (it says again what the source says elsewhere).
    """

    text: str
    source: str
    spans: list[tuple[int, int, str]]

    def locate(self, line: int, column: int) -> tuple[int, int, bool]:
        """The source's line and column of what stands at (line, column), counted from 1.

        The last is False for repetitions of the source.
        """
        offset = _offset(self.text, line, column)
        i = max(bisect_right(self.spans, offset, key=lambda span: span[0]) - 1, 0)
        begin, start, origin = self.spans[i]
        at = start + (offset - begin if origin == "kept" else 0)
        before = self.source.rfind("\n", 0, at) + 1
        return self.source.count("\n", 0, before) + 1, at - before + 1, origin != "repeated"


def _offset(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
        if start == 0:
            return len(text)
    # clang counts bytes; non-ASCII characters stand only in comments and strings.
    end = text.find("\n", start)
    content = text[start : end if end != -1 else len(text)]
    return start + len(content.encode("utf-8")[: column - 1].decode("utf-8", "ignore"))
