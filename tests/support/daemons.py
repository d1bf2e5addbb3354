"""Daemons over a real PostgreSQL and Redis, whose time and whose jobs' answers a test decides."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nadia.daemon.backlog import Backlog
from nadia.daemon.child import ChildEnd
from nadia.daemon.daemon import MCPHealthDaemon
from nadia.daemon.election import Election
from nadia.daemon.job import Job, jobs_of
from nadia.daemon.ledger import RunLedger
from nadia.daemon.schedule import Schedule
from nadia.postgres.database import Database
from nadia.postgres.leases import Leases
from nadia.redis.connection import RedisConnection
from nadia.settings.daemon import DaemonSettings
from nadia.workflows.run_history import RunHistory, RunRecord
from nadia.workflows.schedule_state import ScheduleState, state_file
from support.answers import answered
from support.core import HandClock, running

Given = ChildEnd | Exception | Callable[[], Awaitable[ChildEnd]]


class ScriptedJobs:
    """Answers as told, healthy by default, and notes what was begun when."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.answers: dict[str, Given] = {}
        self.begun: list[tuple[str, datetime]] = []
        self.answering = 0

    async def __call__(self, job: Job) -> ChildEnd:
        self.begun.append((job.name, self._clock()))
        given = self.answers.get(job.name, answered(job.name))
        if isinstance(given, Exception):
            raise given
        if isinstance(given, ChildEnd):
            return given
        return await given()

    def count(self) -> Counter[str]:
        """How often each was begun."""
        return Counter(name for name, _ in self.begun)


class SteppedTime:
    """Lets a daemon's waiting pass at once, up to a moment that the test names."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self._until = clock.now
        self._changed = asyncio.Condition()
        self._is_there = False

    async def sleep(self, seconds: float) -> None:
        """What the daemon waits with."""
        for _ in range(3):  # a run that is about to end goes first
            await asyncio.sleep(0)
        async with self._changed:
            while self.clock.now + timedelta(seconds=seconds) > self._until:
                self._is_there = True
                self._changed.notify_all()
                await self._changed.wait()
            self._is_there = False
            self.clock.advance(seconds)

    async def pass_for(self, within: float = 60.0, **span: float) -> None:
        """Let so much time pass, with everything that happens in it."""
        async with asyncio.timeout(within), self._changed:
            self._until += timedelta(**span)
            self._is_there = False
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._is_there)

    def jump(self, **span: float) -> None:
        """Set the clock, as an operator or a time server does."""
        self.clock.now += timedelta(**span)
        self._until = self.clock.now


class World:
    """One installation and its daemons."""

    def __init__(self, *, database: Database, redis: RedisConnection, home: Path, clock: HandClock) -> None:
        self.database = database
        self.redis = redis
        self.home = home
        self.clock = clock
        self.time = SteppedTime(clock)
        self.jobs = ScriptedJobs(clock)
        self.history = RunHistory(redis=redis)
        self.state = ScheduleState(redis=redis, file=state_file(home))

    def daemon(
        self,
        name: str = "one/1/a",
        *,
        beat_seconds: float = 60.0,
        lease_seconds: float = 600.0,
        stands_every_seconds: float = 0.0,
        home: Path | None = None,
        time: SteppedTime | None = None,
        jobs: ScriptedJobs | None = None,
        database: Database | None = None,
        **settings: Any,
    ) -> MCPHealthDaemon:
        """Another daemon of the installation."""
        chosen = DaemonSettings(**{"settle_seconds": 0, **settings})
        folder, own_time = home or self.home, time or self.time
        leases = Leases(database=database or self.database, holder=name, lease_seconds=lease_seconds, grace_seconds=0.2)
        return MCPHealthDaemon(
            name=name,
            schedule=Schedule(jobs_of(chosen), jitter_seconds=chosen.jitter_seconds, draw=random.Random(name).random),
            election=Election(leases, every_seconds=stands_every_seconds),
            ledger=RunLedger(database=database or self.database),
            backlog=Backlog(state_file(folder).with_name("backlog.jsonl")),
            history=self.history,
            state=ScheduleState(redis=self.redis, file=state_file(folder)),
            run_job=jobs or self.jobs,
            settings=chosen,
            clock=own_time.clock,
            sleep=own_time.sleep,
            beat_seconds=beat_seconds,
        )

    @asynccontextmanager
    async def running(self, daemon: MCPHealthDaemon) -> AsyncIterator[MCPHealthDaemon]:
        """Run a daemon; what fails in it fails the test."""
        async with running(daemon.start) as task:
            yield daemon
            assert not task.done() or task.exception() is None, task.exception()

    async def notices(self) -> list[tuple[str, str, bool]]:
        """Topic, subject and whether it resolves, of every notice, oldest first."""
        async with self.database.connection() as conn:
            rows = await (await conn.execute("SELECT topic, labels, resolves FROM notices ORDER BY id")).fetchall()
        return [(row["topic"], next(iter(row["labels"].values())), row["resolves"]) for row in rows]

    async def records(self, job: str) -> list[RunRecord]:
        """What the history has of a job, newest first."""
        return await self.history.last(job, limit=1_000)
