"""`nadia daemon`: the health checks that run by themselves."""

import asyncio
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.exit_codes import ExitCode
from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, paint, point_out, print_json, print_table
from nadia.cli.process_config import load_config

if TYPE_CHECKING:
    from nadia.settings import Config
    from nadia.workflows.run_history import RunRecord
    from nadia.workflows.schedule_state import DaemonState, JobState

app = command_group("Health checks that run by themselves: their schedule, and what they came to.")

MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Serve this process's metrics here rather than at NADIA_METRICS_PORT."),
]


@app.command()
def run(metrics_port: MetricsPort = None) -> None:
    """Run the schedule until SIGINT or SIGTERM; of several daemons one is active, the others wait. As `nadia run`."""
    config = load_config(role="daemon")
    config.require_startable()
    asyncio.run(run_daemon(config, metrics_port))


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Tell whether the daemon is active, when each job runs next, and what is wrong by now.

    Exit code 1 if no daemon is active or something was told of, 3 if Redis cannot be reached.
    """
    from nadia.clock import utc_now

    config = load_config()
    state, now = asyncio.run(_state(config)), utc_now()
    if as_json:
        print_json({"current": state.is_current(now), **state.model_dump(mode="json")} if state else None)
    elif state is not None:
        _print_state(state, now)
    if state is None or not state.is_current(now):
        point_out("no daemon beats: start one with `nadia up` or `nadia daemon run`")
        raise typer.Exit(ExitCode.NOT_FINE)
    if not state.active or any(condition.told for condition in state.conditions):
        raise typer.Exit(ExitCode.NOT_FINE)


@app.command()
def history(
    job: Annotated[str | None, typer.Argument(help="Only this one, such as health-check; all by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Runs of each.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the last runs, newest first."""
    config = load_config()
    records = asyncio.run(_records(config, job, limit))
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    if not records:
        point_out("nothing has run yet: `nadia daemon status` says when something will")
        return
    print_table(
        ("due", "job", "outcome", "status", "took", "what it came to"),
        [
            (
                f"{record.due_at:%Y-%m-%d %H:%M}",
                record.job,
                record.outcome.value + (f" ({record.count})" if record.count > 1 else ""),
                record.status.value,
                "" if record.seconds is None else f"{record.seconds:.1f} s",
                record.summary,
            )
            for record in records
        ],
    )


async def run_daemon(config: "Config", metrics_port: int | None) -> None:
    """Run the daemon and nothing else; also the role of `nadia run`."""
    from nadia.app.lifecycle import stop_on_signals
    from nadia.app.observation import observed
    from nadia.app.supervision import run_parts
    from nadia.daemon.role import open_daemon

    port = config.metrics.port if metrics_port is None else metrics_port
    with stop_on_signals() as stop:
        async with open_daemon(config) as context, observed(context, role="daemon", metrics_port=port):
            print("daemon is ready", flush=True)
            await run_parts({"daemon": context.daemon.start}, until=stop)


async def _state(config: "Config") -> "DaemonState | None":
    from nadia.app.endpoints import Endpoints
    from nadia.redis.connection import RedisConnection
    from nadia.workflows.schedule_state import ScheduleState, state_file

    redis = RedisConnection(Endpoints.of(config).redis)
    try:
        return await ScheduleState(redis=redis, file=state_file(config.home)).read()
    finally:
        await redis.close()


async def _records(config: "Config", job: str | None, limit: int) -> "list[RunRecord]":
    from nadia.app.endpoints import Endpoints
    from nadia.daemon.job import jobs_of
    from nadia.errors import NotFoundError
    from nadia.redis.connection import RedisConnection
    from nadia.workflows.run_history import RunHistory

    names = [known.name for known in jobs_of(config.daemon)]
    if job is not None and job not in names:
        raise NotFoundError(f"there is no scheduled job {job!r}", hint=f"there are {', '.join(names)}")
    redis = RedisConnection(Endpoints.of(config).redis)
    try:
        runs = RunHistory(redis=redis)
        found = [record for name in ([job] if job else names) for record in await runs.last(name, limit=limit)]
    finally:
        await redis.close()
    return sorted(found, key=lambda record: record.due_at, reverse=True)


def _print_state(state: "DaemonState", now: datetime) -> None:
    from nadia.clock import time_ago_text

    beat = time_ago_text(state.beat_at, now=now)
    if not state.is_current(now):
        print(f"No daemon is active; {state.by} was last heard of {beat}.")
    elif state.active:
        print(f"The daemon is active: {state.by}, begun {time_ago_text(state.started_at, now=now)}, heard of {beat}.")
    else:
        print(f"A daemon runs and none is active, for PostgreSQL is away: {state.by}, heard of {beat}.")
    if state.outcomes_waiting:
        print(f"{state.outcomes_waiting} outcomes wait for PostgreSQL, and the notices that follow from them.")
    if state.records_waiting:
        print(f"{state.records_waiting} records wait for Redis.")
    print()
    print_table(
        ("job", "every", "last run", "next"),
        [(job.name, _span(job.every_seconds), _last(job, now), _next(job, now)) for job in state.jobs],
    )
    if state.conditions:
        print()
    for condition in state.conditions:
        told = f"told of, {condition.told.value}" if condition.told else "not told of yet"
        line = f"{condition.subject}: {condition.topic}, {condition.times} times in a row, {told}"
        print(paint(line, "31" if condition.told else "33", stream=sys.stdout))


def _last(job: "JobState", now: datetime) -> str:
    from nadia.clock import time_ago_text

    if job.last is None:
        return "never"
    what = job.last.status.value if job.last.outcome.value == "done" else job.last.outcome.value
    return f"{what}, {time_ago_text(job.last.started_at or job.last.due_at, now=now)}"


def _next(job: "JobState", now: datetime) -> str:
    from nadia.clock import time_ago_text

    if job.running_since is not None:
        return "runs now"
    if job.next_at <= now:
        return f"due ({job.waits_for})" if job.waits_for else "due"
    if job.next_at - now < timedelta(minutes=1):
        return "within a minute"
    return time_ago_text(job.next_at, now=now)


def _span(seconds: float) -> str:
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"
