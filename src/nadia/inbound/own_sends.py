"""Telling the desk's own replies from what the operator wrote on a phone: Telegram shows both as outgoing."""

from typing import Protocol

from nadia.conversations.models import Conversation
from nadia.postgres.database import Connection


class OwnSends(Protocol):
    """Knows the replies whose sending has begun; delivery writes it."""

    async def is_own(
        self, conn: Connection, conversation: Conversation, *, telegram_message_id: int, text: str
    ) -> bool:
        """Tell whether a message of the account may be a reply that delivery has yet to put on record.

        Asked within a transaction that holds the conversation's lock.
        """
