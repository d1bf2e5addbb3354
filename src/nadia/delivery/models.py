"""What delivery handles."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nadia.conversations.models import Conversation


class BubbleState(StrEnum):
    """Where one message of a reply is."""

    QUEUED = "queued"  # surely not sent
    SENDING = "sending"  # an attempt began and its end is not on record: it may have gone out
    SENT = "sent"
    CANCELLED = "cancelled"
    PARKED = "parked"  # a person has to say what became of it, or what to do


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message of an approved reply, as the outbox has it.

    Parameters
    ----------
    id, decision_id, batch_id, conversation_id : int
        Ours.
    position : int
        Its place in the reply, from 0.
    text : str
        What was approved, to the letter.
    random_id : int
        By which Telegram knows it again; signed 64-bit, not zero.
    conversation_revision : int
        Of the conversation at approval.
    discloses : bool
        Whether it tells the customer that replies are AI-drafted and reviewed by people.
    state : BubbleState
        Where it is.
    attempts : int
        How often sending was begun.
    sending_since : datetime or None
        When the oldest attempt whose end is unknown began.
    sending_seconds : float
        How long ago that was by the database's clock; 0 without one.
    after_message_id : int or None
        The chat's newest message on record, by Telegram's id, when that attempt began: the bubble's own id is greater.
    due_in : float
        Seconds until it may leave, by the database's clock.
    last_error : str or None
        Why it is not out yet, for people.
    """

    id: int
    decision_id: int
    batch_id: int
    conversation_id: int
    position: int
    text: str
    random_id: int
    conversation_revision: int
    discloses: bool
    state: BubbleState
    attempts: int
    sending_since: datetime | None
    sending_seconds: float
    after_message_id: int | None
    due_in: float
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """The bubble whose turn it is in a reply that may go on.

    Parameters
    ----------
    conversation : Conversation
        As it was under its lock.
    bubble : Bubble
        The first that is not sent.
    stale : bool
        Whether the conversation has moved on, or its customer was silenced; only ever with a bubble whose attempt is
        open.
    """

    conversation: Conversation
    bubble: Bubble
    stale: bool
