"""The health check of recovery, put together from the settings; without everything else that a process is made of."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from nadia.app.endpoints import Endpoints, require_running
from nadia.postgres.failures import Connection
from nadia.recovery.health import RecoveryHealthChecker
from nadia.settings import Config

_PATIENCE_SECONDS: Final = 5.0
"""Of one statement: whoever asks how things are has to hear that they are bad."""


def recovery_health_checker(
    config: Config, connect: Callable[[], AbstractAsyncContextManager[Connection]]
) -> RecoveryHealthChecker:
    """Return the checker that the settings describe.

    Parameters
    ----------
    config : Config
        The settings.
    connect : callable
        `Database.connection` where one is open, else `connection_for_one_check`.
    """
    return RecoveryHealthChecker(
        connect=connect,
        recovery=config.recovery,
        settings=config.recovery_health,
        network="sandbox" if config.telegram.gateway == "sandbox" else "telegram",
    )


@asynccontextmanager
async def connection_for_one_check(config: Config) -> AsyncIterator[Connection]:
    """Connect to PostgreSQL whatever its schema is: what is missing there is for the check to say.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached.
    """
    from nadia.postgres.database import Database

    require_running(config)
    database = Database(
        dsn=Endpoints.of(config).postgres,
        application_name="nadia-recovery-health",
        pool_size=2,
        statement_timeout_seconds=_PATIENCE_SECONDS,
    )
    try:
        await database.open(at_once=True)
        async with database.connection() as conn:
            yield conn
    finally:
        await database.close()
