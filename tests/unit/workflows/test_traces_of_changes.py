"""What changed is told from what to what, without secrets, on one line of time."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nadia.workflows.change_sources import (
    Change,
    WatchedFile,
    code_changed,
    difference,
    files_changed,
    in_a_row,
)

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"role": "viewer"}, {"role": "admin"}, "role: viewer → admin"),
        ({}, {"reason": "night"}, "reason: night"),
        ({"until": "noon"}, {}, "until: noon → nothing"),
        ({"same": 1, "other": 2}, {"same": 1, "other": 3}, "other: 2 → 3"),
        ({}, {}, ""),
        ({"password": "old"}, {"password": "new"}, "password: *** → ***"),
        ({}, {"url": "postgresql://nadia:hunter2@db"}, "url: postgresql://nadia:***@db"),
    ],
)
def test_difference(before: dict[str, object], after: dict[str, object], words: str) -> None:
    assert difference(before, after) == words


def test_a_difference_is_brief() -> None:
    assert len(difference({}, {f"field {number}": "x" * 1_000 for number in range(50)})) <= 101


def test_changes_stand_newest_first_and_alike_ones_in_one_row() -> None:
    def change(minutes: int, who: str = "anna", what: str = "logged in", detail: str = "") -> Change:
        return Change(at=NOW - timedelta(minutes=minutes), who=who, what=what, detail=detail)

    rows = in_a_row([change(9), change(1), change(2), change(5, what="paused"), change(3), change(4, detail="x")])

    assert [((NOW - row.at) // timedelta(minutes=1), row.what, row.detail, row.times) for row in rows] == [
        (1, "logged in", "", 3),
        (4, "logged in", "x", 1),
        (5, "paused", "", 1),
        (9, "logged in", "", 1),
    ]


def test_files_tell_when_they_were_written_and_missing_ones_nothing(tmp_path: Path) -> None:
    persona = tmp_path / "persona.txt"
    persona.write_text("Be kind.")
    os.utime(persona, (1_000_000_000, 1_000_000_000))

    (change,) = files_changed([WatchedFile(persona, "persona"), WatchedFile(tmp_path / "none", "model registry")])

    assert (change.what, change.detail) == ("persona written", str(persona))
    assert change.at == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


def test_code_is_told_as_one_change_that_names_a_few_files(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"part_{number}.py").write_text("")
    os.utime(tmp_path / "part_0.py", (1, 1))
    since = NOW - timedelta(hours=1)

    code = [change for change in code_changed(tmp_path, since=since) if change.what == "NADIA's code written"]

    assert len(code) == 1
    assert code[0].detail.endswith("and 5 more")
    assert "part_0.py" not in code[0].detail
    assert list(code_changed(tmp_path, since=NOW + timedelta(days=1))) == []
