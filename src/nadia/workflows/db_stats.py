"""What is in the database, and does it work well?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import ClassVar, Final

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.health.models import HealthStatus
from nadia.postgres.backups import BACKUP, how_to_end
from nadia.postgres.database import Connection, Row
from nadia.workflows import database_statistics as statistics
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry

DOCS: Final = "docs/guides/workflows.md#db-stats"

_MANY_ROWS: Final = 10_000
"""Tables below that are read from end to end as fast as through an index."""

_DEAD_SHARE: Final = 0.2
"""Of live rows: autovacuum's own threshold (autovacuum_vacuum_scale_factor); above it, it does not keep up."""

_CACHE_RATIO: Final = 0.95
_READS_WORTH_JUDGING: Final = 100_000
_SCANS: Final = 50
_UNUSED_BYTES: Final = 10_000_000
_UNUSED_DAYS: Final = 7
_TRANSACTION_IDS: Final = (500_000_000, 1_500_000_000)
"""Of the 2^31 that there are: autovacuum fights against it from 200 million on (autovacuum_freeze_max_age)."""

_BLOCKED_SECONDS: Final = 5.0
_ROWS: Final = 20


class DbStatsArguments(Arguments):
    """How far to look."""

    tables: int = Field(12, ge=1, le=200, description="Most tables to list, the biggest first.")
    days: int = Field(7, ge=1, le=90, description="Days of growth to show.")


