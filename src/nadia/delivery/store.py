"""The outbox in PostgreSQL. Every function works within the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nadia.delivery.models import Bubble, BubbleState
from nadia.postgres.database import Connection, Row

_BUBBLE_COLUMNS = """
id, decision_id, batch_id, conversation_id, position, text, random_id, conversation_revision, discloses, state,
attempts, sending_since,
coalesce(extract(epoch FROM clock_timestamp() - sending_since), 0)::float8 AS sending_seconds,
after_message_id, extract(epoch FROM send_after - clock_timestamp())::float8 AS due_in, last_error
"""

# All bubbles of a reply become due at the same moment: when it can no longer be taken back.
_ADD = """
INSERT INTO outbox (decision_id, batch_id, conversation_id, telegram_account_id, position, text, random_id,
                    conversation_revision, discloses, send_after)
VALUES (%(decision_id)s, %(batch_id)s, %(conversation_id)s, %(account_id)s, %(position)s, %(text)s, %(random_id)s,
        %(conversation_revision)s, %(discloses)s, %(send_after)s)
"""

_MOMENT = "SELECT clock_timestamp() + %(delay)s AS moment"

_CANCEL = """
UPDATE outbox SET state = 'cancelled' WHERE batch_id = %(batch_id)s AND state = ANY(%(states)s)
"""

# Nothing has begun, and the database's clock has not reached the moment from which it may.
_CAN_BE_TAKEN_BACK = """
SELECT coalesce(bool_and(state = 'queued' AND attempts = 0 AND send_after > clock_timestamp()), false) AS can
FROM outbox WHERE batch_id = %(batch_id)s AND state <> 'cancelled'
  AND decision_id = (SELECT max(decision_id) FROM outbox WHERE batch_id = %(batch_id)s)
"""

_NEXT = f"""
SELECT {_BUBBLE_COLUMNS} FROM outbox
WHERE batch_id = %(batch_id)s AND state IN ('queued', 'sending') ORDER BY decision_id, position LIMIT 1
"""  # noqa: S608 - constants only

_PARKED = f"SELECT {_BUBBLE_COLUMNS} FROM outbox WHERE batch_id = %(batch_id)s AND state = 'parked'"  # noqa: S608

# Whether a bubble may have gone out, without its record.
_IS_LEAVING = "SELECT EXISTS (SELECT 1 FROM outbox WHERE batch_id = %(batch_id)s AND state = 'sending') AS leaving"

# Replies with something to send, by when the first unsent bubble is due; those already being worked on left out. One
# that the conversation has overtaken goes back to the desk: that waits for nothing, neither for a pause's end nor for
# the moment at which one that is held is asked about again.
_WAITING = """
WITH first AS (
    SELECT DISTINCT ON (o.batch_id) o.batch_id, o.state, o.send_after, o.conversation_revision <> c.revision AS stale
    FROM outbox o JOIN batches b ON b.id = o.batch_id AND b.state IN ('approved', 'sending')
    JOIN conversations c ON c.id = o.conversation_id
    WHERE o.telegram_account_id = %(account_id)s AND o.state IN ('queued', 'sending')
    ORDER BY o.batch_id, o.decision_id, o.position
), waiting AS (
    SELECT batch_id, stale,
           CASE WHEN stale AND state = 'queued' THEN least(send_after, clock_timestamp()) ELSE send_after END AS due_at
    FROM first WHERE batch_id <> ALL(%(except)s)
)
SELECT next.batch_id, extract(epoch FROM next.due_at - clock_timestamp())::float8 AS due_in, counted.waiting
FROM (SELECT count(*) AS waiting FROM waiting) counted LEFT JOIN LATERAL (
    SELECT batch_id, due_at FROM waiting WHERE stale OR NOT (%(stale_only)s OR batch_id = ANY(%(held)s))
    ORDER BY due_at, batch_id LIMIT %(limit)s
) next ON true
ORDER BY next.due_at, next.batch_id
"""

# What the cadence of a reply follows from: how much there is to read, and the bubbles that are not out yet.
_TO_READ = """
SELECT coalesce(sum(char_length(text)), 0)::int AS characters FROM messages
WHERE batch_id = %(batch_id)s AND direction = 'in' AND deleted_at IS NULL
"""
_UNSENT_TEXTS = """
SELECT id, position, text FROM outbox WHERE batch_id = %(batch_id)s AND state = 'queued' ORDER BY decision_id, position
"""

# The first of several attempts keeps its time and its place: behind it the message may be in Telegram's history.
_BEGIN = f"""
UPDATE outbox SET state = 'sending', attempts = least(attempts + 1, 30000),
    sending_since = coalesce(sending_since, clock_timestamp()),
    after_message_id = coalesce(after_message_id, (
        SELECT max(telegram_message_id) FROM messages
        WHERE telegram_account_id = %(account_id)s AND chat_id = %(chat_id)s AND telegram_message_id > 0
    ), 0)
