"""Why answers are slow: each cause with the figure that shows it, what to do, and how many seconds it explains."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nadia.health.figures import Distribution
from nadia.health.models import HealthStatus
from nadia.postgres.backups import BACKUP, how_to_end
from nadia.workflows.report import WorkflowFinding
from nadia.workflows.slowness.activity import RUNNING, Activity
from nadia.workflows.slowness.statements import Statement, WholeReads

SLOW_ANSWER_SECONDS: Final = 1.0
"""At the 95th percentile: from about a second on, people lose their train of thought (Nielsen, Usability Engineering,
1993)."""

SLOW_STATEMENT_SECONDS: Final = 0.1
_FEW: Final = 10
"""Requests or runs below which a percentile says nothing."""

_LONG_TRANSACTION_SECONDS: Final = 30.0
SLOW_POOL_SECONDS: Final = 0.025
SLOW_REDIS_SECONDS: Final = 0.005
"""A command of Redis takes microseconds; the rest is the way, or others' commands."""

SLOW_DISK_SECONDS: Final = 0.02
"""A commit waits for one sync of the disk: an SSD takes a few milliseconds, a spinning disk ten."""

_ROWS_A_SECOND: Final = 10_000_000.0
"""About what PostgreSQL reads from memory on one core; weighs whole reads against other causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Requests of one kind.

    Parameters
    ----------
    name : str
        Method and route.
    taken : Distribution
        How long its answers took, seconds.
    """

    name: str
    taken: Distribution

    @property
    def slow(self) -> float:
        """The time below which 95 % of its answers were, seconds."""
        return self.taken.quantile(0.95) or 0.0


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding, and how many seconds it explains: what ranks it."""

    seconds: float
    finding: WorkflowFinding


def of_endpoints(endpoints: Sequence[Endpoint]) -> Iterator[Cause]:
    """Yield the endpoints whose answers people wait for."""
    for one in endpoints:
        if one.taken.count >= _FEW and one.slow >= SLOW_ANSWER_SECONDS:
            yield Cause(
                one.taken.total,
                _warning(
                    one.name,
                    f"95 % of {one.taken.count:.0f} answers took up to {one.slow:.2g} s, {one.taken.mean or 0:.2g} s "
                    "on average",
                    "what it waits for stands below; if nothing does, it computes: look at the processor",
                ),
            )


def of_statements(slow: Sequence[Statement]) -> Iterator[Cause]:
    """Yield the statements that take long each time."""
    for one in slow:
        if one.calls >= _FEW and one.mean >= SLOW_STATEMENT_SECONDS:
            yield Cause(
                one.seconds,
                _warning(
                    f"statement {one.name}",
                    f"takes {one.mean:.2g} s on average, {one.seconds:.3g} s in {one.calls:.0f} runs",
                    "see what it waits for below; else EXPLAIN (ANALYZE, BUFFERS) it",
                ),
            )


def of_blocking(activity: Activity) -> Iterator[Cause]:
    """Yield who holds others up."""
    for one in activity.blocking():
        who, doing, application = f"process {one.pid}", "", ""
        if one.blocker is not None:
            application = one.blocker.application
            who = f"{application} (process {one.pid})"
            doing = f", {one.blocker.state} for {one.blocker.transaction_seconds:.0f} s"
        yield Cause(
            one.seconds * len(one.waiting),
            _warning(
                f"lock of {who}",
                f"holds up {_count(len(one.waiting), 'session')}, one for {one.seconds:.1f} s{doing}",
                how_to_end(application, one.pid),
            ),
        )


def of_transactions(activity: Activity) -> Iterator[Cause]:
    """Yield transactions that are open for long."""
    # Who waits cannot end, who holds others up is told of already, and a backup takes as long as it takes.
    passed_over = activity.waiting | activity.behind.keys()
    for one in activity.sessions.values():
        is_passed_over = one.pid in passed_over or one.application == BACKUP
        if one.transaction_seconds >= _LONG_TRANSACTION_SECONDS and not is_passed_over:
            yield Cause(
                one.transaction_seconds,
                _warning(
                    f"transaction of {one.application} (process {one.pid})",
                    f"is open for {one.transaction_seconds:.0f} s ({one.state}): what it locked stays locked, and "
                    "vacuum cannot clean up behind it",
                    how_to_end(one.application, one.pid),
                ),
            )


def of_whole_reads(whole: Sequence[WholeReads]) -> Iterator[Cause]:
    """Yield big tables that most likely lack an index."""
    for one in whole:
        yield Cause(
            one.read / _ROWS_A_SECOND,
            _warning(
                f"table {one.table}",
                f"of {one.rows} rows was read from end to end {one.scans} times, through an index {one.by_index} times",
                "find its statement above, EXPLAIN it, and make an index on the columns that it looks for",
            ),
        )


def of_pool(waits: Distribution) -> Iterator[Cause]:
    """Yield the pool where work waits for its connections."""
    slow = waits.quantile(0.95)
    if slow is not None and waits.count >= _FEW and slow >= SLOW_POOL_SECONDS:
        yield Cause(
            waits.total,
            _warning(
                "pool of connections",
                f"one in twenty waited {slow:.2g} s or longer for a connection, all together {waits.total:.3g} s",
                "raise NADIA_POSTGRES_POOL_SIZE, if PostgreSQL has connections left; shorten what holds them",
            ),
        )


def of_servers(activity: Activity, *, disk_seconds: float | None, redis_seconds: float | None) -> Iterator[Cause]:
    """Yield what is slow by itself: the disk, Redis, the processor; seconds that were measured, None where not."""
    syncing = activity.share_of("IO: WAL", "LWLock: WALWrite")
    if (disk_seconds or 0.0) >= SLOW_DISK_SECONDS or syncing >= 0.2:
        measured = f"a sync of it takes {disk_seconds * 1000:.0f} ms" if disk_seconds is not None else "commits wait"
        yield Cause(
            disk_seconds or 0.0,
            _warning(
                "disk",
                f"{measured}; {syncing:.0%} of what statements were seen doing was waiting for PostgreSQL's log",
                "each commit waits for it: what else writes there (`iostat -x 1`)? put the data on a faster disk",
            ),
        )
    if redis_seconds is not None and redis_seconds >= SLOW_REDIS_SECONDS:
        yield Cause(
            redis_seconds,
            _warning(
                "Redis",
                f"takes {redis_seconds * 1000:.1f} ms to say a word back",
                "`nadia workflow redis-health` shows slow commands and memory; is it on another continent?",
            ),
        )
    processors = os.cpu_count() or 1
    running = activity.waits[RUNNING] / activity.looks if activity.looks else 0.0
    if running > processors:
        yield Cause(
            running,
            _warning(
                "processor",
                f"{running:.1f} sessions computed at once, on {processors} processors",
                "see the statements that take most time; they compute more than this machine can",
            ),
        )


def _warning(subject: str, message: str, remedy: str) -> WorkflowFinding:
    return WorkflowFinding(status=HealthStatus.WARNING, subject=subject, message=message, remedy=remedy)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
