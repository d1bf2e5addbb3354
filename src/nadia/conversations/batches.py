"""Sealing bursts into batches, and finding the batches that need attention."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from nadia.conversations import audit
from nadia.conversations.models import Batch, BatchState, Conversation
from nadia.conversations.transitions import (
    ALLOWED,
    PARKED,
    LockedBatch,
    batch_from_row,
    conversation_from_row,
    lock_batch,
    move,
    note_transition,
)
from nadia.notices import Notice, Severity
from nadia.notices import record as record_notice
from nadia.postgres.database import Connection, Database

log = structlog.get_logger(__name__)

_LOCK_CONVERSATION = """
SELECT id, telegram_account_id, chat_id, partition, revision, replies, disclosed_at
FROM conversations WHERE id = %(conversation_id)s FOR UPDATE
"""

_HAS_UNSEALED = """
SELECT EXISTS (
    SELECT 1 FROM messages
    WHERE conversation_id = %(conversation_id)s AND batch_id IS NULL AND held_at IS NULL AND direction = 'in'
) AS waiting
"""

# The one open item that the burst joins; whether a reviewer holds it is asked of the database's clock.
_OPEN_BATCH = """
SELECT *, claim_expires_at > clock_timestamp() AS claim_lives FROM batches
WHERE conversation_id = %(conversation_id)s AND state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending')
"""

_CREATE = """
INSERT INTO batches (conversation_id, state, priority, conversation_revision)
VALUES (%(conversation_id)s, %(state)s, %(priority)s, %(conversation_revision)s)
RETURNING *
"""

# Taking the members is what seals: no rows, no batch, whoever else tried before.
_TAKE_MEMBERS = """
UPDATE messages SET batch_id = %(batch_id)s
WHERE conversation_id = %(conversation_id)s AND batch_id IS NULL AND held_at IS NULL AND direction = 'in'
RETURNING id
"""

# Held messages that somebody decided about, into the batch that shows how they ended.
_TAKE_HELD = """
UPDATE messages SET batch_id = %(batch_id)s
WHERE conversation_id = %(conversation_id)s AND batch_id IS NULL AND id = ANY(%(message_ids)s)
"""

_JOINED = """
UPDATE batches SET
    conversation_revision = %(conversation_revision)s,
    priority = greatest(priority, %(priority)s),
    -- A draft in the making does not know the new messages: another one is wanted.
    revision = revision + CASE WHEN state = 'sealed' THEN 1 ELSE 0 END,
    drafting_attempts = CASE WHEN state = 'sealed' THEN 0 ELSE drafting_attempts END,
    drafting_until = NULL
WHERE id = %(batch_id)s
RETURNING *
"""

# Conversations whose burst is over by the database's clock: the fallback and the safety net of pacing. Those whose
# reply is just leaving cannot be sealed now and would keep others out of the limit.
_OVERDUE = """
SELECT conversation_id, max(c.partition) AS partition
FROM messages m JOIN conversations c ON c.id = m.conversation_id
WHERE m.batch_id IS NULL AND m.held_at IS NULL AND m.direction = 'in'
  AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.conversation_id = m.conversation_id AND b.state = 'sending')
GROUP BY conversation_id
HAVING max(m.received_at) < clock_timestamp() - %(window)s OR min(m.received_at) < clock_timestamp() - %(longest)s
ORDER BY min(m.received_at)
LIMIT %(limit)s
"""

# Every conversation with messages that belong to no batch yet.
_BUFFERING = """
SELECT conversation_id, max(c.partition) AS partition, min(m.received_at) AS first_at, max(m.received_at) AS last_at,
       count(*) AS messages
FROM messages m JOIN conversations c ON c.id = m.conversation_id
WHERE m.batch_id IS NULL AND m.held_at IS NULL AND m.direction = 'in'
GROUP BY conversation_id
"""

# What somebody drafts at the moment needs nobody else.
_SEALED_FOR = """
SELECT id FROM batches
WHERE state = 'sealed' AND changed_at <= clock_timestamp() - %(at_least)s AND id <> ALL(%(besides)s::bigint[])
  AND (drafting_until IS NULL OR drafting_until <= clock_timestamp())
