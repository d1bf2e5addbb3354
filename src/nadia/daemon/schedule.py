"""When each job is due.

Time is divided into slots of a job's interval, counted since 1970: every daemon knows the same ones without asking,
nothing drifts, and a jump of the clock only changes which slot it is. The slot that it is is due until it was begun or
is over; then it was missed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nadia.daemon.job import Job

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MOST_OF_A_SLOT: Final = 0.25
"""Share of its slot by which a run may be put off."""


def slot_at(now: datetime, every: timedelta) -> datetime:
    """Return the beginning of the slot that a moment lies in."""
    return now - (now - _EPOCH) % every


def missed_between(begun: datetime, due_at: datetime, every: timedelta) -> int:
    """Return how many slots lie between two that were begun; none where a clock was set back."""
    return max(0, (due_at - begun) // every - 1)


def supersedes(due_at: datetime, begun: datetime | None, *, now: datetime, every: timedelta) -> bool:
    """Tell whether a slot comes after the last one begun.

    One that lies further ahead than the next was begun by a clock that was wrong, and counts for nothing.
    """
    return begun is None or begun < due_at or begun > now + every


@dataclass(slots=True)
class _Planned:
    due_at: datetime
    start_at: datetime


class Schedule:
    """Knows what is due, and when something will be.

    Parameters
    ----------
    jobs : sequence of Job
        What is to be run.
    jitter_seconds : float
        Most by which a run is put off after the beginning of its slot.
    draw : callable
        Returns a random number from 0 to below 1.
    """

    def __init__(self, jobs: Sequence[Job], *, jitter_seconds: float, draw: Callable[[], float]) -> None:
        self.jobs = tuple(jobs)
        self._jitter_seconds = jitter_seconds
        self._draw = draw
        self._begun: dict[str, datetime] = {}
        self._planned: dict[str, _Planned] = {}

    def begun(self, job: Job, due_at: datetime) -> None:
        """Remember that a slot's run was begun, here or by another daemon."""
        self._begun[job.name] = due_at

    def due(self, now: datetime) -> list[tuple[Job, datetime]]:
        """Return the jobs to begin now, each with the beginning of its slot."""
        found = []
        for job in self.jobs:
            planned = self._plan(job, now)
            if self._is_open(job, planned.due_at, now) and planned.start_at <= now:
                found.append((job, planned.due_at))
        return found

    def next_at(self, job: Job, now: datetime) -> datetime:
        """Return when a job will be begun next; in the past if it is waiting to be."""
        planned = self._plan(job, now)
        return planned.start_at if self._is_open(job, planned.due_at, now) else planned.due_at + job.every

    def _is_open(self, job: Job, due_at: datetime, now: datetime) -> bool:
        return supersedes(due_at, self._begun.get(job.name), now=now, every=job.every)

    def _plan(self, job: Job, now: datetime) -> _Planned:
        """Return the present slot with its put-off beginning, drawn once."""
        due_at = slot_at(now, job.every)
        planned = self._planned.get(job.name)
        if planned is None or planned.due_at != due_at:
            most = min(self._jitter_seconds, job.every.total_seconds() * _MOST_OF_A_SLOT)
            planned = _Planned(due_at=due_at, start_at=due_at + timedelta(seconds=most * self._draw()))
            self._planned[job.name] = planned
        return planned
