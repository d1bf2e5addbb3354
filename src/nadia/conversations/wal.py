"""The stream of sealed batches that wait for a draft.

An entry is a hint, not the work itself: which batch to look at. It may be there twice or be lost; the sweep adds what
is missing, and drafting asks PostgreSQL what is still to be done.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import structlog
from redis.exceptions import ResponseError

from nadia.redis.commands import Command, Script
from nadia.redis.connection import RedisConnection
from nadia.redis.keys import WAL_GROUP, WAL_STREAM
from nadia.redis.mixin import RedisConnectionMixin
from nadia.redis.streams import stream_entries

log = structlog.get_logger(__name__)

_CLAIM_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 1.0
_PAGE: Final = 1_000
_NUMBER: Final = re.compile("[0-9]{1,18}")

# KEYS: stream. ARGV: group, entry. Both or neither: an entry that was acknowledged and stayed would look as if it
# still waited for a consumer.
_ACKNOWLEDGE: Final = Script("""
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])
""")

RawEntry: TypeAlias = "tuple[str | None, dict[str, str] | None]"
"""As Redis gives it; older servers leave out what was deleted in between."""


@dataclass(frozen=True, slots=True)
class WalEntry:
    """A place in the stream and the batch it names."""

    id: str
    batch_id: int


class WalStream(RedisConnectionMixin):
    """Adds, reads and acknowledges entries.

    Parameters
    ----------
    redis : RedisConnection
        Where the stream is.
    consumer : str
        Name of this process in the consumer group.
    lease_seconds : float
        After how long an entry of a consumer that fell silent goes to another.
    """

    def __init__(self, *, redis: RedisConnection, consumer: str, lease_seconds: float) -> None:
        super().__init__(redis=redis)
        self._consumer = consumer
        self._lease_milliseconds = int(lease_seconds * 1000)
        self._claimed_up_to = "0-0"
        self._claim_again_at = 0.0

    async def add(self, batch_ids: Iterable[int]) -> None:
        """Add batches at the end.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        adding = [Command(("XADD", WAL_STREAM, "*", "batch", batch_id)) for batch_id in batch_ids]
        for begin in range(0, len(adding), _PAGE):
            await self._redis_connection.send(adding[begin : begin + _PAGE])

    async def read(self, *, limit: int, wait_seconds: float = LONGEST_WAIT_SECONDS) -> list[WalEntry]:
        """Wait for entries: first those of silent consumers, then new ones.

        Parameters
        ----------
        limit : int
            Most entries.
        wait_seconds : float
            Longest to wait, at most a second.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        try:
            return await self._claim_sometimes(limit) or await self._read_new(limit, wait_seconds)
        except _GroupMissingError:
            await self._create_group()
            return []

    async def acknowledge(self, entry: WalEntry) -> None:
        """Take an entry off the stream, after its effect is committed.

        Raises
        ------
        UnavailableError
            If Redis is away; the entry comes again.
        """
        await self._acknowledge(entry.id)

    async def waiting(self) -> set[int]:
        """Return the batches that the stream names at the moment.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        found: set[int] = set()
        position = "-"
        while True:
            async with self._redis() as redis:
                entries = cast("list[RawEntry]", await redis.xrange(WAL_STREAM, min=position, count=_PAGE))
            found.update(entry.batch_id for entry in map(_read_entry, entries) if entry)
            if len(entries) < _PAGE:
                return found
            position = f"({entries[-1][0]}"

    async def _claim_sometimes(self, limit: int) -> list[WalEntry]:
        """Look for entries of silent consumers, once in a while: under load the stream is read far more often."""
        now = time.monotonic()
        if now < self._claim_again_at:
            return []
        claimed = await self._claim(limit)
        if not claimed:
            self._claim_again_at = now + min(_CLAIM_SECONDS, self._lease_milliseconds / 4000)
        return claimed

    async def _claim(self, limit: int) -> list[WalEntry]:
        async with self._redis() as redis:
            try:
                answer = await redis.xautoclaim(
                    WAL_STREAM,
                    WAL_GROUP,
                    self._consumer,
                    min_idle_time=self._lease_milliseconds,
                    start_id=self._claimed_up_to,
                    count=limit,
                )
            except ResponseError as exc:
                raise _group_missing(exc) from exc
        # One call looks at a part of what is pending only; the next goes on from there.
        self._claimed_up_to = str(answer[0])
        return await self._readable(cast("list[RawEntry]", answer[1]))

    async def _read_new(self, limit: int, wait_seconds: float) -> list[WalEntry]:
        async with self._redis() as redis:
            try:
                answer = await redis.xreadgroup(
                    WAL_GROUP,
                    self._consumer,
                    {WAL_STREAM: ">"},
                    count=limit,
                    block=max(1, int(min(wait_seconds, LONGEST_WAIT_SECONDS) * 1000)),
                )
            except ResponseError as exc:
                raise _group_missing(exc) from exc
        return await self._readable(stream_entries(answer))

    async def _readable(self, entries: Iterable[RawEntry]) -> list[WalEntry]:
        """Return what names a batch, and take everything else off the stream."""
        found = []
        for raw in entries:
            entry = _read_entry(raw)
            if entry is not None:
                found.append(entry)
            elif raw[0] is not None:
                log.warning("wal.entry_unreadable", entry=raw[0])
                await self._acknowledge(raw[0])
        return found

    async def _acknowledge(self, entry_id: str) -> None:
        await self._redis_connection.run(_ACKNOWLEDGE, keys=[WAL_STREAM], args=[WAL_GROUP, entry_id])

    async def _create_group(self) -> None:
        async with self._redis() as redis:
            try:
                await redis.xgroup_create(WAL_STREAM, WAL_GROUP, id="0", mkstream=True)
            except ResponseError as exc:
                if "BUSYGROUP" not in str(exc):  # another process was quicker
                    raise
        log.info("wal.group_created")


class _GroupMissingError(Exception):
    """The consumer group is not there: first start, or Redis was emptied."""


def _group_missing(exc: ResponseError) -> Exception:
    return _GroupMissingError() if "NOGROUP" in str(exc) else exc


def _read_entry(entry: RawEntry) -> WalEntry | None:
    entry_id, fields = entry
    number = (fields or {}).get("batch", "")
    if entry_id is None or not _NUMBER.fullmatch(number):
        return None
    return WalEntry(id=entry_id, batch_id=int(number))
