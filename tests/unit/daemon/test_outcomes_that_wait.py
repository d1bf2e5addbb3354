"""Outcomes wait in order, through a restart, until they are counted."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nadia.daemon.backlog import MOST, Backlog
from nadia.daemon.conditions import JOB_FAILING, PROBE_NOT_HEALTHY, Observation, Sighting
from nadia.errors import UnavailableError
from nadia.notices import Severity
from nadia.postgres.failures import DatabaseError

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def observation(number: int) -> Observation:
    return Observation(
        job="health-check",
        due_at=AT + timedelta(minutes=5 * number),
        every=timedelta(minutes=5),
        fencing_token=None,
        topics=(JOB_FAILING,),
    )


class Counting:
    """Counts until told not to."""

    def __init__(self, *, limit: int = 1_000_000) -> None:
        self.counted: list[Observation] = []
        self.limit = limit

    async def __call__(self, one: Observation) -> None:
        if len(self.counted) >= self.limit:
            raise UnavailableError("PostgreSQL cannot be reached")
        self.counted.append(one)


async def test_they_are_handed_over_in_order_and_the_file_goes(tmp_path: Path) -> None:
    file = tmp_path / "daemon" / "backlog.jsonl"
    backlog, counting = Backlog(file), Counting()
    for number in range(3):
        backlog.add(observation(number))
    assert file.stat().st_mode & 0o777 == 0o600
    await backlog.hand_over(counting)
    assert counting.counted == [observation(number) for number in range(3)]
    assert len(backlog) == 0
    assert not file.exists()


async def test_what_could_not_be_counted_stays(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path / "backlog.jsonl")
    for number in range(3):
        backlog.add(observation(number))
    with pytest.raises(UnavailableError):
        await backlog.hand_over(Counting(limit=1))
    assert len(backlog) == 2
    counting = Counting()
    await backlog.hand_over(counting)
    assert counting.counted == [observation(1), observation(2)]


async def test_a_restart_finds_them_also_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "backlog.jsonl"
    Backlog(file).add(observation(1))
    with file.open("ab") as stream:
        stream.write(b'{"job": "heal')
    Backlog(file).add(observation(2))
    counting = Counting()
    await Backlog(file).hand_over(counting)
    assert counting.counted == [observation(1), observation(2)]


async def test_one_that_can_never_be_counted_is_dropped_and_holds_up_none(tmp_path: Path) -> None:
    backlog, counting = Backlog(tmp_path / "backlog.jsonl"), Counting()
    for number in range(3):
        backlog.add(observation(number))

    async def refusing(one: Observation) -> None:
        if one == observation(1):
            raise DatabaseError("PostgreSQL refused a statement: UntranslatableCharacter (22P05)")
        await counting(one)

    with capture_logs() as logged:
        await backlog.hand_over(refusing)
    assert counting.counted == [observation(0), observation(2)]
    assert len(backlog) == 0
    assert [entry["event"] for entry in logged].count("daemon.outcome_dropped") == 1


@pytest.mark.parametrize("known", [JOB_FAILING, PROBE_NOT_HEALTHY])
async def test_a_line_of_another_version_is_passed_over(tmp_path: Path, known: str) -> None:
    file = tmp_path / "backlog.jsonl"
    sighting = Sighting(
        topic=PROBE_NOT_HEALTHY, subject="wal", severity=Severity.WARNING, summary="look at it", times_to_tell=1
    )
    newer = observation(1).model_copy(update={"topics": (JOB_FAILING, PROBE_NOT_HEALTHY), "sighted": (sighting,)})
    file.write_text(newer.model_dump_json().replace(known, "health.of_tomorrow") + "\n")
    Backlog(file).add(observation(2))
    counting = Counting()
    await Backlog(file).hand_over(counting)
    assert counting.counted == [observation(2)]


async def test_a_disk_that_takes_nothing_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    backlog, counting = Backlog(tmp_path / "in the way" / "backlog.jsonl"), Counting()
    backlog.add(observation(1))
    await backlog.hand_over(counting)
    assert counting.counted == [observation(1)]


async def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    backlog, counting = Backlog(tmp_path / "backlog.jsonl"), Counting()
    for number in range(MOST + 10):
        backlog.add(observation(number))
    await backlog.hand_over(counting)
    assert len(counting.counted) == MOST
    assert counting.counted[0] == observation(10), "the oldest goes first"
