"""How much of the server one caller may have, so that no assistant keeps others from it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from nadia.errors import RefusedError
from nadia.mcp_server.caller import Caller

MOST_AT_ONCE: Final = 2
"""Calls of one caller that run at the same time: one more than an assistant makes that waits for its answers."""
MOST_IN_LINE: Final = 30
"""Calls of one caller that run or wait; HTTP has 100 connections for all."""

T = TypeVar("T")


@dataclass(slots=True)
class _Line:
    running: asyncio.Semaphore
    length: int = field(default=0)


class FairShare:
    """Lets each caller, that is each token, do a few things at once; their other calls wait.

    Parameters
    ----------
    at_once : int
        Calls of one caller that run at the same time.
    in_line : int
        Calls of one caller that run or wait.
    """

    def __init__(self, *, at_once: int = MOST_AT_ONCE, in_line: int = MOST_IN_LINE) -> None:
        self._at_once = at_once
        self._in_line = in_line
        self._lines: dict[Caller, _Line] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self, caller: Caller, work: Callable[[], Awaitable[T]], *, seconds: float) -> T:
        """Do something for a caller as soon as it is their turn.

        Cancelled, it returns at once; the work is cancelled too, and holds its place until it has tidied up.

        Parameters
        ----------
        caller : Caller
            For whom.
        work : callable
            Does it.
        seconds : float
            Longest that waiting and work may take.

        Raises
        ------
        RefusedError
            If very many of the caller's calls are under way already.
        TimeoutError
            If it took longer.
        """

        async def take_turn() -> T:
            async with asyncio.timeout(seconds), self._place(caller):
                return await work()

        # In a task of its own: the SDK's cancelled scopes interrupt whatever is awaited in them, the closing of
        # connections as well, and those would stay.
        task = asyncio.create_task(take_turn(), name="mcp.work")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    @asynccontextmanager
    async def _place(self, caller: Caller) -> AsyncIterator[None]:
        line = self._lines.setdefault(caller, _Line(asyncio.Semaphore(self._at_once)))
        if line.length >= self._in_line:
            raise RefusedError(
                f"{line.length} calls of this caller are under way already", hint="wait for answers before asking more"
            )
        line.length += 1
        try:
            async with line.running:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[caller]
