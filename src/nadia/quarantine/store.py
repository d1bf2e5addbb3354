"""Quarantine's rows in PostgreSQL. Every function works within the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nadia.conversations.media import media_from_fields
from nadia.conversations.models import Conversation
from nadia.conversations.transitions import conversation_from_row
from nadia.errors import NotFoundError
from nadia.postgres.database import Connection
from nadia.quarantine.models import HeldMessage, LogEntry, Silence, Status, Step

MOST_MESSAGES: Final = 500
MOST_LOG: Final = 100

_STATUS = """
SELECT s.person_id, s.pass_granted_at IS NOT NULL AS pass_granted
FROM user_protocol_status s JOIN conversations c ON c.person_id = s.person_id WHERE c.id = %(conversation_id)s
"""

_SILENCED_CONVERSATIONS = """
SELECT c.id FROM user_protocol_status s JOIN conversations c ON c.person_id = s.person_id LIMIT %(limit)s
"""

# Message m was released in the present silence s: it may be answered. An earlier silence's release counts no more.
_LET_THROUGH = """
SELECT 1 FROM quarantine_messages q
WHERE q.message_id = m.id AND q.state = 'released' AND q.settled_at >= s.activated_at
"""

# Batches b of silenced customers, those left out that a release or a pass let through.
_WITHHELD = f"""
FROM batches b JOIN conversations c ON c.id = b.conversation_id
JOIN user_protocol_status s ON s.person_id = c.person_id
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.batch_id = b.id AND EXISTS ({_LET_THROUGH}))
"""  # noqa: S608 - constants only

_IS_WITHHELD = f"SELECT EXISTS (SELECT 1 {_WITHHELD} AND b.id = %(batch_id)s) AS withheld"

# What should be parked and is not: its conversation began while the silence was being written, or a bubble was leaving
# then and nobody sends now.
_STRAYS = f"""
SELECT b.id {_WITHHELD} AND b.state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending')
ORDER BY b.id LIMIT %(limit)s
"""

_LOCK_CONVERSATION = "SELECT id FROM conversations WHERE id = %(conversation_id)s FOR UPDATE"

_OPEN_ITEM = """
SELECT id FROM batches
WHERE conversation_id = %(conversation_id)s AND state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending')
"""

_LOOSE = f"""
FROM messages m, user_protocol_status s
WHERE s.person_id = %(person_id)s AND m.conversation_id = %(conversation_id)s
  AND m.batch_id IS NULL AND m.held_at IS NULL AND m.direction = 'in' AND NOT EXISTS ({_LET_THROUGH})
"""

# A message can be held again: it was released and not sealed when the next silence began.
_HOLD = """
INSERT INTO quarantine_messages (message_id, person_id, expires_at)
SELECT chosen.id, s.person_id, clock_timestamp() + s.keeps
FROM chosen, user_protocol_status s WHERE s.person_id = %(person_id)s
ON CONFLICT (message_id) DO UPDATE SET state = 'held', held_at = clock_timestamp(), expires_at = excluded.expires_at,
    settled_at = NULL, settled_by = NULL
