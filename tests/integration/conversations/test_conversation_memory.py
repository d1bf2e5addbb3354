"""Memory shows what PostgreSQL has, or is rebuilt: whatever came in which order."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nadia.constants import MAX_HISTORY_LENGTH, MEMORY_TTL_SECONDS, TELEGRAM_TEXT_LIMIT
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.memory_entries import version_of
from nadia.conversations.messages import NewMessage, Recorded
from nadia.conversations.models import Conversation
from nadia.conversations.sent_messages import record_sent
from nadia.redis.connection import RedisConnection
from nadia.redis.keys import memory as memory_key
from nadia.redis.source import RedisSource
from nadia.telegram.gateway import MessageEdited, MessagesDeleted
from support.core import START, Core, HandClock, open_core
from support.servers import ClonedDatabase


async def fresh(core: Core, chat_id: int = 1001) -> Conversation:
    """The conversation as it is now."""
    return await core.customer(chat_id)


async def texts(core: Core, chat_id: int = 1001) -> list[str]:
    return [entry.text for entry in await core.memory.recall(await fresh(core, chat_id))]


async def is_kept(core: Core, conversation: Conversation) -> bool:
    async with core.redis.use() as redis:
        head = await redis.lindex(memory_key(conversation.partition, conversation.id), 0)
    return head == version_of(conversation.revision, conversation.replies)


async def reply(core: Core, text: str) -> None:
    batch = await core.sealed() if await core.value("SELECT count(*) FROM batches") == 0 else None
    batch_id = batch.id if batch else await core.value("SELECT max(id) FROM batches")
    async with core.database.transaction() as conn:
        await record_sent(
            conn,
            conversation=await fresh(core),
            telegram_message_id=next(core._ids),
            text=text,
            sent_at=START,
            batch_id=batch_id,
        )


async def test_messages_are_appended_to_a_memory_that_is_known(core: Core) -> None:
    await core.receive(text="one")
    assert await texts(core) == ["one"]  # built by the first reader
    await core.receive(text="two")
    await core.receive(text="three")
    assert await is_kept(core, await fresh(core))
    assert await texts(core) == ["one", "two", "three"]


async def test_the_last_fifty_are_remembered_for_seven_days(core: Core) -> None:
    await core.receive(text="0")
    await texts(core)
    for number in range(1, 60):
        await core.receive(text=str(number))
    expected = [str(number) for number in range(10, 60)]
    conversation = await fresh(core)
    assert await is_kept(core, conversation)
    assert await texts(core) == expected
    assert len(expected) == MAX_HISTORY_LENGTH
    key = memory_key(conversation.partition, conversation.id)
    async with core.redis.use() as redis:
        assert MEMORY_TTL_SECONDS - 60 < await redis.ttl(key) <= MEMORY_TTL_SECONDS == 7 * 86_400
    async with core.redis.use() as redis:
        await redis.delete(key)
    assert await texts(core) == expected  # rebuilt


async def test_an_edit_a_deletion_and_a_reply_make_the_next_reader_rebuild(core: Core) -> None:
    first = await core.receive(text="one")
    second = await core.receive(text="two")
    assert await texts(core) == ["one", "two"]
    edited = MessageEdited(chat_id=1001, message_id=first.message_id, text="ONE", edited_at=START)
    await core.intake.receive(edited, ownership=core.ownership, network="sandbox")
    assert await texts(core) == ["ONE", "two"]
    deleted = MessagesDeleted(message_ids=(second.message_id,), chat_id=None)
    await core.intake.receive(deleted, ownership=core.ownership, network="sandbox")
    assert await texts(core) == ["ONE", ""]
    await reply(core, "three")
    assert await texts(core) == ["ONE", "", "Hello", "three"]


async def test_a_message_from_the_phone_is_remembered_as_such(core: Core) -> None:
    await core.receive(text="hi")
    await texts(core)
    await core.receive(text="I took care of it", outgoing=True)
    conversation = await fresh(core)
    assert await is_kept(core, conversation)
    assert [entry.author for entry in await core.memory.recall(conversation)] == ["customer", "phone"]


async def test_a_reader_with_an_old_view_does_not_make_the_memory_double_a_message(core: Core) -> None:
    await core.receive(text="one")
    before = await fresh(core)
    recorded = await core.record(before, "two")  # on record, its append still under way

    remembered = await core.memory.recall(before)  # rebuilds; the record has both by now
    assert [entry.text for entry in remembered] == ["one", "two"]
    new = core.message(text="two")
    await core.memory.append(before, _as_new(new.text), recorded)

    assert await texts(core) == ["one", "two"]


async def test_an_append_that_skips_a_version_drops_the_memory(core: Core) -> None:
    await core.receive(text="one")
    await texts(core)
    conversation = await fresh(core)
    await core.record(conversation, "unseen by Redis")
    await core.receive(text="three")
    assert not await is_kept(core, await fresh(core))
    assert await texts(core) == ["one", "unseen by Redis", "three"]


@pytest.mark.parametrize(
    "damage",
    ["no JSON", "[]", "7", "{}", '{"a":"customer","k":"text","t":"x","s":"never"}', '{"a":1,"k":2,"t":3,"s":1e300}'],
)
async def test_damaged_entries_are_rebuilt(core: Core, damage: str) -> None:
    await core.receive(text="one")
    await texts(core)
    conversation = await fresh(core)
    async with core.redis.use() as redis:
        await redis.rpush(memory_key(conversation.partition, conversation.id), damage)
    assert await texts(core) == ["one"]
    async with core.redis.use() as redis:
        assert await redis.llen(memory_key(conversation.partition, conversation.id)) == 2


async def test_a_key_of_another_type_does_not_stop_reading(core: Core) -> None:
    await core.receive(text="one")
    conversation = await fresh(core)
    async with core.redis.use() as redis:
        await redis.set(memory_key(conversation.partition, conversation.id), "what is this?")
    assert await texts(core) == ["one"]
    await core.receive(text="two")
    assert await texts(core) == ["one", "two"]


async def test_without_redis_memory_is_read_from_the_record(core: Core) -> None:
    await core.receive(text="one")
    connection = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock"))
    without = ConversationMemory(redis=connection, messages=core.messages)
    assert [entry.text for entry in await without.recall(await fresh(core))] == ["one"]
    await connection.close()


async def test_an_enormous_text_takes_no_more_of_redis_than_a_message_may_hold(core: Core) -> None:
    await core.receive(text="x" * 1_000_000)
    assert [len(text) for text in await texts(core)] == [TELEGRAM_TEXT_LIMIT]
    await core.receive(text="y" * 1_000_000)
    assert [len(text) for text in await texts(core)] == [TELEGRAM_TEXT_LIMIT] * 2
    assert await core.value("SELECT min(length(text)) FROM messages") == 1_000_000
    conversation = await fresh(core)
    async with core.redis.use() as redis:
        for entry in (await redis.lrange(memory_key(conversation.partition, conversation.id), 0, -1))[1:]:
            assert len(json.loads(entry)["t"]) == TELEGRAM_TEXT_LIMIT


def _as_new(text: str) -> NewMessage:
    """A message of which memory reads the text."""
    return NewMessage(
        telegram_message_id=1,
        direction="in",
        author="customer",
        kind="text",
        text=text,
        reply_to=None,
        sent_at=START,
    )


STEPS = st.lists(
    st.sampled_from(
        [
            "write",
            "write unseen",
            "write under a reader",
            "late append",
            "edit",
            "delete",
            "reply",
            "recall",
            "recall old",
            "flush",
        ]
    ),
    min_size=3,
    max_size=25,
)


def test_memory_agrees_with_the_record_after_any_interleaving(
    database: ClonedDatabase, redis_source: RedisSource
) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(STEPS)
    def agrees(steps: list[str]) -> None:
        asyncio.run(_agrees(database.app_dsn, redis_source, steps))

    agrees()


async def _agrees(dsn: str, source: RedisSource, steps: list[str]) -> None:
    async with open_core(dsn, source, clock=HandClock(datetime.now(UTC))) as core:
        for table in ("messages", "audit_log", "batches", "conversations"):
            await core.execute(f"DELETE FROM {table}")
        await core.own()
        old = await fresh(core)
        late: list[tuple[Conversation, str, Recorded]] = []
        written = 0
        for number, step in enumerate(steps):
            conversation = await fresh(core)
            match step:
                case "write":
                    await core.receive(text=f"{number}")
                    written += 1
                case "write unseen":
                    late.append((conversation, f"{number}", await core.record(conversation, f"{number}")))
                    written += 1
                case "write under a reader":
                    recorded = await core.record(conversation, f"{number}")
                    await core.memory.recall(conversation)
                    await core.memory.append(conversation, _as_new(f"{number}"), recorded)
                    written += 1
                case "late append" if late:
                    whose, text, recorded = late.pop(0)
                    await core.memory.append(whose, _as_new(text), recorded)
                case "edit" | "delete" if written:
                    last = await core.value("SELECT max(telegram_message_id) FROM messages")
                    event = (
                        MessageEdited(
                            chat_id=1001, message_id=last, text=f"edited {number}", edited_at=datetime.now(UTC)
                        )
                        if step == "edit"
                        else MessagesDeleted(message_ids=(last,), chat_id=1001)
                    )
                    await core.intake.receive(event, ownership=core.ownership, network="sandbox")
                case "reply":
                    await reply(core, f"reply {number}")
                case "recall":
                    await texts(core)
                case "recall old":
                    await core.memory.recall(old)
                    old = conversation
                case "flush":
                    async with core.redis.use() as redis:
                        await redis.flushall()
            history = await core.messages.history(conversation.id, limit=MAX_HISTORY_LENGTH)
            expected = ["" if message.deleted_at else message.text for message in history.messages]
            cached = await core.memory._read(await fresh(core))
            assert cached is None or [entry.text for entry in cached] == expected
        assert await texts(core) == expected
