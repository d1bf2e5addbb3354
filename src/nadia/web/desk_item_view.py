"""What the desk's pages say about an open item, and the text that its reply starts from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nadia.conversations.models import BatchState
from nadia.quarantine.errors import SILENCED
from nadia.review.models import (
    AuditView,
    DecisionKind,
    DecisionView,
    DraftView,
    ItemDetail,
    MessageView,
    OutboxView,
    Resolution,
)
from nadia.web.desk_words import (
    DECIDABLE,
    LATE,
    OFFLINE,
    SOME_RISK,
    STATE_NAMES,
    Mark,
    duration,
    risk_marks,
    seconds_left,
)
from nadia.web.kinds import kind_label
from nadia.web.legible import legible_name, legible_text

THREAD: Final = 100
"""Messages of a conversation that a page shows, as many as the desk's service reads."""

_NEAR_LENGTH: Final = 400

_LEAVING: Final[Mapping[str, str]] = {
    "queued": "waits to be sent",
    "sending": "being sent",
    "parked": "held back: it may or may not have reached the customer",
}
_ACTIONS: Final[Mapping[str, str]] = {
    "item.claimed": "claimed",
    "item.released": "released",
    "item.claim_renewed": "claim renewed",
}


@dataclass(frozen=True, slots=True)
class Start:
    """What the editor begins with; ``key`` tells one start of an item from another."""

    key: str
    name: str
    bubbles: tuple[str, ...]

    @property
    def text(self) -> str:
        """The bubbles as the editor has them: a blank line between two."""
        return "\n\n".join(self.bubbles)

    @property
    def shown(self) -> tuple[str, ...]:
        """The bubbles for whoever reads and does not edit them."""
        return tuple(map(legible_text, self.bubbles))


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A message as the thread shows it."""

    side: str
    text: str
    kind_label: str
    at: datetime
    notes: tuple[str, ...]
    in_batch: bool
    newer: bool
    deleted: bool
    divider: bool
    event_id: int | None
    """The message's, unless the desk sent it: what the desk says never makes a reply outdated."""
    changed: str
    """When it was last edited or deleted; empty when it stands as it came."""


@dataclass(frozen=True, slots=True)
class LeavingBubble:
    """A bubble that has been approved and is not known to be with the customer."""

    text: str
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class DraftLine:
    """Where the draft came from, in a line."""

    line: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class ResolutionView:
    """A button for a parked item."""

    value: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reply that was approved has come."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A line of the audit trail."""

    at: datetime
    text: str
    who: str
    reason: str | None
    approved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemView:
    """The open item."""

    id: int
    conversation_id: int
    revision: int
    state: str
    state_label: str
    person_id: int
    name: str
    username: str | None
    account: str
    since: datetime
    waited: str
    late_since: datetime | None
    """When the oldest message was written that reached the desk late."""
    late_age: str
    late_marks: tuple[Mark, ...]
    waiting: bool
    decidable: bool
    stale: bool
    stale_text: str
    has_divider: bool
    near: str
    holder: str | None
    holder_id: int | None
    claim_seconds: int
    undo_seconds: int
    parked_reason: str | None
    silenced: bool
    """Parked because the customer is silenced: quarantine decides."""
    resolutions: tuple[ResolutionView, ...]
    progress: Progress | None
    messages: tuple[ThreadMessage, ...]
    truncated: bool
    leaving: tuple[LeavingBubble, ...]
    disclosure: str | None
    has_start: bool
    start: Start
    draft_id: int | None
    draft: DraftLine | None
    draft_note: str
    history: tuple[HistoryLine, ...]


