"""The table of what a batch may turn into, and the one function that turns it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog

from nadia.conversations import audit, metrics
from nadia.conversations.models import OPEN_STATES, Batch, BatchState, Conversation
from nadia.errors import ConflictError, NotFoundError
from nadia.notices import record_end
from nadia.postgres.database import Connection, Row

log = structlog.get_logger(__name__)

_S = BatchState

PARKED: Final = "batch.parked"
"""Topic of a batch that waits for a person; label ``batch``."""

ALLOWED: Final[Mapping[BatchState, frozenset[BatchState]]] = MappingProxyType(
    {
        # What was held in quarantine ends without ever having been an item (docs/design/decisions/17).
        _S.BUFFERING: frozenset({_S.SEALED, _S.REJECTED, _S.EXPIRED}),
        _S.SEALED: frozenset({_S.DRAFTED, _S.IN_REVIEW, _S.EXPIRED, _S.PARKED}),
        _S.DRAFTED: frozenset({_S.IN_REVIEW, _S.SEALED, _S.EXPIRED, _S.PARKED}),
        _S.IN_REVIEW: frozenset({_S.APPROVED, _S.REJECTED, _S.SEALED, _S.EXPIRED, _S.PARKED}),
        _S.APPROVED: frozenset({_S.SENDING, _S.IN_REVIEW, _S.PARKED}),
        # Back to the desk: the customer wrote while the bubbles went out (docs/design/decisions/01).
        _S.SENDING: frozenset({_S.SENT, _S.IN_REVIEW, _S.PARKED}),
        _S.SENT: frozenset(),
        _S.REJECTED: frozenset(),
        _S.EXPIRED: frozenset(),
        _S.PARKED: frozenset({_S.SEALED, _S.DRAFTED, _S.IN_REVIEW, _S.APPROVED, _S.SENDING, _S.REJECTED, _S.EXPIRED}),
    }
)

for _before, _afters in ALLOWED.items():
    for _after in _afters:
        metrics.TRANSITIONS.labels(_before.value, _after.value)


class TransitionError(ConflictError):
    """A batch cannot go from its state to the one asked for."""


@dataclass(frozen=True, slots=True)
class LockedBatch:
    """A batch whose conversation's row this transaction has locked."""

    batch: Batch
    conversation: Conversation


_BATCH_COLUMNS = """
b.id, b.conversation_id, b.state, b.priority, b.revision, b.conversation_revision, b.drafting_attempts,
b.no_draft_reason, b.parked_from, b.parked_reason, b.claimed_by, b.claim_expires_at, b.sealed_at, b.changed_at
"""

# The lock that intake, sealing, review and delivery all take: a conversation changes in one place at a time.
_LOCK_CONVERSATION_OF_BATCH = """
SELECT c.id, c.telegram_account_id, c.chat_id, c.partition, c.revision, c.replies, c.disclosed_at
FROM conversations c WHERE c.id = (SELECT conversation_id FROM batches WHERE id = %(batch_id)s)
FOR UPDATE
"""

# While a batch was parked, the customer's next messages may have begun another.
_HAS_OPEN = """
SELECT EXISTS (
    SELECT 1 FROM batches WHERE conversation_id = %(conversation_id)s AND id <> %(batch_id)s AND state = ANY(%(open)s)
) AS other
"""

_READ_BATCH = f"SELECT {_BATCH_COLUMNS} FROM batches b WHERE b.id = %(batch_id)s"  # noqa: S608 - constants only

_MOVE = f"""
UPDATE batches b SET
    state = %(to)s,
    changed_at = clock_timestamp(),
    revision = b.revision + %(redraft)s,
    -- What is to be drafted, again or after it was parked, gets all its attempts.
    drafting_attempts = CASE WHEN %(to)s = 'sealed' THEN 0 ELSE b.drafting_attempts END,
    drafting_until = NULL,
    no_draft_reason = %(no_draft_reason)s,
    parked_from = %(parked_from)s,
    parked_reason = %(parked_reason)s,
    -- Every step ends the claim of whoever worked on the one before.
    claimed_by = NULL,
    claim_expires_at = NULL
WHERE b.id = %(batch_id)s
RETURNING {_BATCH_COLUMNS}
"""  # noqa: S608 - constants only


