"""Drafts on record."""

import json
from dataclasses import dataclass
from decimal import Decimal

from nadia.constants import CONSTITUTION_VERSION
from nadia.conversations import LockedBatch
from nadia.postgres import Connection

# An attempt is counted before it begins: one that kills the process counts too.
_BEGIN_ATTEMPT = """
UPDATE batches SET drafting_attempts = drafting_attempts + 1 WHERE id = %(batch_id)s RETURNING drafting_attempts
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


async def begin_attempt(conn: Connection, batch_id: int) -> int:
    """Count an attempt at drafting; returns which it is."""
    row = await (await conn.execute(_BEGIN_ATTEMPT, {"batch_id": batch_id})).fetchone()
    assert row is not None, "the batch is locked"
    return int(row["drafting_attempts"])


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
