"""What kernels log (`os_log` of <metal_logging>) to Python's `logging`.

Messages arrive when their launch is over, in the order in which threads wrote them, as records of
the logger "pymetal.kernel" with the fields `kernel`, `thread_position_in_grid`,
`subsystem` and `category`. A launch keeps a bounded number; the others are counted in a warning.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator, Sequence

LOGGER = "pymetal.kernel"
# metal::log_type: debug, info, default, error, fault.
_LEVELS = (logging.DEBUG, logging.INFO, logging.INFO, logging.ERROR, logging.CRITICAL)
# %[flags][width][.precision][vN][length]conversion (Metal Shading Language Specification, 6.19).
_FORMAT = re.compile(
    r"%(?:%|(?P<flags>[-+ #0]*)(?P<width>\d*)(?P<precision>\.\d*)?(?:v(?P<lanes>\d+))?"
    r"(?:hh|hl|h|ll|l|j|z|t)?(?P<conversion>[diouxXcfFeEgGaAp]))"
)

Record = tuple[int, bytes, bytes, bytes, Sequence[int], Sequence[int]]


def deliver(kernel: str, records: Sequence[Record], dropped: int) -> None:
    """Called by the native module after a launch that logged anything."""
    logger = logging.getLogger(LOGGER)
    for type_, subsystem, category, text, words, thread in records:
        level = _LEVELS[min(type_, len(_LEVELS) - 1)]
        if not logger.isEnabledFor(level):
            continue
        extra = {
            "kernel": kernel,
            "thread_position_in_grid": tuple(thread),
            "subsystem": subsystem.decode("utf-8", "replace"),
            "category": category.decode("utf-8", "replace"),
        }
        message = formatted(text.decode("utf-8", "replace"), words)
        logger.log(level, "%s %s: %s", kernel, tuple(thread), message, extra=extra)
    if dropped:
        logger.warning(
            "%s: %d more messages were dropped; a launch keeps the first %d",
            kernel,
            dropped,
            len(records),
            extra={"kernel": kernel, "dropped": dropped},
        )


def formatted(text: str, words: Sequence[int]) -> str:
    """`text` with its arguments, which the words hold. What does not fit shows as `<?>`."""
    arguments = _arguments(words)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        values = next(arguments, None)
        lanes = int(match["lanes"] or 1)
        if values is None or len(values) < lanes:
            return "<?>"
        return ",".join(_number(match, value) for value in values[:lanes])

    return _FORMAT.sub(one, text)


def _number(match: re.Match[str], value: float) -> str:
    conversion = match["conversion"]
    head = f"%{match['flags']}{match['width']}{match['precision'] or ''}"
    if conversion in "fFeEgG":
        return f"{head}{conversion}" % float(value)
    if conversion in "aA":
        return float(value).hex()
    number = int(value) if value == value and abs(value) != float("inf") else 0
    if conversion == "c":
        return chr(number & 0xFF)
    if conversion == "p":
        return hex(number & (1 << 64) - 1)
    if conversion in "ouxX" and number < 0:
        number &= (1 << 32) - 1 if number >= -(1 << 31) else (1 << 64) - 1
    return f"{head}{conversion}" % number


def _arguments(words: Sequence[int]) -> Iterator[list[float]]:
    """The lanes of each argument: a head (kind, lanes << 8), then a word a lane."""
    at = 0
    while at < len(words):
        kind, lanes = words[at] & 0xFF, words[at] >> 8
        values = words[at + 1 : at + 1 + lanes]
        at += 1 + lanes
        yield [_value(kind, word) for word in values]


def _value(kind: int, word: int) -> float:
    if kind == 2:
        return float(struct.unpack("<f", struct.pack("<I", word & 0xFFFFFFFF))[0])
    if kind == 0 and word >> 63:
        return word - (1 << 64)
    return word