async def lock_batch(conn: Connection, batch_id: int) -> LockedBatch:
    """Lock a batch's conversation for the rest of the transaction and read both.

    Raises
    ------
    NotFoundError
        If there is no such batch.
    """
    found = await (await conn.execute(_LOCK_CONVERSATION_OF_BATCH, {"batch_id": batch_id})).fetchone()
    row = await (await conn.execute(_READ_BATCH, {"batch_id": batch_id})).fetchone() if found else None
    if found is None or row is None:
        raise NotFoundError(f"there is no batch {batch_id}")
    return LockedBatch(batch=batch_from_row(row), conversation=conversation_from_row(found))


async def move(
    conn: Connection,
    locked: LockedBatch,
    to: BatchState,
    *,
    actor: str,
    reason: str | None = None,
    redraft: bool = False,
) -> LockedBatch:
    """Take a batch to another state, with its audit row and its log event; what was told of a parked one is over.

    Parameters
    ----------
    conn : Connection
        The transaction that holds the lock.
    locked : LockedBatch
        The batch as it is.
    to : BatchState
        The state to take it to.
    actor : str
        Who asked, for the audit.
    reason : str, optional
        Why, for the audit. When a batch is parked or reaches the desk without a draft it is stored with the batch too.
    redraft : bool
        Ask for a new draft: the revision rises.

    Raises
    ------
    TransitionError
        If the table does not allow it, or the conversation has another open batch by now.
    """
    batch = locked.batch
    if to not in ALLOWED[batch.state] or (to in OPEN_STATES and batch.parked_from not in (None, to)):
        raise TransitionError(
            f"batch {batch.id} is {batch.state} and cannot become {to}",
            hint="look at it again: someone or something else was quicker",
        )
    if batch.state is _S.PARKED and to in OPEN_STATES:
        await _require_no_other_open(conn, batch)
    row = await (
        await conn.execute(
            _MOVE,
            {
                "batch_id": batch.id,
                "to": to.value,
                "redraft": int(redraft),
                "no_draft_reason": _no_draft_reason(batch, to, reason),
                "parked_from": batch.state.value if to is _S.PARKED else None,
                "parked_reason": reason if to is _S.PARKED else None,
            },
        )
    ).fetchone()
    assert row is not None, "the row is locked"
    await note_transition(conn, batch_id=batch.id, before=batch.state, after=to, actor=actor, reason=reason)
    if batch.state is _S.PARKED:
        await record_end(conn, PARKED, {"batch": str(batch.id)}, summary=f"The conversation is {to} now.")
    return LockedBatch(batch=batch_from_row(row), conversation=locked.conversation)


async def _require_no_other_open(conn: Connection, batch: Batch) -> None:
    values = {
        "conversation_id": batch.conversation_id,
        "batch_id": batch.id,
        "open": [state.value for state in OPEN_STATES],
    }
    row = await (await conn.execute(_HAS_OPEN, values)).fetchone()
    if row and row["other"]:
        raise TransitionError(
            f"batch {batch.id} cannot be opened again while its conversation has a newer open one",
            hint="finish or reject the newer one first",
        )


def _no_draft_reason(batch: Batch, to: BatchState, reason: str | None) -> str | None:
    if to is _S.SEALED:
        return None
    return reason if batch.state is _S.SEALED and to is _S.IN_REVIEW else batch.no_draft_reason


async def note_transition(
    conn: Connection, *, batch_id: int, before: BatchState, after: BatchState, actor: str, reason: str | None = None
) -> None:
    """Put a transition on record: audit row, log event, metric."""
    await audit.record(
        conn,
        actor=actor,
        action="batch.moved",
        subject=f"batch:{batch_id}",
        before={"state": before.value},
        after={"state": after.value} | ({"reason": reason} if reason else {}),
    )
    metrics.TRANSITIONS.labels(before.value, after.value).inc()
    # Without the reason: it may be what a reviewer wrote, and has its place in the audit log.
    log.info("batch.moved", batch_id=batch_id, before=before.value, after=after.value, actor=actor)


def batch_from_row(row: Row) -> Batch:
    """Build a batch from a row with its columns."""
    parked_from = row["parked_from"]
    return Batch(
        **{name: row[name] for name in Batch.__slots__ if name not in ("state", "parked_from")},
        state=BatchState(row["state"]),
        parked_from=None if parked_from is None else BatchState(parked_from),
    )


def conversation_from_row(row: Row) -> Conversation:
    """Build a conversation from a row with its columns."""
    return Conversation(**{name: row[name] for name in Conversation.__slots__})