WHERE id = %(id)s AND state IN ('queued', 'sending')
RETURNING {_BUBBLE_COLUMNS}
"""  # noqa: S608 - constants only

_SENT = """
UPDATE outbox SET state = 'sent', telegram_message_id = %(telegram_message_id)s, sent_at = %(sent_at)s,
    last_error = NULL
WHERE id = %(id)s AND state <> 'sent'
"""

_OUTCOME = """
SELECT o.state, o.telegram_message_id,
       extract(epoch FROM clock_timestamp() - r.decided_at)::float8 AS seconds_since_approval
FROM outbox o JOIN review_decisions r ON r.id = o.decision_id WHERE o.id = %(id)s
"""

# An attempt that surely did not go out leaves no trace but its count and its reason.
_TAKE_BACK = """
UPDATE outbox SET state = 'queued', sending_since = NULL, after_message_id = NULL, last_error = %(error)s,
    send_after = clock_timestamp() + %(delay)s
WHERE id = %(id)s AND state = 'sending'
"""

# Says why it waits, or that it waits no more; written once, however often it is asked.
_SAY_WHY = """
UPDATE outbox SET last_error = %(reason)s WHERE id = %(id)s AND last_error IS DISTINCT FROM %(reason)s
"""

_POSTPONE = """
UPDATE outbox SET send_after = clock_timestamp() + %(delay)s, last_error = %(error)s
WHERE id = %(id)s AND state IN ('queued', 'sending')
"""

_PARK = (
    "UPDATE outbox SET state = 'parked', last_error = %(error)s WHERE id = %(id)s AND state IN ('queued', 'sending')"
)

_HAS_UNSENT = """
SELECT EXISTS (SELECT 1 FROM outbox WHERE batch_id = %(batch_id)s AND state IN ('queued', 'sending')) AS unsent
"""

_DISCLOSED = """
UPDATE conversations SET disclosed_at = clock_timestamp() WHERE id = %(conversation_id)s AND disclosed_at IS NULL
"""

_IS_DISCLOSING = """
SELECT EXISTS (
    SELECT 1 FROM outbox WHERE conversation_id = %(conversation_id)s AND discloses AND state IN ('queued', 'sending')
) AS disclosing
"""

# What may already be in Telegram's history without being on record under its id: begun and not ended, left to a person,
# or sent on a person's word.
_UNACCOUNTED = """
SELECT id, text, state = 'sent' AS vouched FROM outbox
WHERE conversation_id = %(conversation_id)s AND after_message_id < %(telegram_message_id)s
  AND (state IN ('sending', 'parked') OR state = 'sent' AND telegram_message_id < 0)
ORDER BY id
"""

_IDENTIFY = "UPDATE outbox SET telegram_message_id = %(telegram_message_id)s WHERE id = %(id)s AND state = 'sent'"

# What is on record as written by hand may be the desk's all the same: Telegram can report our own message that way.
_ON_RECORD = """
SELECT telegram_message_id FROM messages
WHERE telegram_account_id = %(account_id)s AND chat_id = %(chat_id)s AND author <> 'phone'
  AND telegram_message_id = ANY(%(telegram_message_ids)s)
