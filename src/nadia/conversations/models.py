"""What a conversation is made of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class BatchState(StrEnum):
    """Where a batch is on its way (DESIGN section 1)."""

    BUFFERING = "buffering"  # its messages are in, the burst is not over; no row yet
    SEALED = "sealed"
    DRAFTED = "drafted"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    REJECTED = "rejected"
    EXPIRED = "expired"
    PARKED = "parked"


OPEN_STATES: Final = frozenset(
    {BatchState.SEALED, BatchState.DRAFTED, BatchState.IN_REVIEW, BatchState.APPROVED, BatchState.SENDING}
)
"""A conversation has at most one batch in these."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One chat of one Telegram account with one person.

    Parameters
    ----------
    id : int
        Ours.
    telegram_account_id : str
        The account the customer writes to.
    chat_id : int
        Telegram's.
    partition : int
        0 to 63; which Redis slot its keys are in.
    revision : int
        Rises with every inbound event.
    replies : int
        Rises with what becomes known of the desk's own messages; with the revision it is the version of a memory.
    disclosed_at : datetime or None
        When the customer was told that replies are AI-drafted and reviewed by people.
    """

    id: int
    telegram_account_id: str
    chat_id: int
    partition: int
    revision: int
    replies: int
    disclosed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages of a burst on their way to a reply.

    Parameters
    ----------
    id, conversation_id : int
        Ours.
    state : BatchState
        Where it is.
    priority : int
        Higher comes first at the desk.
    revision : int
        The draft that is wanted; rises with each redraft.
    conversation_revision : int
        The conversation's revision when its newest member joined.
    drafting_attempts : int
        Attempts at drafting this revision that began and did not end in order.
    no_draft_reason : str or None
        Why it reached the desk without a draft.
    parked_from : BatchState or None
        The state that it returns to when a person takes it up again.
    parked_reason : str or None
        Why it was parked.
    claimed_by : int or None
        The account that works on it.
    claim_expires_at : datetime or None
        Until when.
    sealed_at, changed_at : datetime
        UTC.
    """

    id: int
    conversation_id: int
    state: BatchState
    priority: int
    revision: int
    conversation_revision: int
    drafting_attempts: int
    no_draft_reason: str | None
    parked_from: BatchState | None
    parked_reason: str | None
    claimed_by: int | None
    claim_expires_at: datetime | None
    sealed_at: datetime
    changed_at: datetime
