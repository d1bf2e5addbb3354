"""What a conversation was about lately: the last 50 messages, for 7 days, in Redis; rebuilt from PostgreSQL.

A memory carries the version of the conversation that it shows: its revision and the number of replies. Who adds a
message appends to a memory that shows just the version before; whatever else happens, the versions differ and the next
reader rebuilds it. So it does when a message comes that belongs before others: they stand in Telegram's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import structlog

from nadia.constants import MAX_HISTORY_LENGTH, MEMORY_TTL_SECONDS, TELEGRAM_TEXT_LIMIT
from nadia.conversations import metrics
from nadia.conversations.memory_entries import DAMAGED, Remembered, decode, encode, version_of
from nadia.conversations.messages import Message, Messages, NewMessage, Recorded
from nadia.conversations.models import Conversation
from nadia.errors import UnavailableError
from nadia.redis import keys
from nadia.redis.commands import Command, Script
from nadia.redis.connection import RedisConnection
from nadia.redis.mixin import RedisConnectionMixin

log = structlog.get_logger(__name__)

# The list's head is its version, the rest are messages, oldest first.
# KEYS: memory. ARGV: version before, version now, message, its place.
# Appends to a memory that shows the version before and only older messages; drops any other, to be rebuilt by the next
# reader.
_APPEND: Final = Script(f"""
local known = redis.call('LINDEX', KEYS[1], 0)
if not known then return 0 end
local newest = string.match(redis.call('LINDEX', KEYS[1], -1), '^{{"p":(%-?%d+),')
if known ~= ARGV[1] or (newest and tonumber(newest) > tonumber(ARGV[4])) then
  redis.call('DEL', KEYS[1])
  return 0
end
if redis.call('RPUSH', KEYS[1], ARGV[3]) > {MAX_HISTORY_LENGTH} + 1 then
  redis.call('LPOP', KEYS[1])
end
redis.call('LSET', KEYS[1], 0, ARGV[2])
redis.call('EXPIRE', KEYS[1], {MEMORY_TTL_SECONDS})
return 1
""")

# KEYS: memory. ARGV: version, messages.
_REBUILD: Final = Script(f"""
redis.call('DEL', KEYS[1])
for position = 1, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[position]) end
return redis.call('EXPIRE', KEYS[1], {MEMORY_TTL_SECONDS})
""")


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    version: str
    messages: list[Remembered]


class ConversationMemory(RedisConnectionMixin):
    """Reads and keeps conversations' memories.

    Parameters
    ----------
    redis : RedisConnection
        Where they are.
    messages : Messages
        What they are rebuilt from.
    """

    def __init__(self, *, redis: RedisConnection, messages: Messages) -> None:
        super().__init__(redis=redis)
        self._messages = messages

    async def recall(self, conversation: Conversation) -> list[Remembered]:
        """Return the conversation's last messages, oldest first, at most 50.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away and memory does not know it.
        """
        try:
            cached = await self._read(conversation)
        except UnavailableError:
            return (await self._from_record(conversation)).messages
        if cached is not None:
            metrics.MEMORY_READS.labels("redis").inc()
            return cached
        rebuilt = await self._from_record(conversation)
        try:
            await self._write(conversation, rebuilt)
        except UnavailableError:
            log.debug("memory.not_kept", conversation_id=conversation.id)
        return rebuilt.messages

    async def append(
        self, conversation: Conversation, message: NewMessage, recorded: Recorded, *, along: Sequence[Command] = ()
    ) -> None:
        """Add a message to a memory that shows the version and the messages before it; no other memory survives.

        Parameters
        ----------
        conversation : Conversation
            Whose.
        message : NewMessage
            What was put on record.
        recorded : Recorded
            How far the conversation came with it.
        along : sequence of Command
            What else is to be done for this message, in the same round trip.

        Raises
        ------
        UnavailableError
            If Redis is away; the version will tell that the memory is old.
        """
        await self._redis_connection.send([self.appending(conversation, message, recorded), *along])

    def appending(self, conversation: Conversation, message: NewMessage, recorded: Recorded) -> Command:
        """Return the command of `append`, for senders that have others for the same round trip."""
        return _APPEND.call(
            keys=[keys.memory(conversation.partition, conversation.id)],
            args=[
                version_of(recorded.revision - 1, recorded.replies),
                version_of(recorded.revision, recorded.replies),
                encode(entry := remember(message)),
                str(entry.place),
            ],
        )

    async def _read(self, conversation: Conversation) -> list[Remembered] | None:
        async with self._redis() as redis:
            entries = cast("list[str]", await redis.lrange(keys.memory(conversation.partition, conversation.id), 0, -1))
        if not entries or entries[0] != version_of(conversation.revision, conversation.replies):
            return None
        try:
            return [decode(entry) for entry in entries[1:]]
        except DAMAGED:
            log.warning("memory.unreadable", conversation_id=conversation.id)
            return None

    async def _write(self, conversation: Conversation, rebuilt: _Rebuilt) -> None:
        await self._redis_connection.run(
            _REBUILD,
            keys=[keys.memory(conversation.partition, conversation.id)],
            args=[rebuilt.version, *map(encode, rebuilt.messages)],
        )

    async def _from_record(self, conversation: Conversation) -> _Rebuilt:
        metrics.MEMORY_READS.labels("postgres").inc()
        # The version is the record's own: by now it may be newer than the conversation that was asked about.
        history = await self._messages.history(conversation.id, limit=MAX_HISTORY_LENGTH)
        return _Rebuilt(
            version=version_of(history.revision, history.replies),
            messages=[remember(message) for message in history.messages],
        )


def remember(message: NewMessage) -> Remembered:
    """Return what memory keeps of a message."""
    deleted = isinstance(message, Message) and message.deleted_at is not None
    return Remembered(
        author=message.author,
        kind=message.kind,
        text="" if deleted else message.text[:TELEGRAM_TEXT_LIMIT],
        sent_at=message.sent_at,
        deleted=deleted,
        media=None if deleted else message.media,
        place=message.place if isinstance(message, Message) else message.telegram_message_id,
    )
