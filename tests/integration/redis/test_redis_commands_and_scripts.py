"""Several commands in one round trip, and scripts that Redis forgot: on one Redis and on a cluster."""

import pytest

from nadia.errors import UnavailableError
from nadia.redis.commands import Command, Script
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource

COUNT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


def count(key: str) -> Command:
    return COUNT.call(keys=[key], args=[1])


async def test_answers_come_in_the_order_of_the_commands(either_redis: RedisConnection) -> None:
    commands = [Command(("SET", f"key-{number}", number)) for number in range(40)]
    assert await either_redis.send(commands) == [True] * 40
    answers = await either_redis.send([Command(("GET", f"key-{number}")) for number in range(40)])
    assert answers == [str(number) for number in range(40)]


async def test_a_forgotten_script_runs_once_each_time_it_is_asked_for(either_redis: RedisConnection) -> None:
    keys = [f"count-{number}" for number in range(9)]  # on a cluster, on all its nodes
    for round_ in (1, 2, 3):
        assert await either_redis.send([count(key) for key in keys]) == [round_] * 9
        assert await either_redis.run(COUNT, keys=["alone"], args=[1]) == round_
        async with either_redis.use() as redis:
            await redis.script_flush()


async def test_one_refused_command_does_not_stop_the_others(either_redis: RedisConnection) -> None:
    await either_redis.send([Command(("SET", "text", "abc"))])
    with pytest.raises(UnavailableError, match="refused"):
        await either_redis.send([count("before"), Command(("RPUSH", "text", "x")), count("after")])
    assert await either_redis.send([Command(("GET", "before")), Command(("GET", "after"))]) == ["1", "1"]


async def test_nothing_to_send_asks_nobody(redis_connection: RedisConnection) -> None:
    assert await redis_connection.send([]) == []


async def test_live_events_come_in_order_after_a_position(either_redis: RedisConnection) -> None:
    events = LiveEvents(redis=either_redis)
    assert await events.latest_id() == "0-0"
    await events.publish("batch.sealed", batch=1)
    position = await events.latest_id()
    await events.publish("batch.drafted", batch=1, conversation=7)
    await events.publish("batch.sealed", batch=2)

    (first, second) = await events.after(position)
    assert (first.kind, dict(first.fields)) == ("batch.drafted", {"batch": "1", "conversation": "7"})
    assert (second.kind, dict(second.fields)) == ("batch.sealed", {"batch": "2"})
    assert await events.after(second.id) == []


async def test_the_stream_of_live_events_is_bounded(redis_connection: RedisConnection) -> None:
    events = LiveEvents(redis=redis_connection)
    for _ in range(50):
        await redis_connection.send([events.publishing("message.received", conversation=1)] * 100)
    (length,) = await redis_connection.send([Command(("XLEN", "nadia:events"))])
    assert isinstance(length, int)
    assert 2_000 <= length < 2_300


async def test_without_redis_a_live_event_is_dropped_and_nobody_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, str]] = []

    class Log:
        def debug(self, event: str, *, kind: str) -> None:
            noted.append((event, kind))

    monkeypatch.setattr("nadia.redis.events.log", Log())
    connection = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock"))
    try:
        await LiveEvents(redis=connection).publish("batch.sealed", batch=1)
        await LiveEvents(redis=connection).publish("batch.drafted", batch=1)  # while it is known to be away
    finally:
        await connection.close()
    assert noted == [("live_event.dropped", "batch.sealed"), ("live_event.dropped", "batch.drafted")]
