"""A sample of the conversations' memories as they lie in Redis, and what PostgreSQL has of the same conversations."""

import hashlib
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, cast

from nadia.constants import MAX_HISTORY_LENGTH, TELEGRAM_TEXT_LIMIT
from nadia.conversations.memory_entries import DAMAGED, Remembered, decode
from nadia.conversations.order import PLACE
from nadia.health.postgres_reading import Connect, asking
from nadia.redis import keys
from nadia.redis.commands import Command, SendsCommands, SurveysServers

_STEPS: Final = 20
_STEP_KEYS: Final = 500
"""A look through at most 10,000 keys takes some milliseconds; beyond them it samples from the first ones."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION: Final = re.compile(r"(\d{1,18})/(\d{1,18})")

# KEYS: memory. ARGV: most entries to read.
_READ: Final = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'list' then return {kind, 0, 0, {}} end
return {kind, redis.call('LLEN', KEYS[1]), redis.call('TTL', KEYS[1]), redis.call('LRANGE', KEYS[1], 0, ARGV[1])}
"""

# The newest messages of each conversation as its memory would show them, with digests instead of what was said.
_RECORD: Final = f"""
SELECT c.id, c.partition, c.revision, c.replies, coalesce(newest.messages, '[]') AS messages
FROM conversations c LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(
        place, author, kind, md5(CASE WHEN deleted_at IS NULL THEN left(text, {TELEGRAM_TEXT_LIMIT}) ELSE '' END),
        floor(extract(epoch FROM sent_at) * 1000)::bigint, deleted_at IS NOT NULL
    ) ORDER BY place, id) AS messages
    FROM (
        SELECT m.*, {PLACE} AS place FROM messages m WHERE m.conversation_id = c.id
        ORDER BY {PLACE} DESC, m.id DESC LIMIT {MAX_HISTORY_LENGTH}
    ) AS last
) AS newest ON true
WHERE c.id = ANY(%(conversation_ids)s)
"""  # noqa: S608 - constants only

Told: TypeAlias = "tuple[int, str, str, str, int, bool]"
"""A message: place, author, kind, digest of its text, when it was written (milliseconds), whether it was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMemory:
    """A memory as it lies in Redis.

    Parameters
    ----------
    key : str
        Where.
    conversation_id : int or None
        Whose; None where the key tells of none.
    is_list : bool
        Whether it is of the kind that memories are.
    length : int
        Entries with the version, also beyond those that were read.
    seconds_left : int
        Until it is forgotten; -1 for never.
    version : tuple of int or None
        Revision and replies of the conversation that it shows; None where that cannot be read.
    messages : sequence of Told or None
        What it shows, in its order; None where that cannot be read.
    """

    key: str
    conversation_id: int | None
    is_list: bool
    length: int
    seconds_left: int
    version: tuple[int, int] | None
    messages: Sequence[Told] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMemory:
    """What the memory of a conversation would be if it was made now."""

    key: str
    version: tuple[int, int]
    messages: Sequence[Told]


async def sample_memories(
    redis: SurveysServers, size: int, *, choose: Callable[[Sequence[str], int], Sequence[str]] = random.sample
) -> Sequence[StoredMemory]:
    """Return some memories; those that are forgotten in this moment are left out.

    Raises
    ------
    UnavailableError
        If Redis is away.
    """
    found = sorted({key for server in await redis.servers() async for key in _scan(server)})
    chosen = choose(found, min(size, len(found)))
    answers = await redis.send([Command(("EVAL", _READ, 1, key, MAX_HISTORY_LENGTH)) for key in chosen])
    return [memory for key, answer in zip(chosen, answers, strict=True) if (memory := _stored(key, answer))]


async def recorded_memories(connect: Connect, conversation_ids: Sequence[int]) -> Mapping[int, RecordedMemory]:
    """Return what PostgreSQL has of conversations, by their ids; those that there are not are left out.

    Raises
    ------
    UnavailableError
        If PostgreSQL is away.
    """
    async with asking(connect) as conn:
        rows = await (await conn.execute(_RECORD, {"conversation_ids": list(conversation_ids)})).fetchall()
    return {
        row["id"]: RecordedMemory(
            key=keys.memory(row["partition"], row["id"]),
            version=(row["revision"], row["replies"]),
            messages=[cast("Told", tuple(message)) for message in row["messages"]],
        )
        for row in rows
    }


async def _scan(server: SendsCommands) -> AsyncIterator[str]:
    """Yield keys of memories, step by step up to a bound; some may come twice."""
    cursor = 0
    for _ in range(_STEPS):
        (answer,) = await server.send([Command(("SCAN", cursor, "MATCH", keys.MEMORIES, "COUNT", _STEP_KEYS))])
        position, found = cast("tuple[object, Sequence[str]]", answer)
        for key in found:
            yield key
        # The driver names the server of a cluster with its position.
        cursor = int(str(next(iter(position.values())) if isinstance(position, dict) else position))
        if not cursor:
            return


def _stored(key: str, answer: object) -> StoredMemory | None:
    kind, length, seconds_left, entries = cast("tuple[str, int, int, list[str]]", answer)
    if kind == "none":
        return None
    return StoredMemory(
        key=key,
        conversation_id=keys.conversation_of_memory(key),
        is_list=kind == "list",
        length=length,
        seconds_left=seconds_left,
        version=_version(entries[0]) if entries else None,
        messages=_messages(entries[1:]),
    )


def _version(head: str) -> tuple[int, int] | None:
    found = _VERSION.fullmatch(head)
    return (int(found[1]), int(found[2])) if found else None


def _messages(entries: Sequence[str]) -> Sequence[Told] | None:
    try:
        return [_told(decode(entry)) for entry in entries]
    except DAMAGED:
        return None


def _told(entry: Remembered) -> Told:
    digest = hashlib.md5(entry.text.encode(), usedforsecurity=False).hexdigest()
    milliseconds = (entry.sent_at - _EPOCH) // timedelta(milliseconds=1)
    return entry.place, entry.author, entry.kind, digest, milliseconds, entry.deleted
