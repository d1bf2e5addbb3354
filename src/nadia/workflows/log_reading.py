"""Reading what went wrong from log files: NADIA's own JSON lines, PostgreSQL's, Redis's, and plain text of others.

A file may be huge, packed, cut off, or no text at all: it is read once, a line at a time, and no line is kept.
"""

import gzip
import json
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nadia.workflows.error_patterns import Trouble

LONGEST_LINE: Final = 65_536
"""Bytes; of a longer line the rest is left out."""

_STAMP: Final = re.compile(rb'\{"timestamp": "([^"]{19,40})", "level": "(\w{1,20})"')
"""How NADIA's own lines begin; telling old and quiet ones apart without parsing makes a gigabyte bearable."""

_QUIET: Final = (b"info", b"debug")

_SAID_BY: Final = ("error", "reason", "message", "detail", "summary")
"""Attributes that say what went wrong, where the event's name alone does not."""

_NOTICE: Final = "notice.recorded"
"""PostgreSQL has the notice itself."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?\d*\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_REDIS_LINE = re.compile(r"\d+:[A-Z] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)\.\d+ ([.\-*#]) (.*)")
_REDIS_TROUBLE = re.compile(
    r"(?i)\b(warning|err(or)?|fail\w*|fatal|can't|cannot|unable|denied|crash\w*|corrupt\w*|out of)\b"
)
_WORD = re.compile(
    r"\b(WARN(?:ING)?|ERROR|CRITICAL|FATAL|PANIC)\b|\b(?:error|warning|critical|fatal|panic)(?=:|\s{2,}|\])"
)
_EXCEPTION = re.compile(r"[\w.]{1,100}(?:Error|Exception|Interrupt|Exit|Warning|Group)\b")
_TRACEBACK: Final = "Traceback (most recent call last):"
_LEVELS: Final = {"WARN": "warning", "WARNING": "warning", "ERROR": "error"}


@dataclass(slots=True)
class Reading:
    """How far a reading got.

    Parameters
    ----------
    bytes_left : int
        How much more may be read, bytes, unpacked.
    stopped : callable
        Whether nobody waits for the answer any more.
    """

    bytes_left: int
    stopped: Callable[[], bool] = lambda: False
    files: int = 0
    lines: int = 0
    unreadable: int = 0
    """Files that could not be read, or not to their end."""

    @property
    def is_over(self) -> bool:
        """Whether to read no further."""
        return self.bytes_left <= 0 or self.stopped()


def regular_files(paths: Iterable[Path]) -> list[Path]:
    """Return those that are files, each once however many names lead to it, the newest first."""
    found: dict[tuple[int, int], tuple[float, Path]] = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found.setdefault((status.st_dev, status.st_ino), (status.st_mtime, path))
    return [path for _, path in sorted(found.values(), reverse=True)]


def troubles(files: Sequence[Path], *, since: datetime, reading: Reading) -> Iterator[Trouble]:
    """Yield what went wrong by the files, from a moment on; an entry without a time counts as of its file's.

    Parameters
    ----------
    files : sequence of Path
        As `regular_files` gives them.
    since : datetime
        What is older is left out.
    reading : Reading
        Bounds, and what came of it.
    """
    for path in files:
        try:
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if written >= since:
                reading.files += 1
                yield from _of_file(path, written=written, since=since, reading=reading)
        except (OSError, EOFError, zlib.error):
            reading.unreadable += 1
        if reading.is_over:
            return


def _of_file(path: Path, *, written: datetime, since: datetime, reading: Reading) -> Iterator[Trouble]:
    source, cutoff = path.name, since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    at, in_traceback = written, False
    for line in _lines(path, reading):
        stamp = _STAMP.match(line)
        if stamp and (stamp[1] < cutoff or (stamp[2] in _QUIET and b'"exception": ' not in line)):
            continue
        text = line.decode("utf-8", "replace").strip()
        if text.startswith("{"):
            found = _of_json(text, source=source, at=written)
        elif in_traceback and (text == "" or line[:1] in b" \t"):
            continue
        elif text.startswith(_TRACEBACK):
            in_traceback = True
            continue
        elif in_traceback:
            in_traceback = False
            found = Trouble(at=at, level="error", name="", words=text, source=source)
        else:
            at = _time_in(text) or at
            found = _of_text(text, source=source, at=at)
        if found is not None and found.at >= since:
            yield found


def _lines(path: Path, reading: Reading) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while not reading.is_over and (line := file.readline(LONGEST_LINE)):
            reading.bytes_left -= len(line)
            reading.lines += 1
            yield line
            while not line.endswith(b"\n") and len(line) == LONGEST_LINE and not reading.is_over:
                line = file.readline(LONGEST_LINE)  # the rest of a long one
                reading.bytes_left -= len(line)


def _of_json(text: str, *, source: str, at: datetime) -> Trouble | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):  # cut off, or never JSON
        return None
    if not isinstance(entry, dict) or entry.get("event") == _NOTICE:
        return None
    level = _LEVELS.get(str(entry.get("level", "")).upper(), str(entry.get("level", "")).lower())
    exception = str(entry.get("exception") or "").strip()
    if level not in ("warning", "error", "critical", "fatal") and not exception:
        return None
    words = [str(entry[name]) for name in _SAID_BY if entry.get(name)]
    if exception:
        words.append(exception.splitlines()[-1])
    return Trouble(
        at=_time_in(str(entry.get("timestamp", ""))) or at,
        level="critical" if level == "fatal" else level if level in ("warning", "critical") else "error",
        name=str(entry.get("event", "")),
        words="; ".join(words),
        source=source,
    )


def _of_text(text: str, *, source: str, at: datetime) -> Trouble | None:
    if match := _REDIS_LINE.match(text):
        if match[2] != "#" or not _REDIS_TROUBLE.search(match[3]):
            return None  # it says "#" of starting, too
        with suppress(ValueError):
            at = datetime.strptime(match[1], "%d %b %Y %H:%M:%S").replace(tzinfo=UTC)
        return Trouble(at=at, level="warning", name="", words=match[3], source=source)
    if match := _WORD.search(text[:400]):
        word = match[0].upper()
        return Trouble(at=at, level=_LEVELS.get(word, "critical"), name="", words=text[match.start() :], source=source)
    if _EXCEPTION.match(text):
        return Trouble(at=at, level="error", name="", words=text, source=source)
    return None


def _time_in(text: str) -> datetime | None:
    match = _TIME.search(text[:80])
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "UTC", "GMT") else zone
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0'):0<6}{zone}").astimezone(UTC)
    return None
