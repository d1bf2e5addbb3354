"""Replies that went out, among the messages on record: written by delivery, within its transactions."""

from dataclasses import dataclass
from datetime import datetime

from nadia.conversations.models import Conversation
from nadia.postgres.database import Connection

# A reply that went out. Where an update or the history told of it before, it gets its author and its batch now. One
# without Telegram's id (below zero) stands behind what the chat was known to hold when its sending began.
_RECORD_SENT = """
WITH sent AS (
    UPDATE conversations SET replies = replies + 1 WHERE id = %(conversation_id)s
)
INSERT INTO messages (conversation_id, telegram_account_id, chat_id, telegram_message_id, direction, author, kind,
                      text, sent_at, batch_id, after_message_id)
VALUES (%(conversation_id)s, %(account_id)s, %(chat_id)s, %(telegram_message_id)s, 'out', 'desk', 'text',
        %(text)s, %(sent_at)s, %(batch_id)s, CASE WHEN %(telegram_message_id)s < 0 THEN coalesce(
            %(after_message_id)s,
            (SELECT max(telegram_message_id) FROM messages WHERE conversation_id = %(conversation_id)s),
            0
        ) END)
ON CONFLICT (telegram_account_id, chat_id, telegram_message_id)
    DO UPDATE SET author = 'desk', batch_id = excluded.batch_id WHERE messages.direction = 'out'
"""

# The reply that a person vouched for turned up: it gets its id, and with it its own place. The version rises, because
# a memory holds the place. Not where the message is on record already.
_IDENTIFY_SENT = """
WITH identified AS (
    UPDATE messages m SET telegram_message_id = %(telegram_message_id)s, after_message_id = NULL
    WHERE m.conversation_id = %(conversation_id)s AND m.telegram_message_id = %(known_as)s AND NOT EXISTS (
        SELECT 1 FROM messages o
        WHERE o.telegram_account_id = m.telegram_account_id AND o.chat_id = m.chat_id
          AND o.telegram_message_id = %(telegram_message_id)s
    )
    RETURNING m.conversation_id
)
UPDATE conversations SET replies = replies + 1 WHERE id IN (SELECT conversation_id FROM identified) RETURNING id
"""

# What Telegram showed of the account's own and nobody knows as a reply.
_NOT_KNOWN_AS_REPLIES = """
SELECT telegram_message_id, text, sent_at FROM messages
WHERE conversation_id = %(conversation_id)s AND author = 'phone' AND kind = 'text'
  AND telegram_message_id > %(after_message_id)s
ORDER BY telegram_message_id
"""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message of the account's that is on record as written on the operator's phone."""

    telegram_message_id: int
    text: str
    sent_at: datetime


async def not_known_as_replies(
    conn: Connection, conversation: Conversation, *, after_message_id: int
) -> list[OutgoingMessage]:
    """Return what is on record as written on the phone since then, the oldest first."""
    values = {"conversation_id": conversation.id, "after_message_id": after_message_id}
    return [OutgoingMessage(**row) for row in await (await conn.execute(_NOT_KNOWN_AS_REPLIES, values)).fetchall()]


async def record_sent(
    conn: Connection,
    *,
    conversation: Conversation,
    telegram_message_id: int,
    text: str,
    sent_at: datetime,
    batch_id: int,
    after_message_id: int | None = None,
) -> None:
    """Put a reply that went out on record, within the transaction that marks it as sent.

    Parameters
    ----------
    conn : Connection
        The transaction.
    conversation : Conversation
        Whose.
    telegram_message_id : int
        Telegram's id; below zero where nobody knows it.
    text : str
        What was sent.
    sent_at : datetime
        When.
    batch_id : int
        The item that it answers.
    after_message_id : int, optional
        The newest message that the chat was known to hold when sending it began; matters where the id is not known.
    """
    await conn.execute(
        _RECORD_SENT,
        {
            "conversation_id": conversation.id,
            "account_id": conversation.telegram_account_id,
            "chat_id": conversation.chat_id,
            "telegram_message_id": telegram_message_id,
            "text": text,
            "sent_at": sent_at,
            "batch_id": batch_id,
            "after_message_id": after_message_id,
        },
    )


async def identify_sent(
    conn: Connection, conversation: Conversation, *, known_as: int, telegram_message_id: int
) -> bool:
    """Give a reply that was recorded without Telegram's id the one that it has; False if that is on record already.

    Parameters
    ----------
    conn : Connection
        A transaction that holds the conversation's lock.
    conversation : Conversation
        Whose.
    known_as : int
        The id, below zero, that it was recorded with.
    telegram_message_id : int
        Telegram's.
    """
    values = {
        "conversation_id": conversation.id,
        "known_as": known_as,
        "telegram_message_id": telegram_message_id,
    }
    return await (await conn.execute(_IDENTIFY_SENT, values)).fetchone() is not None
