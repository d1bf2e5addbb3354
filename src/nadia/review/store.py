"""The desk's rows in PostgreSQL. Every function works within the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nadia.conversations.media import media_from_fields
from nadia.conversations.models import BatchState
from nadia.conversations.order import PLACE
from nadia.errors import NotFoundError
from nadia.postgres.database import Connection, Row
from nadia.review.models import (
    LATE_SECONDS,
    AuditView,
    DecisionKind,
    DecisionView,
    DeskCounts,
    DraftView,
    MessageView,
    OutboxView,
    PersonView,
    QueueItem,
)

PREVIEW_CHARACTERS = 200
THREAD_MESSAGES = 100

# An item with its newest draft, its holder if the claim lives, the customer's last words, when those of its messages
# were written that reached us late, and whether it is stale: the conversation has gone on since what the draft (or
# without one, the batch) knows.
_ITEMS = f"""
SELECT b.id AS batch_id, b.conversation_id, c.telegram_account_id, p.name AS person_name, b.state, b.priority,
       d.risk, coalesce(d.flags, '[]') AS flags, d.score, b.sealed_at, b.changed_at,
       own.messages, own.late_since,
       coalesce(last.text, '') AS preview, coalesce(last.kind, 'text') AS preview_kind, last.media AS preview_media,
       d.id IS NOT NULL AS has_draft, b.no_draft_reason,
       coalesce(d.conversation_revision, b.conversation_revision) < c.revision AS stale,
       a.name AS claimed_by, a.id AS claimed_by_id, CASE WHEN a.id IS NOT NULL THEN b.claim_expires_at END
       AS claim_expires_at, undo.undo_until, undo.undo_of_id, b.parked_reason, b.parked_from
FROM batches b
JOIN conversations c ON c.id = b.conversation_id
JOIN people p ON p.id = c.person_id
LEFT JOIN accounts a ON a.id = b.claimed_by AND b.claim_expires_at > clock_timestamp()
LEFT JOIN LATERAL (
    SELECT id, risk, flags, score, conversation_revision FROM drafts WHERE batch_id = b.id
    ORDER BY revision DESC LIMIT 1
) d ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS messages, min(m.sent_at) FILTER (
        WHERE m.deleted_at IS NULL AND m.received_at - m.sent_at >= interval '{LATE_SECONDS} seconds'
    ) AS late_since
    FROM messages m WHERE m.batch_id = b.id AND m.direction = 'in'
) own ON true
LEFT JOIN LATERAL (
    SELECT left(CASE WHEN m.deleted_at IS NULL THEN m.text ELSE '' END, {PREVIEW_CHARACTERS}) AS text,
           CASE WHEN m.deleted_at IS NULL THEN m.kind END AS kind,
           CASE WHEN m.deleted_at IS NULL THEN m.media END AS media
    FROM messages m
    WHERE m.conversation_id = b.conversation_id AND m.direction = 'in'
      AND (m.batch_id = b.id OR (m.batch_id IS NULL AND b.state NOT IN ('sent', 'rejected', 'expired')))
    ORDER BY {PLACE} DESC, m.id DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT min(o.send_after) AS undo_until, max(r.account_id) AS undo_of_id FROM outbox o
    JOIN review_decisions r ON r.id = o.decision_id WHERE o.batch_id = b.id AND o.state <> 'cancelled'
      AND b.state = 'approved' HAVING bool_and(o.state = 'queued' AND o.attempts = 0)
      AND min(o.send_after) > clock_timestamp()
) undo ON true
"""  # noqa: S608 - constants only

_BY_URGENCY = f"""{_ITEMS}
WHERE b.state = ANY(%(states)s) ORDER BY b.priority DESC, b.sealed_at, b.id LIMIT %(limit)s
"""

_BY_CHANGE = f"""{_ITEMS}
WHERE b.state = ANY(%(states)s) ORDER BY b.changed_at DESC, b.id DESC LIMIT %(limit)s
"""

_ITEM = f"{_ITEMS} WHERE b.id = %(batch_id)s"

_PERSON = """
SELECT p.id, p.name, p.username, p.telegram_user_id, c.revision, c.disclosed_at FROM conversations c
JOIN people p ON p.id = c.person_id WHERE c.id = %(conversation_id)s
"""

# Where the revisions say that something is newer than the newest draft, the draft's beginning says what.
_THREAD = f"""
SELECT m.id, m.author, m.kind, m.text, m.media, m.sent_at, m.received_at, m.edited_at, m.deleted_at,
       coalesce(m.batch_id = %(batch_id)s, false) AS in_this_batch,
       m.author <> 'desk' AND coalesce(
           greatest(m.received_at, m.edited_at, m.deleted_at) > d.created_at - d.latency_ms * interval '1 ms', false
       ) AS newer_than_draft
