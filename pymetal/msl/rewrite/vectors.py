"""Vector constructors and casts.

clang's ext_vector_type has Metal's operators and swizzles but not its constructors, and a cast
between two vectors of one size would copy bits. So `float4(x, y)` becomes a call of the maker in
pymetal_language.h, a cast goes through its converter, and so does what may be a vector: template
parameters and aliases of unknown types.
"""

from __future__ import annotations

from pymetal.msl.rewrite.names import SCALARS, Names
from pymetal.msl.tokens import Tokens

# Behind these, or an operator, `(V)x` is a cast; behind another name or a bracket it is a call.
_BEFORE_CAST = frozenset(("return", "case", "else", "do", "co_return"))
_LANE_COUNTS = ("int", "uint", "ushort", "short", "unsigned", "size_t", "uint32_t")
_ADDRESS_SPACES = ("const", "device", "constant", "threadgroup", "thread")
_NOT_OPERANDS = frozenset((*_ADDRESS_SPACES, "__attribute__", "noexcept", "override", "final"))


def rewrite(tokens: Tokens, names: Names) -> None:
    """Rewrite every constructor and cast of a vector or what may be one."""
    constructed = names.vectors | names.perhaps
    for i in tokens.find({"vec"}):
        if tokens.words(i, i + 4) == ["vec", "<", "bool", ","]:
            _bool_vector(tokens, i)
    for i in tokens.find({"(", "++", "--", "static_cast", "vec"} | constructed):
        word = tokens.text[i]
        if word == "(":
            _c_cast(tokens, i, names)
        elif word in ("++", "--"):
            _step(tokens, i, names)
        elif word == "static_cast":
            _static_cast(tokens, i, names)
        elif word in constructed and not names.is_value(word, i):
            if tokens.text[i + 1] == "(":
                _constructor(tokens, i, i, i + 1, word in names.vectors)
            elif tokens.text[i + 1] == "{" and word in names.vectors:
                _constructor(tokens, i, i, i + 1, True)
            elif tokens.kind[i + 1] == "name":
                _direct_initialisation(tokens, i, names)
        elif word == "vec" and tokens.text[i + 1] == "<":
            _vec(tokens, i)


def _bool_vector(tokens: Tokens, i: int) -> None:
    """`vec<bool, N>`, which is a class under another name."""
    tokens.replace(i, "pymetal::vector_of")
    if tokens.text[i - 1] == "::":
        tokens.remove(i - 2 if tokens.text[i - 2] == "metal" else i - 1, i)
    lanes = tokens.text[i + 4]
    if tokens.kind[i + 4] != "name" or tokens.text[i + 5] != ">":
        return
    # Lanes are deduced from the class itself, whose parameter is an int: template <uint N> too.
    head = i
    while head > 0 and tokens.text[head] not in (";", "}", "template"):
        head -= 1
    if tokens.text[head] == "template" and tokens.text[head + 1] == "<":
        end = tokens.angle_end(head + 1, declaring=True)
        for j in range(head + 2, end):
            if tokens.text[j] == lanes and tokens.text[j - 1] in _LANE_COUNTS:
                tokens.replace(i, "pymetal::bool_vector")
                tokens.remove(i + 2, i + 4)
                tokens.replace(j - 1, "int")


def _vec(tokens: Tokens, i: int) -> None:
    """`vec<T, N>(...)`, unless a cast around it has taken it."""
    end = tokens.angle_end(i + 1, declaring=True)
    if end == -1 or tokens.is_removed(i):
        return
    if tokens.words(i + 2, i + 4) == ["bool", ","] and tokens.text[end + 1] != "{":
        return  # a class has its own constructors
    if tokens.text[end] == ">" and tokens.text[end + 1] in ("(", "{"):
        _constructor(tokens, i, end, end + 1, True)
    elif tokens.kind[end + 1] == "name" and tokens.text[end + 2] == "(":
        closes = tokens.partner[end + 2]
        if tokens.text[closes + 1] == ";" and _is_value(tokens, end + 3):
            tokens.insert_after(end + 1, f" = pymetal::make<{tokens.current(i, end + 1)}>")


