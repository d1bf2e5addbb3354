"""The driver's exceptions as NADIA's, and what a connection is; without the pool, for commands that ask little."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import psycopg
from psycopg.rows import DictRow

from nadia.errors import NadiaError, UnavailableError

Row: TypeAlias = DictRow
Connection: TypeAlias = psycopg.AsyncConnection[Row]


class DatabaseError(NadiaError):
    """PostgreSQL refused a statement."""


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Turn the driver's exceptions into NADIA's.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached, went away, took too long or takes no writes, as a standby.
    DatabaseError
        If it refused a statement.
    """
    try:
        yield
    except psycopg.Error as exc:
        # Chained, it stands in tracebacks, and so in log files.
        exc.args = (_without_values(exc),)
        raise _translated(exc) from exc


def _translated(exc: psycopg.Error) -> NadiaError:
    if isinstance(exc, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return UnavailableError(
            "PostgreSQL took too long to answer", hint="look for long transactions in pg_stat_activity"
        )
    if isinstance(exc, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
        return UnavailableError("two transactions stood in each other's way", hint="try it again")
    if isinstance(exc, psycopg.errors.ReadOnlySqlTransaction):
        return UnavailableError(
            "PostgreSQL takes no writes at the moment", hint="is it a standby? DATABASE_URL must lead to the primary"
        )
    if isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError):
        return UnavailableError(
            "PostgreSQL cannot be reached", hint="is the server up? DATABASE_URL says where it is looked for"
        )
    return DatabaseError(f"PostgreSQL refused a statement: {_brief(exc)}")


def _without_values(exc: psycopg.Error) -> str:
    """Return a failure's text without what PostgreSQL quotes of rows and parameters: customers' words may be in them.

    Detail and context do so, and the first line too where a value itself is what is wrong (SQLSTATE class 22). What
    the driver says for itself, such as why there is no connection, stays whole.
    """
    primary, code = exc.diag.message_primary, exc.sqlstate or ""
    if primary is None:
        return str(exc)
    return f"{type(exc).__name__ if code.startswith('22') else primary} ({code})"


def _brief(exc: psycopg.Error) -> str:
    return str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__
