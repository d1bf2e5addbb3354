"""Taking up what was parked, as a person decides."""

from nadia.conversations.models import BatchState
from nadia.conversations.transitions import LockedBatch, move
from nadia.delivery.outbox import Outbox
from nadia.errors import ConflictError
from nadia.postgres.database import Connection
from nadia.quarantine.gate import item_was_rejected, require_answerable
from nadia.review import store
from nadia.review.decisions import record_decision
from nadia.review.models import DecisionKind, Resolution, ReviewerRef


async def take_up(
    conn: Connection, locked: LockedBatch, *, account: ReviewerRef, resolution: Resolution, outbox: Outbox
) -> LockedBatch:
    """Take a parked batch out of parking within the caller's transaction.

    Raises
    ------
    ConflictError
        If the conversation has another open item, or nothing is in doubt that could have been sent.
    SilencedError
        If the customer is silenced and no reply may follow; what was sent can be said all the same.
    """
    batch = locked.batch
    if resolution is Resolution.REJECT:
        await outbox.drop(conn, batch.id)
        await item_was_rejected(conn, batch.id, actor=account.actor, reason="rejected at the desk")
        await record_decision(conn, locked, account, DecisionKind.REJECT, "parked")
        return await move(conn, locked, BatchState.REJECTED, actor=account.actor)
    other = await store.other_open_item(conn, conversation_id=batch.conversation_id, batch_id=batch.id)
    if other is not None:
        raise ConflictError(
            f"the conversation has another open item, {other}", hint="finish that one first, or reject this one"
        )
    if resolution is Resolution.WAS_SENT:
        return await outbox.was_sent(conn, locked, actor=account.actor)
    await require_answerable(conn, batch.id)
    if resolution is Resolution.SEND_AGAIN:
        return await _send_again(conn, locked, account, outbox)
    return await _resume(conn, locked, account, outbox)


async def _send_again(conn: Connection, locked: LockedBatch, account: ReviewerRef, outbox: Outbox) -> LockedBatch:
    """Approve anew what is in doubt and what follows it: messages that Telegram has not seen before.

    They answer what the first approval answered; if the customer has written since, delivery brings them back.
    """
    doubtful, rest = await outbox.in_doubt(conn, locked)
    await outbox.drop(conn, locked.batch.id)
    bubbles = (doubtful.text, *rest)
    decided = await record_decision(
        conn,
        locked,
        account,
        DecisionKind.APPROVE,
        "sent again",
        bubbles=bubbles,
        answers_revision=doubtful.conversation_revision,
    )
    await outbox.enqueue(
        conn,
        locked,
        decision_id=decided.id,
        bubbles=bubbles,
        answers_revision=doubtful.conversation_revision,
        discloses=doubtful.discloses,
    )
    return await move(conn, locked, BatchState.SENDING, actor=account.actor, reason="to be sent again")


async def _resume(conn: Connection, locked: LockedBatch, account: ReviewerRef, outbox: Outbox) -> LockedBatch:
    former = locked.batch.parked_from
    assert former is not None, "the schema has it for every parked batch"
    resumed = await move(conn, locked, former, actor=account.actor, redraft=former is BatchState.SEALED)
    if former is not BatchState.SENDING:
        return resumed
    # What was in doubt stays on record; what the customer still needs is for the reviewer to say.
    await outbox.drop(conn, locked.batch.id)
    return await move(conn, resumed, BatchState.IN_REVIEW, actor=account.actor, reason="back to the desk")
