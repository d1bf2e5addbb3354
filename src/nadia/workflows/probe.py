"""Whether the scheduled jobs run, as a probe of the health check: who checks the checker."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from nadia.clock import Clock, utc_now
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wording import count, lasting
from nadia.workflows.run_history import RunOutcome
from nadia.workflows.schedule_state import DaemonState, JobState

_BAD: Final = (RunOutcome.FAILED, RunOutcome.TIMED_OUT, RunOutcome.MISSED)

_START_IT: Final = "start one: `nadia run daemon`, or `nadia up`, which runs it too"


@dataclass(frozen=True, kw_only=True)
class ScheduledJobsProbe:
    """Looks at the daemon's word: whether it is alive, and how and when each job last ran.

    What a run found is no matter here; it speaks for itself.

    Parameters
    ----------
    read : callable
        Returns the daemon's newest word, or None.
    expected : bool
        Whether there should be a daemon.
    clock : callable
        Returns the present.
    """

    read: Callable[[], Awaitable[DaemonState | None]]
    expected: bool
    clock: Clock = utc_now

    id: ClassVar[str] = "scheduled-jobs"
    title: ClassVar[str] = "Scheduled jobs"
    group: ClassVar[str] = "jobs"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away and this machine has no word of the daemon."""
        state, now = await self.read(), self.clock()
        if state is None:
            return self._without_a_daemon()
        silent = (now - state.beat_at).total_seconds()
        if not state.is_current(now):
            return Finding(
                status=HealthStatus.WARNING,
                summary=f"the daemon has said nothing for {lasting(silent)}",
                value=silent,
                unit="seconds",
                threshold=state.stale_after_seconds,
                hint=_START_IT,
            )
        troubles = [trouble for job in state.jobs if (trouble := _trouble(job, state, now))]
        return Finding(
            status=HealthStatus.WARNING if troubles else HealthStatus.HEALTHY,
            summary="; ".join(troubles) or f"{count(len(state.jobs), 'job')} as planned",
            value=len(troubles),
            unit="jobs",
            threshold=0,
            hint="`nadia daemon history` shows the runs and why they failed" if troubles else None,
            figures={f"{job.name}_age_seconds": _age(job, now) for job in state.jobs}
            | {f"{job.name}_outcome": job.last.outcome if job.last else None for job in state.jobs},
        )

    def _without_a_daemon(self) -> Finding:
        if not self.expected:
            return Finding(status=HealthStatus.HEALTHY, summary="none: the daemon is switched off")
        return Finding(status=HealthStatus.WARNING, summary="no daemon has run for a day", hint=_START_IT)


def _trouble(job: JobState, state: DaemonState, now: datetime) -> str | None:
    if job.last is not None and job.last.outcome in _BAD:
        return f"{job.name} {job.last.outcome.value.replace('_', ' ')}"
    since = max(state.started_at, job.last.due_at if job.last else state.started_at)
    late = (now - since).total_seconds()
    if late > 2 * job.every_seconds:
        return f"{job.name} did not run for {lasting(late)}"
    return None


def _age(job: JobState, now: datetime) -> float | None:
    return (now - job.last.due_at).total_seconds() if job.last else None
