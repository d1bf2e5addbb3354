"""What the daemon last said of itself, and where others read it: in Redis, and in a file of its home.

Pages, assistants and the outside watcher's dead-man's switch judge by it whether anybody still looks.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from pydantic import AwareDatetime, ConfigDict, ValidationError

from nadia.documented import Documented
from nadia.errors import UnavailableError
from nadia.health.models import Figure, HealthStatus
from nadia.redis.commands import Command, SendsCommands
from nadia.redis.keys import DAEMON_STATUS
from nadia.severity import Severity
from nadia.workflows.run_history import RunOutcome

log = structlog.get_logger(__name__)

SCHEMA_VERSION: Final = 1

OLDEST_SECONDS: Final = 86_400
"""A word that old says nothing any more, not even who it was."""


def state_file(home: Path) -> Path:
    """Return where a home's daemon says how it is; its time of change is the heartbeat of who watches files."""
    return home / "daemon" / "heartbeat.json"


class _Part(Documented):
    model_config = ConfigDict(extra="forbid")


class LastRun(_Part):
    """A job's last run, in short."""

    due_at: AwareDatetime
    started_at: AwareDatetime | None
    seconds: Figure | None
    outcome: RunOutcome
    status: HealthStatus
    summary: str


class JobState(_Part):
    """One job of the schedule."""

    name: str
    every_seconds: Figure
    next_at: AwareDatetime
    running_since: AwareDatetime | None = None
    waits_for: str | None = None
    """Why it does not run although it is due."""
    last: LastRun | None = None


class ConditionState(_Part):
    """Something that is wrong by the runs of a job."""

    job: str
    topic: str
    subject: str
    times: int
    """Runs in a row that found it."""
    told: Severity | None
    """How badly it was told of; null while it was not seen often enough."""


class DaemonState(_Part):
    """What a daemon says of itself."""

    schema_version: int = SCHEMA_VERSION
    by: str
    """Which process."""
    started_at: AwareDatetime
    beat_at: AwareDatetime
    """When it said so."""
    stale_after_seconds: Figure
    """So long it is worth something."""
    active: bool
    """Whether it is the one that runs the schedule; otherwise none can be elected, because PostgreSQL is away."""
    fencing_token: int | None
    vouches_until: AwareDatetime
    """Without another answer of the health check, this daemon vouches for nothing from then on."""
    outcomes_waiting: int
    """Outcomes that PostgreSQL has not got yet, and with them the notices that follow from them."""
    records_waiting: int
    """Records that the history in Redis has not got yet."""
    jobs: list[JobState]
    conditions: list[ConditionState]

    def is_current(self, now: datetime) -> bool:
        """Tell whether the daemon still beats."""
        return abs(now - self.beat_at) <= timedelta(seconds=self.stale_after_seconds)

    def vouches(self, now: datetime) -> bool:
        """Tell whether somebody looks after the installation: beats, is active, and gets answers."""
        return self.is_current(now) and self.active and now <= self.vouches_until


class ScheduleState:
    """Writes and reads it.

    Parameters
    ----------
    redis : SendsCommands
        Where everybody reads.
    file : Path
        Where those on the same machine read when Redis is away.
    """

    def __init__(self, *, redis: SendsCommands, file: Path) -> None:
        self._redis = redis
        self._file = file

    async def read(self) -> DaemonState | None:
        """Return the newest word there is; None if there is none.

        Raises
        ------
        UnavailableError
            If Redis is away and the file has nothing.
        """
        return await latest_state(self._redis, self._file)

    def write_file(self, state: DaemonState) -> None:
        """Put it into the file, whole or not at all; raises OSError."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(state.model_dump_json())
        draft.replace(self._file)

    async def publish(self, state: DaemonState) -> bool:
        """Put it into Redis and tell whether there was an earlier word; raises UnavailableError."""
        said = Command(("SET", DAEMON_STATUS, state.model_dump_json(), "EX", OLDEST_SECONDS, "GET"))
        return (await self._redis.send([said]))[0] is not None


async def latest_state(redis: SendsCommands, file: Path) -> DaemonState | None:
    """Return the newest word there is; None if there is none.

    Raises
    ------
    UnavailableError
        If Redis is away and the file has nothing.
    """
    found = [state for state in (_read_file(file),) if state is not None]
    try:
        (text,) = await redis.send([Command(("GET", DAEMON_STATUS))])
    except UnavailableError:
        if not found:
            raise
    else:
        if text is not None and (state := _decode(str(text))) is not None:
            found.append(state)
    return max(found, key=lambda state: state.beat_at, default=None)


def _read_file(file: Path) -> DaemonState | None:
    try:
        return _decode(file.read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _decode(text: str) -> DaemonState | None:
    """Read a word; None of one that another version wrote or something damaged."""
    try:
        return DaemonState.model_validate_json(text)
    except ValidationError as exc:
        log.warning("daemon.state_unreadable", problems=exc.error_count())
        return None
