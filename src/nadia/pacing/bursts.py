"""Bursts in Redis: which conversations are being written in, and when each burst is over."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from nadia.constants import PARTITIONS, TYPING_SIGNAL_SECONDS
from nadia.pacing import scripts
from nadia.pacing.config import PacingSettings
from nadia.redis import keys
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.mixin import RedisConnectionMixin
from nadia.redis.streams import stream_entries

_CLAIMED_AT_ONCE: Final = 50
_POLL_MILLISECONDS: Final = 1_000
"""A sleeping timer looks again after so long, so only what is due earlier needs a hint."""

_HINTS_KEPT: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Burst:
    """A burst that is over and that this process is to seal.

    Parameters
    ----------
    conversation_id, partition : int
        Whose.
    claim : str
        Name of the claim; a later claimant's is another.
    due : datetime
        When it was over, or its last claimant's lease.
    urgent : bool
        A flush word ended it.
    """

    conversation_id: int
    partition: int
    claim: str
    due: datetime
    urgent: bool


class Bursts(RedisConnectionMixin):
    """Keeps bursts and hands out those that are over, each to one process.

    Parameters
    ----------
    redis : RedisConnection
        Where they are.
    settings : PacingSettings
        The window and its bounds.
    """

    def __init__(self, *, redis: RedisConnection, settings: PacingSettings) -> None:
        super().__init__(redis=redis)
        self._scripts = scripts.BoundScripts.of(
            window=int(settings.window_seconds * 1000),
            longest=int(settings.longest_seconds * 1000),
            largest=settings.largest_batch,
        )
        self._lease = int(settings.lease_seconds * 1000)
        self._hint_position = ""

    async def add(
        self, *, conversation_id: int, partition: int, now: datetime, urgent: bool, along: Sequence[Command] = ()
    ) -> datetime:
        """Count a message in; returns when the burst is over unless something more happens.

        Parameters
        ----------
        conversation_id, partition : int
            Whose.
        now : datetime
            When it came.
        urgent : bool
            Whether it ends the burst.
        along : sequence of Command
            What else is to be done for this message, in the same round trip.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        moment = _milliseconds(now)
        adding = self._scripts.add.call(
            keys=_keys(partition, conversation_id), args=(conversation_id, moment, int(urgent))
        )
        due = cast("int", (await self._redis_connection.send([adding, *along]))[0])
        if due - moment < _POLL_MILLISECONDS:
            hint = ("XADD", keys.DUE_HINTS, "MAXLEN", "~", _HINTS_KEPT, "*", "due", due)
            await self._redis_connection.send([Command(hint)])
        return _moment(due)

    async def typing(self, *, conversation_id: int, partition: int, now: datetime) -> None:
        """Prolong a burst that has begun: the customer is writing.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        until = _milliseconds(now) + TYPING_SIGNAL_SECONDS * 1000
        await self._redis_connection.run(
            self._scripts.typing, keys=_keys(partition, conversation_id), args=(conversation_id, until)
        )

    async def claim_due(self, now: datetime) -> list[Burst]:
        """Take bursts that are over, for the length of the lease.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        moment = _milliseconds(now)
        due = [partition for partition, at in (await self._heads()).items() if at <= moment]
        claim = secrets.token_hex(8)
        answers = await self._redis_connection.send(
            [
                scripts.CLAIM.call(
                    keys=[keys.due_set(partition)],
                    args=[moment, self._lease, _CLAIMED_AT_ONCE, keys.bursts_of(partition), claim],
                )
                for partition in due
            ]
        )
        return [
            Burst(
                conversation_id=int(conversation),
                partition=partition,
                claim=claim,
                due=_moment(int(float(score))),
                urgent=urgent == "1",
            )
            for partition, answer in zip(due, answers, strict=True)
            for conversation, score, urgent in cast("list[tuple[str, str, str]]", answer)
        ]

    async def finish(self, burst: Burst) -> None:
        """End a burst that was sealed; what came after the claim stays as a burst of its own.

        Raises
        ------
        UnavailableError
            If Redis is away; the burst comes back and finds nothing to seal.
        """
        await self._redis_connection.run(
            scripts.FINISH,
            keys=_keys(burst.partition, burst.conversation_id),
            args=[burst.conversation_id, burst.claim],
        )

    async def postpone(self, burst: Burst, *, until: datetime) -> None:
        """Give a claimed burst back, to be looked at again later.

        Raises
        ------
        UnavailableError
            If Redis is away; it comes back after its lease.
        """
        await self._redis_connection.run(
            scripts.POSTPONE,
            keys=_keys(burst.partition, burst.conversation_id),
            args=[burst.conversation_id, burst.claim, _milliseconds(until)],
        )

    async def restore(
        self, *, conversation_id: int, partition: int, first: datetime, last: datetime, count: int
    ) -> bool:
        """Rebuild a burst from what PostgreSQL knows; False if it is there.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        restored = await self._redis_connection.run(
            self._scripts.restore,
            keys=_keys(partition, conversation_id),
            args=(conversation_id, _milliseconds(first), _milliseconds(last), count),
        )
        return bool(restored)

    async def sleep(self, now: datetime) -> None:
        """Wait until the next burst may be over: its time, a hint, or a second.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        if not self._hint_position:
            # Before the heads are read: no hint falls between the two.
            self._hint_position = await self._newest_hint()
        moment = _milliseconds(now)
        earliest = min((await self._heads()).values(), default=moment + _POLL_MILLISECONDS)
        wait = min(_POLL_MILLISECONDS, max(1, int(earliest - moment)))
        async with self._redis() as redis:
            hints = await redis.xread({keys.DUE_HINTS: self._hint_position}, count=_HINTS_KEPT, block=wait)
        entries = stream_entries(hints)
        if entries:
            self._hint_position = entries[-1][0]

    async def waiting(self) -> int:
        """Return how many bursts are open.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        sizes = await self._redis_connection.send(
            [Command(("ZCARD", keys.due_set(partition))) for partition in range(PARTITIONS)]
        )
        return sum(cast("list[int]", sizes))

    async def _newest_hint(self) -> str:
        async with self._redis() as redis:
            newest = await redis.xrevrange(keys.DUE_HINTS, count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def _heads(self) -> dict[int, float]:
        """Return when the first burst of each partition is due, milliseconds since 1970."""
        answers = await self._redis_connection.send(
            [Command(("ZRANGE", keys.due_set(partition), 0, 0, "WITHSCORES")) for partition in range(PARTITIONS)]
        )
        heads = cast("list[list[str]]", answers)
        return {partition: float(head[1]) for partition, head in enumerate(heads) if head}


def _keys(partition: int, conversation_id: int) -> list[str]:
    return [keys.due_set(partition), keys.burst(partition, conversation_id)]


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND
