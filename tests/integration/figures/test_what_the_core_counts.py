"""Queues, waits, caches and notices, counted where they happen."""

import pytest

from nadia import notices
from nadia.app.queue_gauges import QueueGauges
from nadia.conversations.models import BatchState
from nadia.errors import UnavailableError
from nadia.health.queue_reading import QueueReader
from nadia.health.wal_reading import WalReader
from nadia.metrics import REGISTRY
from nadia.notices import Notice, Severity
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.core import Core, ScriptedDrafter


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def gauges(core: Core, *, redis: RedisConnection | None = None) -> QueueGauges:
    return QueueGauges(
        queues=QueueReader(connect=core.database.connection),
        wal=WalReader(redis=redis or core.redis, stuck_seconds=60),
    )


async def test_the_queues_gauges_show_what_waits_and_for_how_long(core: Core) -> None:
    waiting = await core.sealed(1)
    read = await core.sealed(2)
    await core.take_to((await core.sealed(3)).id, BatchState.IN_REVIEW)
    await core.execute(
        "UPDATE batches SET sealed_at = sealed_at - interval '90 s', changed_at = changed_at - interval '50 s'"
    )
    await core.wal.add([read.id])
    assert len(await core.wal.read(limit=1)) + len(await core.wal.read(limit=1)) == 1  # the first makes the group
    await core.wal.add([waiting.id])
    await gauges(core).measure()
    assert value("nadia_wal_entries", state="waiting") == 1
    assert value("nadia_wal_entries", state="pending") == 1
    assert value("nadia_wal_oldest_seconds") == pytest.approx(50, abs=10)
    assert value("nadia_review_oldest_seconds") == pytest.approx(90, abs=10)
    assert value("nadia_outbox_replies") == 0


async def test_empty_queues_show_zero_again(core: Core) -> None:
    batch = await core.sealed(1)
    await gauges(core).measure()
    await core.take_to(batch.id, BatchState.IN_REVIEW, BatchState.REJECTED)
    await gauges(core).measure()
    for name in ("nadia_wal_oldest_seconds", "nadia_review_oldest_seconds", "nadia_outbox_oldest_seconds"):
        assert value(name) == 0


async def test_with_redis_away_the_gauges_of_postgresql_are_current_all_the_same(core: Core) -> None:
    nobody = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock"))
    await core.sealed(1)
    await core.execute("UPDATE batches SET changed_at = changed_at - interval '70 s'")
    with pytest.raises(UnavailableError):
        await gauges(core, redis=nobody).measure()
    assert value("nadia_wal_oldest_seconds") == pytest.approx(70, abs=10)
    await nobody.close()


async def test_a_draft_counts_how_long_its_batch_waited_and_where_its_memory_came_from(core: Core) -> None:
    batch = await core.sealed(1)
    await core.execute("UPDATE batches SET changed_at = changed_at - interval '40 s'")
    before = {name: value(name) for name in ("nadia_drafting_wait_seconds_sum", "nadia_drafting_wait_seconds_count")}
    remembered = value("nadia_memory_reads_total", answered_by="postgres")
    await core.drafting(ScriptedDrafter()).draft(batch.id)
    assert value("nadia_drafting_wait_seconds_count") == before["nadia_drafting_wait_seconds_count"] + 1
    waited = value("nadia_drafting_wait_seconds_sum") - before["nadia_drafting_wait_seconds_sum"]
    assert waited == pytest.approx(40, abs=10)
    assert value("nadia_memory_reads_total", answered_by="postgres") == remembered + 1


async def test_a_memory_that_redis_knows_is_a_hit(core: Core) -> None:
    await core.receive(1)
    conversation = await core.customer(1)
    before = value("nadia_memory_reads_total", answered_by="redis")
    await core.memory.recall(conversation)
    await core.memory.recall(conversation)
    assert value("nadia_memory_reads_total", answered_by="redis") == before + 1


async def test_notices_are_counted_by_severity(core: Core) -> None:
    before = value("nadia_notices_total", severity="critical"), value("nadia_notices_total", severity="info")
    async with core.database.transaction() as conn:
        await notices.record(conn, Notice(topic="test.thing", summary="A thing.", severity=Severity.CRITICAL))
    assert value("nadia_notices_total", severity="critical") == before[0] + 1
    assert value("nadia_notices_total", severity="info") == before[1]
