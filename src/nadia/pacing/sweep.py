"""Rebuilding in Redis what PostgreSQL knows should be there: at start, every minute, and when Redis was emptied."""

from datetime import UTC, datetime
from typing import Final

import structlog

from nadia.conversations.batches import Batches
from nadia.conversations.wal import WalStream
from nadia.pacing import metrics
from nadia.pacing.bursts import Bursts
from nadia.redis import keys
from nadia.redis.connection import RedisConnection
from nadia.redis.mixin import RedisConnectionMixin

log = structlog.get_logger(__name__)

SWEEP_SECONDS: Final = 60.0
"""How often the sweep runs (DESIGN section 1)."""

_SETTLED_SECONDS: Final = 10.0
"""A batch that was sealed more recently may be on its way to the stream."""


class Sweep(RedisConnectionMixin):
    """Adds the bursts and stream entries that Redis lost.

    Parameters
    ----------
    redis : RedisConnection
        What may have been emptied.
    bursts : Bursts
        Where open bursts belong.
    batches : Batches
        What PostgreSQL knows.
    wal : WalStream
        Where sealed batches belong.
    """

    def __init__(self, *, redis: RedisConnection, bursts: Bursts, batches: Batches, wal: WalStream) -> None:
        super().__init__(redis=redis)
        self._bursts = bursts
        self._batches = batches
        self._wal = wal

    async def redis_was_emptied(self) -> bool:
        """Tell whether the mark that the last sweep left is gone.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        async with self._redis() as redis:
            return not await redis.exists(keys.SWEPT_MARK)

    async def run_once(self) -> None:
        """Rebuild what is missing. Safe at any time, by any number of processes.

        Raises
        ------
        UnavailableError
            If Redis or PostgreSQL is away.
        """
        emptied = await self.redis_was_emptied()
        bursts = 0
        for waiting in await self._batches.buffering():
            bursts += await self._bursts.restore(
                conversation_id=waiting.conversation_id,
                partition=waiting.partition,
                first=datetime.fromtimestamp(waiting.first_at, UTC),
                last=datetime.fromtimestamp(waiting.last_at, UTC),
                count=waiting.messages,
            )
        known = await self._wal.waiting()
        settled = 0.0 if emptied else _SETTLED_SECONDS
        missing = [batch for batch in await self._batches.sealed_for(at_least_seconds=settled) if batch not in known]
        await self._wal.add(missing)
        async with self._redis() as redis:
            await redis.set(keys.SWEPT_MARK, "1")
        metrics.REBUILT.labels("burst").inc(bursts)
        metrics.REBUILT.labels("wal_entry").inc(len(missing))
        metrics.OPEN_BURSTS.set(await self._bursts.waiting())
        if bursts or missing:
            log.info("redis.rebuilt", bursts=bursts, wal_entries=len(missing), emptied=emptied)
