"""Log entries in files of this machine: one a process, put aside by size, and bounded in all.

A process holds a lock on the file that it writes, so that whoever makes room can tell it from a dead process's, also
where several containers share a folder.
"""

import fcntl
import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

MOST_FILES: Final = 100
"""A process that fails and is begun again over and over leaves small files, which their size would not bound."""

_TRY_AGAIN_SECONDS: Final = 10.0
_NAME = re.compile(r"[a-z]+-\d+(-\d+)?\.jsonl(\.\d+)?")


class LogFile(logging.Handler):
    """Writes entries to ``<folder>/<role>-<pid>.jsonl``; a full disk or a folder without access stops nobody.

    In another container that shares the folder a process may have the same number: the second one writes
    ``<role>-<pid>-2.jsonl``.

    Parameters
    ----------
    folder : Path
        Where the files are; made with mode 0700 when first used.
    role : str
        What the process does, in lower-case letters.
    file_bytes : int
        Size at which a file is put aside.
    total_bytes : int
        Most that all files of the folder may take; the oldest go first.
    """

    def __init__(self, *, folder: Path, role: str, file_bytes: int, total_bytes: int) -> None:
        super().__init__()
        self._process = f"{role}-{os.getpid()}"
        self.path = folder / f"{self._process}.jsonl"
        self._folder = folder
        self._file_bytes = file_bytes
        self._total_bytes = total_bytes
        self._fd: int | None = None
        self._size = 0
        self._lost = 0
        self._try_again_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write an entry; one that cannot be is counted."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except Exception:  # the stream's handler says what is wrong with the entry
            return
        if self._lost and time.monotonic() < self._try_again_at:
            self._lost += 1
            return
        try:
            self._write(line)
        except OSError as exc:
            self._give_up(exc)
        else:
            lost, self._lost = self._lost, 0
            if lost:
                log.warning("log_file.back", file=str(self.path), lost=lost)

    def close(self) -> None:
        """Close the file; another entry would open it again."""
        self.acquire()
        try:
            self._close_file()
        finally:
            self.release()
        super().close()

    def _write(self, line: bytes) -> None:
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:  # somebody removed it
            self._close_file()
        if self._fd is not None and self._size and self._size + len(line) > self._file_bytes:
            self._put_aside()
        fd = self._open_file() if self._fd is None else self._fd
        written = os.write(fd, line)
        self._size += written
        if written < len(line):
            # Half a line must not run into the next one.
            os.ftruncate(fd, self._size - written)
            raise OSError("no room for a whole entry")

    def _open_file(self) -> int:
        for folder in (self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = self._lock_file()
        self._fd, self._size = fd, os.fstat(fd).st_size
        self._make_room()
        return fd

    def _lock_file(self) -> int:
        """Open the first file of this process's number that nobody else writes."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        number = 1
        while True:
            self.path = self._folder / f"{self._process}{f'-{number}' if number > 1 else ''}.jsonl"
            fd = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                number += 1
            except OSError:  # where there are no locks, it is only its age that keeps it
                return fd
            else:
                return fd

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _put_aside(self) -> None:
        """Give the file the next number; the higher, the younger."""
        beside = self._folder.glob(f"{self.path.name}.*")
        numbers = [int(suffix) for path in beside if (suffix := path.suffix[1:]).isdigit()]
        self.path.rename(f"{self.path}.{max(numbers, default=0) + 1}")
        self._close_file()

    def _make_room(self) -> None:
        """Remove the oldest files that nobody writes, until another full one fits in."""
        found = []
        for path in self._folder.iterdir():
            with suppress(OSError):  # another process was faster
                if _NAME.fullmatch(path.name) and path != self.path:
                    status = path.lstat()
                    found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found) + self._file_bytes
        for place, (_, size, path) in enumerate(sorted(found)):
            if total <= self._total_bytes and len(found) - place < MOST_FILES:
                return
            if not _is_written(path):
                path.unlink(missing_ok=True)
                total -= size

    def _give_up(self, problem: OSError) -> None:
        """Count a lost entry, and say so with the first."""
        self._close_file()
        self._lost += 1
        self._try_again_at = time.monotonic() + _TRY_AGAIN_SECONDS
        if self._lost == 1:
            reason = os.strerror(problem.errno) if problem.errno else str(problem)
            log.warning("log_file.failed", file=str(self.path), reason=reason)
            self._lost = 1  # this telling apart


def _is_written(path: Path) -> bool:
    """Say whether a living process writes to a file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