ORDER BY priority DESC, sealed_at LIMIT %(limit)s
"""

# Age counts from the newest message: a customer who wrote again waits anew. What a reviewer holds is being answered.
_TOO_OLD = """
b.state IN ('sealed', 'drafted', 'in_review')
  AND b.sealed_at < clock_timestamp() - %(age)s
  AND (b.claim_expires_at IS NULL OR b.claim_expires_at < clock_timestamp())
  AND NOT EXISTS (
      SELECT 1 FROM messages m
      WHERE m.conversation_id = b.conversation_id AND m.direction = 'in'
        AND (m.batch_id = b.id OR m.batch_id IS NULL AND m.held_at IS NULL)
        AND m.received_at >= clock_timestamp() - %(age)s
  )
"""

_FIND_TOO_OLD = f"SELECT b.id FROM batches b WHERE {_TOO_OLD} ORDER BY b.id LIMIT %(limit)s"  # noqa: S608 - constants

# Asked again under the lock: a claim or a message may have come in between.
_IS_TOO_OLD = f"SELECT EXISTS (SELECT 1 FROM batches b WHERE b.id = %(batch_id)s AND {_TOO_OLD}) AS too_old"  # noqa: S608 - constants

_COUNTS = "SELECT state, count(*) AS batches FROM batches WHERE state = ANY(%(states)s) GROUP BY state"


class RecallsReplies(Protocol):
    """Takes back what was approved and has not begun to leave; delivery writes it."""

    async def recall(self, conn: Connection, batch_id: int) -> None:
        """Cancel the batch's queued bubbles within the caller's transaction."""

    async def is_leaving(self, conn: Connection, batch_id: int) -> bool:
        """Tell whether a bubble of the batch is just being sent, or nobody knows yet whether it was."""


class Silences(Protocol):
    """Keeps what silenced customers write from being answered; quarantine writes it."""

    async def hold(self, conn: Connection, conversation_id: int) -> int:
        """Set the conversation's loose messages aside within the caller's transaction, which holds its lock.

        Returns
        -------
        int
            How many were set aside now; 0 where they may be answered.
        """


@dataclass(frozen=True, slots=True)
class Sealed:
    """A burst that now belongs to a batch.

    Parameters
    ----------
    batch : Batch
        After sealing.
    messages : int
        How many joined now.
    wants_draft : bool
        Whether drafting has something to do.
    """

    batch: Batch
    messages: int
    wants_draft: bool


@dataclass(frozen=True, slots=True)
class SealPostponed:
    """A reply to the conversation is leaving just now; the burst is sealed when it has settled."""


@dataclass(frozen=True, slots=True)
class SealHeld:
    """The customer is silenced: so many messages were set aside, and nothing is sealed."""

    messages: int


@dataclass(frozen=True, slots=True)
class Buffering:
    """A conversation with messages that belong to no batch yet; times in seconds since 1970."""

    conversation_id: int
    partition: int
    first_at: float
    last_at: float
    messages: int


class Batches:
    """Seals, joins, expires and counts batches.

    Parameters
    ----------
    database : Database
        Where they are.
    replies : RecallsReplies
        Takes back an approved reply when the customer has written again.
    silences : Silences
        Asked under the conversation's lock, before anything is sealed.
    """

    def __init__(self, *, database: Database, replies: RecallsReplies, silences: Silences) -> None:
        self._database = database
        self._replies = replies
        self._silences = silences

    async def seal(self, conversation_id: int, *, priority: int = 0) -> Sealed | SealPostponed | SealHeld | None:
        """Put the conversation's loose messages into its open batch, or a new one.

        Returns
        -------
        Sealed, SealPostponed, SealHeld or None
            None if there was nothing to seal: someone else did it.
        """
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_LOCK_CONVERSATION, {"conversation_id": conversation_id})).fetchone()
            if row is None:
                return None
            held = await self._silences.hold(conn, conversation_id)
            waiting = await (await conn.execute(_HAS_UNSEALED, {"conversation_id": conversation_id})).fetchone()
            if waiting is None or not waiting["waiting"]:
                return SealHeld(messages=held) if held else None
            conversation = conversation_from_row(row)
            found = await (await conn.execute(_OPEN_BATCH, {"conversation_id": conversation_id})).fetchone()
            if found is None:
                batch = await _create(conn, conversation, BatchState.SEALED, actor=audit.SYSTEM, priority=priority)
                members = await take_members(conn, batch)
                return Sealed(batch=batch, messages=len(members), wants_draft=True)
            locked = LockedBatch(batch=batch_from_row(found), conversation=conversation)
            if locked.batch.state is BatchState.SENDING and await self._replies.is_leaving(conn, locked.batch.id):
                return SealPostponed()
            return await self._join(conn, locked, claim_lives=bool(found["claim_lives"]), priority=priority)

    async def _join(self, conn: Connection, locked: LockedBatch, *, claim_lives: bool, priority: int) -> Sealed:
        members = await take_members(conn, locked.batch)
        row = await (
            await conn.execute(
                _JOINED,
                {
                    "batch_id": locked.batch.id,
                    "conversation_revision": locked.conversation.revision,
                    "priority": priority,
                },
            )
        ).fetchone()
        assert row is not None, "the row is locked"
        locked = LockedBatch(batch=batch_from_row(row), conversation=locked.conversation)
        log.info("batch.joined", batch_id=locked.batch.id, messages=len(members), state=locked.batch.state.value)
        if locked.batch.state in (BatchState.APPROVED, BatchState.SENDING):
            await self._replies.recall(conn, locked.batch.id)
            locked = await move(
                conn, locked, BatchState.IN_REVIEW, actor=audit.SYSTEM, reason="the customer wrote again"
            )
        elif locked.batch.state is BatchState.DRAFTED or (
            locked.batch.state is BatchState.IN_REVIEW and not claim_lives
        ):
            locked = await move(
                conn, locked, BatchState.SEALED, actor=audit.SYSTEM, reason="the customer wrote again", redraft=True
            )
        return Sealed(batch=locked.batch, messages=len(members), wants_draft=locked.batch.state is BatchState.SEALED)

    async def buffering(self) -> list[Buffering]:
        """Return every conversation with messages that belong to no batch yet."""
        async with self._database.connection() as conn:
            rows = await (await conn.execute(_BUFFERING)).fetchall()
        return [
            Buffering(
                conversation_id=row["conversation_id"],
                partition=row["partition"],
                first_at=row["first_at"].timestamp(),
                last_at=row["last_at"].timestamp(),
                messages=row["messages"],
            )
            for row in rows
        ]

    async def overdue(self, *, window_seconds: float, longest_seconds: float, limit: int = 100) -> list[int]:
        """Return conversations whose burst is over by the database's clock, longest waiting first."""
        async with self._database.connection() as conn:
            cursor = await conn.execute(
                _OVERDUE,
                {
                    "window": timedelta(seconds=window_seconds),
                    "longest": timedelta(seconds=longest_seconds),
                    "limit": limit,
                },
            )
            return [row["conversation_id"] for row in await cursor.fetchall()]

    async def sealed_for(
        self, *, at_least_seconds: float, limit: int | None = None, besides: Collection[int] = ()
    ) -> list[int]:
        """Return batches that have waited for a draft at least so long and that nobody drafts, most urgent first.

        Parameters
        ----------
        at_least_seconds : float
            By the database's clock.
        limit : int, optional
            Most batches.
        besides : collection of int
            Batches that the caller knows.
        """
        values = {"at_least": timedelta(seconds=at_least_seconds), "limit": limit, "besides": list(besides)}
        async with self._database.connection() as conn:
            return [row["id"] for row in await (await conn.execute(_SEALED_FOR, values)).fetchall()]

    async def expire(self, *, older_than: timedelta, limit: int = 100) -> int:
        """End batches that nobody answered for so long; each is a notice. Returns how many."""
        async with self._database.connection() as conn:
            rows = await (await conn.execute(_FIND_TOO_OLD, {"age": older_than, "limit": limit})).fetchall()
        return sum([await self._expire_one(row["id"], older_than) for row in rows])

    async def _expire_one(self, batch_id: int, age: timedelta) -> bool:
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            row = await (await conn.execute(_IS_TOO_OLD, {"batch_id": batch_id, "age": age})).fetchone()
            if row is None or not row["too_old"]:
                return False
            await move(conn, locked, BatchState.EXPIRED, actor=audit.SYSTEM, reason="nobody answered in time")
            await record_notice(
                conn,
                Notice(
                    topic="batch.expired",
                    summary="A customer's messages were not answered in time; open the conversation to see them.",
                    labels={"batch": str(batch_id)},
                ),
            )
        return True

    async def counts(self, states: Sequence[BatchState]) -> dict[BatchState, int]:
        """Return how many batches are in each of the states."""
        async with self._database.connection() as conn:
            cursor = await conn.execute(_COUNTS, {"states": [state.value for state in states]})
            found = {BatchState(row["state"]): int(row["batches"]) for row in await cursor.fetchall()}
        return {state: found.get(state, 0) for state in states}