FROM (
    SELECT * FROM messages m WHERE m.conversation_id = %(conversation_id)s
    ORDER BY {PLACE} DESC, m.id DESC LIMIT %(limit)s
) m
LEFT JOIN LATERAL (
    SELECT f.created_at, f.latency_ms FROM (
        SELECT * FROM drafts WHERE batch_id = %(batch_id)s ORDER BY revision DESC LIMIT 1
    ) f JOIN conversations c ON c.id = %(conversation_id)s AND c.revision > f.conversation_revision
) d ON true
ORDER BY {PLACE}, m.id
"""  # noqa: S608 - constants only

_DRAFT = """
SELECT id, revision, conversation_revision AS answers_revision, bubbles, model, profile, score, risk, flags,
       input_tokens, output_tokens, cost_usd, latency_ms, created_at
FROM drafts WHERE batch_id = %(batch_id)s ORDER BY revision DESC LIMIT 1
"""

_DECISIONS = """
SELECT r.id, r.account_id, a.name AS account_name, r.decision, coalesce(r.bubbles, '{}') AS bubbles, r.edited,
       r.conversation_revision, r.despite_newer, r.reason, r.decided_at
FROM review_decisions r JOIN accounts a ON a.id = r.account_id WHERE r.batch_id = %(batch_id)s ORDER BY r.id
"""

_OUTBOX = """
SELECT id, decision_id, position, text, state, discloses, send_after, attempts, last_error, sent_at
FROM outbox WHERE batch_id = %(batch_id)s ORDER BY decision_id, position, id
"""

_AUDIT = """
SELECT l.at, l.actor, coalesce(a.name, l.actor) AS actor_name, l.action, l.before, l.after FROM audit_log l
LEFT JOIN accounts a ON l.actor = 'account:' || a.id
WHERE l.subject = %(subject)s ORDER BY l.id
"""

_COUNTS = """
SELECT state, count(*) AS items FROM batches
WHERE state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending', 'parked') GROUP BY state
"""

# All that a reviewer sees of an item is of one moment: the revision that they confirm is the one that they read.
_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# Who has it at the moment, by the database's clock.
_HOLDER = """
SELECT a.id, a.name, b.claim_expires_at AS expires_at FROM batches b JOIN accounts a ON a.id = b.claimed_by
WHERE b.id = %(batch_id)s AND b.claim_expires_at > clock_timestamp()
"""

_CLAIM = """
UPDATE batches SET claimed_by = %(account_id)s, claim_expires_at = clock_timestamp() + %(lease)s
WHERE id = %(batch_id)s RETURNING claim_expires_at
"""

_RELEASE = "UPDATE batches SET claimed_by = NULL, claim_expires_at = NULL WHERE id = %(batch_id)s"

_DECIDE = """
INSERT INTO review_decisions (batch_id, draft_id, account_id, decision, bubbles, edited, conversation_revision,
                              despite_newer, reason)
VALUES (%(batch_id)s, %(draft_id)s, %(account_id)s, %(decision)s, %(bubbles)s, %(edited)s, %(conversation_revision)s,
        %(despite_newer)s, %(reason)s)
RETURNING id, (SELECT extract(epoch FROM clock_timestamp() - sealed_at)::float8 FROM batches
               WHERE batches.id = batch_id) AS seconds_since_sealed
"""

# Messages that the reviewer saw and that now belong to the item.
_KNOWS_REVISION = """
UPDATE batches SET conversation_revision = %(conversation_revision)s WHERE id = %(batch_id)s
"""

_OTHER_OPEN = """
SELECT id FROM batches WHERE conversation_id = %(conversation_id)s AND id <> %(batch_id)s
  AND state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending')
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a live claim."""

    id: int
    name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision to put on record."""

    batch_id: int
    draft_id: int | None
    account_id: int
    decision: DecisionKind
    conversation_revision: int
    bubbles: tuple[str, ...] | None = None
    edited: bool = False
    despite_newer: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision on record, and how long after the batch's sealing."""

    id: int
    seconds_since_sealed: float


@dataclass(frozen=True, slots=True)
class Party:
    """The customer, and how far the conversation with them has come."""

    person: PersonView
    revision: int
    disclosed_at: datetime | None


async def see_one_moment(conn: Connection) -> None:
    """Let all that follows in this transaction be read as of one moment; call it first."""
    await conn.execute(_ONE_MOMENT)


async def most_urgent(conn: Connection, states: Sequence[BatchState], limit: int) -> list[QueueItem]:
    """Return items in these states, by priority and then the longest waiting first."""
    cursor = await conn.execute(_BY_URGENCY, {"states": [state.value for state in states], "limit": limit})
    return [_item(row) for row in await cursor.fetchall()]


async def last_changed(conn: Connection, states: Sequence[BatchState], limit: int) -> list[QueueItem]:
    """Return items in these states, the last changed first."""
    cursor = await conn.execute(_BY_CHANGE, {"states": [state.value for state in states], "limit": limit})
    return [_item(row) for row in await cursor.fetchall()]