"""


@dataclass(frozen=True, slots=True)
class NewBubble:
    """One message of a reply that was just approved."""

    decision_id: int
    batch_id: int
    conversation_id: int
    account_id: str
    position: int
    text: str
    random_id: int
    conversation_revision: int
    discloses: bool
    send_after: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Replies that are to leave: which, in how many seconds, and how many there are altogether."""

    due_in: dict[int, float]
    total: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is on record of a bubble: its state, its message once it is sent, and how long ago it was approved."""

    state: BubbleState
    telegram_message_id: int | None
    seconds_since_approval: float


@dataclass(frozen=True, slots=True)
class Unaccounted:
    """A bubble that may be in Telegram's history; ``vouched`` for by a person, or nobody knows yet."""

    id: int
    text: str
    vouched: bool


async def moment(conn: Connection, delay_seconds: float) -> datetime:
    """Return the time in so many seconds by the database's clock."""
    row = await (await conn.execute(_MOMENT, {"delay": timedelta(seconds=delay_seconds)})).fetchone()
    assert row is not None, "a SELECT of one row"
    found: datetime = row["moment"]
    return found


async def add(conn: Connection, bubbles: Sequence[NewBubble]) -> None:
    """Put bubbles into the outbox."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            _ADD, [{name: getattr(bubble, name) for name in NewBubble.__slots__} for bubble in bubbles]
        )


async def cancel(conn: Connection, batch_id: int, *states: BubbleState) -> None:
    """Cancel the batch's bubbles that are in one of the states."""
    await conn.execute(_CANCEL, {"batch_id": batch_id, "states": [state.value for state in states]})


async def can_be_taken_back(conn: Connection, batch_id: int) -> bool:
    """Tell whether nothing of the newest approval has begun and its undo window is open."""
    row = await (await conn.execute(_CAN_BE_TAKEN_BACK, {"batch_id": batch_id})).fetchone()
    return bool(row and row["can"])


async def next_bubble(conn: Connection, batch_id: int) -> Bubble | None:
    """Return the first bubble that is not sent."""
    return _bubble(await (await conn.execute(_NEXT, {"batch_id": batch_id})).fetchone())


async def parked_bubble(conn: Connection, batch_id: int) -> Bubble | None:
    """Return the bubble that a person has to decide about."""
    return _bubble(await (await conn.execute(_PARKED, {"batch_id": batch_id})).fetchone())


async def is_leaving(conn: Connection, batch_id: int) -> bool:
    """Tell whether an attempt to send one of the batch's bubbles has no end on record."""
    row = await (await conn.execute(_IS_LEAVING, {"batch_id": batch_id})).fetchone()
    return bool(row and row["leaving"])


async def waiting(
    conn: Connection,
    account_id: str,
    *,
    working_on: Sequence[int],
    held: Sequence[int],
    stale_only: bool,
    limit: int,
) -> Waiting:
    """Return replies that are to leave, the one due first first; all count, also where only stale ones are wanted.

    Of those ``held``, only stale ones are wanted.
    """
    values = {
        "account_id": account_id,
        "except": list(working_on),
        "held": list(held),
        "stale_only": stale_only,
        "limit": limit,
    }
    rows = await (await conn.execute(_WAITING, values)).fetchall()
    return Waiting(
        due_in={row["batch_id"]: row["due_in"] for row in rows if row["batch_id"] is not None},
        total=len(working_on) + rows[0]["waiting"],
    )


async def to_read(conn: Connection, batch_id: int) -> int:
    """Return how many characters the customer's messages of the batch have."""
    row = await (await conn.execute(_TO_READ, {"batch_id": batch_id})).fetchone()
    return int(row["characters"]) if row else 0


async def unsent_texts(conn: Connection, batch_id: int) -> list[tuple[int, int, str]]:
    """Return id, position and text of the bubbles that have not begun to leave, in order."""
    cursor = await conn.execute(_UNSENT_TEXTS, {"batch_id": batch_id})
    return [(row["id"], row["position"], row["text"]) for row in await cursor.fetchall()]


