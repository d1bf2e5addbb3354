"""A batch is drafted by one worker at a time, and by another when that one dies; what Redis forgets is drafted too."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from nadia.conversations.models import BatchState
from nadia.embedded.endpoints import RedisEndpoint
from nadia.errors import UnavailableError
from nadia.llm.models import ChatMessage
from nadia.redis.source import RedisSource
from support.core import Core, ScriptedDrafter, open_core, running, until
from support.servers import ClonedDatabase, redis_client

S = BatchState
NOWHERE = RedisSource(url="unix:///nonexistent/redis.sock")


class Slow:
    """A model that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, messages: Sequence[ChatMessage]) -> str:
        self.asked.set()
        await self.may_answer.wait()
        return "an answer"


async def die_in_the_middle(core: Core, batch_id: int) -> None:
    """Leave the batch as a worker does that is killed while the model writes."""
    slow = Slow()
    worker = core.drafting(ScriptedDrafter(slow))
    assert await worker._take_up(batch_id) not in (True, False)


async def run_out(core: Core) -> None:
    await core.execute("UPDATE batches SET drafting_until = clock_timestamp() WHERE drafting_until IS NOT NULL")


async def skipped(core: Core, batch_id: int) -> bool:
    drafter = ScriptedDrafter()
    assert await core.drafting(drafter).draft(batch_id)
    return drafter.calls == 0


@pytest.fixture
async def six_without_redis(database: ClonedDatabase) -> AsyncIterator[list[Core]]:
    async with AsyncExitStack() as stack:
        cores = [
            await stack.enter_async_context(open_core(database.app_dsn, NOWHERE, consumer=f"number {number}"))
            for number in range(6)
        ]
        await cores[0].own()
        yield cores


async def test_six_workers_without_redis_ask_the_model_once(six_without_redis: list[Core]) -> None:
    core = six_without_redis[0]
    batch = await core.sealed()
    slow = Slow()
    drafter = ScriptedDrafter(slow)
    workers = [one.drafting(drafter) for one in six_without_redis]
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(running(worker.run))
        await slow.asked.wait()
        # Each of them has looked again since.
        async with asyncio.timeout(15):
            await asyncio.gather(*(worker.draft(batch.id) for worker in workers * 2))
        assert await core.batches.sealed_for(at_least_seconds=0.0) == []
        slow.may_answer.set()
        await until(_drafted(core, 1))
    assert drafter.calls == 1
    assert await core.value("SELECT count(*) FROM drafts") == 1
    assert await core.value("SELECT drafting_until FROM batches") is None


async def test_a_batch_whose_worker_was_killed_is_drafted_after_the_lease_by_another(
    core: Core, other_core: Core
) -> None:
    batch = await core.sealed()
    await die_in_the_middle(core, batch.id)
    lease = await core.value("SELECT drafting_until - clock_timestamp() FROM batches")
    assert timedelta(seconds=60) < lease <= timedelta(seconds=90)
    assert await skipped(other_core, batch.id)

    await run_out(core)
    assert await core.batches.sealed_for(at_least_seconds=0.0) == [batch.id]
    assert not await skipped(other_core, batch.id)
    assert (await core.batch(batch.id)).state is S.DRAFTED


async def test_a_batch_that_kills_each_of_its_workers_is_parked(core: Core) -> None:
    batch = await core.sealed()
    for _ in range(5):
        await die_in_the_middle(core, batch.id)
        await run_out(core)
    assert (await core.batch(batch.id)).state is S.SEALED
    assert await skipped(core, batch.id)
    assert (await core.batch(batch.id)).state is S.PARKED


async def test_what_is_not_the_batchs_fault_gives_it_back_and_does_not_count(core: Core, other_core: Core) -> None:
    batch = await core.sealed()
    for _ in range(7):
        with pytest.raises(UnavailableError):
            await core.drafting(ScriptedDrafter(UnavailableError("PostgreSQL cannot be reached"))).draft(batch.id)
    assert await core.value("SELECT drafting_attempts FROM batches") == 0
    assert not await skipped(other_core, batch.id)


