"""Whether recovery after downtime is fine: six sides, each with a status and the figures behind it (baseline 1.2).

Nothing is remembered between two checks, and nothing is changed by one. Ages and windows are reckoned by PostgreSQL's
clock; only its own skew against this process is measured with ours.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.failures import Connection, Row
from nadia.recovery import health_store as store
from nadia.recovery.config import RecoveryConfig, RecoveryTier
from nadia.recovery.health_config import RecoveryHealthSettings
from nadia.recovery.health_report import (
    AccountCursor,
    AccountErrors,
    ConfigurationFigures,
    ConfigurationHealth,
    CursorFigures,
    CursorHealth,
    DatabaseFigures,
    DatabaseHealth,
    Dimensions,
    ErrorFigures,
    ErrorHealth,
    OperationsFigures,
    OperationsHealth,
    PerformanceFigures,
    PerformanceHealth,
    RecoveryHealthReport,
    TierFigures,
)

LISTED: Final = 3
"""Most accounts that a report names in one place: it stays below 5 KB however many there are (baseline 1.2)."""

SILENCE: Final = timedelta(minutes=15)
"""A run that says nothing for so long has most likely lost its process; each chat that is read is a sign of life."""

FEW: Final = 3
"""Fewer errors say little about a rate: of one account they say nothing, altogether they are at most a warning."""

SLOW_SECONDS: Final = 1.0
"""The whole check is to take 1 to 2 s (baseline 1.2); no single answer may take that."""

SKEW_SECONDS: Final = 1.0
"""Clocks further apart than this are alerted (DESIGN section 1)."""

_AHEAD_HOURS: Final = 1 / 60
"""A record from further in the future was written by a clock that was wrong."""

_UNREACHABLE: Final = "not known while PostgreSQL cannot be reached"
_UNREADABLE: Final = "not known while recovery's tables cannot be read"


class RecoveryHealthChecker:
    """Looks at recovery from six sides (baseline 1.2).

    Parameters
    ----------
    connect : callable
        Yields a connection whose statements are transactions of their own, such as `Database.connection`; raises
        `UnavailableError` where there is none.
    recovery : RecoveryConfig
        What recovery was told to do.
    settings : RecoveryHealthSettings
        Windows and thresholds.
    network : {"sandbox", "telegram"}
        The network that NADIA is set to; accounts of the other one are not in use.
    clock : callable
        The process's clock, compared with the database's.
    stopwatch : callable
        Seconds that only go forward; measures how fast PostgreSQL answers.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        recovery: RecoveryConfig,
        settings: RecoveryHealthSettings,
        network: Literal["sandbox", "telegram"],
        clock: Clock = utc_now,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._recovery = recovery
        self._settings = settings
        self._network = network
        self._clock = clock
        self._stopwatch = stopwatch

    async def perform_health_check(self) -> dict[str, Any]:
        """Return the report as plain data, as its published schema has it (baseline 1.2)."""
        return (await self.report()).model_dump(mode="json")

    async def report(self) -> RecoveryHealthReport:
        """Look at everything once; where PostgreSQL cannot be reached, the report says so instead of raising."""
        checked_at = self._clock()
        configuration = await self._check_configuration()
        try:
            async with self._connect() as conn:
                database = await self._check_database_health(conn)
                if database.status is HealthStatus.CRITICAL:
                    return _report(checked_at, _unknown(configuration, database, why=_UNREADABLE))
                dimensions = Dimensions(
                    configuration=configuration,
                    database=database,
                    operations=await self._check_recent_operations(conn),
                    cursors=await self._check_cursor_freshness(conn),
                    errors=await self._check_error_rates(conn),
                    performance=await self._check_performance_metrics(conn),
                )
        except UnavailableError as exc:
            dimensions = _unknown(configuration, _away(exc), why=_UNREACHABLE)
        return _report(checked_at, dimensions)

    async def _check_configuration(self) -> ConfigurationHealth:
        """Say what recovery was told to do, and where that cannot work out."""
        recovery, stale_hours = self._recovery, self._settings.stale_hours
        if not recovery.enabled:
            status, summary = HealthStatus.WARNING, "switched off: what is missed while NADIA is away stays missed"
        elif recovery.verify_hours >= stale_hours:
            status = HealthStatus.WARNING
            summary = (
                f"accounts are looked through every {recovery.verify_hours:g} h, but count as stale "
                f"after {stale_hours:g} h"
            )
        else:
            status = HealthStatus.HEALTHY
            summary = (
                f"every account is looked through after each absence and every {recovery.verify_hours:g} h; "
                f"what is older than {recovery.maximum_age_hours:g} h is left to a person"
            )
        figures = ConfigurationFigures(
            enabled=recovery.enabled,
            verify_hours=recovery.verify_hours,
            maximum_age_hours=recovery.maximum_age_hours,
            tiers=[_tier(recovery, tier) for tier in RecoveryTier],
        )
        return ConfigurationHealth(status=status, summary=summary, figures=figures)

    async def _check_database_health(self, conn: Connection) -> DatabaseHealth:
        """Ask PostgreSQL for the time and for recovery's tables."""
        asked_at, begun = self._clock(), self._stopwatch()
        row = await store.access(conn)
        latency = self._stopwatch() - begun
        # Read while the answer was on its way: within its duration, nobody can tell two clocks apart.
        skew = (row["now"] - asked_at).total_seconds() - latency / 2
        unreadable: list[str] = row["unreadable"]
        if unreadable:
            status = HealthStatus.CRITICAL
            summary = f"missing or not readable: {', '.join(unreadable)}; `nadia db check` compares the schema"
        elif latency > SLOW_SECONDS:
            status, summary = HealthStatus.WARNING, f"answers, but takes {latency:.1f} s"
        elif abs(skew) > SKEW_SECONDS + latency / 2:
            status = HealthStatus.WARNING
            summary = f"answers, but its clock and this machine's are {abs(skew):.1f} s apart"
        else:
            status, summary = HealthStatus.HEALTHY, f"answers in {latency * 1000:.0f} ms; every table can be read"
        figures = DatabaseFigures(
            reachable=True,
            latency_seconds=latency,
            clock_skew_seconds=skew,
            tables=len(store.TABLES),
            unreadable_tables=unreadable,
        )
        return DatabaseHealth(status=status, summary=summary, figures=figures)

    async def _check_recent_operations(self, conn: Connection) -> OperationsHealth:
        """Judge how the runs of the window ended; what has succeeded since is no more than a warning."""
        hours = self._settings.operations_hours
        row = await store.operations(conn, window=timedelta(hours=hours), silence=SILENCE)
        ended = row["done"] + row["failed"]
        success = row["done"] / ended if ended else None
        figures = OperationsFigures(window_hours=hours, success_ratio=success, **row)
        status = HealthStatus.HEALTHY if success is None else self._judge(row["failed"] / ended)
        if status is HealthStatus.CRITICAL and not figures.failing_accounts:
            status = HealthStatus.WARNING
        if figures.failing_accounts or figures.silent:
            status = HealthStatus.worst([status, HealthStatus.WARNING])
        return OperationsHealth(status=status, summary=_endings(figures), figures=figures)

    async def _check_cursor_freshness(self, conn: Connection) -> CursorHealth:
        """Find accounts that nobody looked through for long, or of which something is missing for long."""
        everything = await store.cursors(conn, network=self._network)
        rows = [row for row in everything if row["in_use"]]
        judged = [(self._judge_cursor(row), row) for row in rows]
        worth_listing = sorted(
            ((status, row) for status, row in judged if status is not HealthStatus.HEALTHY), key=_concern, reverse=True
        )
        figures = CursorFigures(
            stale_after_hours=self._settings.stale_hours,
            accounts=len(rows),
            not_in_use=len(everything) - len(rows),
            never_verified=sum(row["verified_at"] is None for row in rows),
            not_fresh=len(worth_listing),
            open_gaps=sum(row["gap_opened_at"] is not None for row in rows),
            oldest_cursor_hours=_oldest(rows, "cursor_hours"),
            oldest_gap_hours=_oldest(rows, "gap_hours"),
            listed=[
                AccountCursor(
                    account=row["account"],
                    status=status,
                    verified_at=row["verified_at"],
                    gap_opened_at=row["gap_opened_at"],
                    revoked=row["revoked"],
                )
                for status, row in worth_listing[:LISTED]
            ],
            not_listed=max(0, len(worth_listing) - LISTED),
        )
        return CursorHealth(
            status=HealthStatus.worst(status for status, _ in judged),
            summary=_freshness(figures),
            figures=figures,
        )

    async def _check_error_rates(self, conn: Connection) -> ErrorHealth:
        """Compare errors with what was tried: altogether, and for each account."""
        settings = self._settings
        hours = settings.errors_hours
        rows = await store.errors(conn, window=timedelta(hours=hours))
        errors, attempts = sum(row["errors"] for row in rows), sum(row["attempts"] for row in rows)
        rate = errors / attempts if attempts else None
        bad = sorted(
            (
                AccountErrors(account=row["account"], errors=row["errors"], error_ratio=row["errors"] / row["attempts"])
                for row in rows
                if row["errors"] >= FEW and row["errors"] / row["attempts"] >= settings.warning_rate
            ),
            key=lambda line: (-line.error_ratio, -line.errors, line.account),
        )
        status = HealthStatus.HEALTHY if rate is None else self._judge(rate)
        if status is HealthStatus.CRITICAL and errors < FEW:
            status = HealthStatus.WARNING
        # Of many accounts, one that is in trouble hardly shows in the rate of all.
        if bad:
            status = HealthStatus.worst([status, HealthStatus.WARNING])
        figures = ErrorFigures(
            window_hours=hours,
            warning_ratio=settings.warning_rate,
            critical_ratio=settings.critical_rate,
            attempts=attempts,
            errors=errors,
            error_ratio=rate,
            listed=bad[:LISTED],
            not_listed=max(0, len(bad) - LISTED),
        )
        summary = f"nothing was tried in {hours:g} h"
        if rate is not None:
            summary = f"{_count(errors, 'error')} in {_count(attempts, 'attempt')} ({rate:.1%}) in {hours:g} h"
        if bad:
            summary += f"; most for {bad[0].account} ({bad[0].error_ratio:.0%})"
        return ErrorHealth(status=status, summary=summary, figures=figures)

    async def _check_performance_metrics(self, conn: Connection) -> PerformanceHealth:
        """Measure how fast the runs were, and whether the most urgent chats are read while they still are."""
        hours, urgent_hours = self._settings.performance_hours, self._recovery.tier_1_hours
        row = await store.performance(conn, window=timedelta(hours=hours))
        seconds = row.pop("seconds")
        figures = PerformanceFigures(
            window_hours=hours,
            messages_per_second=row["messages_found"] / seconds if seconds else None,
            chats_per_second=row["chats_read"] / seconds if seconds else None,
            **row,
        )
        if figures.p95_seconds is None or figures.median_seconds is None:
            return PerformanceHealth(
                status=HealthStatus.HEALTHY, summary=f"nothing to measure in {hours:g} h", figures=figures
            )
        summary = (
            f"{_count(figures.runs, 'run')}, median {figures.median_seconds:.1f} s, p95 {figures.p95_seconds:.1f} s"
        )
        if figures.messages_per_second is not None:
            summary += f"; {figures.messages_per_second:.1f} messages/s"
        if figures.flood_wait_seconds:
            summary += f"; Telegram made it wait {figures.flood_wait_seconds:.0f} s"
        if figures.p95_seconds <= urgent_hours * 3600:
            return PerformanceHealth(status=HealthStatus.HEALTHY, summary=summary, figures=figures)
        summary += f"; that is longer than chats stay in the first tier ({urgent_hours:g} h)"
        return PerformanceHealth(status=HealthStatus.WARNING, summary=summary, figures=figures)

    def _judge(self, rate: float) -> HealthStatus:
        if rate >= self._settings.critical_rate:
            return HealthStatus.CRITICAL
        return HealthStatus.WARNING if rate >= self._settings.warning_rate else HealthStatus.HEALTHY

    def _judge_cursor(self, row: Row) -> HealthStatus:
        """Judge one account: messages that may be missing weigh more than that nobody looked."""
        stale_hours = self._settings.stale_hours
        if (row["gap_hours"] or 0) >= stale_hours:
            return HealthStatus.CRITICAL
        # A time to come says nothing about when it was.
        is_ahead = min(row["cursor_hours"] or 0, row["gap_hours"] or 0) < -_AHEAD_HOURS
        if row["revoked"] or is_ahead or (row["cursor_hours"] or 0) >= stale_hours:
            return HealthStatus.WARNING
        return HealthStatus.HEALTHY


