"""From messages to sealed batches: who seals, what a crash costs, and how it goes on without Redis."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest

from nadia.conversations.models import BatchState
from nadia.embedded.endpoints import RedisEndpoint
from nadia.embedded.servers import EmbeddedServers
from nadia.pacing.config import PacingSettings
from nadia.redis.keys import WAL_STREAM
from nadia.redis.source import RedisSource
from support.core import ACCOUNT, START, Core, HandClock, open_core, running, texts_by_batch, until
from support.servers import ClonedDatabase, redis_client

QUICK = PacingSettings(window_seconds=0.05, longest_seconds=5, lease_seconds=30)


async def test_a_burst_becomes_one_batch_with_all_its_messages_in_order(core: Core, clock: HandClock) -> None:
    sent = []
    for text in ("Hello", "I have a question", "about my order"):
        sent.append(await core.receive(text=text))
        clock.advance(2)
    assert await core.claim_and_seal() == 0
    clock.advance(5)
    assert await core.claim_and_seal() == 1

    rows = await core.execute("SELECT text, telegram_message_id, sent_at, batch_id FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == ["Hello", "I have a question", "about my order"]
    assert [row["telegram_message_id"] for row in rows] == [message.message_id for message in sent]
    assert [row["sent_at"] for row in rows] == [message.sent_at for message in sent]
    assert len({row["batch_id"] for row in rows}) == 1
    assert {entry.batch_id for entry in await core.wal.read(limit=10, wait_seconds=0.1)} == set()  # makes the group
    assert [entry.batch_id for entry in await core.wal.read(limit=10)] == [rows[0]["batch_id"]]


async def test_a_flush_word_seals_at_once_and_goes_in_front(core: Core) -> None:
    await core.receive(text="hi")
    await core.receive(text="please STOP, this is wrong")
    assert await core.claim_and_seal() == 1
    assert await core.value("SELECT priority FROM batches") == 10
    assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NOT NULL") == 2


async def test_a_claimant_that_dies_loses_nothing(core: Core, other_core: Core, clock: HandClock) -> None:
    await core.receive(text="anybody there?")
    clock.advance(5)
    assert len(await core.bursts.claim_due(clock())) == 1  # and never comes back
    assert await other_core.claim_and_seal() == 0
    clock.advance(30)
    assert await other_core.claim_and_seal() == 1
    assert await core.value("SELECT count(*) FROM batches") == 1


async def test_a_claimant_that_stalls_past_its_lease_doubles_nothing(
    core: Core, other_core: Core, clock: HandClock
) -> None:
    await core.receive(text="one")
    clock.advance(5)
    (stalled,) = await core.bursts.claim_due(clock())
    clock.advance(30)
    assert await other_core.claim_and_seal() == 1
    await core.receive(text="two")  # begins the next burst

    await core.tracker._process_buffer(stalled)

    clock.advance(5)
    await other_core.claim_and_seal()
    rows = await core.execute("SELECT text, batch_id FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == ["one", "two"]
    assert len({row["batch_id"] for row in rows}) == 1  # the second joined the batch, which nobody drafted yet
    assert await core.value("SELECT count(*) FROM batches") == 1
    assert await core.bursts.waiting() == 0


async def test_a_seal_that_fails_keeps_the_burst(
    core: Core, clock: HandClock, database: ClonedDatabase, redis_source: RedisSource
) -> None:
    await core.receive(text="hello")
    clock.advance(5)
    conversation = await core.customer()
    async with core.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM conversations WHERE id = %s FOR UPDATE", (conversation.id,))
        async with open_core(database.app_dsn, redis_source, clock=clock, statement_timeout_seconds=0.3) as impatient:
            assert await impatient.claim_and_seal() == 1
    assert await core.value("SELECT count(*) FROM batches") == 0
    clock.advance(1)
    assert await core.claim_and_seal() == 1
    assert await core.value("SELECT count(*) FROM batches") == 1


async def test_a_burst_waits_for_a_reply_that_is_leaving(core: Core, clock: HandClock) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, BatchState.DRAFTED, BatchState.IN_REVIEW, BatchState.APPROVED, BatchState.SENDING)
    await core.receive(text="one more")
    clock.advance(5)
    assert await core.claim_and_seal() == 1
    assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NULL") == 1
    clock.advance(0.5)
    assert await core.claim_and_seal() == 0

    await core.take_to(batch.id, BatchState.SENT)
    clock.advance(0.5)
    assert await core.claim_and_seal() == 1
    assert await core.value("SELECT count(*) FROM batches WHERE state = 'sealed'") == 1


async def test_two_processes_share_the_work(database: ClonedDatabase, redis_source: RedisSource) -> None:
    async with (
        open_core(database.app_dsn, redis_source, pacing=QUICK) as one,
        open_core(database.app_dsn, redis_source, pacing=QUICK, consumer="two") as two,
    ):
        await one.own()
        async with running(one.tracker.run), running(two.tracker.run):
            for round_ in range(3):
                for chat in range(1, 31):
                    await one.receive(chat, f"{round_}")

            async def all_sealed() -> bool:
                return bool(await one.value("SELECT count(*) = 0 FROM messages WHERE batch_id IS NULL"))

            await until(all_sealed)
        rows = await one.execute("SELECT chat_id, text, batch_id FROM messages ORDER BY chat_id, id")
        assert len(rows) == 90
        for chat in range(1, 31):
            of_chat = [row for row in rows if row["chat_id"] == chat]
            assert [row["text"] for row in of_chat] == ["0", "1", "2"]
            assert len({row["batch_id"] for row in of_chat}) == 1
        assert await one.value("SELECT count(*) FROM batches") == 30


async def test_one_conversation_in_trouble_holds_up_no_other(
    database: ClonedDatabase, redis_source: RedisSource
) -> None:
    async with open_core(database.app_dsn, redis_source, pacing=QUICK) as core:
        await core.own()
        stuck = await core.customer(1)
        async with core.database.transaction() as conn:
            await core.receive(1, "stuck")
            await conn.execute("SELECT 1 FROM conversations WHERE id = %s FOR UPDATE", (stuck.id,))
            async with running(core.tracker.run):

                async def waits_for_the_lock() -> bool:
                    return bool(await core.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))

                await until(waits_for_the_lock)
                for chat in range(2, 12):
                    await core.receive(chat, "not stuck")

                async def others_sealed() -> bool:
                    return bool(await core.value("SELECT count(*) = 10 FROM batches"))

                await until(others_sealed, within=8)


async def test_a_crash_of_one_seal_does_not_stop_the_timer(
    core: Core, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await core.receive(1, "first")
    await core.receive(2, "second")
    clock.advance(5)
    broken = (await core.customer(1)).id
    seal = core.batches.seal

    async def sometimes(conversation_id: int, *, priority: int = 0) -> object:
        if conversation_id == broken:
            raise RuntimeError("a defect")
        return await seal(conversation_id, priority=priority)

    monkeypatch.setattr(core.batches, "seal", sometimes)
    assert await core.claim_and_seal() == 2
    assert await core.value("SELECT count(*) FROM batches") == 1
    monkeypatch.undo()
    clock.advance(30)
    assert await core.claim_and_seal() == 1
    assert await core.value("SELECT count(*) FROM batches") == 2


async def test_emptying_redis_in_the_middle_of_everything_loses_nothing(
    core: Core, clock: HandClock, redis_endpoint: RedisEndpoint
) -> None:
    waiting = await core.sealed(1, "sealed before")
    await core.wal.add([waiting.id])
    await core.receive(2, "claimed")
    clock.advance(5)
    (claimed,) = await core.bursts.claim_due(clock())
    await core.receive(3, "buffered")
    async with redis_client(redis_endpoint) as redis:
        await redis.flushall()
        await redis.script_flush()

    assert await core.sweep.redis_was_emptied()
    await core.sweep.run_once()
    await core.tracker._process_buffer(claimed)

    assert not await core.sweep.redis_was_emptied()
    # PostgreSQL took the messages in by its own clock.
    clock.now = await core.value("SELECT clock_timestamp()") + timedelta(seconds=61)
    await core.claim_and_seal()
    rows = await core.execute("SELECT text, batch_id FROM messages ORDER BY id")
    assert len(texts_by_batch(rows)) == 3
    assert None not in texts_by_batch(rows)
    assert {batch["id"] for batch in await core.execute("SELECT id FROM batches")} == await core.wal.waiting()


async def test_the_sweep_adds_nothing_that_is_there(core: Core, clock: HandClock) -> None:
    await core.receive(1, "buffered")
    batch = await core.sealed(2)
    await core.sweep.run_once()
    await core.sweep.run_once()
    assert await core.bursts.waiting() == 1
    async with core.redis.use() as redis:
        assert await redis.xlen(WAL_STREAM) == 1
    assert await core.wal.waiting() == {batch.id}


async def test_without_redis_bursts_end_by_the_databases_clock(
    database: ClonedDatabase, redis_source: RedisSource
) -> None:
    nowhere = RedisSource(url="unix:///nonexistent/redis.sock")
    settings = PacingSettings(window_seconds=0.2, longest_seconds=5)
    async with open_core(database.app_dsn, nowhere, pacing=settings) as core:
        await core.own()
        await core.receive(1, "one")
        await core.receive(1, "two")
        async with running(core.tracker.run):

            async def sealed() -> bool:
                return bool(await core.value("SELECT count(*) FROM batches"))

            await until(sealed)
        assert await core.value("SELECT count(DISTINCT batch_id) FROM messages") == 1
        assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NULL") == 0

    # Redis is back: the sweep puts on the stream what could not be put there.
    async with open_core(database.app_dsn, redis_source) as back:
        await back.sweep.run_once()
        assert len(await back.wal.waiting()) == 1


async def test_a_redis_that_stops_answering_and_goes_on_again(
    database: ClonedDatabase, redis_source: RedisSource, servers: EmbeddedServers
) -> None:
    pid = servers.pid("redis")
    assert pid is not None
    async with open_core(database.app_dsn, redis_source, pacing=QUICK) as core:
        await core.own()
        async with running(core.tracker.run):
            await core.receive(1, "before")
            os.kill(pid, signal.SIGSTOP)
            try:
                await core.receive(2, "meanwhile")

                async def sealed() -> bool:
                    return bool(await core.value("SELECT count(*) = 2 FROM batches"))

                await until(sealed)
            finally:
                os.kill(pid, signal.SIGCONT)
            await core.receive(3, "after")

            async def all_sealed() -> bool:
                return bool(await core.value("SELECT count(*) = 0 FROM messages WHERE batch_id IS NULL"))

            await until(all_sealed)
        assert await core.value("SELECT count(*) FROM batches") == 3


async def test_overdue_bursts_are_found_by_silence_and_by_the_longest_wait(core: Core) -> None:
    for chat, ages in ((1, [1]), (2, [10]), (3, [90, 1]), (4, [30, 4])):
        for age in ages:
            await core.record(await core.customer(chat), str(age))
            await core.execute(
                "UPDATE messages SET received_at = clock_timestamp() - make_interval(secs => %s) "
                "WHERE id = (SELECT max(id) FROM messages)",
                age,
            )
    overdue = await core.batches.overdue(window_seconds=5, longest_seconds=60)
    chats = await core.execute("SELECT id, chat_id FROM conversations WHERE id = ANY(%s)", overdue)
    assert {row["chat_id"] for row in chats} == {2, 3}
    assert overdue[0] == (await core.customer(3)).id  # the longest waiting first


async def test_typing_prolongs_the_burst_of_a_known_chat_only(core: Core, clock: HandClock) -> None:
    conversation = await core.customer()
    await core.tracker.handle_message(conversation_id=conversation.id, partition=conversation.partition, text="hi")
    clock.advance(4)
    await core.tracker.handle_typing_event(conversation_id=conversation.id, partition=conversation.partition)
    clock.now = START + timedelta(seconds=9.9)
    assert await core.bursts.claim_due(clock()) == []
    clock.now = START + timedelta(seconds=10)
    assert len(await core.bursts.claim_due(clock())) == 1


async def test_a_cancelled_timer_leaves_no_task_behind(database: ClonedDatabase, redis_source: RedisSource) -> None:
    async with open_core(database.app_dsn, redis_source, pacing=QUICK) as core:
        await core.own(ACCOUNT)
        before = asyncio.all_tasks()
        async with running(core.tracker.run):
            await core.receive(1, "hello")
        left = {task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("seal.")}
        assert left == set()
