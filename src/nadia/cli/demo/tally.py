"""Whether everything adds up: what customers wrote and saw, against what is on record."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nadia.postgres.database import Database
from nadia.telegram.sandbox.wire import ChatMessage

_LOOK_SECONDS: Final = 0.1

_COUNTS: Final = """
SELECT
    (SELECT count(*) FROM messages WHERE direction = 'in') AS messages,
    (SELECT count(*) FROM messages WHERE direction = 'in' AND batch_id IS NULL) AS loose,
    (SELECT count(*) FROM batches) AS batches,
    (SELECT count(*) FROM batches WHERE state = 'sent') AS sent,
    (SELECT count(*) FROM batches WHERE state = 'rejected') AS rejected,
    (SELECT count(*) FROM batches WHERE state = 'expired') AS expired,
    (SELECT count(*) FROM batches WHERE state = 'parked') AS parked,
    (SELECT count(*) FROM drafts) AS drafts,
    (SELECT coalesce(sum(cost_usd), 0) FROM drafts) AS cost_usd,
    (SELECT count(*) FROM audit_log WHERE action = 'batch.moved') AS transitions
"""

_SENT: Final = """
SELECT p.telegram_user_id AS user_id, o.telegram_message_id AS message_id, o.text
FROM outbox o JOIN conversations c ON c.id = o.conversation_id JOIN people p ON p.id = c.person_id
WHERE o.state = 'sent' ORDER BY o.decision_id, o.position
"""

_RECEIVED: Final = """
SELECT p.telegram_user_id AS user_id, m.telegram_message_id AS message_id, m.text
FROM messages m JOIN conversations c ON c.id = m.conversation_id JOIN people p ON p.id = c.person_id
WHERE m.direction = 'in' ORDER BY m.id
"""

_LATENCIES: Final = """
WITH stages (stage, position, seconds) AS (
    SELECT 'last message to sealed batch', 1, extract(epoch FROM b.sealed_at - m.last_at)
    FROM batches b JOIN LATERAL (
        SELECT max(received_at) AS last_at FROM messages WHERE batch_id = b.id AND received_at <= b.sealed_at
    ) m ON true
    UNION ALL
    SELECT 'sealed batch to draft', 2, extract(epoch FROM d.created_at - b.sealed_at)
    FROM drafts d JOIN batches b ON b.id = d.batch_id WHERE d.revision = 1
    UNION ALL
    SELECT 'draft to decision', 3, extract(epoch FROM r.decided_at - d.created_at)
    FROM review_decisions r JOIN drafts d ON d.id = r.draft_id WHERE r.decision = 'approve'
    UNION ALL
    SELECT 'approval to last bubble', 4, extract(epoch FROM o.sent_at - r.decided_at)
    FROM review_decisions r JOIN LATERAL (
        SELECT max(sent_at) AS sent_at FROM outbox WHERE decision_id = r.id AND state = 'sent'
    ) o ON o.sent_at IS NOT NULL
)
SELECT stage, count(*) AS samples,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
FROM stages WHERE seconds IS NOT NULL GROUP BY stage, position ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took; seconds."""

    stage: str
    samples: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened, and what does not add up.

    Parameters
    ----------
    counts : mapping
        From the record.
    bubbles : int
        Messages that customers received.
    latencies : sequence of Latency
        By stage.
    problems : sequence of str
        Empty if every count adds up.
    """

    counts: Mapping[str, float]
    bubbles: int
    latencies: Sequence[Latency]
    problems: Sequence[str]


async def until_settled(database: Database, *, messages: int) -> None:
    """Wait until so many messages are on record and every batch has ended or is parked.

    Raises
    ------
    UnavailableError
        If PostgreSQL is away.
    """
    while True:
        async with database.connection() as conn:
            row = await (await conn.execute(_COUNTS)).fetchone()
        assert row is not None, "aggregates return a row"
        ended = row["sent"] + row["rejected"] + row["expired"] + row["parked"]
        if row["messages"] >= messages and not row["loose"] and row["batches"] == ended:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def take_tally(database: Database, chats: Mapping[int, Sequence[ChatMessage]]) -> Tally:
    """Compare the record with what the customers' phones show.

    Parameters
    ----------
    database : Database
        The record.
    chats : mapping of int to sequence of ChatMessage
        Every customer's chat, oldest first.
    """
    async with database.connection() as conn:
        counts = await (await conn.execute(_COUNTS)).fetchone()
        sent = [
            (row["user_id"], row["message_id"], row["text"]) for row in await (await conn.execute(_SENT)).fetchall()
        ]
        received = [
            (row["user_id"], row["message_id"], row["text"]) for row in await (await conn.execute(_RECEIVED)).fetchall()
        ]
        latencies = [Latency(**row) for row in await (await conn.execute(_LATENCIES)).fetchall()]
    assert counts is not None, "aggregates return a row"
    written = [(user, m.message_id, m.text) for user, chat in chats.items() for m in chat if not m.outgoing]
    shown = [(user, m.message_id, m.text) for user, chat in chats.items() for m in chat if m.outgoing]
    problems = [
        *_differences("message that a customer wrote", "on record", written, received),
        *_differences("bubble that was sent", "on the customer's phone", sent, shown),
        *_disorder("messages on record", received),
        *_disorder("replies", sent),
    ]
    if counts["loose"]:
        problems.append(f"{counts['loose']} messages belong to no batch")
    unended = counts["batches"] - counts["sent"] - counts["rejected"] - counts["expired"]
    if unended:
        problems.append(f"{unended} batches have not ended as sent, rejected or expired")
    return Tally(counts=counts, bubbles=len(shown), latencies=latencies, problems=problems)


Line = tuple[int, int, str]


def _differences(what: str, where: str, expected: Sequence[Line], found: Sequence[Line]) -> list[str]:
    wanted, there = Counter(expected), Counter(found)
    return [
        *(f"a {what} is {count} times too few {where}: {_shown(line)}" for line, count in (wanted - there).items()),
        *(f"a {what} is {count} times too often {where}: {_shown(line)}" for line, count in (there - wanted).items()),
    ]


def _disorder(what: str, lines: Sequence[Line]) -> list[str]:
    newest: dict[int, int] = {}
    problems = []
    for line in lines:
        if newest.get(line[0], 0) >= line[1]:
            problems.append(f"{what} of a chat are out of order: {_shown(line)}")
        newest[line[0]] = line[1]
    return problems


def _shown(line: Line) -> str:
    return f"customer {line[0]}, message {line[1]}, {line[2][:40]!r}"
