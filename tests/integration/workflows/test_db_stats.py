"""`db-stats` tells what is in a real PostgreSQL, and what is wrong with it, as a role without any privilege."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.database import Database
from nadia.workflows.db_stats import DbStats, DbStatsArguments
from nadia.workflows.report import ReportTable, WorkflowReport
from support.core import Core, running, until
from support.servers import ClonedDatabase


async def look(database: Database, **arguments: Any) -> WorkflowReport:
    workflow = DbStats(connect=database.connection, connections_percent=80, transaction_seconds=60)
    return await workflow.run(DbStatsArguments(**arguments))


def table(report: WorkflowReport, title: str) -> ReportTable:
    return next(table for table in report.tables if table.title.startswith(title))


def said(report: WorkflowReport) -> str:
    return "; ".join(f"{finding.subject}: {finding.message}" for finding in report.findings)


@pytest.fixture
async def owner(database: ClonedDatabase) -> AsyncIterator[Database]:
    """The role that owns the schema."""
    opened = Database(dsn=database.owner_dsn, pool_size=2)
    await opened.open()
    yield opened
    await opened.close()


async def run(database: Database, *statements: LiteralString) -> None:
    async with database.connection() as conn:
        for statement in statements:
            await conn.execute(statement)
        await conn.execute("SELECT pg_stat_force_next_flush()")


async def test_an_empty_database_is_well(core: Core) -> None:
    report = await look(core.database)

    assert (report.status, said(report)) == (HealthStatus.HEALTHY, "")
    assert report.answer.startswith("the database has ")
    assert report.answer.endswith("; nothing stands out")
    assert table(report, "messages by day").rows == []
    assert "nadia" in [row[0] for row in table(report, "connections").rows]


async def test_growth_is_counted_by_day(core: Core) -> None:
    conversation = await core.customer(1001)
    for text in ("one", "two", "three"):
        await core.record(conversation, text)
    await core.record(conversation, "our answer", direction="out")
    for days in (2, 30):
        await core.record(conversation, f"{days} days ago")
        await core.execute(
            "UPDATE messages SET received_at = received_at - %s WHERE id = (SELECT max(id) FROM messages)",
            timedelta(days=days),
        )

    rows = table(await look(core.database, days=7), "messages by day").rows

    assert [row[1:] for row in rows] == [[3, 1], [1, 0]]
    assert str(rows[0][0]) > str(rows[1][0]), "newest day first"


async def test_the_biggest_tables_are_listed_and_the_rest_is_counted(core: Core) -> None:
    report = table(await look(core.database, tables=3), "tables")

    sizes = [int(row[1] or 0) for row in report.rows]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert "more with" in str(report.note)


async def test_dead_rows_and_missing_statistics(core: Core, owner: Database) -> None:
    await run(
        owner,
        "CREATE TABLE heap (id int) WITH (autovacuum_enabled = false)",
        "INSERT INTO heap SELECT generate_series(1, 40000)",
        "DELETE FROM heap WHERE id <= 20000",
    )

    words = said(await look(core.database))

    assert "heap: 20000 dead rows beside 20000 live ones" in words
    assert "heap: the planner has no statistics of it" in words


async def test_missing_and_unused_indexes(core: Core, owner: Database) -> None:
    await run(
        owner,
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (id int, parent_id int REFERENCES parent, note text)",
        "INSERT INTO parent SELECT generate_series(1, 100)",
        "INSERT INTO child SELECT n, n % 100 + 1, repeat('x', 300) || n FROM generate_series(1, 30000) AS n",
        "CREATE INDEX child_by_note ON child (note)",
    )
    await run(owner, "ANALYZE child", *["SELECT count(*) FROM child WHERE id = 7"] * 60)

    report = await look(core.database)

    words = said(report)
    assert "child: read from end to end" in words
    assert "child: no index serves the foreign key child_parent_id_fkey" in words
    assert [row[0] for row in table(report, "big indexes").rows] == ["child_by_note"]


async def test_a_transaction_that_stays_open(core: Core) -> None:
    workflow = DbStats(connect=core.database.connection, connections_percent=80, transaction_seconds=0)
    async with core.database.transaction() as conn:
        await conn.execute("SELECT count(*) FROM messages")
        report = await workflow.run(DbStatsArguments())

    (row,) = table(report, "open transactions").rows
    assert row[:2] == ["nadia", "idle in transaction"]
    assert "transaction of nadia: open for" in said(report)
    assert f"pg_terminate_backend({row[4]})" in str(report.findings[0].remedy)


async def test_a_backup_s_transaction_is_shown_and_not_judged(core: Core, database: ClonedDatabase) -> None:
    workflow = DbStats(connect=core.database.connection, connections_percent=80, transaction_seconds=0)
    async with await psycopg.AsyncConnection.connect(database.app_dsn, application_name="pg_dump") as conn:
        await conn.execute("SELECT count(*) FROM messages")
        report = await workflow.run(DbStatsArguments())

    (row,) = table(report, "open transactions").rows
    assert row[:2] == ["pg_dump", "idle in transaction"]
    assert "pg_dump" not in said(report)


async def test_who_waits_for_whom(core: Core) -> None:
    await core.customer(1001)

    async def wait() -> None:
        await core.execute("UPDATE conversations SET revision = revision")

    async with core.database.transaction() as conn:
        await conn.execute("SELECT * FROM conversations FOR UPDATE")
        async with running(wait):

            async def blocked() -> bool:
                return bool(await core.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

            await until(blocked, what="the wait for a lock")
            report = await look(core.database)

    (row,) = table(report, "waiting for locks").rows
    assert (row[0], row[2], row[3]) == ("nadia", "nadia", "idle in transaction")


async def test_almost_no_connection_left(core: Core) -> None:
    workflow = DbStats(connect=core.database.connection, connections_percent=0.01, transaction_seconds=60)

    assert "connections are in use" in said(await workflow.run(DbStatsArguments()))


async def test_without_postgres_there_is_no_answer(tmp_path: object) -> None:
    away = Database(dsn=f"postgresql://nadia@/nadia?host={tmp_path}", pool_size=1)
    with pytest.raises(UnavailableError):
        await look(away)
    await away.close()
