"""Which statements take the time, as PostgreSQL counts them where it was told to, and as NADIA does in any case."""

from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from nadia.health.figures import Figures
from nadia.postgres.database import Connection
from nadia.workflows.slowness.activity import without_values

METRIC: Final = "nadia_postgres_statement_seconds"

# Where the extension is, if it is.
_EXTENSION = """
SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
"""

# What took most time in this database since the statistics were reset; %(limit)s bounds it.
_STATEMENTS = """
SELECT query, calls, total_exec_time / 1000 AS seconds, mean_exec_time / 1000 AS mean, max_exec_time / 1000 AS longest
FROM {}.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND calls > 0 ORDER BY total_exec_time DESC LIMIT %(limit)s
"""

# Tables that are read from end to end although they are big: %(rows)s live rows or more, and as many read each time.
_WHOLE_READS = """
SELECT relname AS name, n_live_tup AS rows, seq_scan AS scans, seq_tup_read AS read, coalesce(idx_scan, 0) AS by_index
FROM pg_stat_user_tables
WHERE n_live_tup >= %(rows)s AND seq_scan >= %(scans)s AND seq_tup_read / seq_scan >= %(rows)s
ORDER BY seq_tup_read DESC LIMIT 10
"""

BIG_ROWS: Final = 10_000
"""Below, reading a whole table takes a millisecond or two."""

_SCANS: Final = 20
"""Fewer whole reads were somebody's count, or a backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A kind of statement.

    Parameters
    ----------
    name : str
        Its text without values, or its verb and first table.
    calls : float
        How often it was run.
    seconds, mean : float
        In all, and each time.
    slow : float or None
        The time below which 95 % of its runs were; the longest where only that is known.
    """

    name: str
    calls: float
    seconds: float
    mean: float
    slow: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeReads:
    """A big table that is read from end to end.

    Parameters
    ----------
    table : str
        Its name.
    rows : int
        Live rows.
    scans, read : int
        How often, and how many rows altogether.
    by_index : int
        How often it was read through an index instead.
    """

    table: str
    rows: int
    scans: int
    read: int
    by_index: int


async def counted_by_postgres(conn: Connection, *, limit: int) -> list[Statement] | None:
    """Return what took most time since PostgreSQL counts; None where it does not, or does not let us see it."""
    extension = await (await conn.execute(_EXTENSION)).fetchone()
    if extension is None:
        return None
    query = sql.SQL(_STATEMENTS).format(sql.Identifier(extension["schema"]))
    try:
        # The view is there and raises where its library was not loaded at the server's start.
        rows = await (await conn.execute(query, {"limit": limit})).fetchall()
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InsufficientPrivilege):
        return None
    return [
        Statement(
            name=without_values(row["query"]),
            calls=row["calls"],
            seconds=row["seconds"],
            mean=row["mean"],
            slow=row["longest"],
        )
        for row in rows
    ]


def counted_by_us(figures: Figures, *, limit: int) -> list[Statement]:
    """Return what took most time, as NADIA's processes counted it."""
    found = [
        Statement(
            name=labels.get("statement", "?"),
            calls=taken.count,
            seconds=taken.total,
            mean=taken.mean,
            slow=taken.quantile(0.95),
        )
        for labels, taken in figures.distributions(METRIC)
        if taken.mean is not None
    ]
    return sorted(found, key=lambda one: -one.seconds)[:limit]


async def whole_reads(conn: Connection) -> list[WholeReads]:
    """Return big tables that are read from end to end, those that cost most first."""
    rows = await (await conn.execute(_WHOLE_READS, {"rows": BIG_ROWS, "scans": _SCANS})).fetchall()
    return [
        WholeReads(table=row["name"], rows=row["rows"], scans=row["scans"], read=row["read"], by_index=row["by_index"])
        for row in rows
    ]
