"""Items of the desk as the review service returns them, made by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nadia.conversations.models import BatchState
from nadia.review.models import (
    DecisionKind,
    DecisionView,
    DraftView,
    ItemDetail,
    MessageView,
    OutboxView,
    PersonView,
    QueueItem,
)

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def queue_item(**changes: object) -> QueueItem:
    values: dict[str, object] = {
        "batch_id": 1,
        "conversation_id": 2,
        "telegram_account_id": "sandbox",
        "person_name": "Ana",
        "state": BatchState.DRAFTED,
        "priority": 0,
        "risk": None,
        "flags": (),
        "score": None,
        "sealed_at": NOW - timedelta(minutes=5),
        "changed_at": NOW,
        "messages": 1,
        "preview": "hello",
        "has_draft": True,
        "no_draft_reason": None,
        "stale": False,
        "claimed_by": None,
        "claimed_by_id": None,
        "claim_expires_at": None,
        "undo_until": None,
        "parked_reason": None,
        "parked_from": None,
    }
    return QueueItem(**(values | changes))  # type: ignore[arg-type]  # the test's own values


def draft(*bubbles: str, revision: int = 1, minutes_ago: float = 4) -> DraftView:
    return DraftView(
        id=revision,
        revision=revision,
        answers_revision=1,
        bubbles=bubbles,
        model="offline",
        profile="default",
        score=0.5,
        risk=None,
        flags=(),
        input_tokens=0,
        output_tokens=0,
        cost_usd=Decimal(0),
        latency_ms=3,
        created_at=NOW - timedelta(minutes=minutes_ago),
    )


def approval(*bubbles: str, number: int = 1, minutes_ago: float = 2) -> DecisionView:
    return DecisionView(
        id=number,
        account_id=9,
        account_name="marta",
        decision=DecisionKind.APPROVE,
        bubbles=bubbles,
        edited=True,
        conversation_revision=1,
        despite_newer=False,
        reason=None,
        decided_at=NOW - timedelta(minutes=minutes_ago),
    )


def leaving(text: str, state: str, *, decision: int = 1, position: int = 0) -> OutboxView:
    return OutboxView(
        id=position + 1,
        decision_id=decision,
        position=position,
        text=text,
        state=state,
        discloses=False,
        send_after=NOW,
        attempts=0,
        last_error=None,
        sent_at=None,
    )


def message(
    text: str,
    *,
    author: str = "customer",
    kind: str = "text",
    newer: bool = False,
    edited: bool = False,
    deleted: bool = False,
) -> MessageView:
    return MessageView(
        id=1,
        author=author,
        kind=kind,
        text=text,
        sent_at=NOW,
        received_at=NOW,
        edited_at=NOW if edited else None,
        deleted_at=NOW if deleted else None,
        in_this_batch=author == "customer",
        newer_than_draft=newer,
    )


def detail(
    item: QueueItem | None = None,
    *,
    messages: tuple[MessageView, ...] = (),
    made: DraftView | None = None,
    disclosure: str | None = None,
    decisions: tuple[DecisionView, ...] = (),
    outbox: tuple[OutboxView, ...] = (),
) -> ItemDetail:
    return ItemDetail(
        item=item or queue_item(),
        person=PersonView(id=1, name="Ana", username=None, telegram_user_id=5),
        conversation_revision=1,
        messages=messages,
        draft=made,
        disclosure=disclosure,
        decisions=decisions,
        outbox=outbox,
        audit=(),
    )
