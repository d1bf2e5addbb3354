"""Was it sent? Telegram's own history knows.

A message of the account with the bubble's text, newer than all that the chat was known to hold when the attempt began,
that is not on record as another one: one of them is the bubble, none means that it did not go out, several are for a
person to tell apart. Telegram's ids rise, which needs no clocks to agree.
"""

from dataclasses import dataclass
from typing import Final

from nadia.delivery import store
from nadia.delivery.models import Turn
from nadia.postgres.database import Database
from nadia.telegram.gateway import Gateway, IncomingMessage

_PAGE: Final = 100
_MOST_PAGES: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """It was sent, as this message."""

    message: IncomingMessage


@dataclass(frozen=True, slots=True)
class Absent:
    """The history does not have it."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The history does not tell; ``reason`` says why."""

    reason: str


async def look_up(gateway: Gateway, database: Database, turn: Turn) -> Found | Absent | Ambiguous:
    """Look for a bubble whose attempt has no known end.

    Raises
    ------
    GatewayError
        If the history cannot be read.
    UnavailableError
        If PostgreSQL is away.
    """
    alike = await _sent_alike(gateway, turn)
    if alike is None:
        return Ambiguous("the chat has too many messages since then to look through")
    async with database.connection() as conn:
        known = await store.on_record(
            conn,
            account_id=turn.conversation.telegram_account_id,
            chat_id=turn.conversation.chat_id,
            telegram_message_ids=[message.message_id for message in alike],
        )
    candidates = [message for message in alike if message.message_id not in known]
    if not candidates:
        return Absent()
    if len(candidates) > 1:
        return Ambiguous(f"Telegram's history has {len(candidates)} messages that it could be")
    return Found(candidates[0])


async def _sent_alike(gateway: Gateway, turn: Turn) -> list[IncomingMessage] | None:
    """Return outgoing messages with the bubble's text since the attempt, oldest first; None if there are too many."""
    assert turn.bubble.after_message_id is not None, "a bubble in sending has the place of its attempt"
    after = turn.bubble.after_message_id
    wanted = as_telegram_keeps(turn.bubble.text)
    alike: list[IncomingMessage] = []
    for _ in range(_MOST_PAGES):
        page = await gateway.history(chat_id=turn.conversation.chat_id, after_id=after, limit=_PAGE)
        if not page:  # a page that is only short is not the end of the chat
            return alike
        alike += [message for message in page if message.outgoing and as_telegram_keeps(message.text) == wanted]
        after = page[-1].message_id
    return None


def as_telegram_keeps(text: str) -> str:
    """Return the text without what Telegram trims."""
    return text.replace("\r\n", "\n").strip()
