"""The status cache: bounded, right across processes, and without Redis it asks PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from nadia.metrics import REGISTRY
from nadia.postgres.database import Connection
from nadia.quarantine import store
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.config import QuarantineSettings
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from support.core import Core, running, until
from support.silences import ANN, WHY, person_of


class Lookups:
    """How many questions were answered by whom since this began."""

    def __init__(self) -> None:
        self._before = self._now()

    @property
    def since(self) -> tuple[int, int]:
        """By the cache, and by the database."""
        cached, asked = self._now()
        return cached - self._before[0], asked - self._before[1]

    def _now(self) -> tuple[int, int]:
        cached, asked = (
            REGISTRY.get_sample_value("nadia_quarantine_status_lookups_total", {"answered_by": by}) or 0
            for by in ("cache", "database")
        )
        return int(cached), int(asked)


class Seconds:
    """A monotonic clock in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def following(cache: ProtocolStatusCache) -> AsyncIterator[ProtocolStatusCache]:
    async with running(cache.run):
        await asyncio.wait_for(cache.wait_until_it_hears(), 5)
        yield cache
    assert not cache.hears


def status_cache(core: Core, *, seconds: Seconds | None = None, **settings: float) -> ProtocolStatusCache:
    return ProtocolStatusCache(
        database=core.database,
        events=core.events,
        settings=QuarantineSettings.model_validate(settings),
        monotonic=seconds or Seconds(),
    )


async def test_a_status_is_remembered_for_five_minutes(core: Core) -> None:
    conversation = await core.customer()
    seconds = Seconds()
    async with following(status_cache(core, seconds=seconds)) as cache:
        lookups = Lookups()
        for now in (0, 100, 299):
            seconds.now = 1000.0 + now
            assert not await cache.is_silenced(conversation.id)
        assert lookups.since == (2, 1)
        seconds.now = 1300.0
        assert not await cache.is_silenced(conversation.id)
        assert lookups.since == (2, 2)


async def test_a_change_by_another_process_is_heard_of(core: Core, other_core: Core) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    async with following(status_cache(core)) as cache:
        assert not await cache.is_silenced(conversation.id)
        await other_core.quarantine.activate(person_id, reason=WHY, actor=ANN)
        await until(lambda: cache.is_silenced(conversation.id))

        async def is_lifted() -> bool:
            return not await cache.is_silenced(conversation.id)

        await other_core.quarantine.deactivate(person_id, reason=WHY, actor=ANN)
        await until(is_lifted)


async def test_of_one_question_the_answers_for_all_are_known(core: Core) -> None:
    ids = [(await core.customer(chat_id)).id for chat_id in range(1001, 1006)]
    await core.quarantine.activate(await person_of(core.execute, ids[2]), reason=WHY, actor=ANN)
    async with following(status_cache(core)) as cache:
        lookups = Lookups()
        assert [await cache.is_silenced(one) for one in ids] == [False, False, True, False, False]
        assert lookups.since == (4, 1)


async def test_no_more_are_remembered_than_allowed(core: Core) -> None:
    ids = [(await core.customer(chat_id)).id for chat_id in (1001, 1002, 1003)]
    async with following(status_cache(core, status_cache_size=2)) as cache:
        for number, one in enumerate(ids):
            assert not await cache.is_silenced(one)
            changes = cache._changes
            await core.quarantine.activate(await person_of(core.execute, one), reason=WHY, actor=ANN)
            await until(heard_since(cache, changes))
            assert await cache.is_silenced(one)
            remembered = REGISTRY.get_sample_value("nadia_quarantine_status_cached")
            assert remembered == (number + 1 if number < 2 else 0)
        lookups = Lookups()
        assert await cache.is_silenced(ids[0])
        assert lookups.since == (0, 1)


def heard_since(cache: ProtocolStatusCache, changes: int) -> Callable[[], Awaitable[bool]]:
    async def has_heard() -> bool:
        return cache._changes > changes

    return has_heard


async def test_without_redis_postgresql_is_asked_each_time(core: Core) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    nowhere = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock", timeout_seconds=0.2))
    cache = ProtocolStatusCache(database=core.database, events=LiveEvents(redis=nowhere), settings=QuarantineSettings())
    lookups = Lookups()
    async with running(cache.run):
        assert not await cache.is_silenced(conversation.id)
        await core.quarantine.activate(person_id, reason=WHY, actor=ANN)
        assert await cache.is_silenced(conversation.id)
        assert not cache.hears
    assert lookups.since == (0, 2)
    await nowhere.close()


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    read, go_on = asyncio.Event(), asyncio.Event()
    original = store.silenced_conversations

    async def reads_and_waits(conn: Connection, *, limit: int) -> list[int]:
        found = await original(conn, limit=limit)
        read.set()
        await go_on.wait()
        return found

    async with following(status_cache(core)) as cache:
        monkeypatch.setattr(store, "silenced_conversations", reads_and_waits)
        asking = asyncio.create_task(cache.is_silenced(conversation.id))
        await read.wait()
        monkeypatch.setattr(store, "silenced_conversations", original)
        changes = cache._changes
        await core.quarantine.activate(person_id, reason=WHY, actor=ANN)

        await until(heard_since(cache, changes))
        go_on.set()
        assert not await asking  # as it was when it was asked
        assert await cache.is_silenced(conversation.id)


async def test_nobody_follows_nothing_is_remembered(core: Core) -> None:
    conversation = await core.customer()
    cache = status_cache(core)
    lookups = Lookups()
    for _ in range(2):
        await cache.is_silenced(conversation.id)
    assert lookups.since == (0, 2)


async def test_a_conversation_that_does_not_exist_is_not_silenced(core: Core) -> None:
    assert not await status_cache(core).is_silenced(4711)
