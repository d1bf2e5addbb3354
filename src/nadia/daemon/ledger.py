"""What must not depend on one process: which slots were begun, and what is wrong and was told of.

A slot is begun in a transaction that checks the daemon's lease, and begun once. An outcome is counted once, in the
transaction that writes its notices, also when it comes late or twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from nadia import notices
from nadia.daemon.conditions import Observation, Sighting, well_again
from nadia.daemon.job import Job
from nadia.daemon.schedule import supersedes
from nadia.notices import Severity
from nadia.postgres.database import Connection, Database, Row
from nadia.postgres.leases import Lease, holds

_KNOW = "INSERT INTO daemon_jobs (job) VALUES (%(job)s) ON CONFLICT (job) DO NOTHING"

# Not finished and not past its end: the former run may still go on, perhaps elsewhere.
_LAST = """
SELECT due_at, fencing_token, counted_due_at, finished_at IS NULL AND due_at IS NOT NULL AS unfinished,
       finished_at IS NULL AND ends_by > clock_timestamp() AS goes_on
FROM daemon_jobs WHERE job = %(job)s FOR UPDATE
"""

_BEGIN = """
UPDATE daemon_jobs SET
    due_at = %(due_at)s, fencing_token = %(fencing_token)s, finished_at = NULL,
    ends_by = clock_timestamp() + %(longest)s
WHERE job = %(job)s
"""

_FINISH = """
UPDATE daemon_jobs SET finished_at = clock_timestamp()
WHERE job = %(job)s AND due_at = %(due_at)s AND fencing_token = %(fencing_token)s AND finished_at IS NULL
"""

_COUNTED = "UPDATE daemon_jobs SET counted_due_at = %(due_at)s WHERE job = %(job)s"

_KNOWN = "SELECT topic, subject, times, told FROM daemon_conditions WHERE job = %(job)s ORDER BY topic, subject"

_SIGHT = """
INSERT INTO daemon_conditions (job, topic, subject, times, told)
VALUES (%(job)s, %(topic)s, %(subject)s, %(times)s, %(told)s)
ON CONFLICT (job, topic, subject) DO UPDATE SET times = excluded.times, told = excluded.told
"""

_END = "DELETE FROM daemon_conditions WHERE job = %(job)s AND topic = %(topic)s AND subject = %(subject)s"

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Refusal(Enum):
    """Why a slot cannot be begun."""

    LEASE_LOST = "another daemon is active"
    BEGUN_BEFORE = "it was begun before"
    STILL_RUNNING = "the former run still went on"


@dataclass(frozen=True, slots=True)
class Begun:
    """A slot that is ours to run.

    Parameters
    ----------
    accounted_for : datetime or None
        The newest slot before it that somebody ran, also without being elected.
    cut_off : datetime or None
        The slot begun before it, if nobody ever saw its end.
    """

    accounted_for: datetime | None
    cut_off: datetime | None


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong.

    Parameters
    ----------
    topic, subject : str
        What.
    times : int
        Runs in a row that found it.
    told : Severity or None
        How badly it was told of; None: not yet.
    """

    topic: str
    subject: str
    times: int
    told: Severity | None


