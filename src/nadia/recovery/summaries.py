"""What drafting is told about chats that were read again: noted while they were read, for only their owner may ask."""

from nadia.postgres.database import Database

# The newest summary of the chat, by the runs that found the batch's messages.
_SUMMARY_FOR = """
SELECT c.summary
FROM messages m
JOIN recovery_operations o ON o.id = m.recovered_by
JOIN recovery_chats c ON c.gap_id = o.gap_id AND c.chat_id = m.chat_id
WHERE m.batch_id = %(batch_id)s AND c.summary IS NOT NULL
ORDER BY m.telegram_message_id DESC LIMIT 1
"""


class ChatSummaries:
    """Reads the summaries of recovered chats; see ``nadia.drafting.recovered.RecoveredContext``.

    Parameters
    ----------
    database : Database
        Where they are.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def summary_for(self, batch_id: int) -> str | None:
        """Return the summary of the chat that a batch's recovered messages came from; None if they came live."""
        async with self._database.connection() as conn:
            row = await (await conn.execute(_SUMMARY_FOR, {"batch_id": batch_id})).fetchone()
        return None if row is None else str(row["summary"])
