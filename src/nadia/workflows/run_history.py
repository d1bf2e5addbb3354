"""What scheduled runs of workflows came to: the last of each job, in Redis.

The daemon writes; status commands, pages and assistants read. Nothing rests on it: emptied, it fills again.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, cast

import structlog
from pydantic import AwareDatetime, ConfigDict, ValidationError

from nadia.documented import Documented
from nadia.health.models import Figure, HealthStatus
from nadia.redis.commands import Command, SendsCommands
from nadia.redis.keys import runs_of
from nadia.workflows.report import WorkflowReport

log = structlog.get_logger(__name__)

FORGOTTEN_AFTER: Final = timedelta(days=60)
"""The list of a job that runs no more goes away so long after its last run."""

LARGEST_RECORD: Final = 64_000
"""Characters above which a record is kept without its report: 250 of them must stay far below Redis's 200 MB."""

_PAGE: Final = 20


class RunOutcome(StrEnum):
    """How a scheduled run ended."""

    DONE = "done"
    """The workflow answered; what it found is `RunRecord.status`."""
    FAILED = "failed"
    """It ended without an answer."""
    TIMED_OUT = "timed_out"
    """It was killed at its limit."""
    MISSED = "missed"
    """It was due while no daemon was active or PostgreSQL was away, or the former run still went on."""
    INTERRUPTED = "interrupted"
    """The daemon stopped while it ran; no fault of the job's."""


class RunRecord(Documented):
    """One scheduled run, or several in a row that were missed for one reason."""

    model_config = ConfigDict(extra="forbid")

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
    elected: bool = True
    """Whether that daemon was the active one; a health check also runs while none can be elected."""
    count: int = 1
    """How many runs it stands for; above one only if they were missed."""
    report: WorkflowReport | None = None
    """The whole answer, where it is kept."""


class RunHistory:
    """Keeps and reads the records.

    Parameters
    ----------
    redis : SendsCommands
        Where they are.
    """

    def __init__(self, *, redis: SendsCommands) -> None:
        self._redis = redis

    async def add(self, record: RunRecord, *, keep: int) -> None:
        """Put a record in front and drop what is beyond ``keep``; raises UnavailableError if Redis is away."""
        key, text = runs_of(record.job), _encode(record)
        await self._redis.send(
            [
                # Adding again what a broken connection left in doubt changes nothing.
                Command(("LREM", key, 1, text)),
                Command(("LPUSH", key, text)),
                Command(("LTRIM", key, 0, keep - 1)),
                Command(("EXPIRE", key, int(FORGOTTEN_AFTER.total_seconds()))),
            ]
        )

    async def last(self, job: str, *, limit: int = 20) -> list[RunRecord]:
        """Return a job's last records, newest first; raises UnavailableError if Redis is away."""
        if limit < 1:
            return []
        (texts,) = await self._redis.send([Command(("LRANGE", runs_of(job), 0, limit - 1))])
        return [record for record in map(_decode, cast("list[str]", texts)) if record is not None]

    async def forget(self, job: str, *, before: datetime) -> int:
        """Drop what was due before a moment, and what nobody can read; return how many.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        key, dropped = runs_of(job), 0
        while True:
            (oldest,) = await self._redis.send([Command(("LRANGE", key, -_PAGE, -1))])
            stale = 0
            for text in reversed(cast("list[str]", oldest)):
                record = _decode(text)
                if record is not None and record.due_at >= before:
                    break
                stale += 1
            if stale:
                await self._redis.send([Command(("LTRIM", key, 0, -stale - 1))])
            dropped += stale
            if stale < _PAGE:
                return dropped


def _encode(record: RunRecord) -> str:
    text = record.model_dump_json()
    if len(text) <= LARGEST_RECORD:
        return text
    return record.model_copy(update={"report": None, "summary": record.summary[:1_000]}).model_dump_json()


def _decode(text: str) -> RunRecord | None:
    """Read a record; None of one that another version wrote or something damaged."""
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as exc:
        log.warning("runs.unreadable", problems=exc.error_count())
        return None
