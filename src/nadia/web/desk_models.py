"""What the desk's API takes and gives."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from nadia.conversations.pauses import Activity
from nadia.review.models import DeskCounts, QueueItem, Resolution
from nadia.web.fields import LARGEST_ID, RequestBody

Tab = Literal["waiting", "parked", "recent"]
Revision = Annotated[int, Field(ge=0, le=LARGEST_ID, description="The conversation's revision that was looked at.")]
Bubble = Annotated[str, Field(max_length=4096)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
TelegramAccount = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Near = Annotated[str, Query(max_length=500, description="What the customer wrote; the nearest replies come first.")]


class Approve(RequestBody):
    """The reply to send, to the letter."""

    bubbles: list[Bubble] = Field(min_length=1, max_length=10, description="One message each, in order.")
    seen_revision: Revision
    seen_draft: Annotated[int, Field(ge=1, le=LARGEST_ID)] | None = Field(
        description="The id of the draft that was looked at; null when there was none."
    )
    confirm_newer: bool = Field(False, description="The reply holds although the customer wrote after the draft.")


class Reject(RequestBody):
    """Why no reply goes out."""

    reason: Reason
    seen_revision: Revision


class Redraft(RequestBody):
    """Why another draft is wanted."""

    reason: Reason | None = None


class Park(RequestBody):
    """What the item waits for."""

    reason: Reason


class Unpark(RequestBody):
    """How a parked item is taken up."""

    resolution: Resolution


class PauseIn(RequestBody):
    """What to stop."""

    activity: Activity
    telegram_account_id: TelegramAccount | None = Field(None, description="Left out: all accounts.")
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class QueueOut(BaseModel):
    """A list of the desk with the counts of all."""

    waiting: int
    counts: DeskCounts
    items: list[QueueItem]


class ClaimOut(BaseModel):
    """A hold on an item."""

    batch_id: int
    claimed_by_id: int
    claimed_by: str
    claim_expires_at: datetime
    claim_seconds_left: float
    renewed: bool


class ApprovalOut(BaseModel):
    """A reply that leaves unless it is taken back."""

    batch_id: int
    decision_id: int
    undo_until: datetime
    undo_seconds: float = Field(description="Seconds until then, whatever the caller's clock says.")


class ItemState(BaseModel):
    """Where an item is after what was done."""

    batch_id: int
    state: str


class SavedReplyOut(BaseModel):
    """A saved reply; ``score`` says how near it is, 0 to 1, where that was asked."""

    title: str
    text: str
    score: float | None


class SavedRepliesOut(BaseModel):
    """The desk's saved replies, and why the file's newest version is not in use, if so."""

    replies: list[SavedReplyOut]
    problem: str | None


class PauseOut(BaseModel):
    """Something that stands still; without an account, for all."""

    activity: Activity
    telegram_account_id: str | None
    reason: str
    paused_by: str
    paused_at: datetime


class PausesOut(BaseModel):
    """All that stands still."""

    pauses: list[PauseOut]
