"""The daemon's word and the caches' counts: what a check makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.probes.caches import CachesProbe
from nadia.workflows.probe import ScheduledJobsProbe
from nadia.workflows.run_history import RunOutcome
from nadia.workflows.schedule_state import DaemonState, JobState, LastRun

HEALTHY, UNKNOWN, WARNING, CRITICAL = HealthStatus
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERY = 300.0


def run(outcome: RunOutcome = RunOutcome.DONE, *, ago: float = 60, status: HealthStatus = HEALTHY) -> LastRun:
    due = NOW - timedelta(seconds=ago)
    return LastRun(due_at=due, started_at=due, seconds=1.0, outcome=outcome, status=status, summary="…")


def word(last: LastRun | None, *, beat_ago: float = 1, started_ago: float = 10_000) -> DaemonState:
    job = JobState(name="health-check", every_seconds=EVERY, next_at=NOW, last=last)
    return DaemonState(
        by="host/1/ab",
        started_at=NOW - timedelta(seconds=started_ago),
        beat_at=NOW - timedelta(seconds=beat_ago),
        stale_after_seconds=60,
        active=True,
        fencing_token=1,
        vouches_until=NOW,
        outcomes_waiting=0,
        records_waiting=0,
        jobs=[job],
        conditions=[],
    )


async def jobs(state: DaemonState | None, *, expected: bool = True) -> Finding:
    async def read() -> DaemonState | None:
        return state

    return await ScheduledJobsProbe(read=read, expected=expected, clock=lambda: NOW).measure()


async def test_jobs_that_run_as_planned_are_healthy_whatever_they_found() -> None:
    found = await jobs(word(run(status=CRITICAL)))

    assert (found.status, found.summary) == (HEALTHY, "1 job as planned")
    assert found.figures == {"health-check_age_seconds": 60.0, "health-check_outcome": "done"}


@pytest.mark.parametrize("outcome", [RunOutcome.FAILED, RunOutcome.TIMED_OUT, RunOutcome.MISSED])
async def test_a_last_run_without_an_answer_is_a_warning(outcome: RunOutcome) -> None:
    found = await jobs(word(run(outcome)))

    assert (found.status, found.value) == (WARNING, 1)
    assert found.summary == f"health-check {outcome.value.replace('_', ' ')}"


async def test_a_run_that_a_stop_interrupted_is_no_fault() -> None:
    assert (await jobs(word(run(RunOutcome.INTERRUPTED)))).status is HEALTHY


@pytest.mark.parametrize(("ago", "status"), [(2 * EVERY - 1, HEALTHY), (2 * EVERY + 1, WARNING)])
async def test_a_job_that_did_not_run_for_twice_its_interval_is_a_warning(ago: float, status: HealthStatus) -> None:
    assert (await jobs(word(run(ago=ago)))).status is status


async def test_a_daemon_that_has_just_begun_owes_nothing_yet() -> None:
    assert (await jobs(word(None, started_ago=10))).status is HEALTHY
    assert (await jobs(word(run(ago=90_000), started_ago=10))).status is HEALTHY
    assert (await jobs(word(None, started_ago=3 * EVERY))).status is WARNING


async def test_a_daemon_that_fell_silent_is_a_warning() -> None:
    found = await jobs(word(run(), beat_ago=600))

    assert (found.status, found.summary) == (WARNING, "the daemon has said nothing for 10 min")


async def test_no_daemon_is_a_warning_unless_there_should_be_none() -> None:
    assert (await jobs(None)).status is WARNING
    assert (await jobs(None, expected=False)).status is HEALTHY


@dataclass
class Counted:
    """Figures as `FigureHistory` reads them, of look-ups by their label."""

    lookups: dict[str, dict[str, float]]
    label: dict[str, str]

    def labels_of(self, name: str) -> Sequence[dict[str, str]]:
        return [{self.label[name]: value} for value in self.lookups.get(name, {})]

    def increase(self, name: str, **labels: str) -> float:
        return self.lookups[name][labels[self.label[name]]]


PEERS, SILENCES = "nadia_telegram_entity_lookups_total", "nadia_quarantine_status_lookups_total"


async def caches(**lookups: dict[str, float]) -> Finding:
    counted = Counted(
        lookups={PEERS: lookups.get("peers", {}), SILENCES: lookups.get("silences", {})},
        label={PEERS: "result", SILENCES: "answered_by"},
    )

    class History:
        async def read(self, *, since: datetime) -> Counted:
            assert since == NOW - timedelta(hours=1)
            return counted

    return await CachesProbe(figures=History(), percent=80, clock=lambda: NOW).measure()  # type: ignore[arg-type]


async def test_no_look_up_is_healthy() -> None:
    found = await caches()

    assert (found.status, found.summary, found.value) == (HEALTHY, "no look-up in an hour", None)


async def test_calls_saved_are_told() -> None:
    found = await caches(
        peers={"memory": 90.0, "store": 6.0, "telegram": 4.0}, silences={"cache": 99.0, "database": 1.0}
    )

    assert (found.status, found.summary, found.value) == (HEALTHY, "195 of 200 calls saved in an hour", 96.0)
    assert found.figures["silences_percent"] == 99.0


async def test_quiet_processes_that_ask_anew_each_time_are_sound() -> None:
    found = await caches(peers={"memory": 100.0}, silences={"cache": 100.0, "database": 900.0})

    assert (found.status, found.value) == (HEALTHY, 100.0)
    assert (found.summary, found.figures["silences_percent"]) == ("200 of 1100 calls saved in an hour", 10.0)


async def test_a_cold_cache_is_a_warning_once_there_were_enough_look_ups() -> None:
    few = await caches(peers={"telegram": 99.0})
    many = await caches(peers={"telegram": 50.0, "memory": 50.0}, silences={"cache": 500.0})

    assert few.status is HEALTHY
    assert many.status is WARNING
    assert many.summary == "550 of 600 calls saved in an hour; peers only 50 %"