async def test_a_worker_that_is_stopped_gives_its_batch_back(core: Core, other_core: Core) -> None:
    batch = await core.sealed()
    slow = Slow()
    drafting = asyncio.create_task(core.drafting(ScriptedDrafter(slow)).draft(batch.id))
    await slow.asked.wait()
    drafting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drafting
    assert await core.value("SELECT drafting_attempts FROM batches") == 0
    assert not await skipped(other_core, batch.id)


async def test_an_old_attempt_ends_no_later_one(core: Core, other_core: Core) -> None:
    batch = await core.sealed()
    stalled, slow = Slow(), Slow()

    async def crash(messages: Sequence[ChatMessage]) -> str:
        await stalled(messages)
        raise RuntimeError("a defect")

    first = asyncio.create_task(core.drafting(ScriptedDrafter(crash)).draft(batch.id))
    await stalled.asked.wait()
    await run_out(core)
    second = asyncio.create_task(other_core.drafting(ScriptedDrafter(slow)).draft(batch.id))
    await slow.asked.wait()
    stalled.may_answer.set()
    with pytest.raises(RuntimeError):
        await first
    assert await skipped(core, batch.id)
    slow.may_answer.set()
    assert await second


async def test_a_message_that_joins_lets_the_next_drafter_begin_at_once(core: Core, other_core: Core) -> None:
    batch = await core.sealed()
    await die_in_the_middle(core, batch.id)
    await core.record(await core.customer(), "more")
    await core.batches.seal(batch.conversation_id)
    assert not await skipped(other_core, batch.id)


async def test_a_full_redis_that_still_answers_holds_up_no_draft(core: Core, redis_endpoint: RedisEndpoint) -> None:
    assert await core.wal.read(limit=1, wait_seconds=0.01) == []  # makes the group
    batch = await core.sealed()
    await core.execute("UPDATE batches SET changed_at = changed_at - interval '20 s'")
    async with redis_client(redis_endpoint) as redis:
        before = await redis.config_get("maxmemory*")
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(UnavailableError):
                await core.wal.add([batch.id])
            assert await core.wal.read(limit=1, wait_seconds=0.01) == []
            async with running(core.drafting(ScriptedDrafter()).run):
                await until(_drafted(core, 1))
                # And one that comes to wait while the worker runs.
                await core.sealed(2)
                await core.execute(
                    "UPDATE batches SET changed_at = changed_at - interval '20 s' WHERE state = 'sealed'"
                )
                await until(_drafted(core, 2))
        finally:
            await redis.config_set("maxmemory", before["maxmemory"] or 0)
            await redis.config_set("maxmemory-policy", before["maxmemory-policy"] or "noeviction")


@pytest.mark.parametrize(
    ("messages", "flags"), [(50, []), (51, ["1 earlier message was"]), (55, ["5 earlier messages"])]
)
async def test_a_draft_says_how_much_its_model_was_not_shown(core: Core, messages: int, flags: list[str]) -> None:
    batch = await core.sealed(1001, *(str(number) for number in range(messages)))
    drafter = ScriptedDrafter()
    await core.drafting(drafter).draft(batch.id)
    found = await core.value("SELECT flags FROM drafts")
    assert len(found) == len(flags)
    assert all(flag.startswith(expected) for flag, expected in zip(found, flags, strict=True))
    assert len(drafter.prompts[0]) == 51


async def test_what_an_earlier_reply_answered_is_not_missing(core: Core) -> None:
    answered = await core.sealed(1001, *("old" for _ in range(30)))
    await core.take_to(answered.id, S.DRAFTED, S.IN_REVIEW, S.REJECTED)
    batch = await core.sealed(1001, *("new" for _ in range(40)))
    await core.drafting(ScriptedDrafter()).draft(batch.id)
    assert await core.value("SELECT flags FROM drafts") == []


def _drafted(core: Core, count: int) -> Any:
    async def drafted() -> bool:
        return (await core.batches.counts([S.DRAFTED]))[S.DRAFTED] == count

    return drafted