def _qualified_start(tokens: Tokens, i: int) -> int:
    """Where `metal::` or `typename` before the type starts, or -1 if another scope qualifies it."""
    if tokens.text[i - 1] == "::":
        if tokens.text[i - 2] != "metal":
            return -1
        i -= 2
        if tokens.text[i - 1] == "::":
            i -= 1
    return i


def _constructor(tokens: Tokens, first: int, last: int, opening: int, is_vector: bool) -> None:
    """The type in tokens [first, last], with its arguments in the bracket at `opening`."""
    start = _qualified_start(tokens, first)
    before = tokens.text[start - 1]
    closing = tokens.partner[opening]
    if start == -1 or closing >= tokens.count:
        return
    if before in ("operator", "~", ".", "->", "class", "struct", "typename", "new", "using"):
        return
    inside = tokens.words(opening + 1, closing)
    if not inside or (inside[0] in ("*", "&") and tokens.text[closing + 1] in ("(", "[")):
        return  # V() is zero already; V (*f)(...) declares
    if len(inside) == 1 and tokens.kind[opening + 1] == "number" and is_vector:
        return  # a splat, which clang has
    if tokens.kind[start - 1] == "name" and before not in _BEFORE_CAST and start > 0:
        return  # a declaration: const V (x)
    if is_vector and _is_type_word(inside[0]) and tokens.kind[opening + 2] == "name":
        return  # a function type: V(float x)
    type_text = tokens.current(first, last + 1)
    tokens.remove(start, last + 1)
    tokens.replace(first, f"pymetal::make<{type_text}>")
    _parenthesise(tokens, opening)


def _parenthesise(tokens: Tokens, opening: int) -> None:
    """`{a, b,}` -> `(a, b)`."""
    closing = tokens.partner[opening]
    if tokens.text[opening] == "{":
        tokens.replace(opening, "(")
        tokens.replace(closing, ")")
        if tokens.text[closing - 1] == ",":
            tokens.replace(closing - 1, "")


def _is_type_word(word: str) -> bool:
    return word in SCALARS or word in _ADDRESS_SPACES


def _is_value(tokens: Tokens, i: int) -> bool:
    """Whether the token starts a value, where a parameter's type would start as well."""
    word = tokens.text[i]
    if word in (")", "void", *_ADDRESS_SPACES):
        return False
    is_type = word in SCALARS or word == "vec"
    return not (is_type and tokens.text[i + 1] not in ("(", "{"))


def _direct_initialisation(tokens: Tokens, i: int, names: Names) -> None:
    """`float4 v(a, b), w(c);` initialises; `float4 v(float a);` declares a function."""
    if tokens.text[i] not in names.vectors:
        return
    name = i + 1
    while tokens.kind[name] == "name":
        opening = name + 1
        if tokens.text[opening] in ("(", "{"):
            closing = tokens.partner[opening]
            inner, follows = tokens.text[opening + 1], tokens.text[opening + 2]
            names_type = inner in names.vectors and follows not in ("(", "{")
            if tokens.text[closing + 1] not in (";", ",") or inner in (")", "}") or names_type:
                return
            if not _is_value(tokens, opening + 1):
                return
            tokens.insert_after(name, f" = pymetal::make<{tokens.text[i]}>")
            _parenthesise(tokens, opening)
            end = closing + 1
        elif tokens.text[opening] == "=":
            end = tokens.expression_end(opening + 1)
        else:
            end = opening
        if tokens.text[end] != ",":
            return
        name = end + 1


def _static_cast(tokens: Tokens, i: int, names: Names) -> None:
    end = tokens.angle_end(i + 1, declaring=True)
    if end == -1 or not {"*", "&", "&&"}.isdisjoint(tokens.words(i + 2, end)):
        return
    if all(word in SCALARS - names.perhaps for word in tokens.words(i + 2, end)):
        return
    tokens.replace(i, "pymetal::convert")


