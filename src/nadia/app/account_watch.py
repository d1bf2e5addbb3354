"""Which Telegram accounts this process runs for: every one that somebody has logged in, as long as it is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from nadia.app.supervision import keep_running
from nadia.errors import NadiaError
from nadia.postgres.database import Database
from nadia.telegram import sessions
from nadia.telegram.sessions import StoredSession

log = structlog.get_logger(__name__)

_LOOK_AGAIN_SECONDS: Final = 2.0

_Key = tuple[str, int]
"""Account and version of its session: another log-in is another one to run for."""


class AccountWatch:
    """Runs a part for each session that Telegram accepts; looks every few seconds which those are.

    A log-in, another log-in, a log-out and a revocation are the same to it: what a part was begun for is there no more,
    or something is there that has no part.

    Parameters
    ----------
    database : Database
        Where sessions are.
    part : callable
        Runs for one session until it is cancelled.
    """

    def __init__(self, *, database: Database, part: Callable[[StoredSession], Awaitable[None]]) -> None:
        self._database = database
        self._part = part
        self._running: dict[_Key, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look and run, until cancelled; what runs is ended in order then."""
        try:
            while True:
                try:
                    async with self._database.connection() as conn:
                        found = await sessions.usable(conn)
                except NadiaError as exc:  # whoever runs goes on: it has troubles of its own
                    log.warning("accounts.unknown", reason=exc.message)
                else:
                    await self._follow({(each.telegram_account_id, each.version): each for each in found})
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            await self._end(list(self._running))

    async def _follow(self, wanted: dict[_Key, StoredSession]) -> None:
        gone = [key for key in self._running if key not in wanted]
        for account_id, version in gone:
            log.info("account.session_ended", account=account_id, version=version)
        await self._end(gone)  # before a newer session of the same account begins
        for key, session in wanted.items():
            if key not in self._running:
                self._running[key] = asyncio.create_task(self._run(session), name=f"account.{key[0]}")

    async def _run(self, session: StoredSession) -> None:
        async def part() -> None:
            await self._part(session)

        await keep_running(f"account.{session.telegram_account_id}", part)

    async def _end(self, keys: list[_Key]) -> None:
        """Cancel parts and wait for their ends, however often this is cancelled meanwhile."""
        pending = {self._running[key] for key in keys}
        cancelled: asyncio.CancelledError | None = None
        while pending:
            for task in pending:  # asked again each second: a library may lose a cancellation
                task.cancel()
            try:
                await asyncio.wait(pending, timeout=1.0)
            except asyncio.CancelledError as exc:
                cancelled = exc
            pending = {task for task in pending if not task.done()}
        for key in keys:
            del self._running[key]
        if cancelled:
            raise cancelled
