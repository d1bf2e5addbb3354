"""What several processes counted, added up in Redis and read back: each thing once, whatever happens in between."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from nadia.embedded.endpoints import RedisEndpoint
from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.health import figure_recorder
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import BUCKET_SECONDS, GAUGES_LIVE_SECONDS, FigureHistory, Figures
from nadia.redis import keys
from nadia.redis.commands import Argument, Command, Script
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.core import HandClock, until

CALLS, SPANS = "nadia_test_calls_total", "nadia_test_spans_seconds"


class Process:
    """One process that counts."""

    def __init__(self, name: str, *, redis: RedisConnection, clock: HandClock) -> None:
        registry = CollectorRegistry()
        self.calls = Counter("nadia_test_calls", "Calls.", ["outcome"], registry=registry)
        self.spans = Histogram(SPANS, "Spans.", ["stage"], registry=registry, buckets=(0.1, 0.5, 1.0))
        self.level = Gauge("nadia_test_level", "A level.", ["account"], registry=registry)
        self.recorder = FigureRecorder(redis=redis, process=name, clock=clock, registry=registry)
        self.history = FigureHistory(redis=redis, clock=clock)
        self._clock = clock

    async def read(self, *, hours: float = 1) -> Figures:
        return await self.history.read(since=self._clock() - timedelta(hours=hours))

    async def counted(self, **labels: str) -> float:
        return (await self.read()).increase(CALLS, **labels)


class LosingAnswers(RedisConnection):
    """Carries commands out, and loses the answers as long as it is told to."""

    loses = False

    async def run(self, script: Script, *, keys: Sequence[str], args: Sequence[Argument]) -> object:
        answer = await super().run(script, keys=keys, args=args)
        if self.loses:
            raise UnavailableError("the answer was lost")
        return answer


@pytest.fixture
def one(either_redis: RedisConnection, clock: HandClock) -> Process:
    return Process("one", redis=either_redis, clock=clock)


@pytest.fixture
def two(either_redis: RedisConnection, clock: HandClock) -> Process:
    return Process("two", redis=either_redis, clock=clock)


async def test_two_processes_add_into_one_stretch(one: Process, two: Process) -> None:
    for process in (one, two):
        process.calls.labels("success").inc(3)
        process.calls.labels("failure").inc()
        process.spans.labels("draft").observe(0.3)
        await process.recorder.record()
    found = await one.read()
    assert found.increase(CALLS) == 8
    assert found.increase(CALLS, outcome="success") == 6
    assert found.labels_of(CALLS) == [{"outcome": "failure"}, {"outcome": "success"}]
    spans = found.distribution(SPANS, stage="draft")
    assert spans.count == 2
    assert [spans.mean, spans.quantile(0.5)] == pytest.approx([0.3, 0.3])
    assert found.distributions(SPANS) == [({"stage": "draft"}, spans)]


async def test_of_nothing_counted_nothing_is_told(one: Process) -> None:
    await one.recorder.record()
    found = await one.read()
    assert (found.increase(CALLS), found.distribution(SPANS).count, found.labels_of(CALLS)) == (0, 0, [])


async def test_a_process_begun_again_adds_what_it_counted_itself(
    one: Process, either_redis: RedisConnection, clock: HandClock
) -> None:
    one.calls.labels("success").inc(5)
    await one.recorder.record()
    again = Process("one, begun again", redis=either_redis, clock=clock)
    again.calls.labels("success").inc(2)
    await again.recorder.record()
    assert await again.counted() == 7


async def test_what_was_counted_later_stands_in_a_later_stretch(one: Process, clock: HandClock) -> None:
    begun = clock.now
    one.calls.labels("success").inc(1)
    await one.recorder.record()
    clock.advance(2 * BUCKET_SECONDS)
    one.calls.labels("success").inc(2)
    await one.recorder.record()
    steps = (await one.history.read(since=begun)).steps()
    assert [(at - begun).total_seconds() for at, _ in steps] == [0, BUCKET_SECONDS, 2 * BUCKET_SECONDS]
    assert [step.increase(CALLS) for _, step in steps] == [1, 0, 2]


async def test_a_day_is_the_longest_that_is_read_back(one: Process, clock: HandClock) -> None:
    steps = (await one.history.read(since=clock.now - timedelta(days=400))).steps()
    assert len(steps) == 24 * 3600 // BUCKET_SECONDS + 1


async def test_a_clock_that_goes_back_counts_nothing_twice_and_loses_nothing(one: Process, clock: HandClock) -> None:
    for seconds in (0, 3 * BUCKET_SECONDS, -3 * BUCKET_SECONDS, -2 * BUCKET_SECONDS, 5 * BUCKET_SECONDS):
        clock.advance(seconds)
        one.calls.labels("success").inc()
        await one.recorder.record()
    assert await one.counted() == 5


async def test_an_answer_that_got_lost_counts_nothing_twice(redis_endpoint: RedisEndpoint, clock: HandClock) -> None:
    redis = LosingAnswers(RedisSource(url=redis_endpoint.url))
    try:
        one = Process("one", redis=redis, clock=clock)
        redis.loses = True
        for _ in range(3):
            one.calls.labels("success").inc()
            with pytest.raises(UnavailableError):
                await one.recorder.record()
        redis.loses = False
        await one.recorder.record()
        await one.recorder.record()
        assert await one.counted() == 3
    finally:
        await redis.close()


async def test_a_redis_that_stood_still_and_then_did_what_it_was_asked_counts_nothing_twice(
    servers: EmbeddedServers, redis_endpoint: RedisEndpoint, clock: HandClock
) -> None:
    redis = RedisConnection(RedisSource(url=redis_endpoint.url, timeout_seconds=0.3))
    pid = servers.pid("redis")
    assert pid is not None
    try:
        one = Process("one", redis=redis, clock=clock)
        one.calls.labels("success").inc()
        await one.recorder.record()
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                one.calls.labels("success").inc()
                with pytest.raises(UnavailableError):
                    await one.recorder.record()
        finally:
            os.kill(pid, signal.SIGCONT)

        async def is_back() -> bool:
            with suppress(UnavailableError):
                await one.recorder.record()
                return True
            return False

        await until(is_back)
        assert await one.counted() == 4
    finally:
        await redis.close()


async def test_an_outage_loses_nothing_and_each_thing_stands_where_it_was_counted(
    one: Process, clock: HandClock, monkeypatch: pytest.MonkeyPatch, either_redis: RedisConnection
) -> None:
    begun = clock.now

    async def refuse(*_: object, **__: object) -> object:
        raise UnavailableError("Redis is away")

    with monkeypatch.context() as outage:
        outage.setattr(either_redis, "run", refuse)
        for _ in range(4):
            for _ in range(3):
                one.calls.labels("success").inc()
                with pytest.raises(UnavailableError):
                    await one.recorder.record()
            clock.advance(BUCKET_SECONDS)
    await one.recorder.record()
    steps = (await one.history.read(since=begun)).steps()
    assert [step.increase(CALLS) for _, step in steps] == [3, 3, 3, 3, 0]


async def test_of_a_long_outage_the_last_two_hours_are_kept_and_the_log_says_so_once(
    one: Process,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
    either_redis: RedisConnection,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def refuse(*_: object, **__: object) -> object:
        raise UnavailableError("Redis is away")

    with monkeypatch.context() as outage:
        outage.setattr(either_redis, "run", refuse)
        for _ in range(100):
            one.calls.labels("success").inc()
            with pytest.raises(UnavailableError):
                await one.recorder.record()
            clock.advance(BUCKET_SECONDS)
        assert len(one.recorder._unsent) == 24
    await one.recorder.record()
    assert (await one.read(hours=24)).increase(CALLS) == 24
    assert "".join(capfd.readouterr()).count("figures.dropped") == 1


async def test_an_emptied_redis_is_filled_again(one: Process, either_redis: RedisConnection, clock: HandClock) -> None:
    one.calls.labels("success").inc(5)
    await one.recorder.record()
    await either_redis.send([Command(("DEL", keys.figures_of(int(clock.now.timestamp()) // BUCKET_SECONDS)))])
    one.calls.labels("success").inc(2)
    await one.recorder.record()
    assert await one.counted() == 2


async def test_a_stretch_has_a_most_of_series_and_those_it_has_go_on_counting(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_recorder, "MOST_SERIES", 10)
    one.calls.labels("first").inc()
    await one.recorder.record()
    for number in range(100):
        one.calls.labels(f"hostile {number}").inc()
    await one.recorder.record()
    one.calls.labels("first").inc()
    await one.recorder.record()
    found = await one.read()
    assert found.increase(CALLS, outcome="first") == 2
    assert len(found.labels_of(CALLS)) <= 10
    assert not found.are_complete


async def test_of_a_histogram_a_full_stretch_has_all_ranges_or_none(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_recorder, "MOST_SERIES", 10)
    one.spans.labels("known").observe(0.05)
    await one.recorder.record()
    assert (await one.read()).are_complete
    for number in range(100):
        one.calls.labels(f"hostile {number}").inc()
    await one.recorder.record()
    for seconds in (0.3, 0.7, 5.0):
        one.spans.labels("known").observe(seconds)
        one.spans.labels("late").observe(seconds)
    await one.recorder.record()
    found = await one.read()
    known, late = (found.distribution(SPANS, stage=stage) for stage in ("known", "late"))
    assert [known.count, known.total] == pytest.approx([4, 6.05])
    assert known.quantile(1.0) == 1.0
    assert (late.count, late.total) == (0, 0)


async def test_a_histogram_whose_sum_stays_nothing_is_counted_whole(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_recorder, "MOST_SERIES", 2)
    for _ in range(2):
        one.spans.labels("instant").observe(0)
        await one.recorder.record()
    one.spans.labels("instant").observe(5.0)
    await one.recorder.record()
    found = (await one.read()).distribution(SPANS)
    assert (found.count, found.total) == (3, 5.0)


async def test_figures_and_gauges_expire(one: Process, either_redis: RedisConnection, clock: HandClock) -> None:
    one.calls.labels("success").inc()
    one.level.labels("desk").set(1)
    await one.recorder.record()
    bucket = keys.figures_of(int(clock.now.timestamp()) // BUCKET_SECONDS)
    lives = [
        int(str(left))
        for left in await either_redis.send(
            [Command(("TTL", key)) for key in (bucket, keys.gauges_of("one"), keys.GAUGE_PROCESSES)]
        )
    ]
    assert 24 * 3600 < lives[0] <= 24 * 3600 + BUCKET_SECONDS
    assert all(0 < left <= GAUGES_LIVE_SECONDS for left in lives[1:])


async def test_gauges_are_told_by_process_as_long_as_it_speaks(one: Process, two: Process, clock: HandClock) -> None:
    one.level.labels("desk").set(1)
    two.level.labels("desk").set(4)
    await one.recorder.record()
    await two.recorder.record()
    assert sorted(await one.history.gauges("nadia_test_level")) == [
        ("one", {"account": "desk"}, 1.0),
        ("two", {"account": "desk"}, 4.0),
    ]
    one.level.remove("desk")
    one.level.labels("shop").set(2)
    clock.advance(GAUGES_LIVE_SECONDS + 1)
    await one.recorder.record()
    assert await two.history.gauges("nadia_test_level") == [("one", {"account": "shop"}, 2.0)]


async def test_what_others_put_among_the_figures_is_passed_over(
    one: Process, either_redis: RedisConnection, clock: HandClock
) -> None:
    one.calls.labels("success").inc()
    await one.recorder.record()
    bucket = keys.figures_of(int(clock.now.timestamp()) // BUCKET_SECONDS)
    await either_redis.send([Command(("HSET", bucket, "garbage", "x", '["a",{}]', "much", '["b",{"c":[]}]', "1"))])
    assert await one.counted() == 1


async def test_how_long_a_queue_was_is_the_highest_that_any_process_saw_in_a_stretch(
    one: Process, two: Process, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure_recorder, "KEPT_GAUGES", ("nadia_test_level",))
    for level, process in ((3, one), (7, two), (5, one)):
        process.level.labels("desk").set(level)
        await process.recorder.record()
    clock.advance(BUCKET_SECONDS)
    one.level.labels("desk").set(2)
    one.level.labels("shop").set(4)
    await one.recorder.record()
    steps = (await one.history.read(since=clock.now - timedelta(seconds=3 * BUCKET_SECONDS))).steps()
    assert [step.highest("nadia_test_level", account="desk") for _, step in steps][-2:] == [7, 2]
    assert [step.highest("nadia_test_level") for _, step in steps][-2:] == [7, 6]
    assert steps[0][1].highest("nadia_test_level") is None
    whole = await one.read()
    assert (whole.highest("nadia_test_level"), whole.highest("nadia_test_level", account="shop")) == (7, 4)
