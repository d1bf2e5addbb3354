"""What the health check reads of recovery's records: five statements, none of which changes anything."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from nadia.postgres.failures import Connection, Row
from nadia.telegram.account_status import LOGGED_OUT

TABLES: Final = ("recovery_cursors", "recovery_gaps", "recovery_operations", "recovery_chats", "recovery_requests")
"""Without any of these, recovery does not work."""

# The database's clock, and which tables are missing or may not be read: a name that there is none of gives NULL.
_ACCESS = """
SELECT
    clock_timestamp() AS now,
    ARRAY(
        SELECT name FROM unnest(%(tables)s::text[]) AS name
        WHERE has_table_privilege(to_regclass(name), 'SELECT') IS NOT TRUE
    ) AS unreadable
"""

# Here and below now(), the statement's beginning, bounds the window: with the volatile clock_timestamp() PostgreSQL
# would read every run there ever was instead of the index by time. Runs that never ended count however old they are.
_OPERATIONS = """
WITH recent AS (
    SELECT
        id, telegram_account_id, state, now() - progressed_at > %(silence)s AS is_silent,
        GREATEST(extract(epoch FROM ended_at - started_at), 0)::float8 AS seconds
    FROM recovery_operations
    WHERE started_at > now() - %(window)s OR state = 'running'
),
latest AS (
    SELECT DISTINCT ON (telegram_account_id) state
    FROM recent
    WHERE state IN ('done', 'failed')
    ORDER BY telegram_account_id, id DESC
)
SELECT
    count(*) FILTER (WHERE state = 'done') AS done,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE state = 'running') AS running,
    count(*) FILTER (WHERE state = 'running' AND is_silent) AS silent,
    (SELECT count(*) FROM latest WHERE state = 'failed') AS failing_accounts,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE state = 'done') AS median_seconds,
    max(seconds) FILTER (WHERE state = 'done') AS longest_seconds
FROM recent
"""

# Every account with its cursor, its open gap and its session; there are as many rows as accounts. An account of another
# network than NADIA is set to, or one that a person logged out of or never into, is not in use: nobody waits there.
# A session that Telegram revoked is another matter.
_CURSORS = """
SELECT
    account.id AS account, cursor.verified_at, gap.opened_at AS gap_opened_at,
    (extract(epoch FROM clock_timestamp() - cursor.verified_at) / 3600)::float8 AS cursor_hours,
    (extract(epoch FROM clock_timestamp() - gap.opened_at) / 3600)::float8 AS gap_hours,
    session.revoked_at IS NOT NULL AS revoked,
    account.network = %(network)s
        AND (
            account.network = 'sandbox'
            OR session.telegram_account_id IS NOT NULL AND session.revoked_reason IS DISTINCT FROM %(logged_out)s
        ) AS in_use
FROM telegram_accounts AS account
LEFT JOIN recovery_cursors AS cursor ON cursor.telegram_account_id = account.id
LEFT JOIN recovery_gaps AS gap ON gap.telegram_account_id = account.id AND gap.closed_at IS NULL
LEFT JOIN telegram_sessions AS session ON session.telegram_account_id = account.id
"""

# Errors against what was tried: each chat that was read, and each error.
_ERRORS = """
SELECT telegram_account_id AS account, sum(errors) AS errors, sum(errors + chats_done) AS attempts
FROM recovery_operations
WHERE started_at > now() - %(window)s
GROUP BY telegram_account_id
"""

# Work and time of the runs that have ended; a clock that was set back during one makes it no shorter than nothing.
_PERFORMANCE = """
WITH ended AS (
    SELECT *, GREATEST(extract(epoch FROM ended_at - started_at), 0)::float8 AS seconds
    FROM recovery_operations
    WHERE started_at > now() - %(window)s AND ended_at IS NOT NULL
)
SELECT
    count(*) AS runs,
    COALESCE(sum(seconds), 0) AS seconds,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds,
    COALESCE(sum(chats_done), 0) AS chats_read,
    COALESCE(sum(messages_found), 0) AS messages_found,
    COALESCE(sum(messages_recorded), 0) AS messages_recorded,
    COALESCE(sum(messages_duplicate), 0) AS messages_duplicate,
    COALESCE(sum(messages_too_old), 0) AS messages_too_old,
    COALESCE(sum(flood_wait_seconds), 0) AS flood_wait_seconds
FROM ended
"""


async def access(conn: Connection) -> Row:
    """Return the database's clock (``now``) and the names of recovery's tables that cannot be read."""
    return await _only_row(conn, _ACCESS, {"tables": list(TABLES)})


async def operations(conn: Connection, *, window: timedelta, silence: timedelta) -> Row:
    """Return counts and durations of the runs of a window."""
    return await _only_row(conn, _OPERATIONS, {"window": window, "silence": silence})


async def cursors(conn: Connection, *, network: str) -> Sequence[Row]:
    """Return every account with the age of its cursor and of its open gap, hours."""
    return await (await conn.execute(_CURSORS, {"network": network, "logged_out": LOGGED_OUT})).fetchall()


async def errors(conn: Connection, *, window: timedelta) -> Sequence[Row]:
    """Return errors and attempts of a window, for each account that had a run in it."""
    return await (await conn.execute(_ERRORS, {"window": window})).fetchall()


async def performance(conn: Connection, *, window: timedelta) -> Row:
    """Return work and time of the runs of a window."""
    return await _only_row(conn, _PERFORMANCE, {"window": window})


async def _only_row(conn: Connection, statement: str, values: dict[str, object]) -> Row:
    row = await (await conn.execute(statement, values)).fetchone()
    assert row is not None, "an aggregate without GROUP BY always has a row"
    return row
