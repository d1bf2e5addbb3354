"""Where a conversation is now, and what it waits for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from nadia.clock import time_ago_text
from nadia.conversations.models import OPEN_STATES, BatchState
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection, Row
from nadia.redis import keys
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.workflows.customer.people import Customer

MOST_CONVERSATIONS: Final = 50
_STREAM_PAGE: Final = 5_000
_FORGOTTEN_SECONDS: Final = 120
"""The sweep adds what is missing within a minute (docs/design/message.md); after two something is wrong with it."""

# Each conversation with the one batch that matters: the open one, else a parked one, else the last; and with everything
# that may hold it up. By the database's clock.
_STATE = """
SELECT c.id, c.telegram_account_id, c.chat_id, c.partition, c.revision, c.replies, c.last_inbound_at,
    b.id AS batch_id, b.state, b.sealed_at, b.changed_at, b.drafting_attempts, b.no_draft_reason, b.parked_reason,
    b.drafting_until > clock_timestamp() AS is_being_drafted,
    CASE WHEN b.claim_expires_at > clock_timestamp() THEN a.name END AS claimed_by,
    loose.number AS loose, loose.since AS loose_since,
    held.number AS held, held.expires_at AS held_until,
    o.queued, o.send_after, o.last_error,
    s.activated_at AS silenced_at,
    t.expires_at > clock_timestamp() AS is_owned,
    ARRAY(SELECT p.activity FROM pauses p
          WHERE coalesce(p.telegram_account_id, c.telegram_account_id) = c.telegram_account_id) AS paused,
    EXISTS (SELECT 1 FROM recovery_gaps g WHERE g.telegram_account_id = c.telegram_account_id
            AND g.closed_at IS NULL AND g.holds_replies) AS is_read_again,
    clock_timestamp() AS now
FROM conversations c
JOIN telegram_accounts t ON t.id = c.telegram_account_id
LEFT JOIN user_protocol_status s ON s.person_id = c.person_id
LEFT JOIN LATERAL (SELECT * FROM batches WHERE conversation_id = c.id
    ORDER BY state = ANY(%(open)s) DESC, state = 'parked' DESC, id DESC LIMIT 1) b ON true
LEFT JOIN accounts a ON a.id = b.claimed_by
LEFT JOIN LATERAL (SELECT count(*) AS number, min(received_at) AS since FROM messages
    WHERE conversation_id = c.id AND batch_id IS NULL AND direction = 'in' AND held_at IS NULL) loose ON true
LEFT JOIN LATERAL (SELECT count(*) AS number, min(q.expires_at) AS expires_at
    FROM quarantine_messages q JOIN messages m ON m.id = q.message_id
    WHERE q.person_id = c.person_id AND q.state = 'held' AND m.conversation_id = c.id) held ON true
LEFT JOIN LATERAL (SELECT count(*) AS queued, min(send_after) AS send_after, max(last_error) AS last_error
    FROM outbox WHERE batch_id = b.id AND state IN ('queued', 'sending')) o ON true
WHERE c.id = ANY(%(conversations)s)
ORDER BY c.last_inbound_at DESC NULLS LAST, c.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InRedis:
    """What Redis holds of a conversation.

    Parameters
    ----------
    burst : dict
        Fields of the burst; empty without one.
    due_at : datetime or None
        When the burst is over.
    memory_version : str or None
        Version of the conversation that the memory shows; None without a memory.
    memory_entries : int
        Messages in it.
    memory_seconds : int
        For how long it is kept, seconds.
    on_stream : bool
        Whether the stream of sealed batches names its batch.
    """

    burst: dict[str, str]
    due_at: datetime | None
    memory_version: str | None
    memory_entries: int
    memory_seconds: int
    on_stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationState:
    """A conversation as it is.

    Parameters
    ----------
    row : Row
        What PostgreSQL knows.
    in_redis : InRedis or None
        What Redis holds; None while it is away.
    status : HealthStatus
        Whether that is how it should be.
    waits_for : str
        One sentence.
    """

    row: Row
    in_redis: InRedis | None
    status: HealthStatus
    waits_for: str


async def states(conn: Connection, customer: Customer) -> list[Row]:
    """Return what PostgreSQL knows of the customer's conversations, the one last written in first."""
    values = {
        "conversations": list(customer.conversations),
        "open": [state.value for state in OPEN_STATES],
        "limit": MOST_CONVERSATIONS,
    }
    return await (await conn.execute(_STATE, values)).fetchall()


async def read_redis(redis: RedisConnection, rows: list[Row]) -> list[InRedis]:
    """Return what Redis holds of conversations, in their order; raises UnavailableError."""
    asked: list[Command] = []
    for row in rows:
        partition, conversation = row["partition"], row["id"]
        memory = keys.memory(partition, conversation)
        asked += [
            Command(("HGETALL", keys.burst(partition, conversation))),
            Command(("ZSCORE", keys.due_set(partition), conversation)),
            Command(("LINDEX", memory, 0)),
            Command(("LLEN", memory)),
            Command(("TTL", memory)),
        ]
    answers = await redis.send(asked)
    named = await _named_on_stream(redis)
    found = []
    for position, row in enumerate(rows):
        burst, due, version, length, seconds = answers[5 * position : 5 * position + 5]
        found.append(
            InRedis(
                burst=cast("dict[str, str]", burst),
                due_at=None if due is None else datetime.fromtimestamp(float(cast("str", due)) / 1000, UTC),
                memory_version=cast("str | None", version),
                memory_entries=max(0, cast("int", length) - 1),
                memory_seconds=cast("int", seconds),
                on_stream=str(row["batch_id"]) in named,
            )
        )
    return found


