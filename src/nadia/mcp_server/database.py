"""PostgreSQL for a server that starts without it and outlives its absences."""

import asyncio

from nadia.app.endpoints import Endpoints, require_running
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.settings import Config

_POOL_SIZE = 4


class LazyDatabase:
    """Connects when somebody first needs it, and again after a failure.

    Parameters
    ----------
    config : Config
        Where it is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._connecting = asyncio.Lock()
        self._database: Database | None = None

    async def get(self) -> Database:
        """Return it, connected.

        Raises
        ------
        UnavailableError
            If it cannot be reached.
        SchemaBehindError
            If its schema is not this version's.
        """
        async with self._connecting:
            if self._database is None:
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
                self._database = database
            return self._database

    async def close(self) -> None:
        """Give the connections back."""
        if self._database is not None:
            await self._database.close()