class RunLedger:
    """Reads and writes `daemon_jobs` and `daemon_conditions`.

    Parameters
    ----------
    database : Database
        Where they are.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def begin(
        self, lease: Lease, job: Job, due_at: datetime, *, now: datetime, longest: timedelta
    ) -> Begun | Refusal:
        """Put a run's beginning on record; what is begun here is begun nowhere else.

        Only for a run that this process does not have under way.

        Parameters
        ----------
        lease : Lease
            The daemon's.
        job : Job
            Which.
        due_at : datetime
            The slot.
        now : datetime
            The present.
        longest : timedelta
            After which the run has certainly ended, whatever becomes of this process.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away; the slot may be lost then.
        """
        async with self._database.transaction() as conn:
            if not await holds(conn, lease):
                return Refusal.LEASE_LOST
            last = await _last(conn, job.name)
            previous: datetime | None = last["due_at"]
            if last["unfinished"] and previous == due_at and last["fencing_token"] == lease.fencing_token:
                return Begun(accounted_for=None, cut_off=None)  # by us, who never heard that it was recorded
            if not supersedes(due_at, previous, now=now, every=job.every):
                return Refusal.BEGUN_BEFORE
            if last["goes_on"]:
                return Refusal.STILL_RUNNING
            values = {
                "job": job.name,
                "due_at": due_at,
                "fencing_token": lease.fencing_token,
                "longest": longest,
            }
            await conn.execute(_BEGIN, values)
            known = [slot for slot in (previous, last["counted_due_at"]) if slot is not None]
            return Begun(accounted_for=max(known, default=None), cut_off=previous if last["unfinished"] else None)

    async def finish(self, job: str, due_at: datetime, *, fencing_token: int) -> None:
        """Put on record that a run has ended without saying anything; raises UnavailableError."""
        async with self._database.connection() as conn:
            await conn.execute(_FINISH, {"job": job, "due_at": due_at, "fencing_token": fencing_token})

    async def count(self, observation: Observation, *, now: datetime) -> Sequence[Condition]:
        """Count what a run showed, write the notices that follow, and return what is wrong by now.

        Parameters
        ----------
        observation : Observation
            What it showed, however long ago.
        now : datetime
            The present: only by it can a slot be told that a wrong clock counted from one counted since.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away; counting it again does not count it twice.
        """
        job = observation.job
        async with self._database.transaction() as conn:
            last = await _last(conn, job)
            if observation.fencing_token is not None:
                values = {"job": job, "due_at": observation.due_at, "fencing_token": observation.fencing_token}
                await conn.execute(_FINISH, values)
            if supersedes(observation.due_at, last["counted_due_at"], now=now, every=observation.every):
                await conn.execute(_COUNTED, {"job": job, "due_at": observation.due_at})
                await _update(conn, observation, await _known(conn, job))
            return await _known(conn, job)

    async def conditions(self, job: str) -> Sequence[Condition]:
        """Return what is wrong by a job's runs; raises UnavailableError."""
        async with self._database.connection() as conn:
            return await _known(conn, job)


async def _last(conn: Connection, job: str) -> Row:
    await conn.execute(_KNOW, {"job": job})
    row = await (await conn.execute(_LAST, {"job": job})).fetchone()
    assert row is not None, "it was just inserted, and rows of jobs are never deleted"
    return row


async def _known(conn: Connection, job: str) -> list[Condition]:
    rows = await (await conn.execute(_KNOWN, {"job": job})).fetchall()
    return [
        Condition(
            topic=row["topic"],
            subject=row["subject"],
            times=row["times"],
            told=Severity(row["told"]) if row["told"] else None,
        )
        for row in rows
    ]


async def _update(conn: Connection, observation: Observation, known: Sequence[Condition]) -> None:
    before = {(condition.topic, condition.subject): condition for condition in known}
    for sighting in observation.sighted:
        await _sight(conn, observation.job, sighting, before.pop((sighting.topic, sighting.subject), None))
    for condition in before.values():
        if condition.topic in observation.topics and condition.subject not in observation.in_doubt:
            await conn.execute(_END, {"job": observation.job, "topic": condition.topic, "subject": condition.subject})
            if condition.told is not None:
                await notices.record(conn, well_again(condition.topic, condition.subject, condition.told))


async def _sight(conn: Connection, job: str, sighting: Sighting, before: Condition | None) -> None:
    """Count a sighting, and tell of it: when it was seen often enough, and again if it has become worse."""
    times = (before.times if before else 0) + 1
    told = before.told if before else None
    if times >= sighting.times_to_tell and (told is None or _RANK[sighting.severity] > _RANK[told]):
        told = sighting.severity
        await notices.record(conn, sighting.notice(times))
    values = {
        "job": job,
        "topic": sighting.topic,
        "subject": sighting.subject,
        "times": times,
        "told": told.value if told else None,
    }
    await conn.execute(_SIGHT, values)
