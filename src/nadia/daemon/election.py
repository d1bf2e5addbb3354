"""Which of several daemons is the active one, and whether this one is."""

from collections.abc import Callable
from enum import Enum
from typing import Final

import structlog

from nadia.daemon import metrics
from nadia.daemon.patience import answered
from nadia.errors import NadiaError, UnavailableError
from nadia.postgres.leases import Lease, Leases, uptime

log = structlog.get_logger(__name__)

LEASE: Final = "daemon"
"""Name of the lease."""


class Standing(Enum):
    """What a daemon is to do."""

    ACTIVE = "active"
    """It runs the schedule."""
    WAITING = "waiting"
    """Another does."""
    NOBODY = "nobody"
    """PostgreSQL is away: no daemon can know."""


class Election:
    """Stands for the lease, and keeps it.

    Parameters
    ----------
    leases : Leases
        Where it is.
    every_seconds : float
        Time between two signs of life, or two tries; a third of the lease, so that one may be lost.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(self, leases: Leases, *, every_seconds: float, monotonic: Callable[[], float] = uptime) -> None:
        self._leases = leases
        self._every_seconds = every_seconds
        self._monotonic = monotonic
        self._lease: Lease | None = None
        self._again_at = monotonic()
        self._is_away = False

    @property
    def lease(self) -> Lease | None:
        """The lease, while this daemon may act under it."""
        return self._lease if self._lease is not None and self._lease.lives else None

    @property
    def is_away(self) -> bool:
        """Whether PostgreSQL did not answer last time."""
        return self._is_away

    async def stand(self) -> Standing:
        """Renew the lease or try to get it, when it is time, and say how things are."""
        if self._monotonic() >= self._again_at or (self._lease is not None and not self._lease.lives):
            try:
                await (self._acquire() if self._lease is None else self._renew(self._lease))
            except NadiaError as exc:
                self._said_away(exc)
            else:
                self._is_away = False
            self._again_at = self._monotonic() + self._every_seconds
        if self._lease is not None and not self._lease.lives:
            self._lose("its time ran out")
        metrics.ACTIVE.set(1 if self._lease is not None else 0)
        if self._lease is not None:
            return Standing.ACTIVE
        return Standing.NOBODY if self._is_away else Standing.WAITING

    def lose(self) -> None:
        """Take note that another daemon is active, whatever was thought before."""
        if self._lease is not None:
            self._lose("another daemon is active")
        metrics.ACTIVE.set(0)

    async def resign(self) -> None:
        """Give the lease up, so that another need not wait."""
        lease, self._lease = self._lease, None
        metrics.ACTIVE.set(0)
        if lease is None:
            return
        try:
            await answered(self._leases.release(lease), within=1.0)
        except UnavailableError as exc:
            log.info("daemon.not_released", reason=exc.message)

    async def _acquire(self) -> None:
        self._lease = await answered(self._leases.acquire(LEASE))
        if self._lease is not None:
            metrics.TAKEOVERS.inc()
            log.info("daemon.elected", fencing_token=self._lease.fencing_token)

    async def _renew(self, lease: Lease) -> None:
        if not await answered(self._leases.renew(lease)):
            self._lose("it was not renewed in time")
            await self._acquire()

    def _lose(self, reason: str) -> None:
        self._lease = None
        log.warning("daemon.lease_lost", reason=reason)

    def _said_away(self, exc: NadiaError) -> None:
        if not self._is_away:
            log.warning("daemon.postgres_away", reason=exc.message)
        self._is_away = True
