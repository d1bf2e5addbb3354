"""What a job's process came to: its answer, read as the structured report it has to be, or why there is none."""

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from nadia.daemon.child import MOST_OUTPUT, ChildEnd
from nadia.daemon.conditions import one_line
from nadia.daemon.job import Job
from nadia.health.models import HealthStatus
from nadia.redaction import redact_text
from nadia.workflows.report import WorkflowReport
from nadia.workflows.run_history import RunOutcome

_ANSWERED: Final = (0, 1, 3)
"""Exit codes of a workflow that answered: fine, not fine, something unreachable (docs/reference/exit-codes.md)."""

_LONGEST_COMPLAINT: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be recorded of a run.

    Parameters
    ----------
    outcome : RunOutcome
        How it ended.
    summary : str
        One sentence: the answer, or why there is none.
    report : WorkflowReport or None
        The whole answer.
    """

    outcome: RunOutcome
    summary: str
    report: WorkflowReport | None = None

    @property
    def status(self) -> HealthStatus:
        """What was found; unknown where there is no answer."""
        return self.report.status if self.report is not None else HealthStatus.UNKNOWN


def read_answer(job: Job, end: ChildEnd) -> Answer:
    """Return what a process's end means.

    Only a report counts as an answer. What was said on standard error is for people: it becomes a part of the reason.
    """
    if end.timed_out:
        return Answer(RunOutcome.TIMED_OUT, f"did not end within {end.seconds:.0f} s and was killed")
    if end.overflowed:
        return Answer(RunOutcome.FAILED, f"printed more than {MOST_OUTPUT / 1e6:g} MB and was killed")
    if end.status not in _ANSWERED:
        return _failed(f"ended with status {end.status}", end)
    try:
        report = WorkflowReport.model_validate_json(end.output)
    except ValidationError as exc:
        if not end.output.strip():
            return _failed(f"ended with status {end.status} and said nothing", end)
        return _failed(f"printed no report ({exc.error_count()} problems)", end)
    if report.workflow != job.name:
        return _failed("answered another question", end)
    return Answer(RunOutcome.DONE, one_line(report.answer), report)


def _failed(what: str, end: ChildEnd) -> Answer:
    said = redact_text(end.complaint.decode(errors="replace"))
    complaint = one_line(said if len(said) <= _LONGEST_COMPLAINT else f"…{said[-_LONGEST_COMPLAINT:]}")
    return Answer(RunOutcome.FAILED, f"{what}: {complaint}" if complaint else what)