async def item(conn: Connection, batch_id: int) -> QueueItem:
    """Return one item.

    Raises
    ------
    NotFoundError
        If there is no such batch.
    """
    row = await (await conn.execute(_ITEM, {"batch_id": batch_id})).fetchone()
    if row is None:
        raise NotFoundError(f"there is no item {batch_id}")
    return _item(row)


async def party(conn: Connection, conversation_id: int) -> Party:
    """Return the customer of a conversation that exists."""
    row = await (await conn.execute(_PERSON, {"conversation_id": conversation_id})).fetchone()
    assert row is not None, "batches refer to conversations, these to people"
    person = PersonView(**{name: row[name] for name in PersonView.__slots__})
    return Party(person=person, revision=row["revision"], disclosed_at=row["disclosed_at"])


async def thread(conn: Connection, *, conversation_id: int, batch_id: int) -> tuple[MessageView, ...]:
    """Return the last messages of a conversation, oldest first."""
    values = {"conversation_id": conversation_id, "batch_id": batch_id, "limit": THREAD_MESSAGES}
    rows = await (await conn.execute(_THREAD, values)).fetchall()
    return tuple(MessageView(**row | {"media": media_from_fields(row["media"])}) for row in rows)


async def newest_draft(conn: Connection, batch_id: int) -> DraftView | None:
    """Return the batch's draft with the highest revision."""
    row = await (await conn.execute(_DRAFT, {"batch_id": batch_id})).fetchone()
    if row is None:
        return None
    return DraftView(**row | {"bubbles": tuple(row["bubbles"]), "flags": _flags(row)})


async def decisions(conn: Connection, batch_id: int) -> tuple[DecisionView, ...]:
    """Return what was decided about a batch."""
    rows = await (await conn.execute(_DECISIONS, {"batch_id": batch_id})).fetchall()
    return tuple(
        DecisionView(**row | {"decision": DecisionKind(row["decision"]), "bubbles": tuple(row["bubbles"])})
        for row in rows
    )


async def outbox(conn: Connection, batch_id: int) -> tuple[OutboxView, ...]:
    """Return the batch's bubbles on their way."""
    return tuple(OutboxView(**row) for row in await (await conn.execute(_OUTBOX, {"batch_id": batch_id})).fetchall())


async def audit_trail(conn: Connection, batch_id: int) -> tuple[AuditView, ...]:
    """Return everything that happened to a batch."""
    cursor = await conn.execute(_AUDIT, {"subject": f"batch:{batch_id}"})
    return tuple(AuditView(**row) for row in await cursor.fetchall())


async def counts(conn: Connection) -> DeskCounts:
    """Return how many items are where."""
    found = {row["state"]: row["items"] for row in await (await conn.execute(_COUNTS)).fetchall()}
    return DeskCounts(**{name: found.get(name, 0) for name in DeskCounts.__slots__})


async def holder(conn: Connection, batch_id: int) -> Holder | None:
    """Return whose claim lives."""
    row = await (await conn.execute(_HOLDER, {"batch_id": batch_id})).fetchone()
    return None if row is None else Holder(**row)


async def set_claim(conn: Connection, batch_id: int, *, account_id: int, seconds: float) -> datetime:
    """Give an item to a person; returns until when."""
    values = {"batch_id": batch_id, "account_id": account_id, "lease": timedelta(seconds=seconds)}
    row = await (await conn.execute(_CLAIM, values)).fetchone()
    assert row is not None, "the conversation is locked"
    expires_at: datetime = row["claim_expires_at"]
    return expires_at


async def clear_claim(conn: Connection, batch_id: int) -> None:
    """Give an item back."""
    await conn.execute(_RELEASE, {"batch_id": batch_id})


async def decide(conn: Connection, decision: Decision) -> Decided:
    """Put a decision on record."""
    values = {name: getattr(decision, name) for name in Decision.__slots__}
    values["decision"] = decision.decision.value
    values["bubbles"] = None if decision.bubbles is None else list(decision.bubbles)
    row = await (await conn.execute(_DECIDE, values)).fetchone()
    assert row is not None, "the insert returns its row"
    return Decided(**row)


async def set_known_revision(conn: Connection, batch_id: int, revision: int) -> None:
    """Put on record up to which revision of the conversation the batch has its messages."""
    await conn.execute(_KNOWS_REVISION, {"batch_id": batch_id, "conversation_revision": revision})


async def other_open_item(conn: Connection, *, conversation_id: int, batch_id: int) -> int | None:
    """Return another batch of the conversation that is open."""
    values = {"conversation_id": conversation_id, "batch_id": batch_id}
    row = await (await conn.execute(_OTHER_OPEN, values)).fetchone()
    return None if row is None else int(row["id"])


def _item(row: Row) -> QueueItem:
    parked_from = row["parked_from"]
    return QueueItem(
        **row
        | {
            "state": BatchState(row["state"]),
            "flags": _flags(row),
            "preview_media": media_from_fields(row["preview_media"]),
            "parked_from": None if parked_from is None else BatchState(parked_from),
        }
    )


def _flags(row: Row) -> tuple[str, ...]:
    return tuple(str(flag) for flag in row["flags"])
