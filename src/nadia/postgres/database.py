"""A pool of connections whose failures speak NADIA's language."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from time import perf_counter

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from nadia.errors import UnavailableError
from nadia.postgres import metrics
from nadia.postgres.failures import Connection, DatabaseError, Row, postgres_errors
from nadia.postgres.statements import TimedCursor, observe_commit

__all__ = ["Connection", "Database", "DatabaseError", "Row"]

_CONNECT_TIMEOUT_SECONDS = 3
_LOCK_TIMEOUT = "10s"


class Database:
    """PostgreSQL as the rest of NADIA sees it.

    Parameters
    ----------
    dsn : str
        Connection string or URL.
    application_name : str
        Shown in ``pg_stat_activity``.
    pool_size : int
        Most connections held.
    statement_timeout_seconds : float
        Longest that one statement may run.
    """

    def __init__(
        self, *, dsn: str, application_name: str = "nadia", pool_size: int = 10, statement_timeout_seconds: float = 15.0
    ) -> None:
        milliseconds = int(statement_timeout_seconds * 1000)
        self._dsn = dsn
        self._pool_size = pool_size
        self._in_use = 0
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=pool_size,
            max_idle=60,
            timeout=_CONNECT_TIMEOUT_SECONDS,
            # Short, so that after an outage the pool is back with the next request, not after a long back-off.
            reconnect_timeout=1,
            open=False,
            kwargs={
                "row_factory": dict_row,
                "cursor_factory": TimedCursor,
                "autocommit": True,
                "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
                "application_name": application_name,
                "options": f"-c statement_timeout={milliseconds} -c lock_timeout={_LOCK_TIMEOUT} "
                f"-c idle_in_transaction_session_timeout={milliseconds} -c timezone=UTC",
            },
        )
        self._is_open = False
        self._checking: asyncio.Task[None] | None = None

    async def open(self, *, at_once: bool = False, wait: bool = True) -> None:
        """Connect.

        Parameters
        ----------
        at_once : bool
            Try once, for a command that somebody waits for; otherwise for a few seconds, over and over.
        wait : bool
            Whether it has to answer now; without, it may come later.

        Raises
        ------
        UnavailableError
            If PostgreSQL does not answer.
        """
        with postgres_errors():
            if at_once:
                # The pool goes on trying until its time-out; a connection of our own fails with the first refusal.
                await (
                    await psycopg.AsyncConnection.connect(self._dsn, connect_timeout=_CONNECT_TIMEOUT_SECONDS)
                ).close()
            await self._pool.open(wait=wait, timeout=2 * _CONNECT_TIMEOUT_SECONDS)
        metrics.POOL_SIZE.inc(self._pool_size)
        self._is_open = True

    async def close(self) -> None:
        """Give all connections back."""
        if self._checking is not None:
            self._checking.cancel()
        if self._is_open:
            metrics.POOL_SIZE.dec(self._pool_size)
            self._is_open = False
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Yield a connection on which each statement is its own transaction.

        Raises
        ------
        UnavailableError
            If PostgreSQL cannot be reached or went away.
        DatabaseError
            If it refused a statement.
        """
        try:
            with postgres_errors():
                cancelled_before, asked = _cancellations(), perf_counter()
                async with self._pool.connection() as conn:
                    metrics.POOL_WAIT_SECONDS.observe(perf_counter() - asked)
                    _raise_lost_cancellation(cancelled_before)
                    with self._counted():
                        yield conn
                _raise_lost_cancellation(cancelled_before)
        except UnavailableError as exc:
            if isinstance(exc.__cause__, PoolTimeout) and self._in_use >= self._pool_size:
                raise UnavailableError(
                    f"all {self._pool_size} connections to PostgreSQL are busy",
                    hint="look for long transactions, or raise NADIA_POSTGRES_POOL_SIZE",
                ) from exc.__cause__
            self._drop_broken()
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Yield a connection inside one transaction: committed at the end, rolled back on an exception.

        Raises
        ------
        UnavailableError
            If PostgreSQL cannot be reached or went away; the transaction may or may not have been committed when it
            went away during the commit itself.
        DatabaseError
            If it refused a statement.
        """
        async with self.connection() as conn:
            async with conn.transaction():
                yield conn
                ended = perf_counter()
            observe_commit(perf_counter() - ended)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a connection as in use: a pool that is empty because of that has not lost its server."""
        self._in_use += 1
        metrics.POOL_IN_USE.inc()
        try:
            yield
        finally:
            metrics.POOL_IN_USE.dec()
            self._in_use -= 1

    def _drop_broken(self) -> None:
        """Test the idle connections in the background: when one broke, the others most likely did too."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check_pool(), name="postgres.check-pool")

    async def _check_pool(self) -> None:
        with suppress(psycopg.Error, PoolTimeout, OSError):
            await self._pool.check()


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _raise_lost_cancellation(before: int) -> None:
    """Raise a cancellation that came since and never arrived.

    The pool and the driver wait with asyncio.wait_for, which before Python 3.12 loses one that comes in the moment in
    which what is waited for does. A task that goes on after it was cancelled would never end.
    """
    if _cancellations() > before:
        raise asyncio.CancelledError
