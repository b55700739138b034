"""A call's values: each to its parameter, in declared order or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymetal.air.function import Argument, Function
from pymetal.errors import ArgumentError
from pymetal.shown import counted, shown

_MISSING = object()


@dataclass(frozen=True)
class threadgroup_memory:  # noqa: N801 - reads as words: kernel(out, threadgroup_memory(256), x)
    """Stands for a `[[threadgroup(n)]]` argument: that many bytes, shared by a threadgroup."""

    nbytes: int


def in_declared_order(
    function: Function,
    buffers: Sequence[Argument],
    values: Sequence[Any],
    named: Mapping[str, Any],
    memory: Mapping[int, int] | None,
) -> tuple[tuple[Any, ...], Mapping[int, int] | None]:
    """One value for each of `buffers`, and bytes of threadgroup memory by threadgroup index.

    `values` are for the buffers, or for these and the threadgroup memory arguments where any of
    them stands for such memory; `named` are for either. `memory` is the same by index.

    Raises
    ------
    ArgumentError
        A name is unknown or given twice, a value is missing or one too many, or threadgroup
        memory and another value have changed places.
    """
    signature = f"\n{function}"
    parameters = [a for a in function.arguments if a in buffers or a.kind == "threadgroup"]
    marked = any(isinstance(value, threadgroup_memory) for value in values)
    positional = parameters if marked else list(buffers)
    if len(values) > len(positional) or (len(values) < len(positional) and not named):
        names = ", ".join(a.name for a in positional) or "none"
        raise ArgumentError(
            f"{function.name} takes {counted(len(positional), 'value')} ({names}), got "
            f"{len(values) + len(named)}{signature}"
        )
    given = {a.name: value for a, value in zip(positional, values, strict=False)}
    by_name = {a.name: a for a in parameters}
    for name, value in named.items():
        if name not in by_name:
            raise _unknown(function, name, by_name, signature)
        if name in given:
            raise ArgumentError(
                f"{function.name}: argument '{name}' is given twice, by place and by name"
                f"{signature}",
                argument=name,
            )
        given[name] = value
    lengths = dict(memory) if isinstance(memory, Mapping) else {}
    result: list[Any] = []
    for argument in parameters:
        value = given.get(argument.name, _MISSING)
        if argument.kind != "threadgroup":
            result.append(_buffer(function, argument, value, signature))
        elif value is not _MISSING:
            if argument.index in lengths:
                raise ArgumentError(
                    f"{function.name}: the memory of '{argument.name}' is given twice, as a value "
                    "and in threadgroup_memory",
                    argument=argument.name,
                )
            lengths[argument.index] = _bytes(function, argument, value)
    return tuple(result), lengths or memory


def _buffer(function: Function, argument: Argument, value: Any, signature: str) -> Any:
    if value is _MISSING:
        raise ArgumentError(
            f"{function.name}: no value for argument '{argument.name}', declared `{argument}`"
            f"{signature}",
            argument=argument.name,
        )
    if isinstance(value, threadgroup_memory):
        raise ArgumentError(
            f"{function.name}: argument '{argument.name}', declared `{argument}`, is a buffer; "
            f"got threadgroup memory of {shown(value.nbytes)} bytes{signature}",
            argument=argument.name,
        )
    return value


def _bytes(function: Function, argument: Argument, value: Any) -> Any:
    if not isinstance(value, threadgroup_memory):
        raise ArgumentError(
            f"{function.name}: argument '{argument.name}', declared `{argument}`: pass "
            f"pymetal.threadgroup_memory(bytes), got {type(value).__name__} {shown(value)}",
            argument=argument.name,
        )
    return value.nbytes


def _unknown(
    function: Function, name: str, by_name: Mapping[str, Argument], signature: str
) -> ArgumentError:
    declared = next((a for a in function.arguments if a.name == name), None)
    if declared is not None and declared.kind == "builtin":
        why = f"'{name}' is [[{declared.builtin}]], which the device supplies"
    elif declared is not None:
        why = f"argument '{name}' is switched off by function constant '{declared.enabled_by}'"
    else:
        from difflib import get_close_matches

        close = get_close_matches(name, by_name, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        why = f"there is no argument '{name}'{hint}"
    return ArgumentError(f"{function.name}: {why}{signature}", argument=name)
