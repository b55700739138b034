"""A compiled kernel as the disk cache keeps it: object code and what launching it takes.

An entry is the length of the JSON as u32, the JSON, then the object code.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

from pymetal import _native
from pymetal.air.function import Argument, Field, Function, FunctionConstant
from pymetal.errors import UnsupportedError

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Compiled:
    """`engine`'s code for a kernel.

    granularity            what one call of `entry` runs: "thread", "simdgroup", or
                           "simdgroup along x" (or y): see `LaneLayout.axis`
    full                   it is for simdgroups with all lanes where the layout says; `load` takes
                           code for the others
    suspends               whether calls may have to wait for each other
    private_bytes          what a call keeps in arrays on its stack
    threadgroup_bytes      size of the kernel's threadgroup variables
    buffers                Metal's buffer indices, in the order that the code reads addresses
    threadgroup_arguments  Metal's threadgroup indices, in the order that it reads offsets
    streams                which of `buffers` the code may store to past the caches
    """

    code: bytes
    function: Function
    engine: str
    entry: str
    granularity: str
    full: bool
    suspends: bool
    flush_denormals: bool
    private_bytes: int
    threadgroup_bytes: int
    buffers: tuple[int, ...]
    threadgroup_arguments: tuple[int, ...]
    streams: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads."""
        facts = {name: value for name, value in vars(self).items() if name != "code"}
        facts["function"] = asdict(self.function)
        head = json.dumps(facts).encode()
        return _LENGTH.pack(len(head)) + head + self.code

    @classmethod
    def from_bytes(cls, data: bytes) -> Compiled:
        """The cache checks that `data` is what `to_bytes` made."""
        (length,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + length
        facts = json.loads(data[_LENGTH.size : end])
        function = _function(facts.pop("function"))
        for name in ("buffers", "threadgroup_arguments", "streams", "notes"):
            facts[name] = tuple(facts[name])
        return cls(code=data[end:], function=function, **facts)

    def load(self, rest: Compiled | None = None) -> _native.Pipeline:
        """Make the code executable, with that for simdgroups which it is not for.

        Raises
        ------
        UnsupportedError
            LLVM made calls of it that the runtime lacks.
        """
        return _native.Pipeline(
            self._linked(),
            self.entry,
            self.granularity,
            self.suspends,
            self.threadgroup_bytes,
            max(self.private_bytes, rest.private_bytes if rest else 0),
            self.flush_denormals,
            self.function.name,
            sum(1 << buffer for buffer in self.streams),
            rest._linked() if rest else None,
        )

    def _linked(self) -> _native.Code:
        try:
            return _native.Code(self.code)
        except ValueError as error:
            raise UnsupportedError(
                f"{self.function.name}: {error}", feature="code generation"
            ) from error


def function_to_bytes(function: Function) -> bytes:
    """Reflection as the cache keeps it."""
    return json.dumps(asdict(function)).encode()


def function_from_bytes(data: bytes) -> Function:
    """What `function_to_bytes` made."""
    return _function(json.loads(data))


def _function(facts: dict[str, Any]) -> Function:
    facts["arguments"] = tuple(_argument(argument) for argument in facts["arguments"])
    facts["constants"] = tuple(FunctionConstant(**constant) for constant in facts["constants"])
    return Function(**facts)


def _argument(facts: dict[str, Any]) -> Argument:
    return Argument(**{**facts, **_inner(facts)})


def _inner(facts: dict[str, Any]) -> dict[str, Any]:
    """The parts of an argument or a member that are objects themselves."""
    pointee = facts["points_to"]
    return {
        "fields": tuple(Field(**{**field, **_inner(field)}) for field in facts["fields"]),
        "points_to": None if pointee is None else _argument(pointee),
    }
