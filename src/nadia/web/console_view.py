"""What the operations page shows, read from every part; a part that cannot be read says so and hides no other."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from nadia.alerting import documents
from nadia.alerting.models import Alert, AlertEvent
from nadia.alerting.service import Alerts
from nadia.clock import Clock
from nadia.conversations.models import BatchState
from nadia.errors import NadiaError
from nadia.health.figures import FigureHistory, Figures
from nadia.health.models import HealthReport, HealthStatus, ProbeResult
from nadia.recovery.models import AccountStatus
from nadia.recovery.status import RecoveryStatus
from nadia.web.charts import Chart, chart
from nadia.web.desk_words import duration
from nadia.web.help_pages import address
from nadia.workflows.run_history import RunHistory, RunRecord
from nadia.workflows.schedule_state import DaemonState, JobState

T = TypeVar("T")

_EVENTS: Final = 20
_RUNS: Final = 24
"""Runs of a job that stand side by side."""

_WAITING: Final = (BatchState.SEALED, BatchState.DRAFTED, BatchState.IN_REVIEW)


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What a part of the page shows, or why it cannot."""

    content: T | None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeLine:
    """A probe's result with the address of what to do."""

    result: ProbeResult
    help: str


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert with the address of what to do."""

    alert: Alert
    help: str


@dataclass(frozen=True, slots=True)
class JobLine:
    """A scheduled job, and its last runs, oldest first."""

    state: JobState
    runs: Sequence[RunRecord]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page."""

    report: Part[HealthReport]
    concerned: Sequence[ProbeLine]
    """Probes that are not healthy, worst first."""
    well: Sequence[ProbeLine]
    charts: Part[Sequence[Chart]]
    daemon: Part[DaemonState | None]
    jobs: Part[Sequence[JobLine]]
    alerts: Part[list[AlertLine]]
    events: Part[list[AlertEvent]]
    recovery: Part[list[AccountStatus]]
    hours: int
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Reads what the operations page shows.

    Parameters
    ----------
    report : callable
        Returns the state of every part, a few seconds old at most.
    figures : FigureHistory
        What was counted over the last hours.
    runs : RunHistory
        What scheduled jobs came to.
    daemon : callable
        Returns what the active daemon last said of itself, or None.
    alerts : Alerts
        What is wrong, as people were told.
    recovery : RecoveryStatus
        How recovery after downtime stands.
    clock : callable
        Returns the present.
    """

    report: Callable[[], Awaitable[HealthReport]]
    figures: FigureHistory
    runs: RunHistory
    daemon: Callable[[], Awaitable[DaemonState | None]]
    alerts: Alerts
    recovery: RecoveryStatus
    clock: Clock

    async def overview(self, *, hours: int) -> Overview:
        """Read everything at once.

        Parameters
        ----------
        hours : int
            How far back charts go.
        """
        now = self.clock()
        async with asyncio.TaskGroup() as group:
            report = group.create_task(_part(self.report()))
            charts = group.create_task(_part(self._charts(now, hours)))
            daemon = group.create_task(_part(self.daemon()))
            jobs = group.create_task(_part(self._jobs()))
            alerts = group.create_task(_part(self._alerts()))
            events = group.create_task(_part(self.alerts.history(_EVENTS)))
            recovery = group.create_task(_part(self.recovery.accounts()))
        found = report.result()
        lines = [ProbeLine(result, address(result.docs)) for result in (found.content.probes if found.content else ())]
        concern = list(HealthStatus)
        return Overview(
            report=found,
            concerned=sorted(
                (line for line in lines if line.result.status is not HealthStatus.HEALTHY),
                key=lambda line: -concern.index(line.result.status),
            ),
            well=[line for line in lines if line.result.status is HealthStatus.HEALTHY],
            charts=charts.result(),
            daemon=daemon.result(),
            jobs=jobs.result(),
            alerts=alerts.result(),
            events=events.result(),
            recovery=recovery.result(),
            hours=hours,
            now=now,
        )

    async def _alerts(self) -> list[AlertLine]:
        return [
            AlertLine(alert, address(documents.section(alert.topic, alert.labels)))
            for alert in await self.alerts.current()
        ]

    async def _charts(self, now: datetime, hours: int) -> Sequence[Chart]:
        figures = await self.figures.read(since=now - timedelta(hours=hours))
        return draw(figures.steps())

    async def _jobs(self) -> Sequence[JobLine]:
        state = await self.daemon()
        jobs = state.jobs if state else []
        histories = await asyncio.gather(*(self.runs.last(job.name, limit=_RUNS) for job in jobs))
        return [JobLine(job, runs=runs[::-1]) for job, runs in zip(jobs, histories, strict=True)]


async def _part(reading: Awaitable[T]) -> Part[T]:
    try:
        return Part(await reading)
    except NadiaError as exc:
        return Part(None, trouble=exc.message)


Step = tuple[datetime, Figures]


def draw(steps: Sequence[Step]) -> Sequence[Chart]:
    """Draw the charts: what waits, how long each stage takes, what it costs, what went wrong."""

    def highest(name: str, **labels: str) -> list[tuple[datetime, float | None]]:
        return [(at, figures.highest(name, **labels)) for at, figures in steps]

    def increase(name: str, **labels: str) -> list[tuple[datetime, float | None]]:
        return [(at, figures.increase(name, **labels) if figures else None) for at, figures in steps]

    def p95(name: str) -> list[tuple[datetime, float | None]]:
        return [(at, figures.distribution(name).quantile(0.95)) for at, figures in steps]

    return (
        chart("Messages in 5 min", increase("nadia_pacing_messages_total"), words=_count, grows=True),
        chart("Waiting for a person", [(at, _waiting(figures)) for at, figures in steps], words=_count),
        chart("Waiting to be sent", highest("nadia_delivery_waiting_replies"), words=_count),
        chart("Intake, p95", p95("nadia_inbound_intake_seconds"), words=_seconds),
        chart("Drafting, p95", p95("nadia_drafting_draft_seconds"), words=_seconds),
        chart("Sealed to decided, p95", p95("nadia_review_decision_seconds"), words=_seconds),
        chart("Approved to sent, p95", p95("nadia_delivery_approval_to_sent_seconds"), words=_seconds),
        chart("Failed sends in 5 min", increase("nadia_delivery_failures_total"), words=_count, grows=True),
        chart("Models, cost in 5 min", increase("nadia_llm_cost_usd_total"), words=_dollars, grows=True),
    )


def _waiting(figures: Figures) -> float | None:
    """Return how many items waited for a person, drafted or not; None where nobody counted."""
    counts = [figures.highest("nadia_review_queue_items", state=state) for state in _WAITING]
    return None if None in counts else sum(count or 0.0 for count in counts)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else duration(value)


def _dollars(value: float) -> str:
    return f"${value:.4f}" if value < 1 else f"${value:,.2f}"


STATUS_TONES: Final[Mapping[HealthStatus, str]] = {
    HealthStatus.HEALTHY: "good",
    HealthStatus.UNKNOWN: "",
    HealthStatus.WARNING: "warn",
    HealthStatus.CRITICAL: "bad",
}
"""Tones of badges and dots by status."""