def _tier(recovery: RecoveryConfig, tier: RecoveryTier) -> TierFigures:
    pace = recovery.pace(tier)
    bounds = {RecoveryTier.TIER_1: recovery.tier_1_hours, RecoveryTier.TIER_2: recovery.tier_2_hours}
    return TierFigures(
        tier=tier,
        below_hours=bounds.get(tier),
        batch_size=pace.batch_size,
        concurrency=pace.concurrency,
        delay_seconds=pace.delay_seconds,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _endings(figures: OperationsFigures) -> str:
    counts = (("done", figures.done), ("failed", figures.failed), ("interrupted", figures.interrupted))
    ended = ", ".join(f"{count} {word}" for word, count in counts if count)
    summary = f"{ended or 'no run ended'} in {figures.window_hours:g} h"
    if figures.median_seconds is not None:
        summary += f", median {figures.median_seconds:.1f} s"
    if figures.running:
        summary += f"; {figures.running} running"
    if figures.silent:
        summary += f", {figures.silent} of them without a sign of life for {SILENCE / timedelta(minutes=1):g} min"
    return summary


def _concern(judged: tuple[HealthStatus, Row]) -> tuple[bool, float, float]:
    status, row = judged
    return status is HealthStatus.CRITICAL, row["gap_hours"] or 0, row["cursor_hours"] or 0


def _oldest(rows: Sequence[Row], age: str) -> float | None:
    """Return the greatest age, none of them less than nothing."""
    return max((max(0.0, row[age]) for row in rows if row[age] is not None), default=None)


def _freshness(figures: CursorFigures) -> str:
    if not figures.accounts:
        return "no account is in use, so nothing was ever recovered"
    if figures.never_verified == figures.accounts and not figures.not_fresh:
        return f"nothing was recovered yet of {_count(figures.accounts, 'account')}"
    summary = f"{figures.accounts - figures.not_fresh} of {_count(figures.accounts, 'account')} fresh"
    if figures.open_gaps:
        summary += f"; {figures.open_gaps} with a gap, the oldest open for {figures.oldest_gap_hours:.1f} h"
    return summary


def _away(error: UnavailableError) -> DatabaseHealth:
    return DatabaseHealth(
        status=HealthStatus.CRITICAL,
        summary="; ".join(filter(None, (error.message, error.hint))),
        figures=DatabaseFigures(
            reachable=False,
            latency_seconds=None,
            clock_skew_seconds=None,
            tables=len(store.TABLES),
            unreadable_tables=[],
        ),
    )


def _unknown(configuration: ConfigurationHealth, database: DatabaseHealth, *, why: str) -> Dimensions:
    nothing: dict[str, Any] = {"status": HealthStatus.UNKNOWN, "summary": why, "figures": None}
    return Dimensions(
        configuration=configuration,
        database=database,
        operations=OperationsHealth(**nothing),
        cursors=CursorHealth(**nothing),
        errors=ErrorHealth(**nothing),
        performance=PerformanceHealth(**nothing),
    )


def _report(checked_at: datetime, dimensions: Dimensions) -> RecoveryHealthReport:
    by_name = {name: getattr(dimensions, name).status for name in Dimensions.model_fields}
    status = HealthStatus.worst(by_name.values())
    concerned = [name for name, own in by_name.items() if own not in (HealthStatus.HEALTHY, HealthStatus.UNKNOWN)]
    return RecoveryHealthReport(
        checked_at=checked_at,
        status=status,
        summary=f"{status}: {', '.join(concerned)}" if concerned else str(status),
        dimensions=dimensions,
    )
