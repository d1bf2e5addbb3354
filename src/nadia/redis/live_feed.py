"""One reader of the live events for all pages of a process.

Each page of its own would hold a connection that waits; a hundred of them empty the pool that pacing and the WAL stream
live from. Here the first page starts a reader, which hands every event to all pages, and the last one stops it.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

import structlog

from nadia.errors import UnavailableError
from nadia.redis.events import LiveEvent, LiveEvents

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 3.0
_MOST_WAITING: Final = 200
_MOST_MISSED: Final = 500
"""Below what the stream keeps: a position that was trimmed away has more behind it, and is told to start anew."""
_CATCHING_UP: Final = 4
"""After a restart all pages come back at once; so many of them read at the same time."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events may have been missed: what is shown should be read anew.

    Parameters
    ----------
    position : str or None
        The event from which it goes on; None while Redis is away.
    """

    position: str | None


class LiveFeed:
    """Hands live events to any number of followers over one connection.

    Parameters
    ----------
    events : LiveEvents
        Where the events come from.
    retry_seconds : float
        Pause between two tries while Redis is away, seconds; followers are told of a gap with each.
    """

    def __init__(self, *, events: LiveEvents, retry_seconds: float = _RETRY_SECONDS) -> None:
        self._events = events
        self._retry_seconds = retry_seconds
        self._inboxes: set[_Inbox] = set()
        self._reader: asyncio.Task[None] | None = None
        self._position: str | None = None
        self._catching_up = asyncio.Semaphore(_CATCHING_UP)

    async def follow(self, position: str | None) -> AsyncGenerator[LiveEvent | Gap, None]:
        """Yield what happens after a position; without one a gap first, then what happens from now on.

        Parameters
        ----------
        position : str or None
            The last event that the follower knows.
        """
        inbox = _Inbox()
        self._join(inbox)
        try:
            start = await inbox.take()
            assert isinstance(start, Gap)
            missed = await self._missed(position, start)
            if missed is None:
                position = start.position
                yield start
            for event in missed or ():
                position = event.id
                yield event
            while True:
                item = await inbox.take()
                if isinstance(item, Gap):
                    position = item.position
                elif position is not None and _order(item.id) <= _order(position):
                    continue  # caught up with before the reader came by
                else:
                    position = item.id
                yield item
        finally:
            self._leave(inbox)

    def _join(self, inbox: "_Inbox") -> None:
        if self._position is not None:
            inbox.put(Gap(self._position))
        # Otherwise the reader has not found its place yet: a gap is the next thing that it tells.
        self._inboxes.add(inbox)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="live_feed.read")

    def _leave(self, inbox: "_Inbox") -> None:
        self._inboxes.discard(inbox)
        if not self._inboxes and self._reader is not None:
            self._reader.cancel()
            self._reader, self._position = None, None

    async def _missed(self, position: str | None, start: Gap) -> list[LiveEvent] | None:
        """Return what came after a position until now; None if that cannot be said."""
        if position is None or start.position is None:
            return None
        try:
            async with self._catching_up:
                missed = await self._events.after(position, limit=_MOST_MISSED, wait=False)
        except UnavailableError:
            return None
        return missed if len(missed) < _MOST_MISSED else None

    async def _read(self) -> None:
        while True:
            try:
                if self._position is None:
                    self._position = await self._events.latest_id()
                    # What happened before this moment, nobody told the followers.
                    self._tell(Gap(self._position))
                for event in await self._events.after(self._position):
                    self._position = event.id
                    self._tell(event)
            except UnavailableError:
                await self._pause()
            except Exception:  # a reader that dies would leave every page waiting in silence
                log.exception("live_feed.read_failed")
                await self._pause()

    async def _pause(self) -> None:
        # A Redis that comes back may have lost its stream: the old position is worth nothing.
        self._position = None
        self._tell(Gap(None))
        await asyncio.sleep(self._retry_seconds)

    def _tell(self, item: LiveEvent | Gap) -> None:
        for inbox in self._inboxes:
            inbox.put(item)


class _Inbox:
    """What waits for one follower; one that falls far behind is told of a gap instead."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[LiveEvent | Gap] = asyncio.Queue(_MOST_WAITING)

    def put(self, item: LiveEvent | Gap) -> None:
        if isinstance(item, LiveEvent) and not self._queue.full():
            self._queue.put_nowait(item)
            return
        while not self._queue.empty():  # whoever reads everything anew has no use for what came before
            self._queue.get_nowait()
        self._queue.put_nowait(item if isinstance(item, Gap) else Gap(item.id))

    async def take(self) -> LiveEvent | Gap:
        return await self._queue.get()


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, counter = position.partition("-")
    return int(milliseconds), int(counter)
