"""Jobs that fail, servers that go away and come back, daemons that stop: what is told, remembered and run again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from nadia.daemon.child import ChildEnd
from nadia.daemon.conditions import ANSWER_CRITICAL, JOB_FAILING, PROBE_NOT_HEALTHY
from nadia.daemon.ledger import RunLedger
from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.database import Database
from nadia.redis.connection import RedisConnection
from nadia.redis.keys import DAEMON_STATUS, runs_of
from nadia.redis.source import RedisSource
from nadia.workflows.run_history import RunOutcome
from support.answers import answered, child_end
from support.breakable_link import BreakableLink
from support.core import HandClock, until
from support.daemons import ScriptedJobs, SteppedTime, World
from support.servers import ClonedDatabase, short_folder

_SOCKET = ".s.PGSQL.5432"
FAILED = child_end(b"", status=3, complaint=b"error: Redis cannot be reached")


class Wired:
    """An installation whose wires to PostgreSQL and Redis can be cut; `world.database` is past the wire."""

    def __init__(self, world: World, database: Database, postgres: BreakableLink, redis: BreakableLink) -> None:
        self.world = world
        self.database = database
        self.postgres = postgres
        self.redis = redis


@pytest.fixture
async def wired(
    servers: EmbeddedServers, database: ClonedDatabase, world: World, clock: HandClock, tmp_path: Path
) -> AsyncIterator[Wired]:
    past = servers.place.socket_folder
    with short_folder() as folder:
        postgres = BreakableLink(listens=folder / _SOCKET, leads_to=past / _SOCKET)
        redis = BreakableLink(listens=folder / "redis", leads_to=servers.redis.socket_path)
        await postgres.mend()
        await redis.mend()
        through = Database(
            dsn=database.app_dsn.replace(quote(str(past), safe=""), quote(str(folder), safe="")), pool_size=3
        )
        await through.open()
        url = servers.redis.url.replace(quote(str(servers.redis.socket_path)), quote(str(folder / "redis")))
        connection = RedisConnection(RedisSource(url=url))
        wired_world = World(database=world.database, redis=connection, home=tmp_path, clock=clock)
        try:
            yield Wired(wired_world, through, postgres, redis)
        finally:
            await connection.close()
            await through.close()
            await postgres.cut()
            await redis.cut()


async def test_three_failures_alert_once_and_recovery_resolves_once(world: World) -> None:
    world.jobs.answers["redis-health"] = FAILED
    async with world.running(world.daemon()) as daemon:
        await world.time.pass_for(minutes=15)
        assert await world.notices() == []
        await world.time.pass_for(minutes=40)
        assert await world.notices() == [(JOB_FAILING, "redis-health", False)]
        (failing,) = (await daemon.get_status()).conditions
        assert (failing.job, failing.times) == ("redis-health", 6)
        del world.jobs.answers["redis-health"]
        await world.time.pass_for(minutes=40)
        assert await world.notices() == [
            (JOB_FAILING, "redis-health", False),
            (JOB_FAILING, "redis-health", True),
        ]
        assert (await daemon.get_status()).conditions == []
    assert {record.outcome for record in await world.records("redis-health")} == {RunOutcome.FAILED, RunOutcome.DONE}
    assert "Redis cannot be reached" in (await world.records("redis-health"))[-1].summary


async def test_another_daemon_counts_on_where_the_first_one_ended(world: World) -> None:
    world.jobs.answers["health-check"] = answered("health-check", findings={"wal": HealthStatus.WARNING})
    for number, told in ((1, 0), (2, 0), (3, 1), (4, 1)):
        async with world.running(world.daemon(f"host/{number}/a")) as daemon:
            await world.time.pass_for(seconds=60)
            assert (await daemon.get_status()).conditions[0].times == number
        assert len(await world.notices()) == told
        world.time.jump(minutes=5)
    assert await world.notices() == [(PROBE_NOT_HEALTHY, "wal", False)]


async def test_a_critical_security_check_is_told_at_once(world: World) -> None:
    world.jobs.answers["security-check"] = answered("security-check", HealthStatus.CRITICAL)
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=1)
        assert await world.notices() == [(ANSWER_CRITICAL, "security-check", False)]


async def test_a_job_that_cannot_be_started_and_one_that_crashes_the_daemon_s_own_code_are_failures(
    world: World,
) -> None:
    world.jobs.answers["redis-health"] = OSError(12, "Cannot allocate memory")
    world.jobs.answers["security-check"] = RuntimeError("a fault of ours")
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=1)
    (memory,) = await world.records("redis-health")
    assert (memory.outcome, memory.summary) == (RunOutcome.FAILED, "could not be started: Cannot allocate memory")
    (fault,) = await world.records("security-check")
    assert (fault.outcome, fault.summary) == (RunOutcome.FAILED, "the daemon could not run it (RuntimeError)")
    assert world.jobs.count()["health-check"] == 1, "the others go on"


async def test_a_job_does_not_overlap_itself_and_what_it_missed_is_said(world: World) -> None:
    ended = asyncio.Event()

    async def hang() -> ChildEnd:
        await ended.wait()
        return answered("health-check")

    world.jobs.answers["health-check"] = hang
    async with world.running(world.daemon()) as daemon:
        await world.time.pass_for(minutes=21)
        assert world.jobs.count()["health-check"] == 1
        assert world.jobs.count()["redis-health"] == 3, "it holds up no other job"
        health = (await daemon.get_status()).jobs[0]
        assert health.running_since is not None
        assert health.waits_for == "the former run still went on"
        world.jobs.answers.clear()
        ended.set()
        await world.time.pass_for(minutes=1)
    newest, missed, first = await world.records("health-check")
    assert (first.outcome, newest.outcome) == (RunOutcome.DONE, RunOutcome.DONE)
    assert (missed.outcome, missed.count) == (RunOutcome.MISSED, 3)
    assert missed.started_at is None
    assert missed.summary == "the former run still went on"
    assert await world.notices() == []


async def test_what_was_due_while_no_daemon_ran_is_missed_and_not_failed(world: World) -> None:
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=1)
    world.time.jump(hours=1)
    async with world.running(world.daemon("two/2/b")):
        await world.time.pass_for(minutes=1)
    _, missed, _ = await world.records("health-check")
    assert (missed.outcome, missed.count, missed.summary) == (RunOutcome.MISSED, 11, "no daemon was active")
    assert [record.outcome for record in await world.records("perf-baseline")] == [RunOutcome.DONE]
    assert await world.notices() == []


async def test_a_run_that_the_daemon_s_stop_cuts_short_is_no_failure_and_holds_nothing_up(world: World) -> None:
    begun = asyncio.Event()

    async def hang() -> ChildEnd:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    world.jobs.answers["health-check"] = hang
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=1)
        assert begun.is_set()
    world.jobs.answers.clear()
    (cut_short,) = await world.records("health-check")
    assert (cut_short.outcome, cut_short.summary) == (RunOutcome.INTERRUPTED, "the daemon stopped while it ran")
    async with world.running(world.daemon("two/2/b")):
        await world.time.pass_for(minutes=6)
    assert world.jobs.count()["health-check"] == 2
    assert await world.notices() == []


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(hours=-1), timedelta(days=400), timedelta(hours=9)])
async def test_the_schedule_goes_on_when_the_clock_jumps(world: World, jump: timedelta) -> None:
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=10)
        world.time.jump(seconds=jump.total_seconds())
        world.jobs.begun.clear()
        await world.time.pass_for(minutes=31)
        assert 6 <= world.jobs.count()["health-check"] <= 7
        assert 3 <= world.jobs.count()["redis-health"] <= 4
    begun = [moment for name, moment in world.jobs.begun if name == "health-check"]
    assert len(begun) == len(set(begun))


async def test_without_redis_everything_goes_on_and_the_history_is_complete_afterwards(wired: Wired) -> None:
    world = wired.world
    world.jobs.answers["redis-health"] = FAILED
    async with world.running(world.daemon(database=wired.database)) as daemon:
        await world.time.pass_for(minutes=1)
        await wired.redis.cut()
        await world.time.pass_for(minutes=30)
        assert await world.notices() == [(JOB_FAILING, "redis-health", False)]
        status = await daemon.get_status()
        assert status.records_waiting == 9
        said = await world.state.read()
        assert said is not None
        assert said.active, "the file of the home says so"
        await wired.redis.mend()
        await until(lambda: _answers(world.redis), what="Redis")
        await world.time.pass_for(minutes=2)
        assert (await daemon.get_status()).records_waiting == 0
    due = [record.due_at for record in await world.records("health-check")]
    assert due == sorted(set(due), reverse=True)
    assert len(due) == 7


async def test_an_emptied_redis_fills_again(world: World) -> None:
    with capture_logs() as logged:
        async with world.running(world.daemon()):
            await world.time.pass_for(minutes=11)
            redis = await world.redis.get()
            await redis.flushall()
            await world.time.pass_for(minutes=11)
            assert await redis.exists(DAEMON_STATUS)
            assert len(await world.records("health-check")) == 2
    assert [entry["event"] for entry in logged].count("daemon.history_emptied") == 1


async def test_garbage_in_the_history_is_no_record_and_is_cleaned_away(world: World) -> None:
    redis = await world.redis.get()
    await redis.rpush(runs_of("health-check"), "{}", "\x00", '{"job": "x"}')
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=62)
    assert await redis.llen(runs_of("health-check")) == len(await world.records("health-check")) == 13


async def test_old_records_go(world: World) -> None:
    async with world.running(world.daemon()):
        await world.time.pass_for(minutes=6)
    world.time.jump(days=31)
    async with world.running(world.daemon("two/2/b")):
        await world.time.pass_for(minutes=6)
    records = await world.records("perf-baseline")
    assert [record.outcome for record in records] == [RunOutcome.DONE, RunOutcome.MISSED]
    assert records[1].count == 61


async def test_without_postgresql_the_health_check_goes_on_and_nothing_is_told_twice_or_lost(wired: Wired) -> None:
    world = wired.world
    async with world.running(
        world.daemon(database=wired.database, lease_seconds=1.5, beat_seconds=300, stands_every_seconds=60)
    ) as daemon:
        await world.time.pass_for(minutes=1)
        await wired.postgres.cut()
        world.jobs.answers["health-check"] = answered(
            "health-check", findings={"postgres-connection": HealthStatus.CRITICAL, "wal": HealthStatus.UNKNOWN}
        )
        await asyncio.sleep(1.5)  # the lease runs out by a clock that no test can set
        await world.time.pass_for(minutes=25)
        status = await daemon.get_status()
        assert not status.active
        assert status.outcomes_waiting == 5
        assert status.jobs[1].waits_for == "PostgreSQL was away"
        assert world.jobs.count() == {"health-check": 6, "redis-health": 1, "security-check": 1, "perf-baseline": 1}
        assert await world.notices() == []
    assert (world.home / "daemon" / "backlog.jsonl").exists(), "a restart finds what waits"

    async with world.running(world.daemon("two/2/b", database=wired.database, stands_every_seconds=0.5)) as daemon:

        async def is_active() -> bool:
            await world.time.pass_for(seconds=1)
            return (await daemon.get_status()).active

        await wired.postgres.mend()
        await until(lambda: _answers_sql(wired.database), what="PostgreSQL")
        await until(is_active, what="the election")
        assert await world.notices() == [(PROBE_NOT_HEALTHY, "postgres-connection", False)]
        world.jobs.answers.clear()
        await world.time.pass_for(minutes=12)
        assert await world.notices() == [
            (PROBE_NOT_HEALTHY, "postgres-connection", False),
            (PROBE_NOT_HEALTHY, "postgres-connection", True),
        ]
    outcomes = [(record.outcome, record.elected) for record in await world.records("health-check")]
    assert outcomes.count((RunOutcome.DONE, False)) >= 5
    assert (RunOutcome.MISSED, True) not in outcomes
    missed = [record for record in await world.records("redis-health") if record.outcome is RunOutcome.MISSED]
    assert [record.count for record in missed] == [1]


async def test_an_outage_that_two_daemons_saw_is_told_of_and_resolved_once(wired: Wired, tmp_path: Path) -> None:
    world, other_time = wired.world, SteppedTime(HandClock(wired.world.clock.now))
    down = {"postgres-connection": HealthStatus.CRITICAL}
    world.jobs.answers["health-check"] = answered("health-check", findings=down)
    one = partial(world.daemon, "one/1/a", home=tmp_path / "one", time=world.time)
    two = partial(world.daemon, "two/2/b", home=tmp_path / "two", time=other_time)
    await wired.postgres.cut()
    async with (
        world.running(one(database=wired.database, beat_seconds=300, stands_every_seconds=60)) as first,
        world.running(two(database=wired.database, beat_seconds=300, stands_every_seconds=60)) as second,
    ):
        await asyncio.gather(world.time.pass_for(minutes=31), other_time.pass_for(minutes=31))
        for daemon in (first, second):
            assert (await daemon.get_status()).outcomes_waiting >= 6
    world.jobs.answers.clear()
    async with world.running(one()):  # it hears of PostgreSQL a little sooner
        await world.time.pass_for(minutes=16)
    other_time.jump(minutes=16)
    async with world.running(two()):
        await other_time.pass_for(minutes=16)
    assert await world.notices() == [
        (PROBE_NOT_HEALTHY, "postgres-connection", False),
        (PROBE_NOT_HEALTHY, "postgres-connection", True),
    ]
    assert not list(tmp_path.glob("*/daemon/backlog.jsonl"))


async def test_an_outcome_that_was_being_counted_when_the_daemon_stopped_is_not_lost(world: World) -> None:
    may_end = asyncio.Event()

    async def ends_when_told() -> ChildEnd:
        await may_end.wait()
        return FAILED

    async def is_being_counted() -> bool:
        async with world.database.connection() as conn:
            return await (await conn.execute(waiting)).fetchone() is not None

    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%FROM daemon_jobs%%'"
    world.jobs.answers["health-check"] = ends_when_told
    daemon = asyncio.create_task(world.daemon().start())
    await world.time.pass_for(minutes=1)
    async with world.database.transaction() as conn:
        await conn.execute("SELECT job FROM daemon_jobs WHERE job = 'health-check' FOR UPDATE")
        may_end.set()
        await until(is_being_counted, what="the counting")
        daemon.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({daemon})
    assert [one.times for one in await RunLedger(database=world.database).conditions("health-check")] == [1]
    async with world.database.connection() as conn:
        assert await (await conn.execute("SELECT job FROM daemon_jobs WHERE finished_at IS NULL")).fetchall() == []


async def test_of_two_daemons_one_runs_and_the_other_takes_over(world: World, clock: HandClock) -> None:
    other_time = SteppedTime(HandClock(clock.now))
    others = ScriptedJobs(other_time.clock)
    async with world.running(world.daemon("two/2/b", time=other_time, jobs=others)) as second:
        async with world.running(world.daemon("one/1/a", time=world.time)) as first:
            # Whoever was first: exactly one is active.
            await asyncio.gather(world.time.pass_for(minutes=30), other_time.pass_for(minutes=30))
            assert [(await one.get_status()).active for one in (first, second)].count(True) == 1
            assert (world.jobs.count() + others.count())["health-check"] == 6
        await other_time.pass_for(minutes=11)
        assert (await second.get_status()).active
    due = [record.due_at for record in await world.records("health-check")]
    assert len(due) == len(set(due))


async def _answers(redis: RedisConnection) -> bool:
    try:
        async with redis.use() as client:
            await client.get("anything")
    except UnavailableError:
        return False
    return True


async def _answers_sql(database: Database) -> bool:
    try:
        async with database.connection() as conn:
            await conn.execute("SELECT 1")
    except UnavailableError:
        return False
    return True
