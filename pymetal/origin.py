"""What a kernel was made from, so that it can be made again."""

from __future__ import annotations

from dataclasses import dataclass, field

from pymetal.source import CompileOptions, Source


@dataclass(frozen=True)
class Origin:
    """Source with its options, or else the bytes of a `.metallib`. `name` is for people."""

    name: str = ""
    source: Source | None = None
    options: CompileOptions = field(default_factory=CompileOptions)
    metallib: bytes = b""

    def whole_text(self) -> str:
        """The source with all that it includes from local files; lines keep their numbers."""
        from pymetal.metal.includes import inlined

        return "" if self.source is None else inlined(self.source, self.options)
