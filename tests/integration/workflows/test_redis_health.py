"""`redis-health` finds what is wrong with a real Redis, and what fills it."""

from collections.abc import AsyncIterator

import pytest

from nadia.health.models import HealthStatus
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.keys import WAL_GROUP, WAL_STREAM
from nadia.redis.source import RedisSource
from nadia.workflows.redis_health import RedisHealth, RedisHealthArguments
from nadia.workflows.report import ReportTable, WorkflowReport
from support.core import Core, open_core
from support.servers import ClonedDatabase


async def look(redis: RedisConnection, *, keys: int = 20_000, megabytes: float = 200) -> WorkflowReport:
    workflow = RedisHealth(redis=redis, megabytes=megabytes, waiting=100)
    return await workflow.run(RedisHealthArguments(keys=keys))


def table(report: WorkflowReport, title: str) -> ReportTable:
    return next(table for table in report.tables if table.title == title)


def said(report: WorkflowReport) -> str:
    return "; ".join(f"{finding.status}: {finding.message}" for finding in report.findings)


async def send(redis: RedisConnection, *words: str | int) -> object:
    (answer,) = await redis.send([Command(words)])
    return answer


@pytest.fixture
async def configured(redis_connection: RedisConnection) -> AsyncIterator[RedisConnection]:
    """The session's Redis, whose configuration the test may change."""
    names = ("maxmemory", "maxmemory-policy", "appendonly", "slowlog-log-slower-than")
    async with redis_connection.use() as client:
        before = {name: str((await client.config_get(name))[name]) for name in names}
    yield redis_connection
    for name, value in before.items():
        await send(redis_connection, "CONFIG", "SET", name, value)
    await send(redis_connection, "SLOWLOG", "RESET")
    await send(redis_connection, "CONFIG", "RESETSTAT")


async def test_an_empty_redis_is_well(either_redis: RedisConnection) -> None:
    report = await look(either_redis)

    assert (report.status, report.findings, report.unreachable) == (HealthStatus.HEALTHY, [], [])
    assert report.answer.startswith("Redis is well; it uses ")
    assert table(report, "keys by family").rows == []


async def test_a_busy_one_tells_what_fills_it(database: ClonedDatabase, either_source: RedisSource) -> None:
    async with open_core(database.app_dsn, either_source) as core:
        await core.own()
        for number in range(5):
            await core.receive(1001 + number, "Hello " * 100)
            await core.memory.recall(await core.customer(1001 + number))
        await core.wal.add([1, 2, 3])
        await core.wal.read(limit=1)  # makes the group
        await core.wal.read(limit=2)

        report = await look(core.redis)

    families = {row[0]: row for row in table(report, "keys by family").rows}
    assert report.status is HealthStatus.HEALTHY, said(report)
    assert families["memory"][1] == 5
    assert families["burst"][1] == 5
    assert families["memory"][4] == 0, "memory of conversations expires"
    assert {row[0] for row in table(report, "biggest partitions").rows} <= set(range(64))
    assert table(report, "batches that wait for a draft").rows[0][:2] == [1, 2]


async def test_keys_of_others_are_counted_apart(redis_connection: RedisConnection) -> None:
    await send(redis_connection, "SET", "somebody:else", "x" * 1000)
    async with redis_connection.use() as client:
        await client.execute_command("SET", b"\xff\xfe\x00", "no text")
    await send(redis_connection, "SET", "nadia:{p99999}:memory:1", "x")
    await send(redis_connection, "SET", "nadia:", "x")

    rows = table(await look(redis_connection), "keys by family").rows

    assert {str(row[0]) for row in rows} == {"(not NADIA's)"}
    assert [row[1] for row in rows] == [4]


async def test_no_more_keys_are_weighed_than_asked_for(either_redis: RedisConnection) -> None:
    await either_redis.send([Command(("SET", f"nadia:{{p{n % 64}}}:memory:{n}", "x", "EX", 60)) for n in range(2_000)])

    some = await look(either_redis, keys=100)
    none = await look(either_redis, keys=0)

    assert sum(int(row[1] or 0) for row in table(some, "keys by family").rows) <= 102
    assert "of 2000 keys were weighed" in str(table(some, "keys by family").note)
    assert table(none, "keys").rows == []


