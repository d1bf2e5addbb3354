"""A few connections for a command that asks a few questions and ends: made when needed, without the pool's tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from psycopg.rows import dict_row

from nadia.postgres.failures import Connection, postgres_errors

MOST: Final = 3
"""One that hangs leaves others; more would take longer to make than they save."""


class BriefUse:
    """Connections on which each statement is its own transaction.

    Parameters
    ----------
    dsn : str
        Connection string or URL.
    application_name : str
        Shown in ``pg_stat_activity``.
    statement_timeout_seconds : float
        Longest that one statement may run.
    """

    def __init__(self, *, dsn: str, application_name: str, statement_timeout_seconds: float) -> None:
        milliseconds = int(statement_timeout_seconds * 1000)
        self._dsn = dsn
        self._application_name = application_name
        self._options = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c timezone=UTC"
        self._turns = asyncio.Semaphore(MOST)
        self._idle: list[Connection] = []
        self._all: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Yield a connection.

        Raises
        ------
        UnavailableError
            If PostgreSQL cannot be reached or went away.
        DatabaseError
            If it refused a statement.
        """
        async with self._turns:
            with postgres_errors():
                conn = self._idle.pop() if self._idle else await self._connect()
                try:
                    yield conn
                finally:
                    if conn.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                        self._idle.append(conn)
                    else:  # broken, or in the middle of a statement that was given up
                        conn.pgconn.finish()

    def close(self) -> None:
        """End all connections at once: whoever still waits for an answer is told so."""
        for conn in self._all:
            conn.pgconn.finish()

    async def _connect(self) -> Connection:
        conn: Connection = await psycopg.AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            row_factory=dict_row,
            application_name=self._application_name,
            options=self._options,
        )
        self._all.append(conn)
        return conn
