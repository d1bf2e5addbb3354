"""What the daemon runs: workflows, each at its interval (baseline 1.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nadia.settings.daemon import DaemonSettings

HEALTH_CHECK: Final = "health-check"

HEALTH_RECORDS: Final = 100
OTHER_RECORDS: Final = 50
"""Records of the history, of the health check and of each other job (baseline 1.3)."""


@dataclass(frozen=True, slots=True)
class Job:
    """A workflow that is run again and again.

    Parameters
    ----------
    name : str
        Of the job and of the workflow.
    every : timedelta
        Time between two runs.
    arguments : sequence of str
        What the workflow is asked with, as on the command line.
    keep : int
        Records of it in the history.
    needs_election : bool
        Whether only the active daemon runs it. Otherwise every daemon does while none can be elected.
    answers_to_alert : int
        Critical answers in a row after which there is an alert.
    """

    name: str
    every: timedelta
    arguments: tuple[str, ...] = ()
    keep: int = OTHER_RECORDS
    needs_election: bool = True
    answers_to_alert: int = 1


def jobs_of(settings: DaemonSettings) -> Sequence[Job]:
    """Return the schedule that the settings describe."""
    return (
        Job(
            HEALTH_CHECK,
            every=timedelta(seconds=settings.health_seconds),
            keep=HEALTH_RECORDS,
            needs_election=False,
            answers_to_alert=settings.failures_to_alert,
        ),
        Job(
            "redis-health",
            every=timedelta(seconds=settings.redis_seconds),
            answers_to_alert=settings.failures_to_alert,
        ),
        Job("security-check", every=timedelta(seconds=settings.security_seconds)),
        Job(
            "perf-baseline",
            every=timedelta(seconds=settings.performance_seconds),
            arguments=("create", "--automatic"),
        ),
    )
