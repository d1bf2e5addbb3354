"""Many followers of the live events share one connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvent, LiveEvents
from nadia.redis.live_feed import Gap, LiveFeed
from nadia.redis.source import RedisSource
from support.eventually import eventually

FOLLOWERS = 150
"""More than the driver's pool has connections (100)."""


class CountedEvents(LiveEvents):
    """Live events that count who waits for them."""

    waiting = 0
    most_waiting = 0
    reading = 0
    most_reading = 0

    async def after(self, position: str, *, limit: int = 100, wait: bool = True) -> list[LiveEvent]:
        self.waiting += wait
        self.reading += not wait
        self.most_waiting = max(self.most_waiting, self.waiting)
        self.most_reading = max(self.most_reading, self.reading)
        try:
            return await super().after(position, limit=limit, wait=wait)
        finally:
            self.waiting -= wait
            self.reading -= not wait


@pytest.fixture
def events(redis_connection: RedisConnection) -> CountedEvents:
    return CountedEvents(redis=redis_connection)


@pytest.fixture
def feed(events: CountedEvents) -> LiveFeed:
    return LiveFeed(events=events, retry_seconds=0.01)


async def next_of(items: AsyncIterator[LiveEvent | Gap]) -> LiveEvent | Gap:
    async with asyncio.timeout(15):
        return await anext(items)


async def test_150_followers_hear_everything_over_one_waiting_connection(
    feed: LiveFeed, events: CountedEvents, redis_connection: RedisConnection
) -> None:
    followers = [feed.follow(None) for _ in range(FOLLOWERS)]
    starts = await asyncio.gather(*(next_of(follower) for follower in followers))
    assert all(isinstance(start, Gap) and start.position is not None for start in starts)
    for number in range(3):
        await events.publish("batch.sealed", batch=number)
    for number in range(3):
        heard = await asyncio.gather(*(next_of(follower) for follower in followers))
        assert {item.fields["batch"] for item in heard if isinstance(item, LiveEvent)} == {str(number)}
    assert events.most_waiting == 1
    # whoever else needs Redis still gets at it
    assert await redis_connection.send([Command(("SET", "pacing", "goes on"))]) == [True]

    for follower in followers:
        await follower.aclose()
    await eventually(lambda: events.waiting == 0, what="the reader stopping with the last follower")


async def test_150_that_come_back_at_once_hear_what_they_missed_a_few_at_a_time(
    feed: LiveFeed, events: CountedEvents
) -> None:
    await events.publish("before")
    position = await events.latest_id()
    await events.publish("missed")
    followers = [feed.follow(position) for _ in range(FOLLOWERS)]
    heard = await asyncio.gather(*(next_of(follower) for follower in followers))
    assert {item.kind for item in heard if isinstance(item, LiveEvent)} == {"missed"}
    assert len(heard) == FOLLOWERS
    assert events.most_reading <= 4
    await events.publish("next")
    heard = await asyncio.gather(*(next_of(follower) for follower in followers))
    assert {item.kind for item in heard if isinstance(item, LiveEvent)} == {"next"}
    for follower in followers:
        await follower.aclose()


async def test_a_reader_begins_anew_for_the_next_page_after_the_last_one_left(
    feed: LiveFeed, events: CountedEvents
) -> None:
    for kind in ("one", "two"):
        async with aclosing(feed.follow(None)) as items:
            assert isinstance(await next_of(items), Gap)
            await events.publish(kind)
            heard = await next_of(items)
            assert isinstance(heard, LiveEvent)
            assert heard.kind == kind


async def test_a_follower_that_falls_far_behind_is_told_of_a_gap_and_holds_up_nobody(
    feed: LiveFeed, events: CountedEvents, redis_connection: RedisConnection
) -> None:
    async with aclosing(feed.follow(None)) as slow, aclosing(feed.follow(None)) as quick:
        await next_of(slow)
        await next_of(quick)
        for _ in range(10):
            await redis_connection.send([events.publishing("message.received")] * 100)
            for _ in range(100):
                await next_of(quick)
        behind = await next_of(slow)
        assert isinstance(behind, Gap)
        assert behind.position is not None
        remaining = await events.after(behind.position, limit=1_000, wait=False)
        assert len(remaining) < 300
        for event in remaining:
            assert await next_of(slow) == event


async def test_a_position_far_back_leads_to_a_gap(
    feed: LiveFeed, events: CountedEvents, redis_connection: RedisConnection
) -> None:
    await events.publish("long ago")
    position = await events.latest_id()
    await redis_connection.send([events.publishing("message.received")] * 600)
    async with aclosing(feed.follow(position)) as items:
        assert await next_of(items) == Gap(await events.latest_id())


async def test_without_redis_every_follower_is_told_again_and_again() -> None:
    nowhere = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock"))
    feed = LiveFeed(events=LiveEvents(redis=nowhere), retry_seconds=0.01)
    async with aclosing(feed.follow("1-1")) as one, aclosing(feed.follow(None)) as other:
        for _ in range(3):
            assert await next_of(one) == Gap(None)
            assert await next_of(other) == Gap(None)
    await nowhere.close()
