"""Whether this process and PostgreSQL agree on the time: pacing goes by both clocks."""

import socket
from datetime import timedelta
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.notices import Notice, record_end
from nadia.notices import record as record_notice
from nadia.pacing import metrics
from nadia.postgres.database import Database

log = structlog.get_logger(__name__)

LARGEST_SKEW: Final = timedelta(seconds=1)
"""More is a notice (DESIGN section 1)."""

_TOPIC: Final = "clock.skewed"

_NOW = "SELECT clock_timestamp() AS now"


class ClockSkew:
    """Compares the two clocks, and tells once when they drift apart.

    Parameters
    ----------
    database : Database
        Whose clock decides ownership, undo and sending.
    clock : callable
        This process's.
    """

    def __init__(self, *, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        # Not known at first: a process before this one may have told.
        self._told: bool | None = None

    async def compare(self) -> timedelta:
        """Return how far this process's clock is ahead.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        async with self._database.transaction() as conn:
            before = self._clock()
            row = await (await conn.execute(_NOW)).fetchone()
            round_trip = self._clock() - before
            assert row is not None, "the statement always returns one row"
            # The database looked at its clock somewhere within the round trip.
            skew: timedelta = before + round_trip / 2 - row["now"]
            certain = abs(skew) - round_trip / 2
            metrics.CLOCK_SKEW.set(skew.total_seconds())
            told = self._told
            if certain > LARGEST_SKEW and not told:
                await record_notice(conn, _notice(skew))
                told = True
            elif abs(skew) <= LARGEST_SKEW and told is not False:
                if await record_end(conn, _TOPIC, _labels(), summary="The clocks agree again."):
                    log.info("clock.agrees", skew_seconds=skew.total_seconds())
                told = False
        self._told = told  # once it is committed
        return skew


def _labels() -> dict[str, str]:
    return {"host": socket.gethostname()}


def _notice(skew: timedelta) -> Notice:
    ahead = "ahead of" if skew > timedelta() else "behind"
    return Notice(
        topic=_TOPIC,
        summary=f"A process's clock is {abs(skew.total_seconds()):.1f} s {ahead} PostgreSQL's: replies may wait too "
        "long or leave too early. Let both machines keep the time by NTP.",
        labels=_labels(),
    )
