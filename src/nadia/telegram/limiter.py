"""How fast an account may read: below the ceiling always, and as fast as Telegram shows that it allows."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import structlog

from nadia.constants import MINUTE_IN_SECONDS
from nadia.telegram.errors import FloodWaitError
from nadia.telegram.metrics import FLOOD_WAITS, REQUEST_RATE, REQUEST_WAIT_SECONDS, REQUESTS

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

REQUESTS_PER_SECOND: Final = 30.0
"""Most requests of one account in any second (baseline 2.3)."""

LONGEST_WAIT_SECONDS: Final = 10 * MINUTE_IN_SECONDS
"""A pause longer than this is for the caller to know about."""

_SLOWEST: Final = 0.1
"""Requests per second; Telegram has been seen to allow ten in 30 s (DESIGN section 4)."""

_DOUBLING_SECONDS: Final = 10 * MINUTE_IN_SECONDS
"""After a flood wait the rate doubles once in this time, so that asking too much stays rare."""

MOST_FLOOD_WAITS: Final = 10
"""In a row, for one request: more than the halvings from the ceiling to the slowest rate."""


class RequestLimiter:
    """Lets the reading requests of one account through one after the other, in the order in which they asked.

    There is no burst: each follows the one before at the distance that the rate asks for. A flood wait stops all of
    them for as long as Telegram says and halves the rate; then it rises again slowly.

    A gateway takes a `turn` for each request that it makes; whoever asks the gateway waits by `call` until the pauses
    that Telegram asks for are over. Sending takes no turns.

    Parameters
    ----------
    account_id : str
        The account; all its connections share one limiter.
    ceiling : float
        Requests per second that are never exceeded.
    monotonic : callable
        This process's clock, seconds.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        *,
        account_id: str,
        ceiling: float = REQUESTS_PER_SECOND,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account_id = account_id
        self._ceiling = ceiling
        self._monotonic = monotonic
        self._sleep = sleep
        self._turn = asyncio.Lock()  # serves in the order of asking
        self._last = -math.inf
        self._rate_after_flood = ceiling
        self._asked_since_flood = True
        self._paused_until = -math.inf
        self._flood_wait_seconds = 0.0
        REQUEST_RATE.labels(account_id).set(ceiling)

    @property
    def rate(self) -> float:
        """Requests per second that are let through at present."""
        quiet = self._monotonic() - self._paused_until
        doublings = max(0.0, quiet / _DOUBLING_SECONDS)
        # Compared as logarithms: a power of a long time is more than a float holds.
        if doublings >= math.log2(self._ceiling / self._rate_after_flood):
            return self._ceiling
        return self._rate_after_flood * math.exp2(doublings)

    @property
    def flood_wait_seconds(self) -> float:
        """Seconds of pause that Telegram has asked for, all in all."""
        return self._flood_wait_seconds

    async def call(self, request: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask a gateway for something outside of any pause, and again after a flood wait.

        Raises
        ------
        FloodWaitError
            If Telegram asks for more than `LONGEST_WAIT_SECONDS`, or for a pause again and again.
        """
        for _ in range(MOST_FLOOD_WAITS):
            await self.sit_out()
            try:
                return await request()
            except FloodWaitError as exc:
                self.slow_down(exc)
        await self.sit_out()
        return await request()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Wait for the turn of one request, which is made within; a flood wait that it meets holds up all others too.

        Raises
        ------
        FloodWaitError
            If Telegram has asked for a pause that lasts longer than `LONGEST_WAIT_SECONDS` from now.
        """
        await self.wait()
        try:
            yield
        except FloodWaitError as exc:
            self.slow_down(exc)
            raise

    async def wait(self) -> None:
        """Wait for the turn of one request.

        Raises
        ------
        FloodWaitError
            If Telegram has asked for a pause that lasts longer than `LONGEST_WAIT_SECONDS` from now.
        """
        asked = self._monotonic()
        async with self._turn:
            await self._sleep_until(self._next_turn)
            self._last = self._monotonic()
            self._asked_since_flood = True
        REQUESTS.inc()
        REQUEST_WAIT_SECONDS.inc(self._last - asked)
        REQUEST_RATE.labels(self._account_id).set(self.rate)

    async def sit_out(self) -> None:
        """Wait until a pause that Telegram has asked for is over; this takes no turn.

        Raises
        ------
        FloodWaitError
            If it lasts longer than `LONGEST_WAIT_SECONDS` from now.
        """
        await self._sleep_until(lambda: self._paused_until)

    def slow_down(self, flood: FloodWaitError) -> None:
        """Let nobody through for as long as Telegram says, and fewer after that.

        Raises
        ------
        FloodWaitError
            The same one, if it asks for more than `LONGEST_WAIT_SECONDS`.
        """
        now = self._monotonic()
        if self._asked_since_flood:  # else the request went out before the last flood wait was known: nothing new
            self._rate_after_flood = max(_SLOWEST, self.rate / 2)
            self._asked_since_flood = False
            FLOOD_WAITS.inc()
            log.info(
                "telegram.flood_wait", account=self._account_id, seconds=flood.seconds, rate=self._rate_after_flood
            )
        until = max(self._paused_until, now + flood.seconds)
        self._flood_wait_seconds += until - max(now, self._paused_until)
        self._paused_until = until
        REQUEST_RATE.labels(self._account_id).set(self.rate)
        if flood.seconds > LONGEST_WAIT_SECONDS:
            raise flood

    async def _sleep_until(self, moment: Callable[[], float]) -> None:
        """Sleep until a moment, which a flood wait may move meanwhile."""
        while (seconds := moment() - self._monotonic()) > 0:
            if seconds > LONGEST_WAIT_SECONDS:
                raise FloodWaitError(math.ceil(seconds))
            await self._sleep(seconds)

    def _next_turn(self) -> float:
        return max(self._paused_until, self._last + 1.0 / self.rate)
