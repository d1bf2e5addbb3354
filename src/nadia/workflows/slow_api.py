"""`slow-api`: which answers are slow, what they wait for, and what to do about it first."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import ClassVar, Final

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.health.figures import Distribution, FigureHistory, Figures
from nadia.postgres.database import Connection
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.workflows.performance.measuring import write_and_sync
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.slowness import activity as activities
from nadia.workflows.slowness import causes, statements
from nadia.workflows.slowness.activity import Activity, Blocking
from nadia.workflows.slowness.causes import Endpoint
from nadia.workflows.slowness.statements import Statement, WholeReads
from nadia.workflows.workflow import Arguments, Effect, Inquiry

ROUTES: Final = "nadia_web_route_seconds"
POOL_WAITS: Final = "nadia_postgres_pool_wait_seconds"

_REDIS_TRIES: Final = 20
_DISK_TRIES: Final = 5


class SlowApiArguments(Arguments):
    """How far to look back, and how long to look on."""

    hours: float = Field(1.0, gt=0, le=24, description="How far to look back, hours.")
    sample_seconds: float = Field(2.0, ge=0, le=60, description="How long to watch what statements wait for, seconds.")
    limit: int = Field(10, ge=1, le=100, description="Most endpoints and statements to list.")


class SlowApi:
    """Looks at endpoints, statements, sessions, pool, disk and Redis.

    Parameters
    ----------
    connect : callable
        Yields a connection to PostgreSQL.
    redis : RedisConnection
        Redis.
    figures : FigureHistory
        What NADIA's processes counted.
    disk : Path or None
        A folder on the disk that PostgreSQL writes to; None where that is on another machine.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "slow-api"
    question: ClassVar[str] = "Which answers are slow, and what do they wait for?"
    arguments: ClassVar[type[Arguments]] = SlowApiArguments
    role: ClassVar[Role] = Role.VIEWER

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        redis: RedisConnection,
        figures: FigureHistory,
        disk: Path | None,
        clock: Clock = utc_now,
    ) -> None:
        self._connect = connect
        self._redis = redis
        self._figures = figures
        self._disk = disk
        self._clock = clock

    def effect(self, arguments: SlowApiArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: SlowApiArguments) -> WorkflowReport:
        """Look; what is away is said, and the rest looked at."""
        inquiry = Inquiry(self, clock=self._clock)
        unreachable: list[str] = []
        figures, redis_seconds = Figures([]), None
        try:
            figures = await self._figures.read(since=inquiry.ran_at - timedelta(hours=arguments.hours))
            redis_seconds = await _median_of(_REDIS_TRIES, lambda: self._redis.send([Command(("ECHO", "nadia"))]))
        except UnavailableError:
            unreachable.append("Redis")
        activity, counted, whole = Activity(), None, list[WholeReads]()
        try:
            async with self._connect() as conn:
                activity = await activities.watch(conn, seconds=arguments.sample_seconds)
                counted = await statements.counted_by_postgres(conn, limit=arguments.limit)
                whole = await statements.whole_reads(conn)
        except UnavailableError:
            unreachable.append("PostgreSQL")
        disk_seconds = await self._disk_seconds()
        endpoints = _endpoints(figures)
        slow = counted if counted is not None else statements.counted_by_us(figures, limit=arguments.limit)
        found = [
            *causes.of_endpoints(endpoints),
            *causes.of_statements(slow),
            *causes.of_blocking(activity),
            *causes.of_transactions(activity),
            *causes.of_whole_reads(whole),
            *causes.of_pool(figures.distribution(POOL_WAITS)),
            *causes.of_servers(activity, disk_seconds=disk_seconds, redis_seconds=redis_seconds),
        ]
        findings = [cause.finding for cause in sorted(found, key=lambda cause: -cause.seconds)]
        return inquiry.report(
            _answer(endpoints, findings, arguments, figures_are_away="Redis" in unreachable),
            findings=findings,
            tables=[
                _endpoint_table(endpoints[: arguments.limit], hours=arguments.hours, are_all=figures.are_complete),
                _statement_table(slow, by_postgres=counted is not None),
                _wait_table(activity),
                *_blocking_table(activity.blocking()),
                _server_table(figures.distribution(POOL_WAITS), disk_seconds, redis_seconds),
            ],
            unreachable=unreachable,
        )

    async def _disk_seconds(self) -> float | None:
        disk = self._disk
        if disk is None:
            return None
        try:
            return await _median_of(_DISK_TRIES, lambda: asyncio.to_thread(write_and_sync, disk))
        except OSError:  # full, or not ours: health-check says so
            return None


