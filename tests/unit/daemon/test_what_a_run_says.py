"""From a run's outcome to what is watched for."""

from datetime import UTC, datetime, timedelta

import pytest

from nadia.daemon.conditions import (
    ANSWER_CRITICAL,
    JOB_FAILING,
    PROBE_NOT_HEALTHY,
    Observation,
    observe,
    one_line,
    well_again,
)
from nadia.daemon.job import HEALTH_CHECK, Job
from nadia.health.models import HealthStatus
from nadia.notices import Severity
from nadia.workflows.report import WorkflowReport
from nadia.workflows.run_history import RunOutcome, RunRecord
from support.answers import report

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HEALTH = Job(HEALTH_CHECK, every=timedelta(minutes=5), answers_to_alert=3, needs_election=False)
SECURITY = Job("security-check", every=timedelta(hours=4))


def said(job: Job, outcome: RunOutcome, answer: WorkflowReport | None = None) -> Observation | None:
    record = RunRecord(
        job=job.name,
        due_at=AT,
        started_at=AT,
        seconds=1.0,
        outcome=outcome,
        status=answer.status if answer else HealthStatus.UNKNOWN,
        summary="it broke",
        by="test/1/a",
        report=answer,
    )
    return observe(job, record, fencing_token=1, failures_to_alert=3)


@pytest.mark.parametrize("outcome", [RunOutcome.FAILED, RunOutcome.TIMED_OUT])
def test_a_run_without_an_answer_speaks_of_the_job_and_of_nothing_that_it_looks_at(outcome: RunOutcome) -> None:
    observation = said(HEALTH, outcome)
    assert observation is not None
    assert observation.topics == (JOB_FAILING,)
    (sighting,) = observation.sighted
    assert (sighting.topic, sighting.subject, sighting.severity, sighting.times_to_tell) == (
        JOB_FAILING,
        HEALTH_CHECK,
        Severity.CRITICAL,
        3,
    )
    notice = sighting.notice(3)
    assert notice.labels == {"job": HEALTH_CHECK}
    assert "3 times in a row" in notice.summary
    assert "nadia daemon history health-check" in notice.summary


@pytest.mark.parametrize("outcome", [RunOutcome.MISSED, RunOutcome.INTERRUPTED])
def test_a_run_that_was_missed_or_interrupted_says_nothing(outcome: RunOutcome) -> None:
    assert said(HEALTH, outcome) is None


def test_each_probe_that_is_not_healthy_is_a_thing_of_its_own() -> None:
    answer = report(HEALTH_CHECK, findings={"redis-memory": HealthStatus.CRITICAL, "review-wait": HealthStatus.WARNING})
    observation = said(HEALTH, RunOutcome.DONE, answer)
    assert observation is not None
    assert observation.topics == (JOB_FAILING, PROBE_NOT_HEALTHY)
    assert {(one.subject, one.severity) for one in observation.sighted} == {
        ("redis-memory", Severity.CRITICAL),
        ("review-wait", Severity.WARNING),
    }
    assert {one.times_to_tell for one in observation.sighted} == {3}
    notice = observation.sighted[0].notice(3)
    assert notice.labels == {"probe": "redis-memory"}
    assert "look at it" in notice.summary
    over = well_again(PROBE_NOT_HEALTHY, "redis-memory", Severity.CRITICAL)
    assert over.resolves
    assert over.fingerprint == notice.fingerprint


def test_what_cannot_be_judged_because_a_server_is_down_stays_as_it_was() -> None:
    answer = report(HEALTH_CHECK, findings={"postgres-connection": HealthStatus.CRITICAL, "wal": HealthStatus.UNKNOWN})
    observation = said(HEALTH, RunOutcome.DONE, answer)
    assert observation is not None
    assert [one.subject for one in observation.sighted] == ["postgres-connection"]
    assert observation.in_doubt == ("wal",)


def test_what_cannot_be_judged_is_not_hidden_by_whatever_else_is_critical() -> None:
    answer = report(HEALTH_CHECK, findings={"disk": HealthStatus.CRITICAL, "telegram-link": HealthStatus.UNKNOWN})
    observation = said(HEALTH, RunOutcome.DONE, answer)
    assert observation is not None
    assert {(one.subject, one.severity) for one in observation.sighted} == {
        ("disk", Severity.CRITICAL),
        ("telegram-link", Severity.WARNING),
    }
    assert observation.in_doubt == ()


def test_what_cannot_be_judged_for_no_visible_reason_is_worth_a_warning() -> None:
    observation = said(HEALTH, RunOutcome.DONE, report(HEALTH_CHECK, findings={"wal": HealthStatus.UNKNOWN}))
    assert observation is not None
    assert [(one.subject, one.severity) for one in observation.sighted] == [("wal", Severity.WARNING)]
    assert observation.in_doubt == ()


def test_of_other_jobs_only_a_critical_answer_is_an_alert() -> None:
    critical = said(SECURITY, RunOutcome.DONE, report("security-check", HealthStatus.CRITICAL))
    assert critical is not None
    assert [(one.topic, one.times_to_tell) for one in critical.sighted] == [(ANSWER_CRITICAL, 1)]
    for status in (HealthStatus.WARNING, HealthStatus.HEALTHY):
        fine = said(SECURITY, RunOutcome.DONE, report("security-check", status))
        assert fine is not None
        assert (fine.sighted, fine.in_doubt) == ((), ())
    unknown = said(SECURITY, RunOutcome.DONE, report("security-check", HealthStatus.UNKNOWN))
    assert unknown is not None
    assert unknown.in_doubt == ("security-check",)


def test_hostile_text_becomes_one_line_that_a_database_takes() -> None:
    assert one_line("a\x00b\r\n\x1b[31m c") == "a b [31m c"
    assert len(one_line("x" * 10_000)) == 601


def test_an_observation_survives_being_written_down() -> None:
    observation = said(HEALTH, RunOutcome.DONE, report(HEALTH_CHECK, findings={"wal": HealthStatus.WARNING}))
    assert observation is not None
    assert Observation.model_validate_json(observation.model_dump_json()) == observation
