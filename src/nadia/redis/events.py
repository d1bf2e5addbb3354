"""Live events for pages: a short stream that anyone may miss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from nadia.errors import UnavailableError
from nadia.redis.commands import Command
from nadia.redis.keys import EVENT_STREAM
from nadia.redis.mixin import RedisConnectionMixin
from nadia.redis.streams import stream_entries

log = structlog.get_logger(__name__)

_KEPT: Final = 2_000
_BLOCK_MILLISECONDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that a page may want to show.

    Parameters
    ----------
    id : str
        Position in the stream; a page that reconnects continues after it.
    kind : str
        Dotted name, such as ``batch.drafted``.
    fields : mapping
        Ids of what it concerns.
    """

    id: str
    kind: str
    fields: Mapping[str, str]


class LiveEvents(RedisConnectionMixin):
    """Publishes and follows live events."""

    async def publish(self, kind: str, **fields: object) -> None:
        """Tell whoever watches; without Redis nobody does, and pages refresh by themselves."""
        try:
            await self._redis_connection.send([self.publishing(kind, **fields)])
        except UnavailableError:
            log.debug("live_event.dropped", kind=kind)

    def publishing(self, kind: str, **fields: object) -> Command:
        """Return the command that publishes, for senders that have others for the same round trip."""
        words = [word for name, value in fields.items() for word in (name, str(value))]
        return Command(("XADD", EVENT_STREAM, "MAXLEN", "~", _KEPT, "*", "kind", kind, *words))

    async def latest_id(self) -> str:
        """Return the position of the newest event.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        async with self._redis() as redis:
            newest = await redis.xrevrange(EVENT_STREAM, count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def after(self, position: str, *, limit: int = 100, wait: bool = True) -> list[LiveEvent]:
        """Return events after a position, oldest first; empty when there are none.

        Parameters
        ----------
        position : str
            The last event known.
        limit : int
            Most events at once.
        wait : bool
            Wait up to a second for a first one. That holds a connection of the shared pool: for one reader in a
            process (`nadia.redis.live_feed`), not for each page.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        block = _BLOCK_MILLISECONDS if wait else None
        async with self._redis() as redis:
            answer = await redis.xread({EVENT_STREAM: position}, count=limit, block=block)
        entries = stream_entries(answer)
        return [LiveEvent(id=entry_id, kind=data.pop("kind", ""), fields=data) for entry_id, data in entries]
