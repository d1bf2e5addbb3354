"""A conversation's memory as it lies in Redis: its version, and an entry for each message."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nadia.conversations.media import media_as_fields, media_from_fields
from nadia.telegram.gateway import Media

_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

DAMAGED: Final = (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError)
"""What `decode` raises of an entry that it cannot read."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A message as drafting reads it.

    Parameters
    ----------
    author : str
        ``customer``, ``desk`` or ``phone``.
    kind : str
        ``text``, ``photo`` and so on.
    text : str
        Empty for a deleted one; cut to what one message of Telegram's can hold.
    sent_at : datetime
        UTC.
    deleted : bool
        Taken back by its author.
    media : Media or None
        What it carries besides the text.
    place : int
        Orders it among those of its conversation.
    """

    author: str
    kind: str
    text: str
    sent_at: datetime
    deleted: bool = False
    media: Media | None = None
    place: int = 0


def version_of(revision: int, replies: int) -> str:
    """Return the version of a conversation that a memory shows."""
    return f"{revision}/{replies}"


def encode(entry: Remembered) -> str:
    """Write an entry as it lies in Redis; the place comes first, where the script that appends finds it."""
    fields: dict[str, object] = {
        "p": entry.place,
        "a": entry.author,
        "k": entry.kind,
        "t": entry.text,
        "s": entry.sent_at.timestamp(),
    }
    if entry.deleted:
        fields["d"] = 1
    if entry.media is not None:
        fields["m"] = media_as_fields(entry.media)
    return _AS_JSON.encode(fields)


def decode(text: str) -> Remembered:
    """Read an entry as it lies in Redis.

    Raises
    ------
    DAMAGED
        If it is damaged.
    """
    fields = json.loads(text)
    return Remembered(
        author=str(fields["a"]),
        kind=str(fields["k"]),
        text=str(fields["t"]),
        sent_at=datetime.fromtimestamp(float(fields["s"]), UTC),
        deleted=bool(fields.get("d")),
        media=media_from_fields(fields.get("m")),
        place=int(fields["p"]),
    )
