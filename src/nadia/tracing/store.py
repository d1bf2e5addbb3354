"""Reads the ways of batches that ended."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

from nadia.postgres.database import Connection, Row
from nadia.tracing.journey import BubbleStep, DecisionStep, DraftStep, Journey, MessageStep, Move

MOST_MESSAGES: Final = 100
"""Of one batch; further ones would tell the same."""

# Batches are told of in the order of their ends. One whose transaction took longer than the margin to be committed
# could be passed over; a statement may not run for that long.
_ENDED = """
SELECT b.id AS batch_id, b.conversation_id, c.telegram_account_id AS account, b.state AS outcome, b.sealed_at,
       b.changed_at AS ended_at
FROM batches b JOIN conversations c ON c.id = b.conversation_id
WHERE b.state IN ('sent', 'rejected', 'expired')
  AND b.changed_at >= %(at)s AND (b.changed_at, b.id) > (%(at)s, %(batch_id)s)
  AND b.changed_at < clock_timestamp() - %(settled)s
ORDER BY b.changed_at, b.id LIMIT %(limit)s
"""

# Only what customers wrote: replies are told by their bubbles.
_MESSAGES = """
SELECT batch_id, id, kind, sent_at, received_at FROM (
    SELECT *, row_number() OVER (PARTITION BY batch_id ORDER BY id) AS place FROM messages
    WHERE batch_id = ANY(%(ids)s) AND direction = 'in'
) m WHERE place <= %(most)s ORDER BY id
"""

# How an item moved, and when somebody took it up.
_MOVES = """
SELECT split_part(subject, ':', 2)::bigint AS batch_id, at,
       CASE WHEN action = 'batch.moved' THEN after ->> 'state' END AS state, action = 'item.claimed' AS claimed
FROM audit_log
WHERE subject = ANY(%(subjects)s) AND action IN ('batch.moved', 'item.claimed') ORDER BY id
"""

# All drafts that the item ever had, with what they cost.
_DRAFTS = """
SELECT batch_id, created_at AS at, latency_ms / 1000.0::float8 AS seconds, model, revision, input_tokens,
       output_tokens, cost_usd::float8 AS cost_usd
FROM drafts WHERE batch_id = ANY(%(ids)s) ORDER BY id
"""

# What reviewers decided, without what they wrote.
_DECISIONS = """
SELECT batch_id, decided_at AS at, decision, edited FROM review_decisions WHERE batch_id = ANY(%(ids)s) ORDER BY id
"""

# What reached Telegram: from the beginning of the attempts that were open then, until it was on record, because
# Telegram's own time has whole seconds.
_BUBBLES = """
SELECT o.batch_id, o.position, o.attempts, o.sending_since AS begun_at, coalesce(m.received_at, o.sent_at) AS sent_at
FROM outbox o JOIN conversations c ON c.id = o.conversation_id
LEFT JOIN messages m ON m.telegram_account_id = o.telegram_account_id AND m.chat_id = c.chat_id
    AND m.telegram_message_id = o.telegram_message_id
WHERE o.batch_id = ANY(%(ids)s) AND o.state = 'sent' AND o.sending_since IS NOT NULL AND o.sent_at IS NOT NULL
ORDER BY o.id
"""


@dataclass(frozen=True, slots=True)
class Position:
    """The batch that was told of last."""

    at: datetime
    batch_id: int


async def ended_after(conn: Connection, position: Position, *, settled: timedelta, limit: int) -> Sequence[Journey]:
    """Return the ways of batches that ended after one, the earliest first.

    Parameters
    ----------
    conn : Connection
        To read with.
    position : Position
        What is known already.
    settled : timedelta
        How long ago a batch must have ended.
    limit : int
        Most batches.
    """
    values = {"at": position.at, "batch_id": position.batch_id, "settled": settled, "limit": limit}
    ended = await (await conn.execute(_ENDED, values)).fetchall()
    ids = [row["batch_id"] for row in ended]
    if not ids:
        return []
    messages = await _by_batch(conn, _MESSAGES, {"ids": ids, "most": MOST_MESSAGES})
    moves = await _by_batch(conn, _MOVES, {"subjects": [f"batch:{batch_id}" for batch_id in ids]})
    drafts = await _by_batch(conn, _DRAFTS, {"ids": ids})
    decisions = await _by_batch(conn, _DECISIONS, {"ids": ids})
    bubbles = await _by_batch(conn, _BUBBLES, {"ids": ids})
    return [
        Journey(
            **row,
            messages=[MessageStep(**message) for message in messages[row["batch_id"]]],
            moves=[Move(**move) for move in moves[row["batch_id"]]],
            drafts=[DraftStep(**draft) for draft in drafts[row["batch_id"]]],
            decisions=[DecisionStep(**decision) for decision in decisions[row["batch_id"]]],
            bubbles=[BubbleStep(**bubble) for bubble in bubbles[row["batch_id"]]],
        )
        for row in ended
    ]


async def _by_batch(
    conn: Connection, statement: LiteralString, values: Mapping[str, object]
) -> defaultdict[int, list[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in await (await conn.execute(statement, values)).fetchall():
        found[row.pop("batch_id")].append(row)
    return found