RETURNING message_id
"""

_HOLD_LOOSE = f"""
WITH chosen AS (
    UPDATE messages SET held_at = clock_timestamp() WHERE id IN (SELECT m.id {_LOOSE}) RETURNING id
)
{_HOLD}
"""  # noqa: S608 - constants only

_HOLD_MEMBERS = f"""
WITH chosen AS (SELECT id FROM messages WHERE batch_id = %(batch_id)s AND direction = 'in')
{_HOLD}
"""  # noqa: S608 - constants only

_LOCK_GRANT = "SELECT pass_granted_by FROM user_protocol_status WHERE person_id = %(person_id)s FOR UPDATE"

_LET_PASS = f"""
INSERT INTO quarantine_messages (message_id, person_id, state, expires_at, settled_at, settled_by)
SELECT m.id, s.person_id, 'released', clock_timestamp() + s.keeps, clock_timestamp(), %(actor)s {_LOOSE}
ON CONFLICT (message_id) DO UPDATE SET state = 'released', settled_at = clock_timestamp(), settled_by = %(actor)s
RETURNING message_id
"""

_SET_GRANT = """
UPDATE user_protocol_status SET pass_granted_at = clock_timestamp(), pass_granted_by = %(actor)s
WHERE person_id = %(person_id)s AND pass_granted_at IS NULL RETURNING person_id
"""

_CLEAR_GRANT = """
UPDATE user_protocol_status SET pass_granted_at = NULL, pass_granted_by = NULL WHERE person_id = %(person_id)s
"""

_PERSON = "SELECT id, name, username FROM people WHERE id = %(person_id)s"

_BY_USERNAME = "SELECT id FROM people WHERE lower(username) = lower(%(username)s) ORDER BY id"

# In the order of their ids, so that two decisions about one person never wait for each other.
_LOCK_CONVERSATIONS = """
SELECT id, telegram_account_id, chat_id, partition, revision, replies, disclosed_at
FROM conversations WHERE person_id = %(person_id)s ORDER BY id FOR UPDATE
"""

_SILENCE = """
INSERT INTO user_protocol_status (person_id, reason, activated_by, keeps)
VALUES (%(person_id)s, %(reason)s, %(actor)s, %(keeps)s)
ON CONFLICT (person_id) DO NOTHING RETURNING person_id
"""

_LIFT = "DELETE FROM user_protocol_status WHERE person_id = %(person_id)s RETURNING reason, activated_by, activated_at"

_IS_SILENCED = "SELECT EXISTS (SELECT 1 FROM user_protocol_status WHERE person_id = %(person_id)s) AS silenced"

# Held messages of a person: all, some, or those that nobody decided about in time. One of a parked item brings the
# whole item along.
_CHOOSE = """
WITH chosen AS (
    SELECT q.message_id, m.batch_id FROM quarantine_messages q JOIN messages m ON m.id = q.message_id
    WHERE q.person_id = %(person_id)s AND q.state = 'held'
      AND (%(message_ids)s::bigint[] IS NULL OR q.message_id = ANY(%(message_ids)s))
      AND (NOT %(overdue)s OR q.expires_at <= clock_timestamp())
)
SELECT q.message_id, m.conversation_id, m.batch_id
FROM quarantine_messages q JOIN messages m ON m.id = q.message_id
WHERE q.person_id = %(person_id)s AND q.state = 'held' AND (
    q.message_id IN (SELECT message_id FROM chosen)
    OR m.batch_id IN (SELECT batch_id FROM chosen WHERE batch_id IS NOT NULL)
)
ORDER BY q.message_id
"""

_SETTLE = """
UPDATE quarantine_messages SET state = %(state)s, settled_at = clock_timestamp(), settled_by = %(actor)s
WHERE message_id = ANY(%(message_ids)s) AND state = 'held'
"""

_LOOSEN = "UPDATE messages SET held_at = NULL WHERE id = ANY(%(message_ids)s) AND batch_id IS NULL"

# The customer's messages of a parked item, when they go on in a newer one.
_LOOSEN_MEMBERS = "UPDATE messages SET batch_id = NULL WHERE batch_id = %(batch_id)s AND direction = 'in'"

# The members of a parked item, when the desk ends it.
_SETTLE_ITEM = """
UPDATE quarantine_messages q SET state = %(state)s, settled_at = clock_timestamp(), settled_by = %(actor)s
FROM messages m WHERE m.id = q.message_id AND m.batch_id = %(batch_id)s AND q.state = 'held'
RETURNING q.person_id
"""

_OVERDUE = """
SELECT person_id FROM quarantine_messages WHERE state = 'held' AND expires_at <= clock_timestamp()
GROUP BY person_id ORDER BY min(expires_at) LIMIT %(limit)s
"""

_LOG = """
INSERT INTO protocol_audit_log (person_id, event, actor, reason, messages)
VALUES (%(person_id)s, %(event)s, %(actor)s, %(reason)s, %(messages)s)
"""

_SILENCES = """
SELECT s.person_id, p.name, p.username, s.reason, s.activated_by,
       coalesce(a.name, s.activated_by) AS activated_by_name, s.activated_at, s.pass_granted_at,
       held.messages AS held, held.oldest_held_at, held.expires_at
FROM user_protocol_status s
JOIN people p ON p.id = s.person_id
LEFT JOIN accounts a ON s.activated_by = 'account:' || a.id
CROSS JOIN LATERAL (
    SELECT count(*)::int AS messages, min(q.held_at) AS oldest_held_at, min(q.expires_at) AS expires_at
    FROM quarantine_messages q WHERE q.person_id = s.person_id AND q.state = 'held'
) held
"""

_ALL_SILENCES = f"{_SILENCES} ORDER BY held.expires_at NULLS LAST, s.activated_at DESC LIMIT %(limit)s"

_ONE_SILENCE = f"{_SILENCES} WHERE s.person_id = %(person_id)s"

_MESSAGES = """
SELECT m.id AS message_id, m.telegram_account_id, m.batch_id, m.kind, m.media, m.text, m.sent_at, m.deleted_at,
       q.held_at, q.expires_at
