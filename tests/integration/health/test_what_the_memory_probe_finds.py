"""What drafting remembers, damaged in every way that was thought of: the probe names each, and nothing that is well."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from nadia.constants import MAX_HISTORY_LENGTH, MEMORY_TTL_SECONDS
from nadia.conversations.models import Conversation
from nadia.redis import keys
from nadia.redis.bare import BareRedis
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.telegram.gateway import Media, MessageEdited, MessageKind, MessagesDeleted
from support.core import NETWORK, HandClock, open_core
from support.health_world import CRITICAL, WARNING, HealthWorld
from support.redis_cluster import RunningCluster
from support.servers import ClonedDatabase

Break = Callable[[Redis, str], Awaitable[object]]


async def remembered(world: HealthWorld, chat: int = 1001, *texts: str) -> Conversation:
    """A conversation whose memory was made, and then appended to."""
    for text in texts or ("Hello", "How much is shipping?"):
        await world.core.receive(chat, text)
        await world.core.memory.recall(await world.core.customer(chat))
    await world.core.receive(chat, "And when?")
    return await world.core.customer(chat)


def key_of(conversation: Conversation) -> str:
    return keys.memory(conversation.partition, conversation.id)


async def damage(world: HealthWorld, conversation: Conversation, how: Break) -> None:
    async with world.core.redis.use() as redis:
        assert isinstance(redis, Redis)
        await how(redis, key_of(conversation))


async def test_memories_that_were_made_appended_to_and_cut_are_well(world: HealthWorld) -> None:
    await remembered(world, 1001)
    await remembered(world, 1002, "x" * 5_000, "\U0001f642 Grüße\n\u2028", '"quoted" \\ {"p":1,')
    for number in range(MAX_HISTORY_LENGTH + 5):
        await world.core.receive(1003, f"message {number}")
        await world.core.memory.recall(await world.core.customer(1003))
    photo = await world.core.receive(1004, "a caption", kind=MessageKind.PHOTO, media=Media(reference="1", size=9))
    said = await world.core.receive(1004, "no, sorry")
    gone = await world.core.receive(1004, "nothing")
    for event in (
        MessageEdited(chat_id=1004, message_id=said.message_id, text="yes", edited_at=said.sent_at),
        MessagesDeleted(message_ids=(gone.message_id,), chat_id=None),
    ):
        await world.core.intake.receive(event, ownership=world.core.ownership, network=NETWORK)
    history = await world.core.memory.recall(await world.core.customer(1004))
    assert [(entry.kind, entry.text, entry.deleted) for entry in history] == [
        (photo.kind, "a caption", False),
        ("text", "yes", False),
        ("text", "", True),
    ]

    assert await world.turned() == {}
    assert (await world.of("conversation-memory")).summary == "5 conversations looked at"


async def test_a_memory_of_an_older_version_is_no_damage(world: HealthWorld) -> None:
    conversation = await remembered(world)
    await world.core.record(conversation, "while Redis was away")

    assert await world.turned() == {}


async def garble(redis: Redis, key: str) -> None:
    await redis.lset(key, 1, '{"p":1,"a":"customer",')


async def scramble(redis: Redis, key: str) -> None:
    await redis.lset(key, 1, b"\xff\xfe\xed\xa0\x80")  # type: ignore[arg-type]  # bytes that are no text


async def flip_a_byte(redis: Redis, key: str) -> None:
    entry = str(await redis.lindex(key, 1)).encode()
    await redis.lset(key, 1, entry.replace(b"Hello", b"Hell\xff"))  # type: ignore[arg-type]  # the same


async def nest(redis: Redis, key: str) -> None:
    await redis.lset(key, 1, "[" * 100_000)


async def lose_half(redis: Redis, key: str) -> None:
    await redis.lset(key, 2, '{"p":2}')


async def lose_version(redis: Redis, key: str) -> None:
    await redis.lset(key, 0, "three")


async def become_a_text(redis: Redis, key: str) -> None:
    await redis.set(key, "gone", ex=60)


async def swap(redis: Redis, key: str) -> None:
    first, second = await redis.lindex(key, 1), await redis.lindex(key, 2)
    await redis.lset(key, 1, str(second))
    await redis.lset(key, 2, str(first))


async def grow(redis: Redis, key: str) -> None:
    last = str(await redis.lindex(key, -1))
    await redis.rpush(key, *([last] * MAX_HISTORY_LENGTH))


async def say_something_else(redis: Redis, key: str) -> None:
    entry = json.loads(str(await redis.lindex(key, 1)))
    await redis.lset(key, 1, json.dumps(entry | {"t": "Refund me now"}))


async def forget_one(redis: Redis, key: str) -> None:
    await redis.lrem(key, 1, str(await redis.lindex(key, 1)))


async def change_author(redis: Redis, key: str) -> None:
    entry = json.loads(str(await redis.lindex(key, 1)))
    await redis.lset(key, 1, json.dumps(entry | {"a": "desk"}))


async def come_from_the_future(redis: Redis, key: str) -> None:
    await redis.lset(key, 0, "9000/0")


async def stay_for_ever(redis: Redis, key: str) -> None:
    await redis.persist(key)


async def stay_too_long(redis: Redis, key: str) -> None:
    await redis.expire(key, MEMORY_TTL_SECONDS + 60)


@pytest.mark.parametrize(
    ("how", "said", "status"),
    [
        (garble, "1 unreadable", WARNING),
        (nest, "1 unreadable", WARNING),
        (scramble, "1 unreadable", WARNING),
        (flip_a_byte, "1 not what PostgreSQL has", CRITICAL),
        (lose_half, "1 unreadable", WARNING),
        (lose_version, "1 unreadable", WARNING),
        (become_a_text, "1 unreadable", WARNING),
        (swap, "1 out of order", CRITICAL),
        (grow, "1 too long", CRITICAL),
        (say_something_else, "1 not what PostgreSQL has", CRITICAL),
        (forget_one, "1 not what PostgreSQL has", CRITICAL),
        (change_author, "1 not what PostgreSQL has", CRITICAL),
        (come_from_the_future, "1 ahead of PostgreSQL", WARNING),
        (stay_for_ever, "1 kept too long", WARNING),
        (stay_too_long, "1 kept too long", WARNING),
    ],
)
async def test_each_damage_is_named_with_its_key_and_without_what_was_said(
    world: HealthWorld, redis_source: RedisSource, how: Break, said: str, status: object
) -> None:
    await remembered(world, 1002)
    conversation = await remembered(world)
    await damage(world, conversation, how)

    assert await world.turned() == {"conversation-memory": status}
    found = await world.of("conversation-memory")
    assert (found.value, found.summary) == (1, f"1 of 3 conversations looked at: {said}")
    assert found.figures == {"checked": 3, "keys": key_of(conversation)}
    assert "shipping" not in found.model_dump_json()
    bare = BareRedis(redis_source)
    assert (await replace(world, redis=bare).of("conversation-memory")).summary == found.summary
    await bare.close()


async def test_drafting_makes_what_it_cannot_read_anew(world: HealthWorld) -> None:
    conversation = await remembered(world)
    for how in (garble, nest, scramble, lose_version, come_from_the_future):
        await damage(world, conversation, how)
        assert [entry.text for entry in await world.core.memory.recall(conversation)] == [
            "Hello",
            "How much is shipping?",
            "And when?",
        ]
        assert await world.turned() == {}


async def test_a_damaged_memory_is_well_again_when_its_key_was_deleted(world: HealthWorld) -> None:
    conversation = await remembered(world)
    await damage(world, conversation, say_something_else)
    async with world.core.redis.use() as redis:
        await redis.delete(str((await world.of("conversation-memory")).figures["keys"]))
    await world.core.memory.recall(conversation)

    assert await world.turned() == {}


async def test_a_memory_of_an_erased_conversation_is_told(world: HealthWorld) -> None:
    conversation = await remembered(world)
    await world.core.execute("DELETE FROM messages WHERE conversation_id = %s", conversation.id)
    await world.core.execute("DELETE FROM conversations WHERE id = %s", conversation.id)

    assert await world.turned() == {"conversation-memory": WARNING}
    assert "1 of no conversation" in (await world.of("conversation-memory")).summary


async def test_keys_that_only_look_like_memories_are_told_and_spoil_nothing(world: HealthWorld) -> None:
    await remembered(world)
    async with world.core.redis.use() as redis:
        for name in ("", "one", "\u0663", str(9**30)):
            await redis.rpush(f"nadia:{{p1}}:memory:{name}", "1/1")

    found = await world.of("conversation-memory")

    assert (found.status, found.value) == (WARNING, 4)
    assert found.summary == "4 of 6 conversations looked at: 4 of no conversation"


async def test_no_more_is_looked_at_than_the_settings_say(world: HealthWorld) -> None:
    for chat in range(1001, 1031):
        await remembered(world, chat, "Hello")

    found = await world.of("conversation-memory")

    assert found.figures["checked"] == world.settings.memory_sample == 20


async def test_a_sample_of_many_memories_is_drawn_from_all_of_them(world: HealthWorld) -> None:
    async with world.core.redis.use() as redis:
        pipeline = redis.pipeline(transaction=False)
        for number in range(3_000):
            pipeline.rpush(f"nadia:{{p{number % 64}}}:memory:{number}", "1/1")
        await pipeline.execute()
    seen: set[str] = set()

    for _ in range(4):
        seen.update(str((await world.of("conversation-memory")).figures["keys"]).split(", "))

    assert len(seen) > 6, "each check draws anew"


async def test_the_memories_of_a_cluster_are_looked_at_on_every_server(
    database: ClonedDatabase, cluster: RunningCluster, clock: HandClock
) -> None:
    connection = RedisConnection(cluster.source)
    async with open_core(database.app_dsn, cluster.source, clock=clock) as core:
        await core.own()
        world = HealthWorld(core=core, connect=core.database.connection, redis=connection)
        await world.link(1)
        conversations = [await remembered(world, chat) for chat in range(1001, 1013)]
        assert await world.turned() == {}
        assert (await world.of("conversation-memory")).figures["checked"] == len(conversations)

        async with core.redis.use() as redis:
            for conversation in conversations:
                await redis.lset(key_of(conversation), 0, "9000/0")

        assert await world.turned() == {"conversation-memory": WARNING}
        assert (await world.of("conversation-memory")).value == len(conversations)
        assert (await world.of("redis-connection")).figures["servers"] == len(cluster.nodes)
        assert (await world.of("redis-memory")).value
    await connection.close()
