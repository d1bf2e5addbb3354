"""Outcomes that PostgreSQL has not got yet: in memory, and in a file that a restart finds.

Counting one twice does not matter, so the file may hold more than what is still to be done, and never less.
"""

import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from nadia.daemon import metrics
from nadia.daemon.conditions import Observation
from nadia.errors import UnavailableError

log = structlog.get_logger(__name__)

MOST: Final = 5_000
"""A fortnight of health checks; the oldest go first."""


class Backlog:
    """Keeps observations in order until they are counted.

    Parameters
    ----------
    file : Path
        Where a restart finds them.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting: deque[Observation] = deque(_read(file), maxlen=MOST)
        metrics.WAITING.set(len(self._waiting))
        if self._waiting:
            log.info("daemon.backlog_found", outcomes=len(self._waiting))

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, observation: Observation) -> None:
        """Keep one; a disk that does not take it is said, and memory has it."""
        if len(self._waiting) == MOST:
            log.error("daemon.backlog_full", dropped=self._waiting[0].due_at)
        self._waiting.append(observation)
        metrics.WAITING.set(len(self._waiting))
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                # A line that a killed process left unfinished ends here.
                stream.write(f"\n{observation.model_dump_json()}\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as exc:
            log.warning("daemon.backlog_not_written", reason=exc.strerror)

    async def hand_over(self, count: Callable[[Observation], Awaitable[None]]) -> None:
        """Have all of them counted, oldest first. One that can never be is dropped: the others wait behind it.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away: the rest stays.
        """
        if not self._waiting:
            return
        handed = len(self._waiting)
        while self._waiting:
            first = self._waiting[0]
            try:
                await count(first)
            except UnavailableError:
                raise
            except Exception:
                log.exception("daemon.outcome_dropped", job=first.job, due_at=first.due_at)
            self._waiting.popleft()
            metrics.WAITING.set(len(self._waiting))
        with suppress(OSError):
            self._file.unlink()
        log.info("daemon.caught_up", outcomes=handed)


def _read(file: Path) -> list[Observation]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in filter(None, lines):
        try:
            found.append(Observation.model_validate_json(line))
        except ValidationError:  # of a process that was killed while it wrote, or of another version
            log.warning("daemon.backlog_unreadable", length=len(line))
    return found
