"""Whether requests can be served: asked by load balancers, and by anybody, without logging in."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from nadia.errors import NadiaError
from nadia.postgres.database import Connection
from nadia.shared_calls import SharedCalls

PATIENCE_SECONDS: Final = 2.0
REMEMBERED_SECONDS: Final = 1.0


class Readiness:
    """Asks PostgreSQL once a second at most, on one connection, however many strangers ask.

    Parameters
    ----------
    connect : callable
        Yields a connection.
    patience_seconds : float
        After which no answer is an answer.
    stopwatch : callable
        Seconds that only go forward.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        patience_seconds: float = PATIENCE_SECONDS,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._patience_seconds = patience_seconds
        self._stopwatch = stopwatch
        self._calls: SharedCalls[str, bool] = SharedCalls()
        self._known: tuple[float, bool] | None = None

    async def __call__(self) -> bool:
        """Say whether PostgreSQL answers."""
        if self._known is not None and self._stopwatch() - self._known[0] < REMEMBERED_SECONDS:
            return self._known[1]
        try:
            async with asyncio.timeout(self._patience_seconds):
                answers = await self._calls.run("postgres", self._ask)
        except TimeoutError:
            answers = False
        self._known = (self._stopwatch(), answers)
        return answers

    async def _ask(self) -> bool:
        try:
            async with self._connect() as conn:
                await conn.execute("SELECT 1")
        except NadiaError:
            return False
        return True
