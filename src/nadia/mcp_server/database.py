"""PostgreSQL for a server that starts without it and outlives its absences."""

import asyncio

from nadia.app.endpoints import Endpoints, require_running
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.settings import Config

_POOL_SIZE = 4


class LazyDatabase:
    """Connects when somebody first needs it, and again after a failure; who comes meanwhile shares the attempt.

    Parameters
    ----------
    config : Config
        Where it is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._attempt: asyncio.Task[Database] | None = None

    async def get(self) -> Database:
        """Return it, connected.

        Raises
        ------
        UnavailableError
            If it cannot be reached.
        SchemaBehindError
            If its schema is not this version's.
        """
        if self._attempt is None or _failed(self._attempt):
            self._attempt = asyncio.create_task(self._connect(), name="mcp.connect")
        # One of those who wait for it may leave; the others still do.
        return await asyncio.shield(self._attempt)

    async def close(self) -> None:
        """Give the connections back."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        attempt.cancel()
        await asyncio.wait({attempt})
        if not _failed(attempt):
            await attempt.result().close()

    async def _connect(self) -> Database:
        require_running(self._config)
        database = Database(
            dsn=Endpoints.of(self._config).postgres,
            application_name="nadia-mcp",
            pool_size=_POOL_SIZE,
            statement_timeout_seconds=self._config.postgres.statement_timeout_seconds,
        )
        try:
            await database.open(at_once=True)
            await schema.require_current(database)
        except BaseException:
            await database.close()
            raise
        return database


def _failed(attempt: asyncio.Task[Database]) -> bool:
    return attempt.done() and (attempt.cancelled() or attempt.exception() is not None)