def item_view(detail: ItemDetail, *, me: int, now: datetime) -> ItemView:
    """Describe an item.

    Parameters
    ----------
    detail : ItemDetail
        The item.
    me : int
        The account that looks.
    now : datetime
        The present.
    """
    item = detail.item
    start = start_of(detail)
    decidable = item.state in DECIDABLE
    messages = tuple(_thread(detail.messages))
    waiting = [message.text for message in detail.messages if message.in_this_batch and message.deleted_at is None]
    return ItemView(
        id=item.batch_id,
        conversation_id=item.conversation_id,
        revision=detail.conversation_revision,
        state=item.state.value,
        state_label=STATE_NAMES[item.state],
        person_id=detail.person.id,
        name=legible_name(detail.person.name),
        username=detail.person.username,
        account=item.telegram_account_id,
        since=item.sealed_at,
        waited=duration((now - item.sealed_at).total_seconds()),
        late_since=item.late_since,
        late_age="" if item.late_since is None else duration((now - item.late_since).total_seconds()),
        late_marks=() if item.late_since is None else (Mark("Late", "warn", LATE),),
        waiting=decidable,
        decidable=decidable,
        stale=detail.stale,
        stale_text=_stale_text(detail, start),
        has_divider=any(message.divider for message in messages),
        near="\n".join(waiting)[-_NEAR_LENGTH:],
        holder=item.claimed_by,
        holder_id=item.claimed_by_id,
        claim_seconds=seconds_left(item.claim_expires_at, now) if decidable else 0,
        undo_seconds=seconds_left(detail.undo_until, now),
        parked_reason=item.parked_reason,
        silenced=item.parked_reason == SILENCED,
        resolutions=tuple(_resolutions(detail)),
        progress=_progress(detail),
        messages=messages,
        truncated=len(detail.messages) >= THREAD,
        leaving=tuple(_leaving(detail)),
        disclosure=detail.disclosure,
        has_start=bool(start.bubbles),
        start=start,
        draft_id=detail.draft.id if detail.draft else None,
        draft=_draft_line(detail.draft),
        draft_note=_draft_note(detail),
        history=tuple(_history(detail.audit, detail.decisions)),
    )


def start_of(detail: ItemDetail) -> Start:
    """Say what the editor begins with.

    Usually the newest draft. After an approval that was taken back, what was approved; after one of which a part went
    out, only the rest: nobody should send the first half twice.
    """
    approvals = [decision for decision in detail.decisions if decision.decision is DecisionKind.APPROVE]
    latest = approvals[-1] if approvals else None
    if latest is not None and (detail.draft is None or latest.decided_at > detail.draft.created_at):
        rows = [row for row in detail.outbox if row.decision_id == latest.id]
        if any(row.state == "sent" for row in rows):
            unsent = tuple(row.text for row in rows if row.state != "sent")
            return Start(f"u{latest.id}", "what has not gone out", _told(unsent, detail.disclosure))
        return Start(f"a{latest.id}", "what was approved", _told(latest.bubbles, detail.disclosure))
    if detail.draft is not None:
        return Start(f"d{detail.draft.revision}", "the draft", _told(detail.draft.bubbles, detail.disclosure))
    return Start("d0", "the draft", ())


def _told(bubbles: tuple[str, ...], disclosure: str | None) -> tuple[str, ...]:
    # The disclosure stands above the editor, locked; the service wants it first and once.
    return bubbles[1:] if disclosure is not None and bubbles[:1] == (disclosure,) else bubbles


def _thread(messages: Sequence[MessageView]) -> Iterator[ThreadMessage]:
    # The divider stands above what is new at the end; an older message that was edited says so itself.
    tail = len(messages)
    while tail > 0 and messages[tail - 1].newer_than_draft:
        tail -= 1
    for position, message in enumerate(messages):
        deleted = message.deleted_at is not None
        notes = []
        if message.author == "phone":
            notes.append("sent from the phone")
        if deleted:
            notes.append("deleted")
        elif message.edited_at is not None:
            notes.append("edited")
        if message.newer_than_draft and position < tail:
            notes.append("since the draft")
        if message.late_by is not None and message.author != "desk":
            notes.append(f"reached us {duration(message.late_by.total_seconds())} late")
        yield ThreadMessage(
            side="in" if message.author == "customer" else "out",
            text=legible_text(message.text),
            kind_label=kind_label(message.kind, message.media),
            at=message.sent_at,
            notes=tuple(notes),
            in_batch=message.in_this_batch,
            newer=message.newer_than_draft,
            deleted=deleted,
            divider=position == tail and tail > 0,
            event_id=None if message.author == "desk" else message.id,
            changed=max((at.isoformat() for at in (message.edited_at, message.deleted_at) if at), default=""),
        )


def _leaving(detail: ItemDetail) -> Iterator[LeavingBubble]:
    for row in detail.outbox:
        if row.state in _LEAVING:
            note = _LEAVING[row.state] + (f" ({row.last_error})" if row.last_error else "")
            yield LeavingBubble(text=legible_text(row.text), state=row.state, note=note)


def _progress(detail: ItemDetail) -> Progress | None:
    rows = _latest_rows(detail)
    sent = sum(row.state == "sent" for row in rows)
    match detail.item.state:
        case BatchState.APPROVED:
            waits = next((row.last_error for row in rows if row.last_error), None)
            if waits is not None:
                return Progress(f"Approved: it {waits}.", "warn")
            return Progress("Approved: it leaves in a moment.", "good")
        case BatchState.SENDING:
            return Progress(f"Being sent: {sent} of {len(rows)} are out.", "good")
        case BatchState.SENT:
            return Progress("Sent.", "good")
        case BatchState.REJECTED:
            return Progress("Rejected: no reply goes out.", "")
        case BatchState.EXPIRED:
            return Progress("Expired: nobody answered in time.", "warn")
        case state if state in DECIDABLE and 0 < sent < len(rows):
            return Progress(f"{sent} of {len(rows)} messages went out. The editor has the rest.", "warn")
    return None