FROM quarantine_messages q JOIN messages m ON m.id = q.message_id
WHERE q.person_id = %(person_id)s AND q.state = 'held'
ORDER BY m.conversation_id, m.telegram_message_id LIMIT %(limit)s
"""

_ENTRIES = """
SELECT l.at, l.event AS step, l.actor, coalesce(a.name, l.actor) AS actor_name, l.reason, l.messages
FROM protocol_audit_log l LEFT JOIN accounts a ON l.actor = 'account:' || a.id
WHERE l.person_id = %(person_id)s ORDER BY l.id DESC LIMIT %(limit)s
"""

_FIGURES = """
SELECT (SELECT count(*) FROM user_protocol_status) AS silenced, count(*) AS held,
       coalesce(extract(epoch FROM clock_timestamp() - min(held_at)), 0)::float8 AS oldest_seconds
FROM quarantine_messages WHERE state = 'held'
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A held message that is being decided about; ``batch_id`` is the parked item that it belongs to."""

    message_id: int
    conversation_id: int
    batch_id: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """How much is in quarantine; seconds by the database's clock."""

    silenced: int
    held: int
    oldest_seconds: float


async def status(conn: Connection, conversation_id: int) -> Status | None:
    """Return the silence of the conversation's customer; None if they are not silenced."""
    row = await (await conn.execute(_STATUS, {"conversation_id": conversation_id})).fetchone()
    return None if row is None else Status(**row)


async def silenced_conversations(conn: Connection, *, limit: int) -> list[int]:
    """Return conversations with silenced customers."""
    return [row["id"] for row in await (await conn.execute(_SILENCED_CONVERSATIONS, {"limit": limit})).fetchall()]


async def is_withheld(conn: Connection, batch_id: int) -> bool:
    """Tell whether a silence keeps a batch from being answered."""
    row = await (await conn.execute(_IS_WITHHELD, {"batch_id": batch_id})).fetchone()
    return bool(row and row["withheld"])


async def strays(conn: Connection, limit: int) -> list[int]:
    """Return open items that a silence keeps from being answered and that nobody parked."""
    return [row["id"] for row in await (await conn.execute(_STRAYS, {"limit": limit})).fetchall()]


async def open_item(conn: Connection, conversation_id: int) -> int | None:
    """Return the conversation's item that is neither ended nor parked."""
    row = await (await conn.execute(_OPEN_ITEM, {"conversation_id": conversation_id})).fetchone()
    return None if row is None else int(row["id"])


async def hold_loose(conn: Connection, *, person_id: int, conversation_id: int) -> int:
    """Set the conversation's loose messages aside, those left out that were let through; returns how many."""
    values = {"person_id": person_id, "conversation_id": conversation_id}
    return len(await (await conn.execute(_HOLD_LOOSE, values)).fetchall())


async def hold_members(conn: Connection, *, person_id: int, batch_id: int) -> int:
    """Put on record that the messages of an item wait for a decision; returns how many."""
    values = {"person_id": person_id, "batch_id": batch_id}
    return len(await (await conn.execute(_HOLD_MEMBERS, values)).fetchall())


async def lock_pass(conn: Connection, person_id: int) -> str | None:
    """Return who gave the pass that is not used yet, if any; nobody else uses it until the transaction ends."""
    row = await (await conn.execute(_LOCK_GRANT, {"person_id": person_id})).fetchone()
    return None if row is None else row["pass_granted_by"]


async def let_pass(conn: Connection, *, person_id: int, conversation_id: int, actor: str) -> int:
    """Let the conversation's loose messages through; returns how many."""
    values = {"person_id": person_id, "conversation_id": conversation_id, "actor": actor}
    return len(await (await conn.execute(_LET_PASS, values)).fetchall())


async def set_pass(conn: Connection, person_id: int, *, actor: str) -> bool:
    """Give the next burst a pass; returns False if it has one."""
    return await (await conn.execute(_SET_GRANT, {"person_id": person_id, "actor": actor})).fetchone() is not None


async def clear_pass(conn: Connection, person_id: int) -> None:
    """Take the pass back, or note that it was used."""
    await conn.execute(_CLEAR_GRANT, {"person_id": person_id})


async def person(conn: Connection, person_id: int) -> tuple[str, str | None]:
    """Return a person's name and username.

    Raises
    ------
    NotFoundError
        If there is no such person.
    """
    row = await (await conn.execute(_PERSON, {"person_id": person_id})).fetchone()
    if row is None:
        raise NotFoundError(f"there is no person {person_id}")
    return row["name"], row["username"]


async def by_username(conn: Connection, username: str) -> list[int]:
    """Return the people of that username; networks may have one each."""
    return [row["id"] for row in await (await conn.execute(_BY_USERNAME, {"username": username})).fetchall()]


async def lock_conversation(conn: Connection, conversation_id: int) -> None:
    """Lock one conversation for the rest of the transaction."""
    await conn.execute(_LOCK_CONVERSATION, {"conversation_id": conversation_id})


