"""Log entries in files: complete, private, bounded, and never in anybody's way."""

import fcntl
import io
import json
import logging
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from nadia import log_files
from nadia.log_files import LogFile
from nadia.logs import configure_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Whatever a test configures, the next one starts with what was there."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "logs"


def log_to(folder: Path, stream: io.StringIO, *, file_bytes: int = 1_000_000, total_bytes: int = 10_000_000) -> LogFile:
    file = LogFile(folder=folder, role="worker", file_bytes=file_bytes, total_bytes=total_bytes)
    configure_logging(stream=stream, file=file)
    return file


def entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk does: what fits is written, the rest is not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_entry_is_in_the_file_as_json_scrubbed_and_for_its_owner_only(folder: Path, stream: io.StringIO) -> None:
    file = log_to(folder, stream)
    structlog.get_logger("nadia.test").warning("a.b", batch_id=7, password="hunter2-hunter2", text="größer\n")
    (entry,) = entries(file.path)
    assert entry | {"timestamp": ""} == {
        "timestamp": "",
        "level": "warning",
        "event": "a.b",
        "logger": "nadia.test",
        "batch_id": 7,
        "password": "***",
        "text": "größer\n",
    }
    assert file.path.name == f"worker-{os.getpid()}.jsonl"
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder, file.path)] == [0o700, 0o700, 0o600]
    assert "a.b" in stream.getvalue()


def test_a_full_file_is_put_aside_and_all_together_stay_below_the_bound(folder: Path, stream: io.StringIO) -> None:
    log_to(folder, stream, file_bytes=2_000, total_bytes=10_000)
    log = structlog.get_logger("nadia.test")
    for number in range(500):
        log.info("a.b", number=number)
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert max(sizes) <= 2_000
    assert 6_000 < sum(sizes) <= 10_000
    kept = sorted(
        int(str(entry["number"])) for path in folder.iterdir() for entry in entries(path) if entry["event"] == "a.b"
    )
    assert kept == list(range(kept[0], 500))  # the newest, without a gap


def test_an_entry_larger_than_a_file_is_written_all_the_same(folder: Path, stream: io.StringIO) -> None:
    file = log_to(folder, stream, file_bytes=1_000)
    log = structlog.get_logger("nadia.test")
    for size in (5_000, 5_000):
        log.info("a.b", value="x" * size)
    assert len(entries(file.path)) == 1
    assert len(list(folder.iterdir())) == 2


def test_files_of_dead_processes_make_room_and_those_of_the_living_stay(folder: Path, stream: io.StringIO) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(("bot-11.jsonl", "bot-12.jsonl.3", "api-13.jsonl")):
        (folder / name).write_bytes(b"x" * 4_000)
        os.utime(folder / name, (number, number))
    (folder / "notes.txt").write_bytes(b"x" * 4_000)
    living = (
        "import fcntl,sys; f=open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", living, str(folder / "bot-11.jsonl")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        log_to(folder, stream, file_bytes=1_000, total_bytes=9_500)
        structlog.get_logger("nadia.test").info("a.b")
        left = {path.name for path in folder.iterdir()}
        child.communicate(b"\n")
    assert left == {"bot-11.jsonl", "api-13.jsonl", "notes.txt", f"worker-{os.getpid()}.jsonl"}


def test_a_process_that_begins_over_and_over_leaves_a_bounded_number_of_files(
    folder: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MOST_FILES", 5)
    folder.mkdir(parents=True)
    for number in range(50):
        (folder / f"bot-{number + 100_000_000}.jsonl").write_text("{}\n")
    log_to(folder, stream)
    structlog.get_logger("nadia.test").info("a.b")
    assert len(list(folder.iterdir())) <= 5


def test_a_full_disk_stops_nobody_is_told_once_and_leaves_no_half_line(
    folder: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "_TRY_AGAIN_SECONDS", 0.0)
    file = log_to(folder, stream)
    log = structlog.get_logger("nadia.test")
    log.info("first")
    with room_for(file.path.stat().st_size + 30):
        for _ in range(50):
            log.info("lost")
    log.info("last")
    assert [entry["event"] for entry in entries(file.path)] == ["first", "last", "log_file.back"]
    assert entries(file.path)[-1]["lost"] == 50
    assert stream.getvalue().count("log_file.failed") == 1
    assert stream.getvalue().count(" lost") >= 50  # the stream has them


def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path, stream: io.StringIO) -> None:
    (tmp_path / "home").write_text("a file")
    log_to(tmp_path / "home" / "logs", stream)
    for _ in range(3):
        structlog.get_logger("nadia.test").info("a.b")
    assert stream.getvalue().count("log_file.failed") == 1
    assert stream.getvalue().count("a.b") == 3


def test_a_file_that_somebody_removed_is_begun_again(folder: Path, stream: io.StringIO) -> None:
    file = log_to(folder, stream)
    log = structlog.get_logger("nadia.test")
    log.info("first")
    file.path.unlink()
    log.info("second")
    assert [entry["event"] for entry in entries(file.path)] == ["second"]


def test_a_process_of_the_same_number_in_another_container_writes_a_file_of_its_own(
    folder: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    taken = folder / f"worker-{os.getpid()}.jsonl"
    with taken.open("ab", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b'{"event": "theirs"}\n')
        monkeypatch.setattr(log_files, "_TRY_AGAIN_SECONDS", 0.0)
        file = log_to(folder, stream, file_bytes=1_000)
        log = structlog.get_logger("nadia.test")
        log.info("ours")
        other.write(b'{"event": "theirs, too"}\n')
        with room_for(file.path.stat().st_size + 30):
            log.info("lost")
        for _ in range(20):
            log.info("ours")
        assert [entry["event"] for entry in entries(taken)] == ["theirs", "theirs, too"]
        assert file.path.name == f"worker-{os.getpid()}-2.jsonl"
        assert (folder / f"worker-{os.getpid()}-2.jsonl.1").exists()
        assert not (folder / f"worker-{os.getpid()}.jsonl.1").exists()


def test_nothing_is_written_through_a_link_that_lies_in_the_way(
    folder: Path, stream: io.StringIO, tmp_path: Path
) -> None:
    folder.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (folder / f"worker-{os.getpid()}.jsonl").symlink_to(precious)
    log_to(folder, stream)
    structlog.get_logger("nadia.test").info("a.b")
    assert precious.read_text() == "kept"
    assert "log_file.failed" in stream.getvalue()


def test_without_an_entry_there_is_no_file(folder: Path, stream: io.StringIO) -> None:
    log_to(folder, stream)
    assert not folder.exists()