def judge(row: Row, in_redis: InRedis | None) -> ConversationState:
    """Say what a conversation waits for."""
    status, waits_for = _waits_for(row, in_redis)
    if row["silenced_at"] is not None:
        held = f", {row['held']} of whose messages wait for a decision" if row["held"] else ""
        waits_for = f"is with a customer who is silenced since {_since(row, 'silenced_at')}{held}; {waits_for}"
    return ConversationState(row=row, in_redis=in_redis, status=status, waits_for=waits_for)


def _waits_for(row: Row, in_redis: InRedis | None) -> tuple[HealthStatus, str]:
    match row["state"]:
        case BatchState.SEALED:
            return _sealed(row, in_redis)
        case BatchState.DRAFTED | BatchState.IN_REVIEW:
            return HealthStatus.HEALTHY, _in_review(row)
        case BatchState.APPROVED | BatchState.SENDING:
            return _leaving(row)
        case BatchState.PARKED:
            why = row["parked_reason"] or "no reason is on record"
            return (
                HealthStatus.WARNING,
                f"is parked since {_since(row, 'changed_at')} and waits for a person to take it up: {why}",
            )
    if row["loose"]:
        number = f"{row['loose']} message{'' if row['loose'] == 1 else 's'}"
        until = "" if in_redis is None or in_redis.due_at is None else f", due {_at(in_redis.due_at)}"
        return (
            HealthStatus.HEALTHY,
            f"waits for the end of the burst: {number} since {_since(row, 'loose_since')}{until}",
        )
    if row["batch_id"] is None:
        return HealthStatus.HEALTHY, "waits for nothing; nothing of it was ever for the desk"
    return HealthStatus.HEALTHY, f"waits for nothing; the last item was {row['state']} {_since(row, 'changed_at')}"


def _sealed(row: Row, in_redis: InRedis | None) -> tuple[HealthStatus, str]:
    since = f"since {_since(row, 'sealed_at')}"
    if "drafting" in row["paused"]:
        return HealthStatus.WARNING, f"waits for a draft {since}; drafting is paused: `nadia resume drafting`"
    if row["is_being_drafted"]:
        return (
            HealthStatus.HEALTHY,
            f"is being drafted (attempt {row['drafting_attempts']}), sealed {_since(row, 'sealed_at')}",
        )
    age = (row["now"] - row["changed_at"]).total_seconds()
    if in_redis is not None and not in_redis.on_stream and age > _FORGOTTEN_SECONDS:
        return (
            HealthStatus.WARNING,
            f"waits for a draft {since}, and the stream of sealed batches does not name it: does a worker run?",
        )
    tried = f", after {row['drafting_attempts']} attempts" if row["drafting_attempts"] else ""
    return HealthStatus.HEALTHY, f"waits for a draft {since}{tried}"


def _in_review(row: Row) -> str:
    since = f"since {_since(row, 'changed_at')}"
    if row["claimed_by"]:
        return f"is being worked on by {row['claimed_by']}, at the desk {since}"
    without = f", without a draft ({row['no_draft_reason']})" if row["no_draft_reason"] else ""
    return f"waits for a reviewer {since}{without}"


def _leaving(row: Row) -> tuple[HealthStatus, str]:
    since = f"approved {_since(row, 'changed_at')}"
    if "sending" in row["paused"]:
        return HealthStatus.WARNING, f"waits to be sent, {since}; sending is paused: `nadia resume sending`"
    if row["is_read_again"]:
        return HealthStatus.HEALTHY, f"waits to be sent, {since}, until the account was read again after downtime"
    if not row["is_owned"]:
        account = row["telegram_account_id"]
        return (
            HealthStatus.WARNING,
            f"waits to be sent, {since}; no process acts for account {account}: does a bot run?",
        )
    if row["state"] == BatchState.SENDING:
        return HealthStatus.HEALTHY, f"is being sent, {row['queued']} bubbles are left"
    if row["last_error"]:
        return HealthStatus.WARNING, f"waits to be sent, {since}; the last attempt failed: {row['last_error']}"
    return HealthStatus.HEALTHY, f"waits to be sent, {since}; it leaves at {_at(row['send_after'])}"


async def _named_on_stream(redis: RedisConnection) -> set[str]:
    """Return the batches that the stream names: as many as one look at it takes, the oldest first."""
    (entries,) = await redis.send([Command(("XRANGE", keys.WAL_STREAM, "-", "+", "COUNT", _STREAM_PAGE))])
    return {str(fields.get("batch")) for _, fields in cast("list[tuple[str, dict[str, str]]]", entries)}


def _since(row: Row, column: str) -> str:
    moment = row[column]
    return f"{_at(moment)} ({time_ago_text(moment, now=row['now'])})"


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
