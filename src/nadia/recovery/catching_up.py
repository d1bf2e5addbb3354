"""Which chats may hold messages that are not on record yet; see ``nadia.delivery.catching_up.CatchesUp``."""

from nadia.conversations.models import Conversation
from nadia.postgres.database import Connection

# While the account has a gap in which something is known to be missing: every chat until it is known which ones have
# something newer, then those until they are read.
_IS_BEHIND = """
SELECT EXISTS (
    SELECT 1 FROM recovery_gaps g
    WHERE g.telegram_account_id = %(account_id)s AND g.closed_at IS NULL AND g.holds_replies AND (
        g.listed_generation IS DISTINCT FROM g.generation
        OR EXISTS (
            SELECT 1 FROM recovery_chats c
            WHERE c.gap_id = g.id AND c.chat_id = %(chat_id)s AND c.state = 'pending'
        )
    )
) AS behind
"""


class CatchingUp:
    """Keeps replies from leaving to chats that were not read yet."""

    async def is_behind(self, conn: Connection, conversation: Conversation) -> bool:
        """Tell whether Telegram may hold messages of a conversation that are not on record yet."""
        values = {"account_id": conversation.telegram_account_id, "chat_id": conversation.chat_id}
        row = await (await conn.execute(_IS_BEHIND, values)).fetchone()
        return row is not None and bool(row["behind"])
