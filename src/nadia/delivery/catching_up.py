"""Whether a chat may hold messages that nobody here knows of yet: a reply would be stale in silence."""

from typing import Final, Protocol

from nadia.conversations.models import Conversation
from nadia.postgres.failures import Connection

BEHIND: Final = "waits until what was missed in this chat is read"
"""Why a reply to such a chat does not leave; the outbox says so too."""


class CatchesUp(Protocol):
    """Knows which chats are being read again after an absence; recovery writes it."""

    async def is_behind(self, conn: Connection, conversation: Conversation) -> bool:
        """Tell whether Telegram may hold messages of a conversation that are not on record yet.

        Asked within a transaction that holds the conversation's lock.
        """
