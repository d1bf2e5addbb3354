"""Is it well? The health check as a workflow."""

from typing import ClassVar, Final

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.health.checker import HealthChecker
from nadia.health.models import HealthStatus, ProbeResult
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry

_ASKED_FIRST: Final = {"postgres-connection": "PostgreSQL", "redis-connection": "Redis"}
"""The probes whose very question is whether something answers."""


class HealthCheckArguments(Arguments):
    """What to look at."""

    probe: tuple[str, ...] = Field((), description="Only this probe; may be given several times. All by default.")


class HealthCheck:
    """Runs the probes.

    Parameters
    ----------
    checker : HealthChecker
        Has the probes.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "health-check"
    question: ClassVar[str] = "Is everything well?"
    arguments: ClassVar[type[Arguments]] = HealthCheckArguments
    role: ClassVar[Role] = Role.VIEWER

    def __init__(self, *, checker: HealthChecker, clock: Clock = utc_now) -> None:
        self._checker = checker
        self._clock = clock

    def effect(self, arguments: HealthCheckArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: HealthCheckArguments) -> WorkflowReport:
        """Run the probes; raises InvalidInputError if there is none of a name."""
        inquiry = Inquiry(self, clock=self._clock)
        report = await self._checker.report(arguments.probe)
        return inquiry.report(
            report.summary,
            status=report.status,
            unreachable=[
                _ASKED_FIRST[probe.id]
                for probe in report.probes
                if probe.id in _ASKED_FIRST and probe.status is HealthStatus.CRITICAL
            ],
            findings=[_finding(probe) for probe in report.probes if probe.status is not HealthStatus.HEALTHY],
            tables=[
                ReportTable(
                    title="probes",
                    columns=["probe", "status", "what it found"],
                    rows=[[probe.id, probe.status.value, probe.summary] for probe in report.probes],
                )
            ],
        )


def _finding(probe: ProbeResult) -> WorkflowFinding:
    return WorkflowFinding(
        status=probe.status, subject=probe.id, message=probe.summary, remedy=probe.hint, docs=probe.docs
    )
