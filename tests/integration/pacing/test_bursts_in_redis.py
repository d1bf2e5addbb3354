"""When a burst is over, and who may seal it: on one Redis and on a cluster."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from nadia.pacing.bursts import Burst, Bursts
from nadia.pacing.config import PacingSettings
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.core import START, HandClock

SETTINGS = PacingSettings(window_seconds=5, longest_seconds=60, largest_batch=4, lease_seconds=30)
CONVERSATION, PARTITION = 7, 3


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.fixture
def bursts(either_redis: RedisConnection) -> Bursts:
    return Bursts(redis=either_redis, settings=SETTINGS)


@pytest.fixture
async def other_bursts(either_source: RedisSource) -> AsyncIterator[Bursts]:
    """Another process's."""
    connection = RedisConnection(either_source)
    yield Bursts(redis=connection, settings=SETTINGS)
    await connection.close()


async def add(bursts: Bursts, seconds: float, *, urgent: bool = False) -> float:
    """Add a message; returns seconds from the start to the burst's end."""
    due = await bursts.add(conversation_id=CONVERSATION, partition=PARTITION, now=START + at(seconds), urgent=urgent)
    return (due - START).total_seconds()


async def claim(bursts: Bursts, seconds: float) -> list[Burst]:
    return await bursts.claim_due(START + at(seconds))


async def test_each_message_moves_the_end_by_the_window(bursts: Bursts) -> None:
    assert await add(bursts, 0) == 5
    assert await add(bursts, 3) == 8
    assert await add(bursts, 7.25) == 12.25
    assert await claim(bursts, 12.249) == []
    (burst,) = await claim(bursts, 12.25)
    assert (burst.conversation_id, burst.partition, burst.urgent) == (CONVERSATION, PARTITION, False)
    assert burst.due == START + at(12.25)


async def test_typing_prolongs_a_burst_by_six_seconds_and_a_message_ends_the_typing(bursts: Bursts) -> None:
    await add(bursts, 0)
    await bursts.typing(conversation_id=CONVERSATION, partition=PARTITION, now=START + at(4))
    assert await claim(bursts, 9.999) == []
    assert await add(bursts, 9.5) == 14.5
    (burst,) = await claim(bursts, 14.5)
    assert burst.due == START + at(14.5)


async def test_typing_never_shortens_a_burst(bursts: Bursts, either_redis: RedisConnection) -> None:
    slow = Bursts(redis=either_redis, settings=PacingSettings(window_seconds=20))
    await slow.add(conversation_id=CONVERSATION, partition=PARTITION, now=START, urgent=False)
    await slow.typing(conversation_id=CONVERSATION, partition=PARTITION, now=START + at(1))
    assert await claim(slow, 19.9) == []
    assert len(await claim(slow, 20)) == 1


async def test_typing_begins_no_burst(bursts: Bursts) -> None:
    await bursts.typing(conversation_id=CONVERSATION, partition=PARTITION, now=START)
    assert await bursts.waiting() == 0
    assert await claim(bursts, 1000) == []


async def test_nobody_is_waited_for_longer_than_the_maximum(bursts: Bursts, either_redis: RedisConnection) -> None:
    chatty = Bursts(redis=either_redis, settings=PacingSettings(window_seconds=5, largest_batch=1000))
    for second in range(0, 56, 4):
        due = await chatty.add(conversation_id=CONVERSATION, partition=PARTITION, now=START + at(second), urgent=False)
    assert due == START + at(57)
    await chatty.typing(conversation_id=CONVERSATION, partition=PARTITION, now=START + at(56))
    assert await claim(chatty, 59.999) == []
    (burst,) = await claim(chatty, 60)
    assert burst.due == START + at(60)


async def test_a_burst_of_the_largest_size_is_over_at_once(bursts: Bursts) -> None:
    for second in range(3):
        assert await add(bursts, second) == second + 5
    assert await add(bursts, 3) == 3
    assert len(await claim(bursts, 3)) == 1


async def test_an_urgent_message_ends_the_burst_at_once(bursts: Bursts) -> None:
    await add(bursts, 0)
    assert await add(bursts, 1, urgent=True) == 1
    (burst,) = await claim(bursts, 1)
    assert burst.urgent


async def test_what_comes_after_an_urgent_burst_is_not_urgent(bursts: Bursts) -> None:
    await add(bursts, 0, urgent=True)
    (burst,) = await claim(bursts, 0)
    assert await add(bursts, 0.5) == 5.5
    await bursts.finish(burst)
    (following,) = await claim(bursts, 5.5)
    assert not following.urgent


async def test_an_urgent_burst_stays_urgent_when_its_claimant_dies(bursts: Bursts, other_bursts: Bursts) -> None:
    await add(bursts, 0, urgent=True)
    await claim(bursts, 0)
    (again,) = await claim(other_bursts, 30)
    assert again.urgent


async def test_many_claimants_on_two_connections_share_the_bursts_without_overlap(
    bursts: Bursts, other_bursts: Bursts
) -> None:
    for conversation in range(120):
        await bursts.add(conversation_id=conversation, partition=conversation % 64, now=START, urgent=False)
    claims = await asyncio.gather(*(claim(process, 5) for process in (bursts, other_bursts) * 6))
    conversations = [burst.conversation_id for claimed in claims for burst in claimed]
    assert sorted(conversations) == list(range(120))


