"""The gate that a silence closes: asked by sealing, approving and sending, always of PostgreSQL, under the lock."""

import structlog

from nadia.conversations import audit
from nadia.conversations.models import BatchState
from nadia.conversations.transitions import LockedBatch, move
from nadia.postgres.database import Connection
from nadia.quarantine import metrics, store
from nadia.quarantine.errors import SILENCED, SilencedError
from nadia.quarantine.models import Step

log = structlog.get_logger(__name__)


class SilenceGate:
    """Sealing's side of the gate; what `nadia.conversations.batches.Silences` asks for."""

    async def hold(self, conn: Connection, conversation_id: int, *, is_whole_burst: bool = True) -> int:
        """Set the conversation's loose messages aside, if its customer is silenced; returns how many.

        What was released is let through, and with a pass all that is loose, once.

        Parameters
        ----------
        conn : Connection
            The transaction that holds the conversation's lock.
        conversation_id : int
            Whose messages.
        is_whole_burst : bool
            Whether the customer has finished writing; a pass waits for that.
        """
        status = await store.status(conn, conversation_id)
        if status is None or (status.pass_granted and not is_whole_burst):
            return 0
        if status.pass_granted and await _use_pass(conn, status.person_id, conversation_id):
            return 0
        held = await store.hold_loose(conn, person_id=status.person_id, conversation_id=conversation_id)
        if held:
            await note(conn, status.person_id, Step.HELD, actor=audit.SYSTEM, messages=held)
        return held


async def is_withheld(conn: Connection, batch_id: int) -> bool:
    """Tell within the caller's transaction whether a silence keeps a batch from being answered."""
    return await store.is_withheld(conn, batch_id)


async def require_answerable(conn: Connection, batch_id: int) -> None:
    """Check within the caller's transaction that no silence keeps a batch from being answered.

    Raises
    ------
    SilencedError
        If one does.
    """
    if await store.is_withheld(conn, batch_id):
        metrics.REFUSED_APPROVALS.inc()
        raise SilencedError(batch_id)


async def withhold(conn: Connection, locked: LockedBatch, *, actor: str) -> int:
    """Park an item of which nothing is on its way; its messages wait for a decision. Returns how many those are."""
    await move(conn, locked, BatchState.PARKED, actor=actor, reason=SILENCED)
    status = await store.status(conn, locked.conversation.id)
    if status is None:
        return 0
    held = await store.hold_members(conn, person_id=status.person_id, batch_id=locked.batch.id)
    await note(conn, status.person_id, Step.HELD, actor=actor, messages=held)
    return held


async def item_was_rejected(conn: Connection, batch_id: int, *, actor: str, reason: str) -> None:
    """Put on record that the desk ended a parked item whose messages waited for a decision, if they did."""
    people = await store.settle_item(conn, batch_id, to=Step.DISCARDED, actor=actor)
    if people:
        await note(conn, people[0], Step.DISCARDED, actor=actor, reason=reason, messages=len(people))


async def note(
    conn: Connection, person_id: int, step: Step, *, actor: str, reason: str | None = None, messages: int = 0
) -> None:
    """Put a step on record: the protocol's log, the log event, the counts."""
    await store.log_step(conn, person_id, step, actor=actor, reason=reason, messages=messages)
    metrics.STEPS.labels(step.value).inc()
    if messages and step in (Step.HELD, Step.RELEASED, Step.DISCARDED, Step.EXPIRED):
        metrics.MESSAGES.labels(step.value).inc(messages)
    log.info("quarantine.step", step=step.value, person_id=person_id, actor=actor, messages=messages)


async def _use_pass(conn: Connection, person_id: int, conversation_id: int) -> bool:
    granted_by = await store.lock_pass(conn, person_id)
    if granted_by is None:  # the person's other conversation was quicker
        return False
    passed = await store.let_pass(conn, person_id=person_id, conversation_id=conversation_id, actor=granted_by)
    if passed:
        await store.clear_pass(conn, person_id)
        await note(conn, person_id, Step.PASS_USED, actor=granted_by, messages=passed)
    return passed > 0
