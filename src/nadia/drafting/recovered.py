"""What drafting asks about messages that were found after downtime."""

from typing import Protocol


class RecoveredContext(Protocol):
    """Knows what was noted of a chat when it was read again after downtime; recovery writes it."""

    async def summary_for(self, batch_id: int) -> str | None:
        """Return the summary of the chat that a batch's recovered messages came from; None if they came live.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
