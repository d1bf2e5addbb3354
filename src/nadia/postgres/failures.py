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
        If PostgreSQL cannot be reached, went away or took too long.
    DatabaseError
        If it refused a statement.
    """
    try:
        yield
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as exc:
        raise UnavailableError(
            "PostgreSQL took too long to answer", hint="look for long transactions in pg_stat_activity"
        ) from exc
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as exc:
        raise UnavailableError("two transactions stood in each other's way", hint="try it again") from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        raise UnavailableError(
            "PostgreSQL cannot be reached", hint="is the server up? DATABASE_URL says where it is looked for"
        ) from exc
    except psycopg.Error as exc:
        raise DatabaseError(f"PostgreSQL refused a statement: {_brief(exc)}") from exc


def _brief(exc: psycopg.Error) -> str:
    return str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__
