"""What PostgreSQL knows of itself: its statistics views, which every role may read. Nothing here changes anything."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from nadia.postgres.database import Connection, Row

RECENT_MESSAGES: Final = 200_000
"""Most messages that the growth is counted over: the newest by id, so that no huge table is read to its end."""

# The whole database. Without superuser, sessions of other roles count, but their state is hidden.
_DATABASE = """
SELECT
    current_setting('server_version') AS version,
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS up_seconds,
    pg_database_size(d.datid) AS size_bytes,
    blks_hit, blks_read, xact_commit, xact_rollback, deadlocks, temp_bytes,
    extract(epoch FROM clock_timestamp() - stats_reset)::float8 AS statistics_seconds,
    age(c.datfrozenxid) AS transaction_ids_used,
    current_setting('max_connections')::int AS max_connections,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections
FROM pg_stat_database d
JOIN pg_database c ON c.oid = d.datid
WHERE d.datname = current_database()
"""

# Tables with what they hold, and how they are read.
_TABLES = """
SELECT
    t.relname AS name,
    pg_total_relation_size(t.relid) AS size_bytes,
    pg_indexes_size(t.relid) AS index_bytes,
    n_live_tup AS live_rows, n_dead_tup AS dead_rows,
    seq_scan, seq_tup_read, COALESCE(idx_scan, 0) AS idx_scan,
    GREATEST(last_vacuum, last_autovacuum) AS vacuumed_at,
    GREATEST(last_analyze, last_autoanalyze) AS analysed_at
FROM pg_stat_user_tables t
ORDER BY size_bytes DESC, name
"""

# Indexes, with whether something but speed depends on them.
_INDEXES = """
SELECT
    s.indexrelname AS name, s.relname AS table_name, s.idx_scan, pg_relation_size(s.indexrelid) AS size_bytes,
    i.indisvalid AS is_valid, i.indisunique OR i.indisprimary OR i.indisexclusion AS is_constraint
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
ORDER BY size_bytes DESC, name
"""

# Foreign keys that no index begins with: each deletion of the referenced row reads the whole referencing table.
_UNINDEXED_KEYS = """
SELECT c.conname AS name, t.relname AS table_name, t.n_live_tup AS live_rows
FROM pg_constraint c
JOIN pg_stat_user_tables t ON t.relid = c.conrelid
WHERE c.contype = 'f'
  AND NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = c.conrelid AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
  )
ORDER BY live_rows DESC, name
"""

# Who is connected, to whatever database: max_connections counts them all.
_CONNECTIONS = """
SELECT COALESCE(NULLIF(application_name, ''), '(unnamed)') AS application, COALESCE(state, '(hidden)') AS state,
    count(*) AS connections
FROM pg_stat_activity
WHERE backend_type = 'client backend'
GROUP BY 1, 2
ORDER BY connections DESC, application, state
"""

# Transactions by age, with what they wait for; this connection's own left out.
_TRANSACTIONS = """
SELECT
    pid, COALESCE(NULLIF(application_name, ''), '(unnamed)') AS application, COALESCE(state, '(hidden)') AS state,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
    CASE WHEN state = 'active' THEN concat_ws(': ', wait_event_type, wait_event) END AS waits_for
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND datname = current_database()
ORDER BY xact_start
LIMIT %(limit)s
"""

# Who waits for a lock, and who holds it.
_LOCKS = """
SELECT
    blocked.pid, COALESCE(NULLIF(blocked.application_name, ''), '(unnamed)') AS application,
    extract(epoch FROM clock_timestamp() - blocked.state_change)::float8 AS seconds,
    blocker.pid AS blocker_pid, COALESCE(NULLIF(blocker.application_name, ''), '(unnamed)') AS blocker,
    COALESCE(blocker.state, '(hidden)') AS blocker_state
FROM pg_stat_activity blocked
CROSS JOIN LATERAL unnest(pg_blocking_pids(blocked.pid)) AS holds(pid)
JOIN pg_stat_activity blocker ON blocker.pid = holds.pid
WHERE blocked.wait_event_type = 'Lock' AND blocked.datname = current_database()
ORDER BY seconds DESC NULLS LAST
LIMIT %(limit)s
"""

# Messages by day (UTC), of the newest so many; the days before the oldest of those are not known.
_GROWTH = """
WITH newest AS (
    SELECT received_at, direction FROM messages ORDER BY id DESC LIMIT %(recent)s
)
SELECT received_at::date AS day, count(*) FILTER (WHERE direction = 'in') AS received,
    count(*) FILTER (WHERE direction = 'out') AS sent
FROM newest
WHERE received_at > clock_timestamp() - %(window)s
GROUP BY day
ORDER BY day DESC
"""


async def database(conn: Connection) -> Row:
    """Return what concerns the whole database."""
    row = await (await conn.execute(_DATABASE)).fetchone()
    assert row is not None, "the database that is connected to has a row"
    return row


async def tables(conn: Connection) -> Sequence[Row]:
    """Return every table, the biggest first."""
    return await (await conn.execute(_TABLES)).fetchall()


async def indexes(conn: Connection) -> Sequence[Row]:
    """Return every index, the biggest first."""
    return await (await conn.execute(_INDEXES)).fetchall()


async def unindexed_keys(conn: Connection) -> Sequence[Row]:
    """Return the foreign keys that no index serves."""
    return await (await conn.execute(_UNINDEXED_KEYS)).fetchall()


async def connections(conn: Connection) -> Sequence[Row]:
    """Return how many connections each application has, by state."""
    return await (await conn.execute(_CONNECTIONS)).fetchall()


async def transactions(conn: Connection, *, limit: int) -> Sequence[Row]:
    """Return open transactions, the oldest first."""
    return await (await conn.execute(_TRANSACTIONS, {"limit": limit})).fetchall()


async def locks(conn: Connection, *, limit: int) -> Sequence[Row]:
    """Return who waits for whom, the longest first."""
    return await (await conn.execute(_LOCKS, {"limit": limit})).fetchall()


async def growth(conn: Connection, *, window: timedelta) -> Sequence[Row]:
    """Return messages by day, the newest day first."""
    return await (await conn.execute(_GROWTH, {"recent": RECENT_MESSAGES, "window": window})).fetchall()
