"""Reasons: every decision of the silence protocol has one."""

import unicodedata
from typing import Final

from nadia.errors import InvalidInputError

LONGEST_REASON: Final = 500
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of text around it: a reason stands in lists and on terminals beside other words."""


def checked_reason(reason: str) -> str:
    """Return a reason as it goes on record, on one line.

    Raises
    ------
    InvalidInputError
        If there is none, it is too long, or it holds what is no text.
    """
    words = " ".join(reason.split())
    if not words:
        raise InvalidInputError("it is empty", field="reason", hint="say why; it goes on record with your name")
    if len(words) > LONGEST_REASON:
        raise InvalidInputError(
            f"{len(words)} characters are too long", field="reason", hint=f"use at most {LONGEST_REASON}"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") or character in _TURNING for character in words):
        raise InvalidInputError("it holds characters that are no text", field="reason", hint="remove them")
    return words