async def take_members(conn: Connection, batch: Batch) -> list[int]:
    """Give the conversation's loose messages to a batch; the caller holds the conversation's lock."""
    cursor = await conn.execute(_TAKE_MEMBERS, {"batch_id": batch.id, "conversation_id": batch.conversation_id})
    return [row["id"] for row in await cursor.fetchall()]


async def end_unanswered(
    conn: Connection,
    conversation: Conversation,
    message_ids: Sequence[int],
    *,
    to: BatchState,
    actor: str,
    reason: str,
) -> Batch:
    """Make a batch of held messages that ends at once, within the transaction that holds the conversation's lock.

    Parameters
    ----------
    conn : Connection
        The transaction.
    conversation : Conversation
        Whose messages.
    message_ids : sequence of int
        Those of them that belong to no batch.
    to : BatchState
        ``rejected`` or ``expired``.
    actor, reason : str
        For the audit.
    """
    batch = await _create(conn, conversation, to, actor=actor, reason=reason)
    values = {"batch_id": batch.id, "conversation_id": conversation.id, "message_ids": list(message_ids)}
    await conn.execute(_TAKE_HELD, values)
    return batch


async def _create(
    conn: Connection,
    conversation: Conversation,
    state: BatchState,
    *,
    actor: str,
    priority: int = 0,
    reason: str | None = None,
) -> Batch:
    assert state in ALLOWED[BatchState.BUFFERING], "a batch begins sealed, or ends with its beginning"
    values = {
        "conversation_id": conversation.id,
        "conversation_revision": conversation.revision,
        "priority": priority,
        "state": state.value,
    }
    row = await (await conn.execute(_CREATE, values)).fetchone()
    assert row is not None, "the insert returns its row"
    await note_transition(
        conn, batch_id=row["id"], before=BatchState.BUFFERING, after=state, actor=actor, reason=reason
    )
    return batch_from_row(row)


async def park(conn: Connection, locked: LockedBatch, *, reason: str, actor: str) -> LockedBatch:
    """Park a locked batch within the caller's transaction, with a notice."""
    parked = await move(conn, locked, BatchState.PARKED, actor=actor, reason=reason)
    await record_notice(
        conn,
        Notice(
            topic=PARKED,
            summary=f"A conversation waits for a person: {reason}. Open it at the desk under Parked.",
            severity=Severity.CRITICAL,
            labels={"batch": str(locked.batch.id)},
        ),
    )
    return parked
