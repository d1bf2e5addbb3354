"""The ledger: a slot is begun once, an outcome is counted once, a thing is told of once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from nadia.daemon.conditions import JOB_FAILING, PROBE_NOT_HEALTHY, Observation, Sighting
from nadia.daemon.job import Job
from nadia.daemon.ledger import Begun, Condition, Refusal, RunLedger
from nadia.notices import Severity
from nadia.postgres.leases import Lease, Leases
from support.core import START
from support.daemons import World

JOB = Job("health-check", every=timedelta(minutes=5))
LONGEST = timedelta(minutes=6)


@pytest.fixture
def ledger(world: World) -> RunLedger:
    return RunLedger(database=world.database)


async def elected(world: World, holder: str = "one/1/a", *, lease_seconds: float = 60.0) -> Lease:
    leases = Leases(database=world.database, holder=holder, lease_seconds=lease_seconds, grace_seconds=0)
    async with world.database.connection() as conn:
        await conn.execute("UPDATE leases SET expires_at = NULL")
    lease = await leases.acquire("daemon")
    assert lease is not None
    return lease


def seen(
    number: int,
    sighted: Mapping[str, Severity] | None = None,
    *,
    topics: tuple[str, ...] = (JOB_FAILING, PROBE_NOT_HEALTHY),
    in_doubt: tuple[str, ...] = (),
    token: int | None = 1,
) -> Observation:
    """The outcome of the run of one slot: what it found, by subject."""
    topic = topics[-1]
    return Observation(
        job=JOB.name,
        due_at=START + number * JOB.every,
        every=JOB.every,
        fencing_token=token,
        topics=topics,
        sighted=tuple(
            Sighting(topic=topic, subject=subject, severity=severity, summary="look at it", times_to_tell=3)
            for subject, severity in (sighted or {}).items()
        ),
        in_doubt=in_doubt,
    )


async def begin(ledger: RunLedger, lease: Lease, number: int, *, longest: timedelta = LONGEST) -> Begun | Refusal:
    due_at = START + number * JOB.every
    return await ledger.begin(lease, JOB, due_at, now=due_at, longest=longest)


async def count(ledger: RunLedger, observation: Observation, *, later: int = 0) -> Sequence[Condition]:
    """Count an outcome as its run ends, or so many intervals later."""
    return await ledger.count(observation, now=observation.due_at + later * JOB.every)


async def test_a_slot_is_begun_once_whoever_asks(world: World, ledger: RunLedger) -> None:
    lease = await elected(world)
    assert await begin(ledger, lease, 0) == Begun(accounted_for=None, cut_off=None)
    await count(ledger, seen(0, token=lease.fencing_token))
    assert await begin(ledger, lease, 0) is Refusal.BEGUN_BEFORE
    successor = await elected(world, "two/2/b")
    assert await begin(ledger, successor, 0) is Refusal.BEGUN_BEFORE
    assert await begin(ledger, successor, 1) == Begun(accounted_for=START, cut_off=None)


async def test_who_is_active_no_more_begins_nothing(world: World, ledger: RunLedger) -> None:
    lease = await elected(world)
    successor = await elected(world, "two/2/b")
    assert await begin(ledger, lease, 0) is Refusal.LEASE_LOST
    assert isinstance(await begin(ledger, successor, 0), Begun)


async def test_the_daemon_that_never_heard_that_it_had_begun_may_begin(world: World, ledger: RunLedger) -> None:
    lease = await elected(world)
    assert isinstance(await begin(ledger, lease, 0), Begun)
    assert isinstance(await begin(ledger, lease, 0), Begun)
    assert await begin(ledger, await elected(world, "two/2/b"), 0) is Refusal.BEGUN_BEFORE


async def test_a_job_waits_until_its_former_run_has_certainly_ended(world: World, ledger: RunLedger) -> None:
    lease = await elected(world)
    await begin(ledger, lease, 0)
    successor = await elected(world, "two/2/b")
    assert await begin(ledger, successor, 1) is Refusal.STILL_RUNNING
    async with world.database.connection() as conn:
        await conn.execute("UPDATE daemon_jobs SET ends_by = clock_timestamp()")
    assert await begin(ledger, successor, 1) == Begun(accounted_for=START, cut_off=START)


async def test_a_clock_that_was_years_ahead_stops_nothing(world: World, ledger: RunLedger) -> None:
    lease = await elected(world)
    ahead = START + timedelta(days=3_650)
    await ledger.begin(lease, JOB, ahead, now=ahead, longest=timedelta(0))
    assert isinstance(await begin(ledger, lease, 0), Begun)


async def test_the_third_time_in_a_row_is_told_once_and_so_is_the_end(world: World, ledger: RunLedger) -> None:
    bad = {"wal": Severity.WARNING}
    for number in range(6):
        (condition,) = await count(ledger, seen(number, bad))
        assert condition.times == number + 1
        assert condition.told is (Severity.WARNING if number >= 2 else None)
        assert len(await world.notices()) == (1 if number >= 2 else 0)
    assert list(await count(ledger, seen(6))) == []
    await count(ledger, seen(7))
    assert await world.notices() == [(PROBE_NOT_HEALTHY, "wal", False), (PROBE_NOT_HEALTHY, "wal", True)]


async def test_what_ends_before_it_was_told_of_leaves_no_trace(world: World, ledger: RunLedger) -> None:
    for number in range(9):
        await count(ledger, seen(number, {"wal": Severity.CRITICAL} if number % 3 else {}))
    assert await world.notices() == []


async def test_what_becomes_worse_is_told_again_and_what_flaps_is_not(world: World, ledger: RunLedger) -> None:
    levels = [Severity.WARNING] * 3 + [Severity.CRITICAL, Severity.WARNING, Severity.CRITICAL]
    for number, level in enumerate(levels):
        await count(ledger, seen(number, {"wal": level}))
    assert len(await world.notices()) == 2


async def test_what_is_in_doubt_or_not_spoken_of_stays_as_it_was(world: World, ledger: RunLedger) -> None:
    bad = {"wal": Severity.WARNING}
    await count(ledger, seen(0, bad))
    await count(ledger, seen(1, in_doubt=("wal",)))
    await count(ledger, seen(2, {JOB.name: Severity.CRITICAL}, topics=(JOB_FAILING,)))
    conditions = {one.subject: one.times for one in await ledger.conditions(JOB.name)}
    assert conditions == {"wal": 1, JOB.name: 1}


async def test_an_outcome_that_comes_twice_late_or_from_two_processes_counts_once(
    world: World, ledger: RunLedger
) -> None:
    bad = {"wal": Severity.WARNING}
    other = RunLedger(database=world.database)
    for number in range(3):
        await asyncio.gather(*(count(one, seen(number, bad, token=None)) for one in (ledger, other) * 4))
    (condition,) = await ledger.conditions(JOB.name)
    assert condition.times == 3
    await count(ledger, seen(5))
    await count(ledger, seen(4, bad, token=None))
    assert list(await ledger.conditions(JOB.name)) == []
    assert await world.notices() == [(PROBE_NOT_HEALTHY, "wal", False), (PROBE_NOT_HEALTHY, "wal", True)]


async def test_outcomes_that_come_long_after_they_were_counted_by_another_do_not_count_again(
    world: World, ledger: RunLedger
) -> None:
    bad = {"postgres-connection": Severity.CRITICAL}
    for number in range(6):
        await count(ledger, seen(number, bad, token=None), later=6 - number)
    await count(ledger, seen(6))
    for number in range(6):
        await count(ledger, seen(number, bad, token=None), later=7 - number)
    assert list(await ledger.conditions(JOB.name)) == []
    subject = (PROBE_NOT_HEALTHY, "postgres-connection")
    assert await world.notices() == [(*subject, False), (*subject, True)]


async def test_what_a_clock_years_ahead_counted_stops_no_counting(world: World, ledger: RunLedger) -> None:
    bad = {"wal": Severity.WARNING}
    await count(ledger, seen(1_000_000))
    for number in range(3):
        await count(ledger, seen(number, bad))
    assert await world.notices() == [(PROBE_NOT_HEALTHY, "wal", False)]


async def test_a_slot_that_was_run_without_election_was_not_missed(world: World, ledger: RunLedger) -> None:
    lease = await elected(world)
    await begin(ledger, lease, 0)
    await count(ledger, seen(0, token=lease.fencing_token))
    for number in (1, 2, 3):
        await count(ledger, seen(number, token=None))
    assert await begin(ledger, lease, 4) == Begun(accounted_for=START + 3 * JOB.every, cut_off=None)