async def test_a_claim_is_its_claimants_for_the_length_of_the_lease(bursts: Bursts, other_bursts: Bursts) -> None:
    await add(bursts, 0)
    assert len(await claim(bursts, 5)) == 1
    assert await claim(other_bursts, 34.999) == []
    assert len(await claim(other_bursts, 35)) == 1


async def test_a_finished_burst_leaves_nothing_behind(bursts: Bursts) -> None:
    await add(bursts, 0)
    (burst,) = await claim(bursts, 5)
    await bursts.finish(burst)
    assert await bursts.waiting() == 0
    assert await claim(bursts, 1000) == []


async def test_messages_between_claim_and_finish_are_a_burst_of_their_own(bursts: Bursts) -> None:
    await add(bursts, 0)
    (burst,) = await claim(bursts, 5)
    assert await add(bursts, 5.5) == 10.5
    assert await add(bursts, 6) == 11
    await bursts.finish(burst)
    assert await claim(bursts, 10.999) == []
    (following,) = await claim(bursts, 11)
    assert following.claim != burst.claim
    await bursts.finish(following)
    assert await bursts.waiting() == 0


async def test_a_claimant_that_wakes_up_late_ends_nothing_of_its_successors(
    bursts: Bursts, other_bursts: Bursts
) -> None:
    await add(bursts, 0)
    (stalled,) = await claim(bursts, 5)
    (successor,) = await claim(other_bursts, 35)
    await bursts.finish(stalled)
    assert await other_bursts.waiting() == 1
    await other_bursts.finish(successor)
    await add(other_bursts, 40)
    await bursts.finish(stalled)
    await bursts.postpone(stalled, until=START + at(1000))
    assert len(await claim(other_bursts, 45)) == 1


async def test_a_postponed_burst_comes_back_at_the_time_given(bursts: Bursts) -> None:
    await add(bursts, 0)
    (burst,) = await claim(bursts, 5)
    await bursts.postpone(burst, until=START + at(6))
    assert await claim(bursts, 5.999) == []
    assert len(await claim(bursts, 6)) == 1


async def test_a_postponed_burst_waits_for_what_is_being_written_meanwhile(bursts: Bursts) -> None:
    await add(bursts, 0)
    (burst,) = await claim(bursts, 5)
    assert await add(bursts, 5.5) == 10.5
    await bursts.postpone(burst, until=START + at(6))
    assert await claim(bursts, 10.499) == []
    assert len(await claim(bursts, 10.5)) == 1


async def test_emptying_redis_loses_bursts_until_they_are_restored(
    bursts: Bursts, either_redis: RedisConnection
) -> None:
    await add(bursts, 0)
    (claimed,) = await claim(bursts, 5)
    async with either_redis.use() as redis:
        await redis.flushall()
        await redis.script_flush()

    assert await claim(bursts, 1000) == []
    await bursts.finish(claimed)  # of a burst that is no more
    assert await bursts.restore(
        conversation_id=CONVERSATION, partition=PARTITION, first=START, last=START + at(2), count=2
    )
    assert not await bursts.restore(
        conversation_id=CONVERSATION, partition=PARTITION, first=START, last=START + at(3), count=3
    )
    assert await claim(bursts, 6.999) == []
    assert len(await claim(bursts, 7)) == 1


async def test_a_message_of_an_emptied_redis_is_not_ended_by_the_claim_before(
    bursts: Bursts, either_redis: RedisConnection
) -> None:
    await add(bursts, 0)
    (claimed,) = await claim(bursts, 5)
    async with either_redis.use() as redis:
        await redis.flushall()
    await add(bursts, 6)
    await bursts.finish(claimed)
    assert len(await claim(bursts, 11)) == 1


async def test_a_claimed_burst_is_not_restored_under_its_claimant(bursts: Bursts) -> None:
    await add(bursts, 0)
    await claim(bursts, 5)
    assert not await bursts.restore(conversation_id=CONVERSATION, partition=PARTITION, first=START, last=START, count=1)


async def test_a_hint_wakes_a_timer_that_sleeps_past_an_urgent_burst(bursts: Bursts, other_bursts: Bursts) -> None:
    loop = asyncio.get_running_loop()
    await other_bursts.sleep(START)  # the first one looks where the hints are
    began = loop.time()
    sleeping = asyncio.create_task(other_bursts.sleep(START))
    await asyncio.sleep(0)
    while not sleeping.done() and loop.time() < began + 0.9:
        await add(bursts, 0, urgent=True)
        await asyncio.wait([sleeping], timeout=0.05)
    assert sleeping.done()
    await sleeping


async def test_a_timer_sleeps_no_longer_than_to_the_next_end(bursts: Bursts, clock: HandClock) -> None:
    await add(bursts, 0)
    loop = asyncio.get_running_loop()
    await bursts.sleep(START)  # a second at most: the end is five away
    began = loop.time()
    await bursts.sleep(START + at(4.95))
    assert loop.time() - began < 0.9