def _step(tokens: Tokens, i: int, names: Names) -> None:
    """`v++` or `++v` where v may be a vector; anything of that name steps the same way."""
    step = "1" if tokens.text[i] == "++" else "-1"
    after = tokens.text[i + 1] in names.variables
    if tokens.text[i - 1] in names.variables and tokens.text[i - 2] not in (".", "->"):
        tokens.replace(i, f", {step})")
        tokens.insert_before(i - 1, "pymetal::add_after(")
    elif after and tokens.text[i + 2] not in (".", "->", "[", "(", "::"):
        tokens.replace(i, "pymetal::add_before(")
        tokens.insert_after(i + 1, f", {step})")


def _c_cast(tokens: Tokens, i: int, names: Names) -> None:
    """`(V)x`. A cast of a scalar type is rewritten only if such a cast follows it."""
    closing = tokens.partner[i]
    if not _is_cast(tokens, i, closing):
        return
    kind = _cast_type(tokens, i + 1, closing, names)
    if kind == "scalar":
        follows = tokens.text[closing + 1] == "(" and _leads_to_vector(tokens, closing + 1, names)
        if not follows:
            return
    elif kind == "":
        return
    elif kind == "perhaps" and tokens.text[i - 1] in ("*", "&") and not _is_binary(tokens, i - 1):
        return  # *(T)p: T is a pointer
    type_text = tokens.current(i + 1, closing)
    tokens.remove(i + 1, closing)
    tokens.replace(i, f"pymetal::cast_to<{type_text}>{{}}->*")
    tokens.replace(closing, "")


def _leads_to_vector(tokens: Tokens, i: int, names: Names) -> bool:
    closing = tokens.partner[i]
    if not _is_cast(tokens, i, closing, chained=True):
        return False
    kind = _cast_type(tokens, i + 1, closing, names)
    if kind == "scalar" and tokens.text[closing + 1] == "(":
        return _leads_to_vector(tokens, closing + 1, names)
    return kind in ("vector", "perhaps")


def _cast_type(tokens: Tokens, first: int, last: int, names: Names) -> str:
    """ "vector", "perhaps", "scalar" or "" for what stands in the parentheses."""
    words = tokens.words(first, last)
    if words[:2] == ["metal", "::"]:
        words = words[2:]
        first += 2
    if len(words) == 1:
        if words[0] in names.vectors:
            return "vector"
        if words[0] in names.perhaps:
            return "perhaps"
        return "scalar" if words[0] in SCALARS else ""
    if words[:2] == ["vec", "<"] and tokens.angle_end(first + 1) == last - 1:
        return "vector"
    return ""


def _is_cast(tokens: Tokens, i: int, closing: int, *, chained: bool = False) -> bool:
    before, after = tokens.text[i - 1] if i else "", closing + 1
    if not chained:
        if tokens.kind[i - 1] == "name" and before not in _BEFORE_CAST and i > 0:
            return False
        if tokens.kind[i - 1] in ("number", "string") or before in (">", "]", "operator"):
            return False
        if before == ")" and not _closes_condition(tokens, i - 1):
            return False
    if tokens.kind[after] in ("name", "number"):
        return tokens.text[after] not in _NOT_OPERANDS
    return tokens.text[after] in ("(", "-", "!", "~", "{") and closing < tokens.count


def _closes_condition(tokens: Tokens, i: int) -> bool:
    """if (...) (V)x, or the closing parenthesis of a cast that was rewritten."""
    opening = tokens.partner[i]
    return tokens.text[opening - 1] in ("if", "while", "for", "switch") or tokens.is_edited(opening)


def _is_binary(tokens: Tokens, i: int) -> bool:
    return tokens.kind[i - 1] in ("name", "number") or tokens.text[i - 1] in (")", "]")
