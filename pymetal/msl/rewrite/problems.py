"""What the rewriter finds wrong with a source before clang sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A message about one token. `feature` names what is right Metal but not supported."""

    token: int
    message: str
    feature: str = ""
