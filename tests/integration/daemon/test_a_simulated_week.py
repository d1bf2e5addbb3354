"""A week of the schedule in seconds, over a real PostgreSQL and Redis."""

import gc
import sys
from datetime import timedelta

from nadia.daemon.job import jobs_of
from nadia.daemon.schedule import slot_at
from nadia.settings.daemon import DaemonSettings
from nadia.workflows.run_history import RunOutcome
from support.daemons import World

_WEEK = {"health-check": 7 * 288, "redis-health": 7 * 144, "security-check": 7 * 6, "perf-baseline": 7 * 2}


async def test_every_job_runs_at_its_times_for_a_week_and_memory_stays_flat(world: World) -> None:
    async with world.running(world.daemon(beat_seconds=3_600, stands_every_seconds=60)):
        await world.time.pass_for(days=2)
        gc.collect()
        before = sys.getallocatedblocks()
        await world.time.pass_for(days=5)
        begun = world.jobs.begun
        gc.collect()
        # What the test itself notes of a run: a tuple, a moment and the place for them.
        grown = sys.getallocatedblocks() - before - 3 * len(begun)

    every = {job.name: job.every for job in jobs_of(DaemonSettings())}
    slots = [(name, slot_at(at, every[name])) for name, at in begun]
    assert len(slots) == len(set(slots)), "a slot was begun twice"
    # The first run of each comes at once: its slot had begun before.
    counted = {name: sum(1 for job, _ in slots if job == name) for name in every}
    assert all(counted[name] - _WEEK[name] in (0, 1) for name in every), counted
    for name, at in begun[4:]:
        assert at - slot_at(at, every[name]) <= timedelta(seconds=15), f"{name} began late at {at}"
    assert grown < 2_000, f"{grown} objects more after five days and {len(begun)} runs"
    kept = {name: await world.records(name) for name in every}
    assert {name: len(records) for name, records in kept.items()} == {
        "health-check": 100,
        "redis-health": 50,
        "security-check": counted["security-check"],
        "perf-baseline": counted["perf-baseline"],
    }
    assert {record.outcome for records in kept.values() for record in records} == {RunOutcome.DONE}
    assert await world.notices() == []
