"""Who is silenced, remembered for a while: for what may be wrong for a moment, never for a decision.

Few are silenced, so a process remembers all of them at once: that nobody else is costs no question. It remembers only
while it hears of changes, over the live events. One that does not, because Redis is away or nobody runs
`ProtocolStatusCache.run`, asks PostgreSQL each time.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from nadia.postgres.database import Database
from nadia.quarantine import metrics, store
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.service import SILENCE_CHANGED
from nadia.redis.events import LiveEvents
from nadia.redis.live_feed import Gap, LiveFeed


@dataclass(frozen=True, slots=True)
class _Known:
    """Conversations with silenced customers; None when there are too many to remember."""

    silenced: frozenset[int] | None
    until: float


class ProtocolStatusCache:
    """Remembers which conversations are with silenced customers.

    Parameters
    ----------
    database : Database
        Who knows.
    events : LiveEvents
        Tells of changes.
    settings : QuarantineSettings
        For how long, and how many.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        events: LiveEvents,
        settings: QuarantineSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._feed = LiveFeed(events=events)
        self._seconds = settings.status_cache_seconds
        self._most = settings.status_cache_size
        self._monotonic = monotonic
        self._known: _Known | None = None
        self._hears = asyncio.Event()
        self._changes = 0

    async def run(self) -> None:
        """Follow changes until cancelled; only meanwhile is anything remembered."""
        try:
            async with aclosing(self._feed.follow(None)) as happenings:
                async for item in happenings:
                    if isinstance(item, Gap):
                        self._forget()
                        self._set_hears(item.position is not None)
                    elif item.kind == SILENCE_CHANGED:
                        self._forget()
        finally:
            self._set_hears(False)
            self._forget()

    @property
    def hears(self) -> bool:
        """Whether changes are heard of, so that answers are remembered."""
        return self._hears.is_set()

    async def wait_until_it_hears(self) -> None:
        """Return as soon as changes are heard of."""
        await self._hears.wait()

    async def is_silenced(self, conversation_id: int) -> bool:
        """Tell whether the conversation's customer is silenced, or was until a moment ago.

        Raises
        ------
        UnavailableError
            If it is not remembered and PostgreSQL is away.
        """
        known = self._known
        if known is None or known.until <= self._monotonic():
            known = await self._read() if self.hears else None
        elif known.silenced is not None:
            metrics.LOOKUPS.labels("cache").inc()
        if known is not None and known.silenced is not None:
            return conversation_id in known.silenced
        metrics.LOOKUPS.labels("database").inc()
        async with self._database.connection() as conn:
            return await store.status(conn, conversation_id) is not None

    async def _read(self) -> _Known:
        changes, until = self._changes, self._monotonic() + self._seconds
        async with self._database.connection() as conn:
            found = await store.silenced_conversations(conn, limit=self._most + 1)
        known = _Known(frozenset(found) if len(found) <= self._most else None, until)
        if known.silenced is not None:
            metrics.LOOKUPS.labels("database").inc()
        if self.hears and changes == self._changes:  # what was read before a change may be of before it
            self._known = known
            metrics.CACHED.set(len(known.silenced or ()))
        return known

    def _forget(self) -> None:
        self._changes += 1
        self._known = None
        metrics.CACHED.set(0)

    def _set_hears(self, hears: bool) -> None:
        if hears:
            self._hears.set()
        else:
            self._hears.clear()
