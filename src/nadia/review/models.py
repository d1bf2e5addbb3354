"""What the desk shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from nadia.conversations.models import BatchState
from nadia.telegram.gateway import Media

LATE_SECONDS: Final = 1_800
"""A message that reached us so long after it was written came late: after downtime, ours or Telegram's."""


class DecisionKind(StrEnum):
    """What a reviewer can decide."""

    APPROVE = "approve"
    REJECT = "reject"
    REDRAFT = "redraft"
    UNDO = "undo"


class Resolution(StrEnum):
    """How a person takes up what was parked."""

    RESUME = "resume"
    """It goes on where it was; a reply that was half out goes back to the desk."""
    WAS_SENT = "was_sent"
    """The bubble in doubt did reach the customer."""
    SEND_AGAIN = "send_again"
    """The bubble in doubt did not reach the customer, or may reach them twice."""
    REJECT = "reject"
    """No reply, or no more of it."""


@dataclass(frozen=True, slots=True)
class ReviewerRef:
    """The person at the desk."""

    id: int
    name: str

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        return f"account:{self.id}"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A batch as a line of the queue.

    Parameters
    ----------
    batch_id, conversation_id : int
        Ours.
    telegram_account_id, person_name : str
        Whom the customer wrote to, and who it is.
    state : BatchState
        Where it is.
    priority : int
        Higher comes first.
    risk, score : float or None
        Of the newest draft, 0 to 1; None without one, or where the model does not say.
    flags : tuple of str
        What the newest draft was flagged for.
    sealed_at, changed_at : datetime
        UTC.
    messages : int
        How many the batch has.
    preview, preview_kind, preview_media : str, str, Media or None
        The customer's last message: its text, at most 200 characters, what it is made of, and what else it carries.
    late_since : datetime or None
        When the oldest of its messages was written that came late; None where none did.
    has_draft : bool
        Whether a draft exists.
    no_draft_reason : str or None
        Why it came to the desk without one.
    stale : bool
        Whether something happened in the conversation that the draft does not know (without a draft: the batch).
    claimed_by : str or None
        Who works on it at the moment.
    claimed_by_id : int or None
        Their account.
    claim_expires_at : datetime or None
        Until when.
    undo_until : datetime or None
        Until when the approval can be taken back; None when it cannot.
    undo_of_id : int or None
        The account whose approval that is.
    parked_reason : str or None
        Why it is parked.
    parked_from : BatchState or None
        The state it was parked in.
    """

    batch_id: int
    conversation_id: int
    telegram_account_id: str
    person_name: str
    state: BatchState
    priority: int
    risk: float | None
    flags: tuple[str, ...]
    score: float | None
    sealed_at: datetime
    changed_at: datetime
    messages: int
    preview: str
    has_draft: bool
    no_draft_reason: str | None
    stale: bool
    claimed_by: str | None
    claimed_by_id: int | None
    claim_expires_at: datetime | None
    undo_until: datetime | None
    parked_reason: str | None
    parked_from: BatchState | None
    undo_of_id: int | None = None
    preview_kind: str = "text"
    preview_media: Media | None = None
    late_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PersonView:
    """The customer."""

    id: int
    name: str
    username: str | None
    telegram_user_id: int


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message of the conversation.

    ``author`` is ``customer``, ``desk`` or ``phone``; ``in_this_batch`` marks what the item is about;
    ``newer_than_draft`` what was said after the newest draft was made, or edited or deleted since; ``media`` is what it
    carries besides the text.
    """

    id: int
    author: str
    kind: str
    text: str
    sent_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    in_this_batch: bool
    newer_than_draft: bool
    media: Media | None = None

    @property
    def late_by(self) -> timedelta | None:
        """How long it took to reach us, if that is worth a word."""
        delay = self.received_at - self.sent_at
        return delay if delay.total_seconds() >= LATE_SECONDS else None


@dataclass(frozen=True, slots=True)
class DraftView:
    """The newest draft of a batch.

    ``answers_revision`` is the conversation's revision that it knows; ``revision`` counts the drafts of the batch.
    """

    id: int
    revision: int
    answers_revision: int
    bubbles: tuple[str, ...]
    model: str
    profile: str
    score: float | None
    risk: float | None
    flags: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    latency_ms: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionView:
    """What somebody decided about a batch."""

    id: int
    account_id: int
    account_name: str
    decision: DecisionKind
    bubbles: tuple[str, ...]
    edited: bool
    conversation_revision: int
    despite_newer: bool
    reason: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxView:
    """A bubble on its way; ``state`` is ``queued``, ``sending``, ``sent``, ``cancelled`` or ``parked``."""

    id: int
    decision_id: int
    position: int
    text: str
    state: str
    discloses: bool
    send_after: datetime
    attempts: int
    last_error: str | None
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditView:
    """A line of an item's history; ``actor_name`` is the person's name, or ``system``."""

    at: datetime
    actor: str
    actor_name: str
    action: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class ItemDetail:
    """All about one item.

    Parameters
    ----------
    item : QueueItem
        Its line of the queue.
    person : PersonView
        The customer.
    conversation_revision : int
        The conversation's present revision; approval and rejection must name the one that was seen.
    messages : tuple of MessageView
        The last ones of the conversation, oldest first.
    draft : DraftView or None
        The newest draft.
    disclosure : str or None
        The text that must be the first bubble, for a customer who has not been told yet.
    decisions, outbox, audit : tuple
        What happened, oldest first.
    """

    item: QueueItem
    person: PersonView
    conversation_revision: int
    messages: tuple[MessageView, ...]
    draft: DraftView | None
    disclosure: str | None
    decisions: tuple[DecisionView, ...]
    outbox: tuple[OutboxView, ...]
    audit: tuple[AuditView, ...]

    @property
    def stale(self) -> bool:
        """Whether approval has to confirm that newer messages were seen."""
        return self.item.stale

    @property
    def undo_until(self) -> datetime | None:
        """Until when the approval can be taken back."""
        return self.item.undo_until


@dataclass(frozen=True, slots=True)
class Claim:
    """A reviewer's hold on an item."""

    batch_id: int
    expires_at: datetime
    renewed: bool


@dataclass(frozen=True, slots=True)
class Approval:
    """A reply that will leave unless it is taken back before ``undo_until``."""

    decision_id: int
    undo_until: datetime


@dataclass(frozen=True, slots=True)
class DeskCounts:
    """How many items are where."""

    sealed: int
    drafted: int
    in_review: int
    approved: int
    sending: int
    parked: int

    @property
    def waiting(self) -> int:
        """Items that wait for a person, drafted or not."""
        return self.sealed + self.drafted + self.in_review