class DbStats:
    """Reads PostgreSQL's own statistics; needs no more rights than the product has.

    Parameters
    ----------
    connect : callable
        Yields a connection whose statements are transactions of their own; raises `UnavailableError`.
    connections_percent : float
        Share of the connections in use above which there is a warning, %.
    transaction_seconds : float
        Age of a transaction above which there is a warning, seconds.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "db-stats"
    question: ClassVar[str] = "What is in the database, and does it work well?"
    arguments: ClassVar[type[Arguments]] = DbStatsArguments
    role: ClassVar[Role] = Role.VIEWER

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        connections_percent: float,
        transaction_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._connect = connect
        self._connections_percent = connections_percent
        self._transaction_seconds = transaction_seconds
        self._clock = clock

    def effect(self, arguments: DbStatsArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: DbStatsArguments) -> WorkflowReport:
        """Read the statistics; raises UnavailableError if PostgreSQL is away."""
        inquiry = Inquiry(self, clock=self._clock)
        async with self._connect() as conn:
            database = await statistics.database(conn)
            tables = await statistics.tables(conn)
            indexes = await statistics.indexes(conn)
            keys = await statistics.unindexed_keys(conn)
            connections = await statistics.connections(conn)
            transactions = await statistics.transactions(conn, limit=_ROWS)
            locks = await statistics.locks(conn, limit=_ROWS)
            growth = await statistics.growth(conn, window=timedelta(days=arguments.days))
        findings = [
            *self._judge_database(database),
            *_judge_tables(tables),
            *_judge_indexes(indexes, keys, watched_seconds=_watched_seconds(database)),
            *self._judge_activity(transactions, locks),
        ]
        return inquiry.report(
            _answer(database, tables, findings),
            findings=findings,
            tables=[
                _database_table(database),
                _table_table(tables, limit=arguments.tables),
                *_index_table(indexes),
                _connection_table(connections, database),
                *_transaction_table(transactions),
                *_lock_table(locks),
                _growth_table(growth, arguments.days),
            ],
        )

    def _judge_database(self, row: Row) -> Iterator[WorkflowFinding]:
        reads = row["blks_hit"] + row["blks_read"]
        if reads > _READS_WORTH_JUDGING and row["blks_hit"] / reads < _CACHE_RATIO:
            yield _warning(
                "cache",
                f"only {row['blks_hit'] / reads:.1%} of what is read is in PostgreSQL's memory",
                "raise shared_buffers (a quarter of the machine's memory is usual), or find what reads so much",
            )
        percent = 100 * row["connections"] / row["max_connections"]
        if percent > self._connections_percent:
            yield _warning(
                "connections",
                f"{row['connections']} of {row['max_connections']} connections are in use ({percent:.0f} %)",
                "see who has them below; raise max_connections, or lower NADIA_POSTGRES_POOL_SIZE",
            )
        used, (many, too_many) = row["transaction_ids_used"], _TRANSACTION_IDS
        if used > many:
            yield WorkflowFinding(
                status=HealthStatus.CRITICAL if used > too_many else HealthStatus.WARNING,
                subject="transaction ids",
                message=f"{used / 1e6:.0f} of 2147 million are used up; at the end PostgreSQL stops writing",
                remedy="look for what keeps vacuum from freezing (old transactions, slots), then VACUUM (FREEZE)",
                docs=DOCS,
            )

    def _judge_activity(self, transactions: Sequence[Row], locks: Sequence[Row]) -> Iterator[WorkflowFinding]:
        for row in transactions:
            if row["seconds"] > self._transaction_seconds and row["application"] != BACKUP:
                yield _warning(
                    f"transaction of {row['application']}",
                    f"open for {row['seconds']:.0f} s ({row['state']}): vacuum cannot clean up behind it",
                    how_to_end(row["application"], row["pid"]),
                )
        for row in locks:
            if (row["seconds"] or 0) > _BLOCKED_SECONDS:
                yield _warning(
                    f"lock of {row['blocker']}",
                    f"{row['application']} has waited for it for {row['seconds']:.0f} s; "
                    f"its holder is {row['blocker_state']}",
                    how_to_end(row["blocker"], row["blocker_pid"]),
                )


def _judge_tables(tables: Sequence[Row]) -> Iterator[WorkflowFinding]:
    for row in tables:
        name, live, dead = row["name"], row["live_rows"], row["dead_rows"]
        if dead > max(_MANY_ROWS, _DEAD_SHARE * live):
            yield _warning(
                name,
                f"{dead} dead rows beside {live} live ones: autovacuum does not keep up",
                f"VACUUM (ANALYZE) {name}; is an old transaction open?",
            )
        if live > _MANY_ROWS and row["analysed_at"] is None:
            yield _warning(name, "the planner has no statistics of it", f"ANALYZE {name}")
        scans = row["seq_scan"]
        if live > _MANY_ROWS and scans > _SCANS and row["seq_tup_read"] / scans > live / 2:
            share = scans / (scans + row["idx_scan"])
            yield _warning(
                name,
                f"read from end to end {scans} times ({share:.0%} of all reads), {live} rows each",
                "an index is missing: `nadia workflow slow-api` names what is slow",
            )


def _judge_indexes(indexes: Sequence[Row], keys: Sequence[Row], *, watched_seconds: float) -> Iterator[WorkflowFinding]:
    for row in indexes:
        if not row["is_valid"]:
            yield _warning(
                row["name"],
                "the index is invalid: making it was interrupted, and nothing uses it",
                f"REINDEX INDEX CONCURRENTLY {row['name']}",
            )
    if watched_seconds > _UNUSED_DAYS * 86_400:
        for row in indexes:
            if _is_unused(row) and row["size_bytes"] > _UNUSED_BYTES:
                yield _warning(
                    row["name"],
                    f"nothing has ever used this index of {row['size_bytes'] / 1e6:.0f} MB; each write pays for it",
                    "tell the maintainers; an index that a replica uses shows no use here",
                )
    for row in keys:
        if row["live_rows"] > _MANY_ROWS:
            yield _warning(
                row["table_name"],
                f"no index serves the foreign key {row['name']}: deletions read all {row['live_rows']} rows",
                "tell the maintainers: a migration should add it",
            )


def _watched_seconds(database: Row) -> float:
    """Return for how long uses were counted, at least; nobody knows when statistics began that were never reset."""
    up_seconds, since_reset = database["up_seconds"], database["statistics_seconds"]
    return float(up_seconds if since_reset is None else min(up_seconds, since_reset))


def _is_unused(row: Row) -> bool:
    return row["idx_scan"] == 0 and row["is_valid"] and not row["is_constraint"]


def _answer(database: Row, tables: Sequence[Row], findings: Sequence[WorkflowFinding]) -> str:
    size = f"the database has {database['size_bytes'] / 1e6:.0f} MB"
    if tables and tables[0]["size_bytes"] > database["size_bytes"] / 2:
        size += f", most of it in {tables[0]['name']}"
    if not findings:
        return f"{size}; nothing stands out"
    worst = max(findings, key=lambda finding: list(HealthStatus).index(finding.status))
    more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{size}; to look at: {worst.subject}{more}"


def _database_table(row: Row) -> ReportTable:
    reads = row["blks_hit"] + row["blks_read"]
    return ReportTable(
        title="database",
        columns=[
            "version",
            "up (seconds)",
            "size (bytes)",
            "from memory (ratio)",
            "deadlocks",
            "sorted on disk (bytes)",
        ],
        rows=[
            [
                row["version"].split()[0],
                row["up_seconds"],
                row["size_bytes"],
                row["blks_hit"] / reads if reads else None,
                row["deadlocks"],
                row["temp_bytes"],
            ]
        ],
    )


def _table_table(tables: Sequence[Row], *, limit: int) -> ReportTable:
    rest = tables[limit:]
    size = sum(row["size_bytes"] for row in rest)
    return ReportTable(
        title="tables",
        columns=["table", "size (bytes)", "indexes (bytes)", "rows", "dead", "vacuumed"],
        rows=[
            [
                row["name"],
                row["size_bytes"],
                row["index_bytes"],
                row["live_rows"],
                row["dead_rows"],
                _moment(row["vacuumed_at"]),
            ]
            for row in tables[:limit]
        ],
        note=f"{len(rest)} more with {size / 1e6:.1f} MB; --tables lists them; rows are PostgreSQL's estimates"
        if rest
        else "rows are PostgreSQL's estimates",
    )


def _index_table(indexes: Sequence[Row]) -> Iterator[ReportTable]:
    unused = [row for row in indexes if _is_unused(row) and row["size_bytes"] > _UNUSED_BYTES / 10]
    if unused:
        yield ReportTable(
            title="big indexes that nothing has used yet",
            columns=["index", "table", "size (bytes)"],
            rows=[[row["name"], row["table_name"], row["size_bytes"]] for row in unused[:5]],
            note="on a quiet or young installation that is normal",
        )


def _connection_table(connections: Sequence[Row], database: Row) -> ReportTable:
    return ReportTable(
        title="connections",
        columns=["application", "state", "connections"],
        rows=[[row["application"], row["state"], row["connections"]] for row in connections[:_ROWS]],
        note=f"{database['connections']} of at most {database['max_connections']}",
    )


def _transaction_table(transactions: Sequence[Row]) -> Iterator[ReportTable]:
    if transactions:
        yield ReportTable(
            title="open transactions",
            columns=["application", "state", "for (seconds)", "waits for", "process"],
            rows=[
                [row["application"], row["state"], row["seconds"], row["waits_for"], row["pid"]] for row in transactions
            ],
        )


def _lock_table(locks: Sequence[Row]) -> Iterator[ReportTable]:
    if locks:
        yield ReportTable(
            title="waiting for locks",
            columns=["who", "for (seconds)", "holder", "holder is", "holder's process"],
            rows=[
                [row["application"], row["seconds"], row["blocker"], row["blocker_state"], row["blocker_pid"]]
                for row in locks
            ],
        )


def _growth_table(growth: Sequence[Row], days: int) -> ReportTable:
    counted = sum(row["received"] + row["sent"] for row in growth)
    bounded = counted >= statistics.RECENT_MESSAGES
    return ReportTable(
        title=f"messages by day, {days} days",
        columns=["day", "received", "sent"],
        rows=[[row["day"].isoformat(), row["received"], row["sent"]] for row in growth],
        note=f"of the newest {statistics.RECENT_MESSAGES} only: the oldest day is incomplete" if bounded else None,
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _warning(subject: str, message: str, remedy: str) -> WorkflowFinding:
    return WorkflowFinding(status=HealthStatus.WARNING, subject=subject, message=message, remedy=remedy, docs=DOCS)
