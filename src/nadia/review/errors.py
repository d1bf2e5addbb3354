"""Why the desk says no."""

from datetime import datetime

from nadia.clock import format_datetime
from nadia.errors import ConflictError


class ClaimedByOtherError(ConflictError):
    """Someone else works on the item.

    Parameters
    ----------
    batch_id : int
        The item.
    claimed_by : str
        Who has it.
    expires_at : datetime
        Until when, unless renewed.
    """

    def __init__(self, batch_id: int, *, claimed_by: str, expires_at: datetime) -> None:
        super().__init__(
            f"{claimed_by} works on item {batch_id} until {format_datetime(expires_at)}",
            hint="ask them to release it, or take it when their claim has run out",
        )
        self.claimed_by = claimed_by
        self.expires_at = expires_at


class StaleError(ConflictError):
    """The conversation has moved on since the reviewer, or the draft, saw it.

    Parameters
    ----------
    message : str
        What is newer than what.
    conversation_revision : int
        The present revision.
    hint : str
        How to go on.
    """

    def __init__(self, message: str, *, conversation_revision: int, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.conversation_revision = conversation_revision
