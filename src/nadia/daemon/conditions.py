"""What a run says about what the daemon watches for: is the job itself well, and is what it looked at?"""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from nadia.daemon.job import HEALTH_CHECK, Job
from nadia.health.models import HealthStatus
from nadia.notices import Notice, Severity
from nadia.workflows.report import WorkflowReport
from nadia.workflows.run_history import RunOutcome, RunRecord

JOB_FAILING: Final = "daemon.job_failing"
"""A scheduled job gives no answer; label ``job``."""

PROBE_NOT_HEALTHY: Final = "health.not_healthy"
"""A probe of the health check finds something wrong; label ``probe``."""

ANSWER_CRITICAL: Final = "daemon.answer_critical"
"""Another scheduled workflow finds something critical; label ``job``."""

_LABEL: Final = {JOB_FAILING: "job", PROBE_NOT_HEALTHY: "probe", ANSWER_CRITICAL: "job"}

_SEVERITY: Final = {HealthStatus.CRITICAL: Severity.CRITICAL}
"""Of a notice about a finding; whatever else is not healthy is worth a warning."""


_LONGEST: Final = 600


def one_line(text: str) -> str:
    """Return a text as a line of bounded length that every log, page and database takes."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _known(topic: str) -> str:
    """Return a topic that this version knows; another one may have written the line that it is read from."""
    if topic not in _LABEL:
        raise ValueError("it is no topic of this version")
    return topic


Topic = Annotated[str, AfterValidator(_known)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sighting(_Part):
    """Something wrong, as one run found it; told of when it was found often enough in a row."""

    topic: Topic
    subject: Annotated[str, AfterValidator(one_line)]
    severity: Severity
    summary: Annotated[str, AfterValidator(one_line)]
    times_to_tell: int

    def notice(self, times: int) -> Notice:
        """Return what tells of it."""
        often = f" ({times} times in a row)" if times > 1 else ""
        return Notice(
            topic=self.topic,
            severity=self.severity,
            summary=f"{self.subject}{often}: {self.summary}",
            labels={_LABEL[self.topic]: self.subject},
        )


class Observation(_Part):
    """What one run showed; kept until PostgreSQL has it.

    Parameters
    ----------
    job, due_at
        The run.
    every : timedelta
        The job's interval.
    fencing_token : int or None
        Under which it was begun; none where no daemon could be elected.
    topics : tuple of str
        About these it says everything: what is neither sighted nor in doubt is well.
    sighted : tuple of Sighting
        What is wrong.
    in_doubt : tuple of str
        Subjects that could not be judged; they stay as they were.
    """

    job: str
    due_at: AwareDatetime
    every: timedelta
    fencing_token: int | None
    topics: tuple[Topic, ...]
    sighted: tuple[Sighting, ...] = ()
    in_doubt: tuple[str, ...] = ()


def well_again(topic: str, subject: str, told: Severity) -> Notice:
    """Return what says that something is over."""
    return Notice(
        topic=topic, severity=told, summary=f"{subject} is well again", labels={_LABEL[topic]: subject}, resolves=True
    )


def observe(job: Job, record: RunRecord, *, fencing_token: int | None, failures_to_alert: int) -> Observation | None:
    """Return what a run's outcome says; None of one that says nothing, because it was missed or interrupted."""
    sighted: list[Sighting] = []
    in_doubt: list[str] = []
    topics = [JOB_FAILING]
    if record.outcome in (RunOutcome.FAILED, RunOutcome.TIMED_OUT):
        sighted.append(
            Sighting(
                topic=JOB_FAILING,
                subject=job.name,
                severity=Severity.CRITICAL,
                summary=f"{record.summary}; `nadia daemon history {job.name}` shows the runs",
                times_to_tell=failures_to_alert,
            )
        )
    elif record.outcome is RunOutcome.DONE and record.report is not None:
        if job.name == HEALTH_CHECK:
            topics.append(PROBE_NOT_HEALTHY)
            sighted, in_doubt = _of_probes(job, record.report)
        else:
            topics.append(ANSWER_CRITICAL)
            sighted, in_doubt = _of_answer(job, record.report)
    else:
        return None
    return Observation(
        job=job.name,
        due_at=record.due_at,
        every=job.every,
        fencing_token=fencing_token,
        topics=tuple(topics),
        sighted=tuple(sighted),
        in_doubt=tuple(in_doubt),
    )


def _of_probes(job: Job, report: WorkflowReport) -> tuple[list[Sighting], list[str]]:
    """Take each finding of a health check for itself.

    With PostgreSQL down a dozen probes cannot judge: that is one alert and not a dozen. So while a server cannot be
    reached, what is unknown stays as it was; otherwise it is itself worth knowing, whatever else is critical.
    """
    sighted, in_doubt = {}, []
    for finding in report.findings:
        if finding.status is HealthStatus.UNKNOWN and report.unreachable:
            in_doubt.append(one_line(finding.subject))
        elif finding.status is not HealthStatus.HEALTHY and finding.subject not in sighted:
            sighted[finding.subject] = Sighting(
                topic=PROBE_NOT_HEALTHY,
                subject=finding.subject,
                severity=_SEVERITY.get(finding.status, Severity.WARNING),
                summary="; ".join(filter(None, (finding.message, finding.remedy))),
                times_to_tell=job.answers_to_alert,
            )
    return list(sighted.values()), in_doubt


def _of_answer(job: Job, report: WorkflowReport) -> tuple[list[Sighting], list[str]]:
    if report.status is HealthStatus.UNKNOWN:
        return [], [job.name]
    if report.status is not HealthStatus.CRITICAL:
        return [], []
    sighting = Sighting(
        topic=ANSWER_CRITICAL,
        subject=job.name,
        severity=Severity.CRITICAL,
        summary=f"{report.answer}; `nadia workflow {job.name}` says what to do",
        times_to_tell=job.answers_to_alert,
    )
    return [sighting], []
