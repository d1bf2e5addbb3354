"""A check is few statements and a small report, however much is on record; a PostgreSQL that goes away is named."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import psycopg
import pytest
from psycopg.rows import DictRow

from nadia.clock import utc_now
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection, Database
from nadia.recovery.health_report import RecoveryHealthReport
from support.recovery_records import Records, checker, fill
from support.servers import ClonedDatabase

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs" / "reference" / "recovery-health.schema.json").read_text(encoding="utf-8")
)


class Listener:
    """Connections of a database with every statement on them noted; one statement may end its connection instead."""

    def __init__(self, db: Database, *, ends_at: int = -1) -> None:
        self._db = db
        asked: list[tuple[Any, Any]] = []

        class Listening(psycopg.AsyncCursor[DictRow]):
            async def execute(self, query: Any, params: Any = None, **more: Any) -> "Listening":
                asked.append((query, params))
                if len(asked) == ends_at + 1:
                    query, params = "SELECT pg_terminate_backend(pg_backend_pid())", None
                await super().execute(query, params, **more)
                return self

        self.asked = asked
        self._cursor = Listening

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        async with self._db.connection() as conn:
            before, conn.cursor_factory = conn.cursor_factory, self._cursor
            try:
                yield conn
            finally:
                conn.cursor_factory = before


def printed(report: RecoveryHealthReport) -> int:
    """Size of a report as the command prints it, bytes."""
    return len(json.dumps(report.model_dump(mode="json"), indent=2).encode())


def assert_keeps_to_schema(report: RecoveryHealthReport) -> None:
    jsonschema_rs.validator_for(SCHEMA).validate(report.model_dump(mode="json"))


async def test_a_check_is_five_statements_that_change_nothing(db: Database) -> None:
    await Records(db.connection).account("a")
    await Records(db.connection).run("a")
    listener = Listener(db)

    await checker(listener.connect).report()

    assert len(listener.asked) == 5, "baseline 1.2: 4 to 6 queries"


async def test_a_report_keeps_to_its_schema_and_its_size(db: Database, database: ClonedDatabase) -> None:
    empty = await checker(db.connection).report()
    assert_keeps_to_schema(empty)
    assert 2_000 <= printed(empty) <= 5_000

    owner = Database(dsn=database.owner_dsn, pool_size=2)
    await owner.open()
    await fill(owner, accounts=200, runs=50_000)
    await owner.close()
    worst = await checker(db.connection).report()

    assert_keeps_to_schema(worst)
    assert 2_000 <= printed(worst) <= 5_000, "baseline 1.2"
    assert worst.status is HealthStatus.CRITICAL
    cursors, errors = worst.dimensions.cursors.figures, worst.dimensions.errors.figures
    assert cursors is not None
    assert (cursors.not_fresh, len(cursors.listed), cursors.not_listed) == (200, 3, 197)
    assert errors is not None
    assert (len(errors.listed), errors.not_listed) == (3, 197)


async def test_old_runs_are_not_read(db: Database, database: ClonedDatabase) -> None:
    owner = Database(dsn=database.owner_dsn, pool_size=2)
    await owner.open()
    await fill(owner, accounts=200, runs=50_000)
    await owner.close()
    listener = Listener(db)
    await checker(listener.connect).report()

    of_runs = [asked for asked in listener.asked if "recovery_operations\n" in asked[0]]
    assert len(of_runs) == 3
    async with db.connection() as conn:
        for query, params in of_runs:
            plan = [row["QUERY PLAN"] for row in await (await conn.execute("EXPLAIN " + query, params)).fetchall()]
            assert any("recovery_operations_by_time" in line for line in plan), plan
            assert not any("Seq Scan on recovery_operations" in line for line in plan), plan


async def test_times_are_written_in_utc_with_their_zone(db: Database) -> None:
    await Records(db.connection).account("a")
    await Records(db.connection).cursor("a", hours=30)

    report = await checker(db.connection).perform_health_check()

    times = [report["checked_at"], report["dimensions"]["cursors"]["figures"]["listed"][0]["verified_at"]]
    assert [time[-1] for time in times] == ["Z", "Z"]
    assert "T" in times[1]


async def test_a_database_that_cannot_be_reached_is_critical_and_everything_in_it_unknown(tmp_path: Path) -> None:
    away = Database(dsn=f"postgresql://u@/x?host={tmp_path}", pool_size=2)

    report = await checker(away.connection).report()

    assert_keeps_to_schema(report)
    assert (report.status, report.summary) == (HealthStatus.CRITICAL, "critical: database")
    assert report.dimensions.configuration.status is HealthStatus.HEALTHY
    assert report.dimensions.database.figures is not None
    assert not report.dimensions.database.figures.reachable
    assert "DATABASE_URL" in report.dimensions.database.summary
    assert report.dimensions.performance.status is HealthStatus.UNKNOWN


@pytest.mark.parametrize("statement", [0, 1, 2, 3, 4])
async def test_a_database_that_goes_away_in_the_middle_leaves_no_half_of_a_report(statement: int, db: Database) -> None:
    await Records(db.connection).account("a")
    listener = Listener(db, ends_at=statement)

    report = await checker(listener.connect).report()

    assert len(listener.asked) == statement + 1
    assert report.dimensions.database.figures is not None
    assert not report.dimensions.database.figures.reachable
    assert report.dimensions.operations.figures is None


async def test_a_database_that_does_not_answer_is_critical(database: ClonedDatabase) -> None:
    impatient = Database(dsn=database.app_dsn, pool_size=2, statement_timeout_seconds=0.2)
    await impatient.open()
    owner = await psycopg.AsyncConnection.connect(database.owner_dsn)
    async with owner:
        await owner.execute("LOCK TABLE recovery_operations")
        report = await checker(impatient.connection).report()
    await impatient.close()

    assert report.dimensions.database.status is HealthStatus.CRITICAL
    assert report.dimensions.database.summary.startswith("PostgreSQL took too long to answer")
    assert report.dimensions.cursors.figures is None


async def test_a_database_that_answers_slowly_is_a_warning(db: Database) -> None:
    moments = iter((100.0, 101.5))

    side = (await checker(db.connection, stopwatch=lambda: next(moments)).report()).dimensions.database

    assert (side.status, side.summary) == (HealthStatus.WARNING, "answers, but takes 1.5 s")


@pytest.mark.parametrize("ahead", [-90, 90])
async def test_clocks_that_are_apart_are_a_warning(ahead: int, db: Database) -> None:
    side = (
        await checker(db.connection, clock=lambda: utc_now() - timedelta(seconds=ahead)).report()
    ).dimensions.database

    assert side.status is HealthStatus.WARNING
    assert "its clock and this machine's are" in side.summary
    assert side.figures is not None
    assert side.figures.clock_skew_seconds == pytest.approx(ahead, abs=5)
