"""What scheduled runs of workflows came to: the last of each job, in Redis.

The daemon writes; status commands, pages and assistants read.
"""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from nadia.health.models import Figure, HealthStatus
from nadia.redis.connection import RedisConnection
from nadia.redis.mixin import RedisConnectionMixin
from nadia.workflows.report import WorkflowReport


class RunOutcome(StrEnum):
    """How a scheduled run ended."""

    DONE = "done"
    """The workflow answered; what it found is `RunRecord.status`."""
    FAILED = "failed"
    """It ended without an answer."""
    TIMED_OUT = "timed_out"
    """It was killed at its limit."""
    MISSED = "missed"
    """It was due while no daemon was active, or the former run still went on."""


class RunRecord(BaseModel):
    """One scheduled run."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    job: str
    due_at: AwareDatetime
    started_at: AwareDatetime | None
    """Null for a missed run."""
    seconds: Figure | None
    outcome: RunOutcome
    status: HealthStatus
    """What the workflow found; unknown where it did not answer."""
    summary: str
    """One sentence: the workflow's answer, or why there is none."""
    by: str
    """Which daemon."""
    report: WorkflowReport | None = None
    """The whole answer, where it is kept."""


class RunHistory(RedisConnectionMixin):
    """Keeps and reads the records.

    Parameters
    ----------
    redis : RedisConnection
        Where they are.
    """

    def __init__(self, *, redis: RedisConnection) -> None:
        super().__init__(redis=redis)

    async def add(self, record: RunRecord, *, keep: int) -> None:
        """Put a record in front and drop what is beyond ``keep``; raises UnavailableError if Redis is away."""
        raise NotImplementedError

    async def last(self, job: str, *, limit: int = 20) -> list[RunRecord]:
        """Return a job's last records, newest first; raises UnavailableError if Redis is away."""
        raise NotImplementedError
