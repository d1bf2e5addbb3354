"""What the probes of PostgreSQL know: one statement, which those that ask at the same moment share."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.postgres.backups import BACKUP
from nadia.postgres.failures import Connection, DatabaseError
from nadia.shared_calls import SharedCalls

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]
"""Yields a connection whose statements are transactions of their own, such as `Database.connection`."""

# A backup's transaction is as old as the backup is long: it is told apart from those that somebody left open.
# Sessions of other roles are counted, but show their transactions only to members of pg_read_all_stats. A replica says
# how far it is every ten seconds (wal_receiver_status_interval) and has no lag on record while there is nothing to
# replay: one that has fallen silent is as far behind as its silence is long.
_SERVER = """
WITH sessions AS (
    SELECT pid, application_name, application_name IS NOT DISTINCT FROM %(backup)s AS is_backup,
           query = '<insufficient privilege>' AS is_hidden,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
           CASE WHEN state LIKE 'idle in transaction%%'
                THEN extract(epoch FROM clock_timestamp() - state_change)::float8 END AS idle_seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND (backend_type = 'client backend' OR backend_type IS NULL)
), oldest AS (
    SELECT * FROM sessions WHERE transaction_seconds IS NOT NULL AND NOT is_backup
    ORDER BY transaction_seconds DESC LIMIT 1
), replicas AS (
    SELECT state, extract(epoch FROM greatest(
               replay_lag, clock_timestamp() - coalesce(reply_time, backend_start) - interval '10 s', interval '0'
           ))::float8 AS lag_seconds
    FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
)
SELECT
    clock_timestamp() AS now,
    pg_is_in_recovery() AS is_standby,
    (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS places,
    (SELECT count(*)::int FROM sessions WHERE is_hidden) AS hidden_sessions,
    (SELECT max(idle_seconds) FROM sessions WHERE NOT is_backup) AS idle_in_transaction_seconds,
    (SELECT transaction_seconds FROM oldest) AS transaction_seconds,
    (SELECT pid FROM oldest) AS transaction_pid,
    (SELECT application_name FROM oldest) AS transaction_application,
    (SELECT count(*)::int FROM sessions WHERE is_backup) AS backup_sessions,
    (SELECT max(transaction_seconds) FROM sessions WHERE is_backup) AS backup_seconds,
    (SELECT count(*)::int FROM replicas) AS replicas,
    (SELECT count(*)::int FROM replicas WHERE state IS NULL) AS hidden_replicas,
    (SELECT count(*)::int FROM replicas WHERE state <> 'streaming') AS replicas_not_streaming,
    (SELECT max(lag_seconds) FROM replicas WHERE state IS NOT NULL) AS lag_seconds,
    (SELECT count(*)::int FROM pg_replication_slots WHERE NOT active) AS unread_slots
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresReading:
    """How the server is.

    Parameters
    ----------
    latency_seconds : float
        How long the statement took.
    skew_seconds : float
        The server's clock minus this machine's, for a clock read halfway.
    now : datetime
        By the server's clock.
    is_standby : bool
        Whether it only follows another server and takes no writes.
    connections, places : int
        Connections of all databases, and how many there may be of roles without privileges.
    hidden_sessions : int
        Sessions of this database whose transactions this role may not see.
    transaction_seconds, transaction_pid, transaction_application : float, int and str, or None
        The oldest transaction of this database but our own and those of backups.
    idle_in_transaction_seconds : float or None
        How long a session has longest kept a transaction open and done nothing; no backup's.
    backup_sessions : int
        Sessions in which `pg_dump` works.
    backup_seconds : float or None
        Age of the oldest transaction of these that this role may see.
    replicas, replicas_not_streaming, hidden_replicas : int
        Servers that follow this one; those of them that do not keep up; those that this role may not look at.
    lag_seconds : float or None
        Of the replica that is farthest behind.
    unread_slots : int
        Replication slots that nobody reads: WAL is kept for them.
    """

    latency_seconds: float
    skew_seconds: float
    now: datetime
    is_standby: bool
    connections: int
    places: int
    hidden_sessions: int
    transaction_seconds: float | None
    transaction_pid: int | None
    transaction_application: str | None
    idle_in_transaction_seconds: float | None
    backup_sessions: int
    backup_seconds: float | None
    replicas: int
    replicas_not_streaming: int
    hidden_replicas: int
    lag_seconds: float | None
    unread_slots: int


class PostgresReader:
    """Reads how the server is.

    Parameters
    ----------
    connect : callable
        Yields a connection.
    clock : callable
        This machine's clock.
    stopwatch : callable
        Seconds that only go forward.
    """

    def __init__(
        self, *, connect: Connect, clock: Clock = utc_now, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._stopwatch = stopwatch
        self._calls: SharedCalls[str, PostgresReading] = SharedCalls()

    async def read(self) -> PostgresReading:
        """Return how it is; those who ask at the same moment get the same reading.

        Raises
        ------
        UnavailableError
            If it cannot be reached.
        """
        return await self._calls.run("postgres", self._read)

    async def _read(self) -> PostgresReading:
        async with asking(self._connect) as conn:
            asked_at, begun = self._clock(), self._stopwatch()
            row = await (await conn.execute(_SERVER, {"backup": BACKUP})).fetchone()
            latency = self._stopwatch() - begun
        assert row is not None, "a SELECT without FROM has one row"
        skew = (row["now"] - asked_at).total_seconds() - latency / 2
        return PostgresReading(latency_seconds=latency, skew_seconds=skew, **row)


@asynccontextmanager
async def asking(connect: Connect) -> AsyncIterator[Connection]:
    """Yield a connection for a probe's statement.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached, or has not what the statement asks for.
    """
    try:
        async with connect() as conn:
            yield conn
    except DatabaseError as exc:
        raise UnavailableError(
            "PostgreSQL has not what the check asks for", hint="is the schema this version's? `nadia db current` says"
        ) from exc
