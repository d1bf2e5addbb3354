"""What may be approved: the edge at which a reply's text is checked."""

from collections.abc import Sequence
from typing import Final

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.errors import InvalidInputError

MOST_BUBBLES: Final = 10
LONGEST_REASON: Final = 500


def check_bubbles(bubbles: Sequence[str]) -> tuple[str, ...]:
    """Return the bubbles as they came, if each can be sent as one message.

    Raises
    ------
    InvalidInputError
        Naming the bubble, its problem and the remedy.
    """
    if not 1 <= len(bubbles) <= MOST_BUBBLES:
        raise InvalidInputError(
            f"a reply has 1 to {MOST_BUBBLES} bubbles, this one has {len(bubbles)}",
            field="bubbles",
            hint="join some of them" if bubbles else "write at least one",
        )
    for position, text in enumerate(bubbles):
        _check_text(text, field=f"bubbles[{position}]")
    return tuple(bubbles)


def check_disclosure(bubbles: Sequence[str], disclosure: str) -> None:
    """Check that the customer is told first how replies are made.

    Raises
    ------
    InvalidInputError
        If the first bubble is another text.
    """
    if bubbles[0] != disclosure:
        raise InvalidInputError(
            "the first reply to this customer must open with the disclosure, unchanged",
            field="bubbles[0]",
            hint=f"put it first: {disclosure}",
        )


def check_reason(reason: str | None) -> str | None:
    """Return a reviewer's reason without surrounding space; None for an empty one.

    Raises
    ------
    InvalidInputError
        If it is too long or cannot be stored.
    """
    if reason is None or not reason.strip():
        return None
    if len(reason) > LONGEST_REASON:
        raise InvalidInputError(
            f"{len(reason)} characters are too long", field="reason", hint=f"use at most {LONGEST_REASON}"
        )
    _check_storable(reason, field="reason")
    return reason.strip()


def _check_text(text: str, *, field: str) -> None:
    if not text.strip():
        raise InvalidInputError("it is empty", field=field, hint="write something, or remove it")
    _check_storable(text, field=field)
    length = len(text.encode("utf-16-le")) // 2
    if length > TELEGRAM_TEXT_LIMIT:
        raise InvalidInputError(
            f"it is {length} UTF-16 code units long, Telegram takes {TELEGRAM_TEXT_LIMIT}",
            field=field,
            hint="split it into several bubbles",
        )


def _check_storable(text: str, *, field: str) -> None:
    if "\x00" in text:
        raise InvalidInputError("it contains a null character", field=field, hint="remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError(
            "it contains half of a surrogate pair", field=field, hint="type the character again, it was cut in two"
        )