async def _median_of(tries: int, do: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(tries):
        begun = time.perf_counter()
        await do()
        taken.append(time.perf_counter() - begun)
    return median(taken)


def _endpoints(figures: Figures) -> list[Endpoint]:
    """Return what was asked for, that which took most time altogether first."""
    found = [
        Endpoint(name=f"{labels.get('method', '')} {labels.get('route', '')}", taken=taken)
        for labels, taken in figures.distributions(ROUTES)
    ]
    return sorted((one for one in found if one.taken.count), key=lambda one: -one.taken.total)


def _answer(
    endpoints: Sequence[Endpoint],
    findings: Sequence[WorkflowFinding],
    arguments: SlowApiArguments,
    *,
    figures_are_away: bool,
) -> str:
    if figures_are_away:
        said = "what was answered how fast is not known while Redis is away"
    elif not endpoints:
        said = f"nothing was asked for in the last {arguments.hours:g} h"
    else:
        slowest = max(endpoints, key=lambda one: one.slow)
        said = (
            f"the slowest is {slowest.name}: 95 % of {slowest.taken.count:.0f} answers took up to "
            f"{slowest.slow * 1000:.0f} ms"
        )
    if not findings:
        return f"{said}; nothing that would slow it down was found"
    first = findings[0]
    return f"{said}; look first at {first.subject}: {first.message}"


def _endpoint_table(endpoints: Sequence[Endpoint], *, hours: float, are_all: bool) -> ReportTable:
    return ReportTable(
        title=f"endpoints, the last {hours:g} h, by time altogether",
        columns=["endpoint", "answers", "in all (seconds)", "mean (ms)", "half up to (ms)", "95 % up to (ms)"],
        rows=[
            [
                one.name,
                int(one.taken.count),
                one.taken.total,
                _ms(one.taken.mean),
                _ms(one.taken.quantile(0.5)),
                _ms(one.slow),
            ]
            for one in endpoints
        ],
        note=None if are_all else "more was counted than is kept (`figures.full` in the log): some are missing",
    )


def _statement_table(slow: Sequence[Statement], *, by_postgres: bool) -> ReportTable:
    return ReportTable(
        title="statements, by time altogether",
        columns=[
            "statement",
            "runs",
            "in all (seconds)",
            "mean (ms)",
            "longest (ms)" if by_postgres else "95 % up to (ms)",
        ],
        rows=[[one.name, int(one.calls), one.seconds, _ms(one.mean), _ms(one.slow)] for one in slow],
        note="as PostgreSQL's pg_stat_statements has counted since its statistics were reset"
        if by_postgres
        else "as NADIA's processes counted; the extension pg_stat_statements would show whole statements",
    )


def _wait_table(activity: Activity) -> ReportTable:
    total = sum(activity.waits.values())
    return ReportTable(
        title="what statements were seen waiting for",
        columns=["what", "of the time (ratio)", "sessions at once", "for example"],
        rows=[
            [wait, count / total, count / activity.looks, activity.examples[wait]]
            for wait, count in activity.waits.most_common()
        ],
        note=f"in {activity.looks} look{'' if activity.looks == 1 else 's'}; sessions that were idle are left out",
    )


def _blocking_table(blocking: Sequence[Blocking]) -> Iterator[ReportTable]:
    if blocking:
        yield ReportTable(
            title="who holds up whom",
            columns=["holder", "its state", "its last statement", "holds up", "longest (seconds)", "which runs"],
            rows=[
                [
                    f"{one.blocker.application if one.blocker else '?'} ({one.pid})",
                    one.blocker.state if one.blocker else None,
                    one.blocker.statement if one.blocker else None,
                    len(one.waiting),
                    one.seconds,
                    one.waiting[0].statement if one.waiting else None,
                ]
                for one in blocking
            ],
        )


def _server_table(pool: Distribution, disk_seconds: float | None, redis_seconds: float | None) -> ReportTable:
    return ReportTable(
        title="what everything needs",
        columns=["what", "figure (ms)", "slow from (ms)"],
        rows=[
            ["wait for a connection, 95 % up to", _ms(pool.quantile(0.95)), _ms(causes.SLOW_POOL_SECONDS)],
            ["sync of the disk, median", _ms(disk_seconds), _ms(causes.SLOW_DISK_SECONDS)],
            ["word to Redis and back, median", _ms(redis_seconds), _ms(causes.SLOW_REDIS_SECONDS)],
        ],
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
