"""How much of the server one caller may have, so that no assistant keeps others from it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from nadia.errors import RefusedError
from nadia.mcp_server.caller import Caller

MOST_AT_ONCE: Final = 2
"""Calls of one caller that run at the same time: one more than an assistant makes that waits for its answers."""
MOST_IN_LINE: Final = 30
"""Calls of one caller that run or wait; HTTP has 100 connections for all."""


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

    @asynccontextmanager
    async def of(self, caller: Caller) -> AsyncIterator[None]:
        """Hold one of a caller's places during the block, as soon as one is free.

        Raises
        ------
        RefusedError
            If very many of the caller's calls wait already.
        """
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
