"""Decisions on record, and counted."""

from nadia.conversations.transitions import LockedBatch
from nadia.postgres.database import Connection
from nadia.review import metrics, store
from nadia.review.models import DecisionKind, ReviewerRef


async def record_decision(
    conn: Connection,
    locked: LockedBatch,
    account: ReviewerRef,
    kind: DecisionKind,
    reason: str | None,
    *,
    bubbles: tuple[str, ...] | None = None,
    answers_revision: int | None = None,
) -> store.Decided:
    """Put on record what a reviewer decided, in the transaction that does it.

    Parameters
    ----------
    conn : Connection
        Inside a transaction.
    locked : LockedBatch
        What was decided about.
    account : ReviewerRef
        Who decided.
    kind : DecisionKind
        What.
    reason : str or None
        Why.
    bubbles : tuple of str, optional
        What was approved, for an approval.
    answers_revision : int, optional
        The conversation's revision that it answers; the present one when absent.
    """
    draft = await store.newest_draft(conn, locked.batch.id)
    return await store.decide(
        conn,
        store.Decision(
            batch_id=locked.batch.id,
            draft_id=draft.id if draft else None,
            account_id=account.id,
            decision=kind,
            bubbles=bubbles,
            conversation_revision=locked.conversation.revision if answers_revision is None else answers_revision,
            reason=reason,
        ),
    )


def count_decision(kind: DecisionKind, decided: store.Decided) -> None:
    """Count a decision that ends a reviewer's work on an item, once it is committed."""
    metrics.DECISIONS.labels(kind).inc()
    metrics.DECISION_SECONDS.observe(decided.seconds_since_sealed)
