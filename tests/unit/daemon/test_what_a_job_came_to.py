"""Only a report counts as an answer; everything else is a failed run with its reason."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.daemon.answer import read_answer
from nadia.daemon.child import ChildEnd
from nadia.daemon.job import Job
from nadia.health.models import HealthStatus
from nadia.workflows.run_history import RunOutcome
from support.answers import child_end, report

JOB = Job("redis-health", every=timedelta(minutes=10))


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_report_is_an_answer_whatever_it_found(status: int) -> None:
    given_report = report("redis-health", HealthStatus.WARNING)
    answer = read_answer(JOB, child_end(given_report.model_dump_json(), status=status))
    assert answer.outcome is RunOutcome.DONE
    assert answer.status is HealthStatus.WARNING
    assert answer.summary == "redis-health was asked."
    assert answer.report == given_report


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (child_end(b"", status=3, complaint=b"error: PostgreSQL cannot be reached\n"), "PostgreSQL cannot be reached"),
        (child_end(b"", status=0), "said nothing"),
        (child_end(b"all is well", status=0), "printed no report"),
        (child_end(b'{"status": "healthy"}', status=0), "printed no report"),
        (child_end(b"\xff\xfe\x00", status=0), "printed no report"),
        (child_end(report("db-stats").model_dump_json()), "another question"),
        (child_end(report("redis-health").model_dump_json(), status=139), "status 139"),
        (child_end(report("redis-health").model_dump_json() * 2), "printed no report"),
        (child_end(report("redis-health").model_dump_json(), overflowed=True, status=125), "printed more than 2 MB"),
    ],
)
def test_anything_else_is_a_failed_run_that_says_why(end: ChildEnd, reason: str) -> None:
    answer = read_answer(JOB, end)
    assert answer.outcome is RunOutcome.FAILED
    assert answer.status is HealthStatus.UNKNOWN
    assert answer.report is None
    assert reason in answer.summary


def test_a_job_at_its_limit_timed_out_even_if_it_had_answered() -> None:
    end = child_end(report("redis-health").model_dump_json(), timed_out=True, status=124, seconds=300.2)
    answer = read_answer(JOB, end)
    assert (answer.outcome, answer.summary) == (RunOutcome.TIMED_OUT, "did not end within 300 s and was killed")


def test_what_a_job_complained_of_is_shortened_to_its_end_and_has_no_secrets() -> None:
    complaint = b"x" * 3_000 + b"\nredis://nadia:hunter22@example.org refused\x1b[31m\n"
    summary = read_answer(JOB, child_end(status=2, complaint=complaint)).summary
    assert "hunter22" not in summary
    assert len(summary) < 400
    assert "example.org refused" in summary
    assert summary.isprintable()


@given(st.binary(max_size=200), st.integers(0, 255))
def test_no_output_breaks_the_reading_of_it(output: bytes, status: int) -> None:
    answer = read_answer(JOB, child_end(output, status=status, complaint=output))
    assert answer.outcome is RunOutcome.FAILED
    assert answer.summary.isprintable()
