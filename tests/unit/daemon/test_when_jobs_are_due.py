"""Slots: the same for every daemon, without drift, whatever clocks do."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nadia.daemon.job import Job, jobs_of
from nadia.daemon.schedule import Schedule, missed_between, slot_at, supersedes
from nadia.settings.daemon import DaemonSettings

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIVE_MINUTES = Job("health-check", every=timedelta(minutes=5))

moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))
intervals = st.floats(min_value=10, max_value=200_000).map(lambda seconds: timedelta(seconds=round(seconds)))


def schedule(*jobs: Job, jitter_seconds: float = 0.0, draw: float = 0.0) -> Schedule:
    return Schedule(jobs or (FIVE_MINUTES,), jitter_seconds=jitter_seconds, draw=lambda: draw)


@given(now=moments, every=intervals)
def test_a_moment_lies_in_its_slot(now: datetime, every: timedelta) -> None:
    slot = slot_at(now, every)
    assert slot <= now < slot + every
    assert slot_at(slot, every) == slot
    assert slot_at(slot + every, every) == slot + every


def test_the_schedule_is_the_baselines() -> None:
    every = {job.name: job.every for job in jobs_of(DaemonSettings())}
    assert every == {
        "health-check": timedelta(minutes=5),
        "redis-health": timedelta(minutes=10),
        "security-check": timedelta(hours=4),
        "perf-baseline": timedelta(hours=12),
    }
    assert {job.name: job.keep for job in jobs_of(DaemonSettings())} == {
        "health-check": 100,
        "redis-health": 50,
        "security-check": 50,
        "perf-baseline": 50,
    }


def test_a_job_is_due_at_the_first_look_and_then_once_in_each_slot() -> None:
    plan = schedule()
    now = START + timedelta(seconds=17)
    assert plan.due(now) == [(FIVE_MINUTES, START)]
    plan.begun(FIVE_MINUTES, START)
    assert plan.due(now) == []
    assert plan.due(START + timedelta(seconds=299)) == []
    assert plan.due(START + timedelta(seconds=300)) == [(FIVE_MINUTES, START + timedelta(seconds=300))]


def test_it_stays_due_until_it_was_begun() -> None:
    plan = schedule()
    assert plan.due(START) == plan.due(START + timedelta(seconds=200)) == [(FIVE_MINUTES, START)]
    assert plan.next_at(FIVE_MINUTES, START + timedelta(seconds=200)) == START


def test_a_run_is_put_off_by_the_same_random_time_for_its_whole_slot() -> None:
    numbers = random.Random(7)
    plan = Schedule((FIVE_MINUTES,), jitter_seconds=15, draw=numbers.random)
    starts = []
    for slot in (START + number * FIVE_MINUTES.every for number in range(50)):
        first = plan.next_at(FIVE_MINUTES, slot)
        assert plan.next_at(FIVE_MINUTES, slot + timedelta(seconds=1)) == first
        assert plan.due(first - timedelta(microseconds=1)) == ([] if first > slot else plan.due(first))
        assert plan.due(first) == [(FIVE_MINUTES, slot)]
        plan.begun(FIVE_MINUTES, slot)
        starts.append((first - slot).total_seconds())
    assert all(0 <= put_off < 15 for put_off in starts)
    assert len(set(starts)) == 50


def test_a_short_interval_is_not_eaten_by_its_jitter() -> None:
    often = Job("often", every=timedelta(seconds=10))
    plan = schedule(often, jitter_seconds=300, draw=0.999)
    assert plan.next_at(often, START) < START + timedelta(seconds=2.5)


@given(
    every=intervals,
    steps=st.lists(st.floats(min_value=0.001, max_value=90_000), min_size=1, max_size=60),
    draw=st.floats(min_value=0, max_value=0.999),
)
def test_however_irregularly_one_looks_no_slot_is_begun_twice_and_none_out_of_its_time(
    every: timedelta, steps: list[float], draw: float
) -> None:
    job = Job("any", every=every)
    plan, now = schedule(job, jitter_seconds=15, draw=draw), START
    begun: list[datetime] = []
    for step in steps:
        now += timedelta(seconds=step)
        for _, due_at in plan.due(now):
            assert due_at == slot_at(now, every)
            plan.begun(job, due_at)
            begun.append(due_at)
    assert begun == sorted(set(begun))


@given(back=st.floats(min_value=1, max_value=10_000_000))
def test_a_clock_set_back_stops_a_job_for_one_interval_at_most(back: float) -> None:
    plan = schedule()
    plan.begun(FIVE_MINUTES, START)
    wrong = START - timedelta(seconds=back)
    looked = [wrong + timedelta(seconds=5 * number) for number in range(121)]
    assert any(plan.due(moment) for moment in looked)


def test_a_slot_begun_by_a_clock_that_was_years_ahead_counts_for_nothing() -> None:
    years = START + timedelta(days=3_650)
    assert supersedes(START, years, now=START, every=FIVE_MINUTES.every)
    assert not supersedes(START, START, now=START, every=FIVE_MINUTES.every)
    assert not supersedes(START, START + FIVE_MINUTES.every, now=START, every=FIVE_MINUTES.every)
    assert missed_between(years, START, FIVE_MINUTES.every) == 0


def test_what_lies_between_two_runs_was_missed() -> None:
    every = FIVE_MINUTES.every
    assert missed_between(START, START + every, every) == 0
    assert missed_between(START, START + 4 * every, every) == 3
    assert missed_between(START, START + timedelta(minutes=7), every) == 0, "after another interval was set"