async def lock_conversations(conn: Connection, person_id: int) -> list[Conversation]:
    """Lock all conversations with a person for the rest of the transaction.

    Raises
    ------
    NotFoundError
        If there is no such person.
    """
    await person(conn, person_id)
    rows = await (await conn.execute(_LOCK_CONVERSATIONS, {"person_id": person_id})).fetchall()
    return [conversation_from_row(row) for row in rows]


async def silence(conn: Connection, person_id: int, *, reason: str, actor: str, keeps: timedelta) -> bool:
    """Silence a person; returns False if they are silenced already."""
    values = {"person_id": person_id, "reason": reason, "actor": actor, "keeps": keeps}
    return await (await conn.execute(_SILENCE, values)).fetchone() is not None


async def lift(conn: Connection, person_id: int) -> dict[str, object] | None:
    """End a silence and return what it was; None if there is none."""
    return await (await conn.execute(_LIFT, {"person_id": person_id})).fetchone()


async def is_silenced(conn: Connection, person_id: int) -> bool:
    """Tell whether a person is silenced."""
    row = await (await conn.execute(_IS_SILENCED, {"person_id": person_id})).fetchone()
    return bool(row and row["silenced"])


async def choose(
    conn: Connection, person_id: int, *, message_ids: Sequence[int] | None = None, overdue: bool = False
) -> list[Chosen]:
    """Return held messages to decide about: all of a person's, some, or those whose time is over."""
    ids = None if message_ids is None else list(message_ids)
    values = {"person_id": person_id, "message_ids": ids, "overdue": overdue}
    return [Chosen(**row) for row in await (await conn.execute(_CHOOSE, values)).fetchall()]


async def settle(conn: Connection, message_ids: Sequence[int], *, to: Step, actor: str) -> None:
    """Put on record what was decided about held messages; released ones are loose again."""
    await conn.execute(_SETTLE, {"message_ids": list(message_ids), "state": to.value, "actor": actor})
    if to is Step.RELEASED:
        await conn.execute(_LOOSEN, {"message_ids": list(message_ids)})


async def loosen_members(conn: Connection, batch_id: int) -> None:
    """Take the customer's messages out of an item, so that they are sealed anew."""
    await conn.execute(_LOOSEN_MEMBERS, {"batch_id": batch_id})


async def settle_item(conn: Connection, batch_id: int, *, to: Step, actor: str) -> list[int]:
    """Put on record what became of a parked item's messages; returns the person of each."""
    values = {"batch_id": batch_id, "state": to.value, "actor": actor}
    return [row["person_id"] for row in await (await conn.execute(_SETTLE_ITEM, values)).fetchall()]


async def people_with_overdue(conn: Connection, limit: int) -> list[int]:
    """Return people some of whose held messages nobody decided about in time."""
    return [row["person_id"] for row in await (await conn.execute(_OVERDUE, {"limit": limit})).fetchall()]


async def log_step(
    conn: Connection, person_id: int, step: Step, *, actor: str, reason: str | None = None, messages: int = 0
) -> None:
    """Add a line to the protocol's log."""
    values = {"person_id": person_id, "event": step.value, "actor": actor, "reason": reason, "messages": messages}
    await conn.execute(_LOG, values)


async def silences(conn: Connection, limit: int) -> list[Silence]:
    """Return who is silenced, those first whose messages expire next."""
    return [Silence(**row) for row in await (await conn.execute(_ALL_SILENCES, {"limit": limit})).fetchall()]


async def silence_of(conn: Connection, person_id: int) -> Silence | None:
    """Return a person's silence, if there is one."""
    row = await (await conn.execute(_ONE_SILENCE, {"person_id": person_id})).fetchone()
    return None if row is None else Silence(**row)


async def held_messages(conn: Connection, person_id: int) -> tuple[HeldMessage, ...]:
    """Return what waits for a decision, in Telegram's order."""
    values = {"person_id": person_id, "limit": MOST_MESSAGES}
    rows = await (await conn.execute(_MESSAGES, values)).fetchall()
    return tuple(HeldMessage(**row | {"media": media_from_fields(row["media"])}) for row in rows)


async def log_of(conn: Connection, person_id: int) -> tuple[LogEntry, ...]:
    """Return the last lines of a person's log, the newest first."""
    values = {"person_id": person_id, "limit": MOST_LOG}
    rows = await (await conn.execute(_ENTRIES, values)).fetchall()
    return tuple(LogEntry(**row | {"step": Step(row["step"])}) for row in rows)


async def figures(conn: Connection) -> Figures:
    """Return how much is in quarantine."""
    row = await (await conn.execute(_FIGURES)).fetchone()
    assert row is not None, "counts have a row"
    return Figures(**row)
