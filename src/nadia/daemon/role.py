"""The daemon of an installation, put together from the settings; without everything else a process may be made of."""

import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from nadia.app.endpoints import Endpoints, require_running
from nadia.app.process_name import installation_name, process_name
from nadia.daemon.backlog import Backlog
from nadia.daemon.child import ChildEnd, run_child
from nadia.daemon.daemon import BEAT_SECONDS, MCPHealthDaemon
from nadia.daemon.election import Election
from nadia.daemon.job import Job, jobs_of
from nadia.daemon.ledger import RunLedger
from nadia.daemon.schedule import Schedule
from nadia.errors import UnavailableError
from nadia.health.figure_recorder import FigureRecorder
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.postgres.leases import Leases
from nadia.redis.bare import BareRedis
from nadia.redis.commands import SendsCommands
from nadia.redis.source import RedisSource
from nadia.settings import Config
from nadia.workflows.run_history import RunHistory
from nadia.workflows.schedule_state import ScheduleState, state_file

if TYPE_CHECKING:
    from nadia.redis.connection import RedisConnection

log = structlog.get_logger(__name__)

_POOL_SIZE = 3
"""One statement at a time, and two that may hang."""

_BEATS_IN_A_LEASE = 3
"""So that one renewal may be lost."""


@dataclass(frozen=True, slots=True)
class DaemonContext:
    """What a process with nothing but the daemon is made of."""

    config: Config
    daemon: MCPHealthDaemon
    recorder: FigureRecorder


@asynccontextmanager
async def open_daemon(config: Config) -> AsyncIterator[DaemonContext]:
    """Connect and build the daemon; close it in the end. PostgreSQL and Redis may be away: that is its business.

    Raises
    ------
    UnavailableError
        If nobody runs the home's own PostgreSQL, where none is configured.
    SchemaBehindError
        If PostgreSQL answers and its schema is not this version's.
    """
    require_running(config)
    endpoints = Endpoints.of(config)
    database = Database(
        dsn=endpoints.postgres,
        application_name="nadia-daemon",
        pool_size=_POOL_SIZE,
        statement_timeout_seconds=config.postgres.statement_timeout_seconds,
    )
    redis = _small_redis(endpoints.redis)
    name = process_name(config, owns_home=False)
    try:
        await database.open(wait=False)
        try:
            await schema.require_current(database)
        except UnavailableError as exc:
            log.warning("daemon.starts_without_postgres", reason=exc.message)
        yield DaemonContext(
            config=config,
            daemon=build_daemon(config, database=database, redis=redis, name=name),
            recorder=FigureRecorder(redis=redis, process=f"daemon/{name}"),
        )
    finally:
        await redis.close()
        await database.close()


def daemon_of_home(config: Config, *, database: Database, redis: SendsCommands) -> MCPHealthDaemon:
    """Return the daemon of a process that owns its home, as `nadia up` does: it succeeds one killed there at once."""
    return build_daemon(
        config,
        database=database,
        redis=redis,
        name=process_name(config, owns_home=True),
        succeeds=installation_name(config),
    )


def build_daemon(
    config: Config, *, database: Database, redis: SendsCommands, name: str, succeeds: str = ""
) -> MCPHealthDaemon:
    """Put a daemon together; connects nothing.

    Parameters
    ----------
    config : Config
        The settings.
    database, redis
        Open.
    name : str
        Of this process.
    succeeds : str
        First part of the name of processes that are surely dead.
    """
    settings, file = config.daemon, state_file(config.home)

    async def run_job(job: Job) -> ChildEnd:
        return await run_child(
            workflow_command(job),
            timeout_seconds=settings.job_timeout_seconds,
            environ={**os.environ, "NADIA_HOME": str(config.home)},
        )

    beat_seconds = min(BEAT_SECONDS, settings.lease_seconds / _BEATS_IN_A_LEASE)
    return MCPHealthDaemon(
        name=name,
        schedule=Schedule(jobs_of(settings), jitter_seconds=settings.jitter_seconds, draw=random.SystemRandom().random),
        election=Election(
            Leases(
                database=database,
                holder=name,
                lease_seconds=settings.lease_seconds,
                grace_seconds=settings.lease_grace_seconds,
                succeeds=succeeds,
            ),
            # Shorter than the time between two rounds, so that every round that is on time renews.
            every_seconds=beat_seconds / 2,
        ),
        ledger=RunLedger(database=database),
        backlog=Backlog(file.with_name("backlog.jsonl")),
        history=RunHistory(redis=redis),
        state=ScheduleState(redis=redis, file=file),
        run_job=run_job,
        settings=settings,
        beat_seconds=beat_seconds,
    )


def _small_redis(source: RedisSource) -> "BareRedis | RedisConnection":
    """Return a connection without the driver where that will do: the driver alone is a sixth of the role's memory."""
    if BareRedis.suits(source):
        return BareRedis(source)
    from nadia.redis.connection import RedisConnection

    return RedisConnection(source)


def workflow_command(job: Job) -> tuple[str, ...]:
    """Return the command that runs a job; nothing is imported from the folder that it happens to run in."""
    return (sys.executable, "-P", "-m", "nadia", "workflow", job.name, *job.arguments, "--json")