def _latest_rows(detail: ItemDetail) -> list[OutboxView]:
    latest = max((row.decision_id for row in detail.outbox), default=0)
    return [row for row in detail.outbox if row.decision_id == latest]


def _resolutions(detail: ItemDetail) -> Iterator[ResolutionView]:
    if detail.item.state is not BatchState.PARKED:
        return
    if any(row.state in ("parked", "sending") for row in detail.outbox):
        yield ResolutionView(
            Resolution.WAS_SENT, "It was sent", "The customer has the message in doubt; go on with the rest"
        )
        yield ResolutionView(Resolution.SEND_AGAIN, "Send it again", "The customer does not have it; send it once more")
    else:
        yield ResolutionView(Resolution.RESUME, "Take it up again", "It goes on where it was")
    yield ResolutionView(Resolution.REJECT, "Close without a reply", "No reply, or no more of it")


def _stale_text(detail: ItemDetail, start: Start) -> str:
    newer = sum(message.newer_than_draft and message.author == "customer" for message in detail.messages)
    than = start.name if start.bubbles else "this item"
    if newer == 1:
        return f"The customer wrote again: one message is newer than {than}."
    if newer > 1:
        return f"The customer wrote again: {newer} messages are newer than {than}."
    return f"The conversation changed after {than} was made."


def _draft_line(draft: DraftView | None) -> DraftLine | None:
    if draft is None:
        return None
    parts = [f"Draft {draft.revision}" if draft.revision > 1 else "Draft", f"by {draft.model}"]
    if draft.score is not None:
        near = " near a saved reply" if draft.model == OFFLINE else " sure"
        parts.append(f"{round(draft.score * 100)} %{near}")
    if draft.risk is not None and draft.risk < SOME_RISK:
        parts.append(f"risk {draft.risk:.1f}")
    if draft.model != OFFLINE:
        parts.append(f"{draft.latency_ms / 1000:.1f} s")
        parts.append(f"${draft.cost_usd:.4f}" if draft.cost_usd else "no cost")
    return DraftLine(line=" · ".join(parts), marks=tuple(risk_marks(draft.risk, draft.flags)))


def _draft_note(detail: ItemDetail) -> str:
    item = detail.item
    if item.state is BatchState.SEALED:
        return "A draft is being made. If you begin to write, the item is yours and no draft comes any more."
    if item.state in DECIDABLE and detail.draft is None:
        reason = f": {item.no_draft_reason}" if item.no_draft_reason else ""
        return f"There is no draft{reason}. Write the reply yourself, or take a saved one."
    return ""


def _history(audit: Sequence[AuditView], decisions: Sequence[DecisionView]) -> Iterator[HistoryLine]:
    # Each approval is one decision and one move, made in one transaction: they follow one another alike.
    approvals = (decision for decision in decisions if decision.decision is DecisionKind.APPROVE)
    for entry in audit:
        before, after = entry.before or {}, entry.after or {}
        reason = after.get("reason")
        # a parked item may go back to being approved: that is no approval
        moved = (entry.action, before.get("state"), after.get("state"))
        is_approval = moved == ("batch.moved", BatchState.IN_REVIEW, BatchState.APPROVED)
        approval = next(approvals, None) if is_approval else None
        yield HistoryLine(
            at=entry.at,
            text=_action_text(entry.action, before, after) if approval is None else _approval_text(approval),
            who="" if entry.actor_name == "system" else entry.actor_name,
            reason=reason if isinstance(reason, str) else None,
            approved=() if approval is None else tuple(map(legible_text, approval.bubbles)),
        )


def _approval_text(approval: DecisionView) -> str:
    return "approved with changes" if approval.edited else "approved"


def _action_text(action: str, before: Mapping[str, object], after: Mapping[str, object]) -> str:
    if action == "batch.moved":
        return f"{_state_name(before.get('state'))} → {_state_name(after.get('state'))}"
    if action in _ACTIONS:
        return _ACTIONS[action]
    rest = {name: value for name, value in after.items() if name != "reason" and value is not None}
    words = action.partition(".")[2].replace("_", " ") or action
    return f"{words} {json.dumps(rest, ensure_ascii=False, default=str)}" if rest else words


def _state_name(value: object) -> str:
    return STATE_NAMES[BatchState(value)] if isinstance(value, str) and value in set(BatchState) else str(value)
