"""Answers of scheduled jobs, as their processes would print them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from nadia.daemon.child import ChildEnd
from nadia.health.models import HealthStatus
from nadia.workflows.report import WorkflowFinding, WorkflowReport

_SERVERS = {"postgres-connection": "PostgreSQL", "redis-connection": "Redis"}

RAN_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def report(
    job: str, status: HealthStatus = HealthStatus.HEALTHY, findings: Mapping[str, HealthStatus] | None = None
) -> WorkflowReport:
    """A workflow's answer, with findings by subject."""
    found = findings or {}
    return WorkflowReport(
        workflow=job,
        question="Is it well?",
        status=HealthStatus.worst([status, *found.values()]),
        answer=f"{job} was asked.",
        ran_at=RAN_AT,
        seconds=0.1,
        unreachable=[
            _SERVERS[subject]
            for subject, status in found.items()
            if subject in _SERVERS and status is HealthStatus.CRITICAL
        ],
        findings=[
            WorkflowFinding(status=status, subject=subject, message="is not as it should be", remedy="look at it")
            for subject, status in found.items()
        ],
    )


def child_end(
    output: str | bytes = b"",
    *,
    status: int = 0,
    complaint: bytes = b"",
    timed_out: bool = False,
    overflowed: bool = False,
    seconds: float = 0.1,
) -> ChildEnd:
    """The end of a job's process."""
    return ChildEnd(
        status=status,
        output=output.encode() if isinstance(output, str) else output,
        complaint=complaint,
        timed_out=timed_out,
        overflowed=overflowed,
        seconds=seconds,
    )


def answered(
    job: str, status: HealthStatus = HealthStatus.HEALTHY, findings: Mapping[str, HealthStatus] | None = None
) -> ChildEnd:
    """The end of a job that answered."""
    answer = report(job, status, findings)
    return child_end(answer.model_dump_json(), status=0 if answer.status is HealthStatus.HEALTHY else 1)
