"""Checks of shifts, of conversions to integers, and of ends that must not be reached.

Made on the text, before the canonical function gives Metal's meaning to what LLVM leaves undefined,
and before LLVM takes for granted that it does not happen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pymetal.cpu.checks.locations import Place
from pymetal.cpu.checks.sites import Site

_ARITHMETIC = """
declare void @pymetal_check_shift(i64, i32, i32) nounwind
declare void @pymetal_check_conversion(double, double, double, i32) nounwind
declare void @pymetal_check_unreachable(i32) nounwind
"""
_SHIFT = re.compile(
    r"^  %\S+ = (?:shl|lshr|ashr) (?:(?:nuw|nsw|exact) )*(<(\d+) x )?i(\d+)>? "
    r"(?:[^,\n<]+|<[^>\n]*>|splat \([^)]*\)), (%[-\w.$]+|-?\d+)((?:, !\w+ !\d+)*)$",
    re.M,
)
_CONVERT = re.compile(
    r"^  %\S+ = fpto([su])i (half|bfloat|float) (%[-\w.$]+) to i(\d+)((?:, !\w+ !\d+)*)$", re.M
)
_UNREACHABLE = re.compile(r"^  unreachable((?:, !\w+ !\d+)*)$", re.M)


@dataclass
class Arithmetic:
    """Adds a site for each check; its place is known when all is inlined."""

    sites: list[Site]

    def checked(self, text: str) -> str:
        """The module with a check before each of them."""
        text = _CONVERT.sub(self._conversion, _SHIFT.sub(self._shift, text))
        text = _UNREACHABLE.sub(self._end, text)
        at = text.find("\nattributes #")
        return text[:at] + _ARITHMETIC + text[at:] if at >= 0 else text + _ARITHMETIC

    def _site_of(self, what: str, name: str = "") -> int:
        self.sites.append(Site(what, Place(), name=name))
        return len(self.sites) - 1

    def _shift(self, match: re.Match[str]) -> str:
        vector, lanes, bits, count, rest = match.groups()
        width = int(bits)
        if not count.startswith("%") and (vector or 0 <= int(count) < width):
            return match[0]
        site = self._site_of("shift")
        lines = []
        for lane in range(int(lanes or 1)):
            value = count
            if vector:
                value = f"%pymetal.s{site}.{lane}"
                lines.append(
                    f"  {value} = extractelement {vector}i{width}> {count}, i32 {lane}{rest}"
                )
            if width < 64:
                wide = f"%pymetal.w{site}.{lane}"
                lines.append(f"  {wide} = zext i{width} {value} to i64{rest}")
                value = wide
            lines.append(
                f"  call void @pymetal_check_shift(i64 {value}, i32 {width}, i32 {site}){rest}"
            )
        return "\n".join([*lines, match[0]])

    def _end(self, match: re.Match[str]) -> str:
        site = self._site_of("unreachable")
        return f"  call void @pymetal_check_unreachable(i32 {site}){match[1]}\n{match[0]}"

    def _conversion(self, match: re.Match[str]) -> str:
        sign, source, value, bits, rest = match.groups()
        width = int(bits)
        if width < 8:
            return match[0]
        low = -(2 ** (width - 1)) if sign == "s" else 0
        high = 2 ** (width - 1 if sign == "s" else width) - 1
        if width == 64:
            high -= 1023 if sign == "s" else 2047  # the nearest double below
        site = self._site_of("conversion", name=("int" if sign == "s" else "uint") + bits)
        wide = f"%pymetal.d{site}"
        return (
            f"  {wide} = fpext {source} {value} to double{rest}\n"
            f"  call void @pymetal_check_conversion(double {wide}, double {float(low)!r}, "
            f"double {float(high)!r}, i32 {site}){rest}\n{match[0]}"
        )