async def begin(conn: Connection, bubble_id: int, *, account_id: str, chat_id: int) -> Bubble | None:
    """Put on record that an attempt begins now, behind what the chat is known to hold."""
    values = {"id": bubble_id, "account_id": account_id, "chat_id": chat_id}
    return _bubble(await (await conn.execute(_BEGIN, values)).fetchone())


async def mark_sent(conn: Connection, bubble_id: int, *, telegram_message_id: int, sent_at: datetime) -> None:
    """Put on record that a bubble is sent, unless that is known already."""
    await conn.execute(_SENT, {"id": bubble_id, "telegram_message_id": telegram_message_id, "sent_at": sent_at})


async def outcome(conn: Connection, bubble_id: int) -> Outcome:
    """Return what is on record of a bubble."""
    row = await (await conn.execute(_OUTCOME, {"id": bubble_id})).fetchone()
    assert row is not None, "bubbles stay as long as their batch"
    return Outcome(**row | {"state": BubbleState(row["state"])})


async def take_back(conn: Connection, bubble_id: int, *, delay_seconds: float, error: str) -> None:
    """Queue a bubble again whose attempt surely did not go out."""
    await conn.execute(_TAKE_BACK, {"id": bubble_id, "delay": timedelta(seconds=delay_seconds), "error": error})


async def say_why(conn: Connection, bubble_id: int, reason: str | None) -> None:
    """Put on record for people why a bubble waits; None when it waits no more."""
    await conn.execute(_SAY_WHY, {"id": bubble_id, "reason": reason})


async def postpone(conn: Connection, bubble_id: int, *, delay_seconds: float, error: str) -> None:
    """Leave a bubble as it is for a while."""
    await conn.execute(_POSTPONE, {"id": bubble_id, "delay": timedelta(seconds=delay_seconds), "error": error})


async def park(conn: Connection, bubble_id: int, *, error: str) -> None:
    """Leave a bubble to a person."""
    await conn.execute(_PARK, {"id": bubble_id, "error": error})


async def has_unsent(conn: Connection, batch_id: int) -> bool:
    """Tell whether a bubble of the batch has yet to leave."""
    row = await (await conn.execute(_HAS_UNSENT, {"batch_id": batch_id})).fetchone()
    return bool(row and row["unsent"])


async def mark_disclosed(conn: Connection, conversation_id: int) -> None:
    """Put on record that the customer was told how replies are made."""
    await conn.execute(_DISCLOSED, {"conversation_id": conversation_id})


async def is_disclosing(conn: Connection, conversation_id: int) -> bool:
    """Tell whether a bubble that discloses is on its way."""
    row = await (await conn.execute(_IS_DISCLOSING, {"conversation_id": conversation_id})).fetchone()
    return bool(row and row["disclosing"])


async def unaccounted(conn: Connection, conversation_id: int, *, telegram_message_id: int) -> list[Unaccounted]:
    """Return the bubbles that a message of Telegram's may be, the oldest first."""
    values = {"conversation_id": conversation_id, "telegram_message_id": telegram_message_id}
    return [Unaccounted(**row) for row in await (await conn.execute(_UNACCOUNTED, values)).fetchall()]


async def identify(conn: Connection, bubble_id: int, *, telegram_message_id: int) -> None:
    """Put Telegram's id of a bubble on record that was sent on a person's word."""
    await conn.execute(_IDENTIFY, {"id": bubble_id, "telegram_message_id": telegram_message_id})


async def on_record(
    conn: Connection, *, account_id: str, chat_id: int, telegram_message_ids: Sequence[int]
) -> frozenset[int]:
    """Return which of Telegram's ids are known as messages of the chat, those written by hand left out."""
    values = {"account_id": account_id, "chat_id": chat_id, "telegram_message_ids": list(telegram_message_ids)}
    return frozenset(row["telegram_message_id"] for row in await (await conn.execute(_ON_RECORD, values)).fetchall())


def _bubble(row: Row | None) -> Bubble | None:
    return None if row is None else Bubble(**row | {"state": BubbleState(row["state"])})
