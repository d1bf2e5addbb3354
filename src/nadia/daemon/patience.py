"""Waiting for PostgreSQL no longer than one can.

The driver itself waits for a server that is frozen, also when it is cancelled: it wants to hear that the statement was.
What the daemon does must go on meanwhile.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from nadia.errors import UnavailableError

T = TypeVar("T")

PATIENCE_SECONDS: Final = 5.0
"""Above what an answer takes, connecting anew included; well below a lease."""

_abandoned: Final[set[asyncio.Task[Any]]] = set()
"""Held until they end, as tasks must be; a pool's size bounds how many wait for one server."""


async def answered(asking: Coroutine[Any, Any, T], *, within: float = PATIENCE_SECONDS) -> T:
    """Wait for an answer, and leave who does not give one alone.

    Raises
    ------
    UnavailableError
        If there is none in time; what was asked for may happen nevertheless.
    """
    task = asyncio.create_task(asking)
    try:
        done, _ = await asyncio.wait({task}, timeout=within)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if done:
        return task.result()
    _abandon(task)
    raise UnavailableError(f"PostgreSQL did not answer within {within:g} s", hint="is its machine overloaded?")


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it any more
