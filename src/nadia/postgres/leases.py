"""What exactly one process may do at a time, until it says no more or falls silent.

A lease is a row with holder, expiry by the database's clock, and a fencing token that every transaction under it
checks. A holder stops before the expiry by its own monotonic clock; a successor waits for the expiry plus a grace,
longer than any transaction of the holder may still run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from nadia.postgres.database import Connection, Database

# Free, expired beyond its grace, or left behind by a process of the same home that is surely dead.
_ACQUIRE = """
INSERT INTO leases AS held (name, holder, fencing_token, expires_at)
VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + %(lease)s)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder, fencing_token = held.fencing_token + 1, expires_at = clock_timestamp() + %(lease)s
WHERE held.expires_at IS NULL OR held.expires_at + %(grace)s < clock_timestamp()
   OR %(succeeds)s <> '' AND split_part(held.holder, '/', 1) = %(succeeds)s
RETURNING fencing_token
"""

_RENEW = """
UPDATE leases SET expires_at = clock_timestamp() + %(lease)s
WHERE name = %(name)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
RETURNING name
"""

_RELEASE = """
UPDATE leases SET holder = NULL, expires_at = NULL WHERE name = %(name)s AND fencing_token = %(fencing_token)s
"""

# The share lock holds up a take-over until the caller's transaction has ended.
_HOLDS = """
SELECT name FROM leases
WHERE name = %(name)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
FOR SHARE
"""

SAFETY_SECONDS: Final = 1.0
"""How long before its expiry a holder stops by its own clock."""

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Return seconds that go on while the machine is suspended, where its kernel counts them: an expiry does."""
    return time.clock_gettime(_CLOCK)


def deadline_of(begun: float, lease_seconds: float) -> float:
    """Return when a holder must have stopped, given its clock when it asked: the answer may have taken a while."""
    return begun + lease_seconds - SAFETY_SECONDS


@dataclass(slots=True, kw_only=True)
class Tenure:
    """For how long this process may do what one process may do at a time.

    Parameters
    ----------
    fencing_token : int
        Checked by every transaction; a successor's is higher.
    deadline : float
        Seconds by the process's clock at which this process must have stopped, unless renewed.
    monotonic : callable
        The process's clock, seconds.
    """

    fencing_token: int
    deadline: float
    monotonic: Callable[[], float] = field(default=uptime, repr=False)

    @property
    def lives(self) -> bool:
        """Whether this process may still act, by its own clock."""
        return self.remaining > 0

    @property
    def remaining(self) -> float:
        """Seconds for which this process may still act, by its own clock."""
        return max(0.0, self.deadline - self.monotonic())


@dataclass(slots=True, kw_only=True)
class Lease(Tenure):
    """A thing that this process alone may do.

    Parameters
    ----------
    name : str
        Which.
    """

    name: str


class Leases:
    """Acquires, renews and gives up leases.

    Parameters
    ----------
    database : Database
        Where the rows are.
    holder : str
        Names this process, as ``<home or host>/<pid>/<random>``; the first part holds no ``/``.
    lease_seconds : float
        How long a lease lives without renewal; longer than the second that a holder stops early.
    grace_seconds : float
        How much longer a successor waits.
    succeeds : str
        First part of the holder's name of processes that are surely dead, because their home's lock is ours.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        holder: str,
        lease_seconds: float,
        grace_seconds: float,
        succeeds: str = "",
        monotonic: Callable[[], float] = uptime,
    ) -> None:
        if holder.startswith("/"):
            raise ValueError("the first part of a holder's name is empty: it must tell processes of one home apart")
        if lease_seconds <= SAFETY_SECONDS:
            raise ValueError(f"a lease of {lease_seconds} s is over before it begins: {SAFETY_SECONDS} s are kept back")
        self._database = database
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._grace = timedelta(seconds=grace_seconds)
        self._succeeds = succeeds
        self._monotonic = monotonic

    async def acquire(self, name: str) -> Lease | None:
        """Become the holder; None while another process is."""
        begun = self._monotonic()
        values = {
            "name": name,
            "holder": self._holder,
            "lease": timedelta(seconds=self._lease_seconds),
            "grace": self._grace,
            "succeeds": self._succeeds,
        }
        async with self._database.connection() as conn:
            row = await (await conn.execute(_ACQUIRE, values)).fetchone()
        if row is None:
            return None
        return Lease(
            name=name,
            fencing_token=row["fencing_token"],
            deadline=deadline_of(begun, self._lease_seconds),
            monotonic=self._monotonic,
        )

    async def renew(self, lease: Lease) -> bool:
        """Prolong a lease; False if it is lost, and this process must stop what it does under it."""
        begun = self._monotonic()
        values = {
            "name": lease.name,
            "fencing_token": lease.fencing_token,
            "lease": timedelta(seconds=self._lease_seconds),
        }
        async with self._database.connection() as conn:
            kept = await (await conn.execute(_RENEW, values)).fetchone()
        lease.deadline = begun if kept is None else deadline_of(begun, self._lease_seconds)
        return kept is not None

    async def release(self, lease: Lease) -> None:
        """Give a lease up: the next holder need not wait."""
        async with self._database.connection() as conn:
            await conn.execute(_RELEASE, {"name": lease.name, "fencing_token": lease.fencing_token})


async def holds(conn: Connection, lease: Lease) -> bool:
    """Tell whether the lease is still its holder's, and stays it until the caller's transaction ends."""
    values = {"name": lease.name, "fencing_token": lease.fencing_token}
    return await (await conn.execute(_HOLDS, values)).fetchone() is not None
