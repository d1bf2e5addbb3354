"""Logs are read whatever state they are in: packed, cut off, garbage, endless, or no files at all."""

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nadia.workflows.error_patterns import Trouble
from nadia.workflows.log_reading import LONGEST_LINE, Reading, regular_files, troubles

SINCE = datetime.now(UTC) - timedelta(hours=24)
LATELY = datetime.now(UTC) - timedelta(hours=1)


def entry(event: str = "batch.parked", level: str = "error", at: datetime = LATELY, **more: object) -> str:
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": stamp, "level": level, "event": event, "logger": "nadia.x", **more})


def read(*paths: Path, reading: Reading | None = None) -> list[Trouble]:
    reading = reading or Reading(bytes_left=10**9)
    return list(troubles(regular_files(paths), since=SINCE, reading=reading))


def log(folder: Path, *lines: str, name: str = "up-1.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_warnings_and_errors_are_found_and_nothing_else(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        entry("started", "info"),
        entry("looked", "debug"),
        entry("slow", "warning", reason="busy"),
        entry("broken", "error"),
        entry("gone", "critical"),
        entry("odd", "info", exception="Traceback (most recent call last):\n  …\nValueError: bad"),
    )

    found = read(path)

    assert [(one.level, one.name, one.words) for one in found] == [
        ("warning", "slow", "busy"),
        ("error", "broken", ""),
        ("critical", "gone", ""),
        ("error", "odd", "ValueError: bad"),
    ]
    assert {one.source for one in found} == {"up-1.jsonl"}
    assert all(abs(one.at - LATELY) < timedelta(seconds=1) for one in found)


def test_what_is_older_is_left_out(tmp_path: Path) -> None:
    path = log(tmp_path, entry("old", at=SINCE - timedelta(minutes=1)), entry("new", at=SINCE + timedelta(minutes=1)))

    assert [one.name for one in read(path)] == ["new"]


def test_a_file_that_was_not_written_since_is_not_opened(tmp_path: Path) -> None:
    path = log(tmp_path, entry())
    os.utime(path, (0, 0))
    reading = Reading(bytes_left=10**9)

    assert read(path, reading=reading) == []
    assert (reading.files, reading.lines) == (0, 0)


@pytest.mark.parametrize(
    ("line", "level", "words"),
    [
        (
            "2999-03-01 10:00:00.123 UTC [387] ERROR:  relation does not exist",
            "error",
            "ERROR:  relation does not exist",
        ),
        ("2999-03-01 10:00:00 UTC [9] FATAL:  no pg_hba.conf entry", "critical", "FATAL:  no pg_hba.conf entry"),
        ("2999-03-01T10:00:00+02:00 WARNING app: low", "warning", "WARNING app: low"),
        ("369:M 01 Mar 2999 10:00:00.123 # Can't save in background: fork: No memory", "warning", "Can't save"),
        ("error: no such file", "error", "error: no such file"),
        ("sqlite3.OperationalError: locked", "error", "sqlite3.OperationalError: locked"),
    ],
)
def test_plain_text_of_others_is_understood(tmp_path: Path, line: str, level: str, words: str) -> None:
    (found,) = read(log(tmp_path, line, name="other.log"))

    assert found.level == level
    assert found.words.startswith(words)


@pytest.mark.parametrize(
    "line",
    [
        "2999-03-01 10:00:00 UTC [387] LOG:  database system is ready",
        "369:M 01 Mar 2999 10:00:00.123 * Ready to accept connections",
        "369:C 01 Mar 2999 10:00:00.123 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo",
        "0 errors, nothing failed",
        "",
    ],
)
def test_plain_text_without_trouble_is_passed_over(tmp_path: Path, line: str) -> None:
    assert read(log(tmp_path, line, name="other.log")) == []


def test_a_traceback_is_one_trouble_by_its_last_line(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        "2999-03-01 10:00:00 INFO at work",
        "Traceback (most recent call last):",
        '  File "x.py", line 3, in <module>',
        "    raise ValueError",
        "",
        "ValueError: nothing there",
        "done",
        name="other.log",
    )

    assert [one.words for one in read(path)] == ["ValueError: nothing there"]


def test_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "up-1.jsonl.2.gz"
    path.write_bytes(gzip.compress(f"{entry('packed')}\n".encode()))

    assert [one.name for one in read(path)] == ["packed"]


def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    reading = Reading(bytes_left=10**9)
    packed = gzip.compress("".join(f"{entry('packed', number=number)}\n" for number in range(20_000)).encode())
    half = tmp_path / "half.jsonl.gz"
    half.write_bytes(packed[: len(packed) // 2])
    no_gzip = tmp_path / "none.jsonl.gz"
    no_gzip.write_bytes(b"this is not gzip")
    cut = log(tmp_path, entry("whole"), entry("cut")[:60])

    found = [one.name for one in read(half, no_gzip, cut, reading=reading)]

    assert found.count("whole") == 1
    assert found.count("packed") > 1_000
    assert reading.unreadable == 2


@pytest.mark.parametrize(
    "garbage",
    [
        os.urandom(100_000),
        b"\x00" * 100_000,
        b"[" * 100_000 + b"\n",
        b'{"level": "error", "event": ' + b"[" * 50_000 + b"\n",
        b'{"timestamp": 5, "level": ["error"], "event": {}}\n',
        b"null\n[]\n7\n{}\n",
        "\u202e\ud83d\n".encode("utf-8", "surrogatepass"),
    ],
    ids=["random", "zeros", "brackets", "deep", "wrong types", "no entries", "surrogates"],
)
def test_garbage_stops_nothing(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "up-1.jsonl"
    path.write_bytes(garbage + f"\n{entry('after it')}\n".encode())

    assert [one.name for one in read(path)][-1] == "after it"


def test_a_line_without_end_is_cut_and_the_next_one_read(tmp_path: Path) -> None:
    path = log(tmp_path, "ERROR: " + "x" * 5 * LONGEST_LINE, entry("after it"))

    found = read(path)

    assert len(found) == 2
    assert len(found[0].words) <= LONGEST_LINE
    assert found[1].name == "after it"


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "bomb.log.gz"
    path.write_bytes(gzip.compress(b"\n" * 3_000_000))
    reading = Reading(bytes_left=1_000)

    assert read(path, reading=reading) == []
    assert reading.is_over
    assert reading.lines == 1_000


def test_reading_stops_when_nobody_waits_any_more(tmp_path: Path) -> None:
    path = log(tmp_path, *(entry() for _ in range(100)))
    reading = Reading(bytes_left=10**9, stopped=lambda: reading.lines >= 10)

    assert len(read(path, reading=reading)) == 10


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    path = log(tmp_path, entry("found once"))
    (tmp_path / "other-name.jsonl").symlink_to(path)

    found = read(*tmp_path.glob("*.jsonl"), tmp_path / "missing.jsonl", Path("/dev/zero"))

    assert [one.name for one in found] == ["found once"]
