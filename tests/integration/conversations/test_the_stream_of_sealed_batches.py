"""The stream that drafting reads: nothing lost, whatever happens to Redis and to its readers."""

from collections.abc import AsyncIterator

import pytest

from nadia.conversations.wal import WalStream
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.keys import WAL_STREAM
from nadia.redis.source import RedisSource
from support.core import until


@pytest.fixture
def wal(either_redis: RedisConnection) -> WalStream:
    return WalStream(redis=either_redis, consumer="one", lease_seconds=30)


@pytest.fixture
async def hasty(either_source: RedisSource) -> AsyncIterator[WalStream]:
    """Another process, for which a silent consumer is dead at once."""
    connection = RedisConnection(either_source)
    yield WalStream(redis=connection, consumer="two", lease_seconds=0)
    await connection.close()


async def read(wal: WalStream, *, limit: int = 10) -> list[int]:
    entries = await wal.read(limit=limit, wait_seconds=0.01)
    # The first reader of a stream makes the group, and reads the next time.
    return [entry.batch_id for entry in entries or await wal.read(limit=limit, wait_seconds=0.01)]


async def pending(redis: RedisConnection) -> int:
    async with redis.use() as client:
        return int((await client.xpending(WAL_STREAM, "drafting"))["pending"])


async def test_entries_are_read_in_their_order_each_once(wal: WalStream) -> None:
    await wal.add([3, 1, 2])
    assert await read(wal, limit=2) == [3, 1]
    assert await read(wal) == [2]
    assert await read(wal) == []


async def test_an_acknowledged_entry_is_gone_altogether(wal: WalStream, either_redis: RedisConnection) -> None:
    await wal.add([7])
    await read(wal)
    (entry,) = await WalStream(redis=either_redis, consumer="one", lease_seconds=0).read(limit=1)
    await wal.acknowledge(entry)
    assert await wal.waiting() == set()
    assert await pending(either_redis) == 0


async def test_a_dead_consumers_entries_go_to_another(wal: WalStream, hasty: WalStream) -> None:
    await wal.add([1, 2, 3])
    assert await read(wal) == [1, 2, 3]
    assert await read(hasty) == [1, 2, 3]
    assert await read(wal) == []  # for this one they are another's, who is not silent for long enough


async def test_the_entries_of_the_dead_are_found_behind_many_others(
    wal: WalStream, hasty: WalStream, either_redis: RedisConnection
) -> None:
    await wal.add(range(1, 101))
    assert len(await read(wal, limit=100)) == 100
    found: set[int] = set()

    async def all_found() -> bool:
        # Few at a time: one look sees a part of what is pending only.
        found.update(entry.batch_id for entry in await hasty.read(limit=1, wait_seconds=0.001))
        return len(found) == 100

    await until(all_found, within=20)


async def test_an_emptied_redis_gets_its_group_back(wal: WalStream, either_redis: RedisConnection) -> None:
    await wal.add([1])
    assert await read(wal) == [1]
    async with either_redis.use() as redis:
        await redis.flushall()
    await wal.add([1, 2])
    assert await read(wal) == [1, 2]


async def test_two_processes_may_make_the_group_at_once(wal: WalStream, hasty: WalStream) -> None:
    await wal.add([5])
    await wal._create_group()
    await hasty._create_group()
    assert await read(wal) == [5]


@pytest.mark.parametrize("fields", [{"batch": "not a number"}, {"other": "1"}, {"batch": "9" * 40}, {"batch": "١٢"}])
async def test_what_names_no_batch_is_taken_off_the_stream(
    wal: WalStream, either_redis: RedisConnection, fields: dict[str, str]
) -> None:
    words = [word for pair in fields.items() for word in pair]
    await either_redis.send([Command(("XADD", WAL_STREAM, "*", *words))])
    await wal.add([4])
    assert await read(wal) == [4]
    assert await wal.waiting() == {4}
    assert await pending(either_redis) == 1


async def test_all_waiting_batches_are_named_however_many(wal: WalStream) -> None:
    await wal.add(range(1, 2_501))
    assert await wal.waiting() == set(range(1, 2_501))


async def test_an_entry_deleted_under_its_reader_does_not_come_again(
    wal: WalStream, hasty: WalStream, either_redis: RedisConnection
) -> None:
    await wal.add([1])
    await read(wal)
    async with either_redis.use() as redis:
        await redis.xtrim(WAL_STREAM, maxlen=0, approximate=False)
    assert await read(hasty) == []