async def test_evicting_is_trouble(configured: RedisConnection) -> None:
    await send(configured, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    report = await look(configured)

    assert report.status is HealthStatus.WARNING
    assert "its policy is allkeys-lru" in said(report)
    assert "noeviction" in str(report.findings[0].remedy)


async def test_what_was_evicted_already_is_critical(configured: RedisConnection) -> None:
    await send(configured, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with configured.use() as client:
        used = (await client.info("memory"))["used_memory"]
    await configured.send([Command(("SET", f"filler:{number}", "x" * 10_000)) for number in range(100)])
    await send(configured, "CONFIG", "SET", "maxmemory", used + 200_000)
    await send(configured, "SET", "one-more", "x" * 10_000)

    report = await look(configured)

    assert report.status is HealthStatus.CRITICAL
    assert "drops keys that NADIA counts on, " in said(report)


async def test_an_almost_full_one_is_critical(configured: RedisConnection) -> None:
    async with configured.use() as client:
        used = (await client.info("memory"))["used_memory"]
    await send(configured, "CONFIG", "SET", "maxmemory", int(used * 1.05))

    report = await look(configured)

    assert report.status is HealthStatus.CRITICAL
    assert "of its memory limit" in said(report)


async def test_more_memory_than_usual_is_a_warning(redis_connection: RedisConnection) -> None:
    report = await look(redis_connection, megabytes=0.5)

    assert report.status is HealthStatus.WARNING
    assert "more than the 0 MB" in said(report)


async def test_without_its_file_a_restart_empties_it(configured: RedisConnection) -> None:
    await send(configured, "CONFIG", "SET", "appendonly", "no")

    assert "it keeps no append-only file" in said(await look(configured))


async def test_batches_that_nobody_drafts(core: Core) -> None:
    await core.wal.add(range(1, 4))
    nobody = await look(core.redis)
    await core.wal.read(limit=1)  # makes the group
    (entry, *_) = await core.wal.read(limit=1)
    await core.wal.add(range(4, 120))
    await send(core.redis, "XCLAIM", WAL_STREAM, WAL_GROUP, "one", 0, entry.id, "IDLE", 900_000, "JUSTID")

    report = await look(core.redis)

    assert "3 batches wait for a draft, and no worker has ever asked" in said(nobody)
    assert "119 batches wait for a draft, more than 100" in said(report)
    assert "1 batch is with a worker that has not touched it for up to 15 min" in said(report)


async def test_memory_that_would_never_expire(core: Core) -> None:
    await core.receive(1001)
    await core.memory.recall(await core.customer(1001))
    async with core.redis.use() as client:
        (key,) = [key async for key in client.scan_iter("*:memory:*")]
        await client.persist(key)

    assert "1 memory of conversations would never expire" in said(await look(core.redis))


async def test_the_slow_log_is_told_without_what_was_in_the_commands(configured: RedisConnection) -> None:
    await send(configured, "SLOWLOG", "RESET")
    await send(configured, "CONFIG", "SET", "slowlog-log-slower-than", 0)
    for number in range(12):
        await send(configured, "SET", f"nadia:{{p1}}:memory:{number}", "my card is 4111 1111", "EX", 60)

    report = await look(configured)

    slow = table(report, "slowest commands in the slow log")
    assert {row[2] for row in slow.rows} <= {"SET", "INFO", "SLOWLOG", "CONFIG", "MEMORY", "CLIENT", "AUTH"}
    assert "slow commands within an hour" in said(report)
    assert "4111" not in report.model_dump_json()


async def test_a_user_who_may_not_look_closely_hears_the_rest(
    redis_connection: RedisConnection, redis_source: RedisSource
) -> None:
    await send(redis_connection, "SET", "some-key", "x")
    rules = ("on", ">pass", "~*", "&*", "+@all", "-memory", "-slowlog")
    await send(redis_connection, "ACL", "SETUSER", "limited", *rules)
    place = redis_source.url.rpartition("@")[2]
    limited = RedisConnection(RedisSource(url=f"unix://limited:pass@{place}"))
    try:
        report = await look(limited)
    finally:
        await limited.close()
        await send(redis_connection, "ACL", "DELUSER", "limited")

    assert report.status is HealthStatus.HEALTHY, said(report)
    assert table(report, "keys").note == "this user may not weigh keys (MEMORY USAGE)"


async def test_that_redis_is_away_is_an_answer(tmp_path: object) -> None:
    away = RedisConnection(RedisSource(url=f"unix://{tmp_path}/none.sock"))
    try:
        report = await look(away)
    finally:
        await away.close()

    assert (report.status, report.unreachable) == (HealthStatus.CRITICAL, ["Redis"])
    assert report.answer.startswith("Redis cannot be reached")
