"""The state that others read, the heartbeat for a watcher outside, and the commands."""

import json
from datetime import timedelta
from pathlib import Path

import httpx2
from fastapi import FastAPI

from nadia.daemon.conditions import JOB_FAILING
from nadia.redis.connection import RedisConnection
from nadia.redis.keys import DAEMON_STATUS
from nadia.redis.source import RedisSource
from nadia.web.heartbeat import heartbeat_router
from nadia.workflows.schedule_state import ScheduleState, state_file
from support.answers import child_end
from support.daemons import World


async def beat(world: World, state: ScheduleState | None = None) -> tuple[int, str]:
    app = FastAPI()
    app.include_router(heartbeat_router(state=state or world.state, clock=world.clock))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/heartbeat")
        assert (await client.head("/heartbeat")).status_code == answer.status_code
    return answer.status_code, answer.text


async def test_the_heartbeat_beats_while_a_daemon_looks_and_falls_silent_when_it_stops(world: World) -> None:
    assert await beat(world) == (503, "silent")
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=30)
        assert await beat(world) == (200, "ok")
    assert await beat(world) == (200, "ok"), "a restart is no alarm"
    world.time.jump(seconds=61)
    assert await beat(world) == (503, "silent")


async def test_a_daemon_whose_health_checks_give_no_answer_vouches_for_nothing(world: World) -> None:
    world.jobs.answers["health-check"] = child_end(b"", status=1)
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=10)
        assert await beat(world) == (200, "ok")
        await world.time.pass_for(minutes=10)
        assert await beat(world) == (503, "silent")
        world.jobs.answers.clear()
        await world.time.pass_for(minutes=10)
        assert await beat(world) == (200, "ok")


async def test_a_take_over_by_one_that_stood_by_for_long_is_no_alarm(world: World) -> None:
    standby = world.daemon("two/2/b")
    async with world.running(world.daemon("one/1/a")):
        await world.time.pass_for(minutes=42)
    redis = await world.redis.get()
    await redis.delete(DAEMON_STATUS)
    state_file(world.home).unlink()
    async with world.running(standby):
        await world.time.pass_for(seconds=1)
        assert await beat(world) == (200, "ok"), "the history has what the other one asked"


async def test_being_begun_again_and_again_is_no_answer(world: World) -> None:
    world.jobs.answers["health-check"] = child_end(b"", status=1)
    beats = []
    for number in range(6):
        async with world.running(world.daemon(f"one/{number}/a")):
            await world.time.pass_for(minutes=4)
            beats.append((await beat(world))[0])
    assert beats == [200, 200, 200, 200, 503, 503]
    world.jobs.answers.clear()
    async with world.running(world.daemon("one/7/a")):
        await world.time.pass_for(minutes=5)
        assert await beat(world) == (200, "ok")


async def test_what_was_vouched_for_by_a_clock_that_was_years_ahead_counts_for_nothing(world: World) -> None:
    world.time.jump(days=3_650)
    async with world.running(world.daemon("one/1/a")):
        await world.time.pass_for(minutes=1)
    world.time.jump(days=-3_650)
    world.jobs.answers["health-check"] = child_end(b"", status=1)
    async with world.running(world.daemon("two/2/b")):
        await world.time.pass_for(minutes=1)
        assert await beat(world) == (503, "silent")


async def test_without_redis_the_file_of_the_home_speaks_and_without_both_nobody_does(
    world: World, tmp_path: Path
) -> None:
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=1)
    away = RedisConnection(RedisSource(url="unix:///nowhere/redis.sock"))
    try:
        assert await beat(world, ScheduleState(redis=away, file=state_file(world.home))) == (200, "ok")
        assert await beat(world, ScheduleState(redis=away, file=tmp_path / "nothing")) == (503, "silent")
    finally:
        await away.close()
    assert state_file(world.home).stat().st_mode & 0o777 == 0o600
    assert state_file(world.home).parent.stat().st_mode & 0o777 == 0o700


async def test_a_damaged_state_is_none(world: World) -> None:
    redis = await world.redis.get()
    for damaged in ("", "{}", "null", "\x00", '{"by": 1}'):
        await redis.set(DAEMON_STATUS, damaged)
        state_file(world.home).parent.mkdir(exist_ok=True)
        state_file(world.home).write_text(damaged)
        assert await world.state.read() is None
        assert await beat(world) == (503, "silent")
    state_file(world.home).write_bytes(b"\xff\xfe")
    assert await world.state.read() is None


async def test_the_status_says_what_runs_what_is_next_and_what_is_wrong(world: World) -> None:
    world.jobs.answers["redis-health"] = child_end(b"", status=3, complaint=b"error: Redis cannot be reached")
    async with world.running(world.daemon()) as daemon:
        await world.time.pass_for(minutes=35)
        own, read = await daemon.get_status(), await world.state.read()
    assert read is not None
    said = json.loads(own.model_dump_json())
    assert json.loads(read.model_dump_json()) | {"beat_at": said["beat_at"]} == said
    assert said["schema_version"] == 1
    assert own.active
    health, redis, security, performance = own.jobs
    assert [job.name for job in own.jobs] == ["health-check", "redis-health", "security-check", "perf-baseline"]
    assert health.next_at - world.clock() <= timedelta(minutes=5, seconds=15)
    assert redis.last is not None
    assert "Redis cannot be reached" in redis.last.summary
    assert security.last is not None
    assert performance.last is not None
    assert [(one.topic, one.times, one.told) for one in own.conditions] == [(JOB_FAILING, 4, "critical")]
