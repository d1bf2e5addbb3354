"""Drafts on record."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from nadia.constants import CONSTITUTION_VERSION
from nadia.conversations import audit
from nadia.conversations.models import Batch
from nadia.conversations.order import PLACE
from nadia.conversations.transitions import LockedBatch
from nadia.postgres.database import Connection

# An attempt is counted before it begins: one that kills the process counts too. What somebody drafts is left to them,
# unless that attempt was the caller's own, has ended, and could not say so.
_BEGIN_ATTEMPT = """
UPDATE batches SET
    drafting_attempts = drafting_attempts + CASE WHEN drafting_until = %(own)s::timestamptz THEN 0 ELSE 1 END,
    drafting_until = clock_timestamp() + %(lease)s
WHERE id = %(batch_id)s
  AND (drafting_until IS NULL OR drafting_until <= clock_timestamp() OR drafting_until = %(own)s::timestamptz)
RETURNING drafting_attempts, drafting_until
"""

# Only this very attempt is ended, not a later one of somebody else's.
_END_ATTEMPT = """
UPDATE batches SET
    drafting_attempts = greatest(0, drafting_attempts - CASE WHEN %(counts)s THEN 0 ELSE 1 END),
    drafting_until = NULL
WHERE id = %(batch_id)s AND drafting_until = %(until)s
"""

# The batch's messages from before the newest ones of the conversation, in Telegram's order.
_NOT_SHOWN = f"""
SELECT count(*) AS messages FROM messages m
WHERE m.batch_id = %(batch_id)s AND m.direction = 'in' AND m.deleted_at IS NULL AND ({PLACE}, m.id) <= (
    SELECT {PLACE}, m.id FROM messages m WHERE m.conversation_id = %(conversation_id)s
    ORDER BY {PLACE} DESC, m.id DESC OFFSET %(shown)s LIMIT 1
)
"""  # noqa: S608 - constants only

# When the newest message was written that the batch answers, unless a person has asked for its draft.
_LEFT_SINCE = """
SELECT max(m.sent_at) AS newest FROM messages m
WHERE m.batch_id = %(batch_id)s AND m.direction = 'in' AND m.deleted_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM audit_log a WHERE a.subject = 'batch:' || %(batch_id)s AND a.action = 'batch.moved'
      AND a.after ->> 'state' = 'sealed' AND a.actor <> %(system)s
)
"""

# One draft per batch and revision, whoever writes it first.
_INSERT = """
INSERT INTO drafts (batch_id, revision, conversation_revision, bubbles, profile, model, score, flags, input_tokens,
                    output_tokens, cost_usd, latency_ms, constitution_version)
VALUES (%(batch_id)s, %(revision)s, %(conversation_revision)s, %(bubbles)s, %(profile)s, %(model)s, %(score)s,
        %(flags)s::jsonb, %(input_tokens)s, %(output_tokens)s, %(cost_usd)s, %(latency_ms)s, %(constitution_version)s)
ON CONFLICT (batch_id, revision) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewDraft:
    """A draft to put on record.

    Parameters
    ----------
    bubbles : list of str
        The messages of the reply, at least one.
    profile, model : str
        Who wrote it.
    score : float or None
        How sure it is, 0 to 1.
    flags : list of str
        What a reviewer should look at.
    input_tokens, output_tokens : int
        What was charged.
    cost_usd : Decimal
        US dollars.
    latency_seconds : float
        From the question to the answer.
    """

    bubbles: list[str]
    profile: str
    model: str
    score: float | None
    flags: list[str]
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    latency_seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right to draft a batch.

    Parameters
    ----------
    number : int
        1 for the first; earlier ones that ended in order are not counted.
    until : datetime
        When the right runs out, by the database's clock; names the attempt.
    """

    number: int
    until: datetime


async def begin_attempt(
    conn: Connection, batch_id: int, *, lease: timedelta, own: datetime | None = None
) -> Attempt | None:
    """Take the right to draft a batch; None while somebody else has it.

    Parameters
    ----------
    conn : Connection
        The transaction that holds the lock.
    batch_id : int
        Which.
    lease : timedelta
        How long nobody else may draft it.
    own : datetime, optional
        Names an attempt of the caller's that has ended without `end_attempt`.
    """
    values = {"batch_id": batch_id, "lease": lease, "own": own}
    row = await (await conn.execute(_BEGIN_ATTEMPT, values)).fetchone()
    return None if row is None else Attempt(number=row["drafting_attempts"], until=row["drafting_until"])


async def end_attempt(conn: Connection, batch_id: int, attempt: Attempt, *, counts: bool) -> None:
    """Give the right back without a draft; the attempt counts towards parking only if it is to."""
    await conn.execute(_END_ATTEMPT, {"batch_id": batch_id, "until": attempt.until, "counts": counts})


async def not_shown(conn: Connection, batch: Batch, *, shown: int) -> int:
    """Return how many of a batch's messages are not among the conversation's newest, of which so many were shown."""
    values = {"batch_id": batch.id, "conversation_id": batch.conversation_id, "shown": shown}
    row = await (await conn.execute(_NOT_SHOWN, values)).fetchone()
    assert row is not None, "a count is always returned"
    return int(row["messages"])


async def left_since(conn: Connection, batch: Batch) -> datetime | None:
    """Return when the newest message was written that a batch answers; None if a person has asked for its draft."""
    row = await (await conn.execute(_LEFT_SINCE, {"batch_id": batch.id, "system": audit.SYSTEM})).fetchone()
    return None if row is None else row["newest"]


async def insert(conn: Connection, draft: NewDraft, *, answers: LockedBatch) -> None:
    """Put a draft on record, unless this revision has one.

    Parameters
    ----------
    conn : Connection
        The transaction that moves the batch on.
    draft : NewDraft
        What was written.
    answers : LockedBatch
        The batch and conversation as they were when the draft was begun.
    """
    await conn.execute(
        _INSERT,
        {
            "batch_id": answers.batch.id,
            "revision": answers.batch.revision,
            "conversation_revision": answers.conversation.revision,
            "bubbles": draft.bubbles,
            "profile": draft.profile,
            "model": draft.model,
            "score": draft.score,
            "flags": json.dumps(draft.flags),
            "input_tokens": draft.input_tokens,
            "output_tokens": draft.output_tokens,
            "cost_usd": draft.cost_usd,
            "latency_ms": round(draft.latency_seconds * 1000),
            "constitution_version": CONSTITUTION_VERSION,
        },
    )
