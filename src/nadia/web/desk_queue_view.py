"""What the desk's pages say about the queue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nadia.conversations.models import BatchState
from nadia.review.models import DeskCounts, QueueItem
from nadia.web.desk_models import Tab
from nadia.web.desk_words import LATE, STATE_NAMES, Mark, duration, risk_marks, seconds_left
from nadia.web.kinds import kind_label
from nadia.web.legible import legible_name, legible_text

ROWS: Final = 200
"""Rows of the queue that a page shows; what is behind them follows when they are done."""

_STATE_TONES: Final[Mapping[BatchState, str]] = {
    BatchState.SENT: "good",
    BatchState.APPROVED: "accent",
    BatchState.SENDING: "accent",
}


@dataclass(frozen=True, slots=True)
class TabView:
    """A tab above the queue."""

    name: Tab
    label: str
    count: int | None


@dataclass(frozen=True, slots=True)
class RowView:
    """A line of the queue."""

    id: int
    name: str
    preview: str
    since: datetime
    waited: str
    urgent: bool
    taken: bool
    marks: tuple[Mark, ...]
    undo_seconds: int


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue under one of its tabs."""

    tab: Tab
    label: str
    counts: DeskCounts
    tabs: tuple[TabView, ...]
    rows: tuple[RowView, ...]
    more: int
    empty_title: str
    empty_text: str


def queue_view(
    tab: Tab, items: Sequence[QueueItem], counts: DeskCounts, *, me: int, now: datetime, limit: int = ROWS
) -> QueueView:
    """Describe the queue.

    Parameters
    ----------
    tab : str
        Which of its lists.
    items : sequence of QueueItem
        Its items in order.
    counts : DeskCounts
        How many there are of each kind.
    me : int
        The account that looks.
    now : datetime
        The present.
    limit : int
        Most rows.
    """
    title, text = {
        "waiting": (
            "Nobody is waiting",
            "When a customer writes, their messages are gathered for a few seconds, a draft is made, and it appears "
            "here by itself.",
        ),
        "parked": (
            "Nothing is parked",
            "Conversations that need a person's look before they go on, such as a reply that may or may not have been "
            "sent, appear here.",
        ),
        "recent": ("Nothing was decided lately", "What you approve or reject appears here, with Undo while it lasts."),
    }[tab]
    total = counts.waiting if tab == "waiting" else counts.parked if tab == "parked" else len(items)
    shown = items[:limit]
    return QueueView(
        tab=tab,
        label={"waiting": "Waiting", "parked": "Parked", "recent": "Recently decided"}[tab],
        counts=counts,
        tabs=(
            TabView("waiting", "Waiting", counts.waiting),
            TabView("parked", "Parked", counts.parked),
            TabView("recent", "Decided", None),
        ),
        rows=tuple(_row(tab, item, me=me, now=now) for item in shown),
        more=max(0, total - len(shown)),
        empty_title=title,
        empty_text=text,
    )


def _row(tab: Tab, item: QueueItem, *, me: int, now: datetime) -> RowView:
    since = item.sealed_at if tab == "waiting" else item.changed_at
    return RowView(
        id=item.batch_id,
        name=legible_name(item.person_name),
        preview=_preview(item),
        since=since,
        waited=duration((now - since).total_seconds()),
        urgent=item.priority > 0,
        taken=_is_held(item, now) and item.claimed_by_id != me,
        marks=tuple(_row_marks(tab, item, me=me, now=now)),
        undo_seconds=seconds_left(item.undo_until, now) if tab == "recent" else 0,
    )


def _preview(item: QueueItem) -> str:
    parts = (kind_label(item.preview_kind, item.preview_media), " ".join(legible_text(item.preview).split()))
    return " · ".join(filter(None, parts)) or "(no text)"


def _row_marks(tab: Tab, item: QueueItem, *, me: int, now: datetime) -> Iterator[Mark]:
    if tab == "recent":
        yield Mark(STATE_NAMES[item.state], _STATE_TONES.get(item.state, ""))
    if tab == "parked" and item.parked_reason:
        yield Mark(item.parked_reason, "warn")
    if item.priority > 0:
        yield Mark("Urgent", "bad")
    if tab != "recent" and item.late_since is not None:
        age = duration((now - item.late_since).total_seconds())
        yield Mark(f"Late: written {age} ago", "warn", LATE)
    if tab == "waiting" and _is_held(item, now):
        yield Mark("You", "accent") if item.claimed_by_id == me else Mark(item.claimed_by or "Somebody", "accent")
    if tab == "waiting" and item.stale:
        yield Mark("Wrote again", "warn", "The customer wrote again after the draft was made")
    if tab == "waiting" and item.state is BatchState.SEALED:
        yield Mark("Drafting", "", "A draft is being made")
    elif tab == "waiting" and not item.has_draft:
        yield Mark("No draft", "warn", item.no_draft_reason or "")
    yield from risk_marks(item.risk, item.flags)
    if item.messages > 1:
        yield Mark(f"{item.messages} messages")
    if item.score is not None and tab == "waiting":
        yield Mark(f"{item.score:.0%}".replace("%", " %"), "", "How sure the drafter is, or how near the saved reply")


def _is_held(item: QueueItem, now: datetime) -> bool:
    return item.claimed_by_id is not None and seconds_left(item.claim_expires_at, now) > 0
