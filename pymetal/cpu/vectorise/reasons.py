"""Why a kernel runs on the reference engine instead."""

from __future__ import annotations


class NotVectorised(Exception):  # noqa: N818 - not an error: the reference engine runs it
    """The vectorised engine does not take a kernel; the message says why, in a user's words."""
