"""Bursts that Redis does not end in time end by PostgreSQL's clock, and clocks that disagree are told of."""

import asyncio
from datetime import timedelta

import pytest

from nadia.app import worker
from nadia.clock import utc_now
from nadia.conversations.models import BatchState
from nadia.metrics import REGISTRY
from nadia.pacing.skew import ClockSkew
from support.core import Core, HandClock, running, until


async def aged(core: Core, seconds: float) -> None:
    """Let PostgreSQL believe that all messages came so long ago."""
    await core.execute("UPDATE messages SET received_at = clock_timestamp() - make_interval(secs => %s)", seconds)


async def test_a_burst_of_a_process_with_a_fast_clock_ends_by_the_databases(core: Core, clock: HandClock) -> None:
    clock.now = utc_now() + timedelta(hours=1)
    await core.receive(text="is anybody there?")
    clock.now = utc_now()
    await aged(core, 65)
    assert await core.claim_and_seal() == 0
    await core.tracker.seal_forgotten()
    assert await core.value("SELECT count(*) FROM batches") == 0  # Redis has its time first
    await aged(core, 71)
    await core.tracker.seal_forgotten()
    assert await core.value("SELECT state FROM batches") == "sealed"
    assert len(await core.wal.waiting()) == 1

    clock.advance(3_700)  # what Redis says later finds nothing to do
    await core.claim_and_seal()
    assert await core.value("SELECT count(*) FROM batches") == 1


async def test_the_worker_seals_what_redis_never_took_in(core: Core) -> None:
    await core.record(await core.customer())  # a full Redis refused the burst, and answers everything else
    await aged(core, 80)

    async def sealed() -> bool:
        return bool(await core.value("SELECT count(*) FROM batches"))

    async with running(lambda: worker._seal_forgotten(core.tracker)):
        await until(sealed)


async def test_bursts_that_wait_for_a_leaving_reply_do_not_starve_others(core: Core) -> None:
    for chat in (1, 2, 3):
        batch = await core.sealed(chat)
        await core.take_to(batch.id, BatchState.DRAFTED, BatchState.IN_REVIEW, BatchState.APPROVED, BatchState.SENDING)
        await core.record(await core.customer(chat), "one more thing")
    await core.record(await core.customer(4), "me too")
    await aged(core, 80)
    free = (await core.customer(4)).id
    assert await core.batches.overdue(window_seconds=5, longest_seconds=60, limit=2) == [free]


async def test_one_forgotten_burst_that_crashes_holds_up_no_other(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    for chat in (1, 2):
        await core.record(await core.customer(chat))
    await aged(core, 80)
    broken = (await core.customer(1)).id
    seal = core.batches.seal

    async def sometimes(conversation_id: int, *, priority: int = 0) -> object:
        if conversation_id == broken:
            raise RuntimeError("a defect")
        return await seal(conversation_id, priority=priority)

    monkeypatch.setattr(core.batches, "seal", sometimes)
    await core.tracker.seal_forgotten()
    assert await core.value("SELECT count(*) FROM batches") == 1


async def test_a_crash_after_the_seal_is_logged(
    core: Core, clock: HandClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def crash(*arguments: object, **more: object) -> None:
        raise RuntimeError("a defect in telling pages")

    monkeypatch.setattr(core.events, "publish", crash)
    await core.receive()
    clock.advance(5)
    await core.tracker._adaptive_window_timer()
    await asyncio.wait(set(core.tracker._sealing))
    await asyncio.sleep(0)  # lets the tasks' callbacks run
    said = capsys.readouterr()
    assert "pacing.seal_crashed" in said.out + said.err
    assert "a defect in telling pages" in said.out + said.err


async def test_a_clock_that_is_off_is_told_of_once_until_it_is_right_again(core: Core) -> None:
    off = timedelta()
    skew = ClockSkew(database=core.database, clock=lambda: utc_now() + off)

    async def notices() -> int:
        return int(await core.value("SELECT count(*) FROM notices WHERE topic = 'clock.skewed' AND NOT resolves"))

    assert abs(await skew.compare()) < timedelta(seconds=1)
    assert await notices() == 0
    off = timedelta(seconds=90)
    for _ in range(3):
        assert timedelta(seconds=89) < await skew.compare() < timedelta(seconds=91)
    assert await notices() == 1
    assert (REGISTRY.get_sample_value("nadia_clock_skew_seconds") or 0) > 89
    off = timedelta()
    for _ in range(2):  # by a process that did not tell of it
        await ClockSkew(database=core.database, clock=lambda: utc_now() + off).compare()
    assert await core.value("SELECT count(*) FROM notices WHERE topic = 'clock.skewed' AND resolves") == 1
    await skew.compare()
    off = timedelta(seconds=-90)
    await skew.compare()
    assert await notices() == 2
    assert "behind" in await core.value("SELECT summary FROM notices ORDER BY id DESC LIMIT 1")
