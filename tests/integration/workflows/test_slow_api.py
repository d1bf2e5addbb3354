"""`slow-api` against answers and statements that are really slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry, Histogram
from psycopg.rows import DictRow, dict_row

from nadia.errors import UnavailableError
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection, Database
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.workflows.report import WorkflowReport
from nadia.workflows.slow_api import POOL_WAITS, ROUTES, SlowApi, SlowApiArguments
from nadia.workflows.slowness.activity import Activity, watch, without_values
from nadia.workflows.slowness.causes import of_blocking, of_transactions
from nadia.workflows.slowness.statements import METRIC
from support.core import HandClock, until
from support.servers import ClonedDatabase

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
Ask = Callable[..., Awaitable[WorkflowReport]]
Counts = Callable[..., Awaitable[None]]


@pytest.fixture
def ask(desk_database: Database, redis_connection: RedisConnection, clock: HandClock) -> Ask:
    async def run(
        *,
        redis: RedisConnection = redis_connection,
        connect: Connect = desk_database.connection,
        disk: Path | None = None,
        **options: Any,
    ) -> WorkflowReport:
        workflow = SlowApi(
            connect=connect,
            redis=redis,
            figures=FigureHistory(redis=redis, clock=clock),
            disk=disk,
            clock=clock,
        )
        return await workflow.run(SlowApiArguments.model_validate({"sample_seconds": 0} | options))

    return run


@pytest.fixture
def counted(redis_connection: RedisConnection, clock: HandClock) -> Counts:
    """Has a process count how long something took, so many times."""

    async def record(metric: str, seconds: float, *, times: int = 20, **labels: str) -> None:
        registry = CollectorRegistry()
        histogram = Histogram(
            metric, "d", list(labels), registry=registry, buckets=(0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
        )
        recorder = FigureRecorder(
            redis=redis_connection, process=f"test/{metric}/{seconds}/{labels}", clock=clock, registry=registry
        )
        for _ in range(times):
            (histogram.labels(**labels) if labels else histogram).observe(seconds)
        await recorder.record()

    return record


def rows(report: WorkflowReport, title: str) -> list[dict[str, Any]]:
    for table in report.tables:
        if table.title.startswith(title):
            return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    raise AssertionError(f"no table {title!r} in {[table.title for table in report.tables]}")


def subjects(report: WorkflowReport) -> list[str]:
    return [finding.subject for finding in report.findings]


async def test_where_nothing_was_asked_for_nothing_is_slow(ask: Ask) -> None:
    report = await ask()
    assert report.status is HealthStatus.HEALTHY
    assert report.answer == "nothing was asked for in the last 1 h; nothing that would slow it down was found"
    assert rows(report, "endpoints") == []


async def test_a_slow_endpoint_comes_first_with_its_percentile(ask: Ask, counted: Counts) -> None:
    await counted(ROUTES, 3.0, times=20, method="GET", route="/desk/{item}")
    await counted(ROUTES, 0.05, times=500, method="GET", route="/desk")
    await counted(ROUTES, 8.0, times=3, method="POST", route="/rare")
    report = await ask()
    assert report.status is HealthStatus.WARNING
    assert subjects(report) == ["GET /desk/{item}"]
    assert [row["endpoint"] for row in rows(report, "endpoints")] == ["GET /desk/{item}", "GET /desk", "POST /rare"]
    first = rows(report, "endpoints")[0]
    assert (first["answers"], first["mean (ms)"]) == (20, 3000)
    assert 2500 < first["95 % up to (ms)"] <= 5000


async def test_what_is_older_than_asked_for_is_left_out(ask: Ask, counted: Counts, clock: HandClock) -> None:
    await counted(ROUTES, 3.0, method="GET", route="/desk")
    clock.advance(timedelta(hours=2).total_seconds())
    assert (await ask(hours=1)).findings == []
    assert subjects(await ask(hours=3)) == ["GET /desk"]


async def test_a_slow_statement_of_nadia_s_own_is_told(ask: Ask, counted: Counts) -> None:
    await counted(METRIC, 0.4, times=50, statement="select messages")
    await counted(METRIC, 0.005, times=50, statement="insert messages")
    report = await ask()
    assert subjects(report) == ["statement select messages"]
    assert [row["statement"] for row in rows(report, "statements")] == ["select messages", "insert messages"]


async def test_work_that_waits_for_a_connection_is_told(ask: Ask, counted: Counts) -> None:
    await counted(POOL_WAITS, 0.4, times=50)
    report = await ask()
    assert subjects(report) == ["pool of connections"]
    assert report.findings[0].remedy is not None
    assert "NADIA_POSTGRES_POOL_SIZE" in report.findings[0].remedy


@asynccontextmanager
async def session(database: ClonedDatabase, name: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of another program's."""
    connection = await psycopg.AsyncConnection.connect(database.app_dsn, application_name=name)
    async with connection:
        yield connection


async def test_a_lock_that_is_held_is_told_with_its_holder_and_who_waits(ask: Ask, database: ClonedDatabase) -> None:
    async with session(database, "holder") as holder, session(database, "waiter") as waiter:
        await holder.execute("INSERT INTO telegram_accounts (id, network) VALUES ('a', 'sandbox')")
        await holder.commit()
        await holder.execute("UPDATE telegram_accounts SET holder = 'secret-4711' WHERE id = 'a'")
        pid = holder.info.backend_pid
        waiting = asyncio.create_task(waiter.execute("DELETE FROM telegram_accounts WHERE id = 'a'"))

        async def waits() -> bool:
            report = await ask()
            return any(finding.subject.startswith("lock of holder") for finding in report.findings)

        await until(waits)
        report = await ask(sample_seconds=0.3)
        await holder.rollback()
        await waiting
        await waiter.rollback()
    (held,) = rows(report, "who holds up whom")
    assert held["holder"] == f"holder ({pid})"
    assert held["its state"] == "idle in transaction"
    assert held["its last statement"] == "UPDATE telegram_accounts SET holder = ? WHERE id = ?"
    assert held["which runs"] == "DELETE FROM telegram_accounts WHERE id = ?"
    assert held["longest (seconds)"] > 0
    (waited,) = [row for row in rows(report, "what statements") if row["what"].startswith("Lock")]
    assert waited["of the time (ratio)"] > 0.5
    assert report.answer.startswith("nothing was asked for in the last 1 h; look first at lock of holder")
    assert "secret-4711" not in report.model_dump_json()


async def test_of_a_chain_of_blocking_only_its_head_is_blamed(ask: Ask, database: ClonedDatabase) -> None:
    async with (
        session(database, "head") as head,
        session(database, "middle") as middle,
        session(database, "tail") as tail,
    ):
        await head.execute("INSERT INTO telegram_accounts (id, network) VALUES ('a', 'sandbox'), ('b', 'sandbox')")
        await head.commit()
        await head.execute("UPDATE telegram_accounts SET holder = 'x' WHERE id = 'a'")
        await middle.execute("UPDATE telegram_accounts SET holder = 'x' WHERE id = 'b'")
        second = asyncio.create_task(middle.execute("UPDATE telegram_accounts SET holder = 'x' WHERE id = 'a'"))
        third = asyncio.create_task(tail.execute("UPDATE telegram_accounts SET holder = 'x' WHERE id = 'b'"))

        async def all_wait() -> bool:
            waits = rows(await ask(), "what statements")
            return [row["sessions at once"] for row in waits if row["what"].startswith("Lock")] == [2.0]

        await until(all_wait)
        report = await ask()
        await head.rollback()
        await second
        await middle.rollback()
        await third
        await tail.rollback()
    assert [subject.partition(" (")[0] for subject in subjects(report)] == ["lock of head"]
    assert report.findings[0].message.startswith("holds up 2 sessions, ")


async def test_a_big_table_that_is_read_from_end_to_end_is_told(
    ask: Ask, database: ClonedDatabase, desk_database: Database
) -> None:
    owner = await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True)
    async with owner:
        await owner.execute(
            "CREATE TABLE prices AS SELECT n AS id, n % 100 AS article FROM generate_series(1, 20000) n"
        )
        for _ in range(30):
            await owner.execute("SELECT count(*) FROM prices WHERE article = 7")
        await owner.execute("SELECT pg_stat_force_next_flush()")

    async def is_counted() -> bool:
        return "table prices" in subjects(await ask())

    await until(is_counted)
    finding = next(finding for finding in (await ask()).findings if finding.subject == "table prices")
    assert finding.message == "of 20000 rows was read from end to end 30 times, through an index 0 times"
    assert finding.remedy is not None
    assert "index" in finding.remedy


async def test_a_small_table_may_be_read_as_often_as_anybody_likes(ask: Ask, database: ClonedDatabase) -> None:
    owner = await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True)
    async with owner:
        await owner.execute("CREATE TABLE prices AS SELECT n AS id FROM generate_series(1, 500) n")
        for _ in range(60):
            await owner.execute("SELECT count(*) FROM prices")
        await owner.execute("SELECT pg_stat_force_next_flush()")
    assert "table prices" not in subjects(await ask())


async def test_a_statement_that_computes_is_seen_running(ask: Ask, database: ClonedDatabase) -> None:
    async with session(database, "report") as busy:
        running = asyncio.create_task(busy.execute("SELECT count(*) FROM generate_series(1, 20000000)"))

        async def is_seen() -> bool:
            return any(row["what"] == "running" for row in rows(await ask(), "what statements"))

        await until(is_seen)
        await busy.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await running


async def test_the_disk_is_measured_where_postgresql_is_on_it(ask: Ask, tmp_path: Path) -> None:
    figure = {row["what"]: row["figure (ms)"] for row in rows(await ask(disk=tmp_path), "what everything needs")}
    assert figure["sync of the disk, median"] > 0
    assert list(tmp_path.iterdir()) == []
    figure = {
        row["what"]: row["figure (ms)"] for row in rows(await ask(disk=tmp_path / "gone"), "what everything needs")
    }
    assert figure["sync of the disk, median"] is None


async def test_a_redis_that_takes_its_time_is_told(ask: Ask, redis_connection: RedisConnection) -> None:
    class Late(RedisConnection):
        async def send(self, commands: Any) -> list[object]:
            await asyncio.sleep(0.01)
            return await super().send(commands)

    late = Late(redis_connection._source)
    report = await ask(redis=late)
    await late.close()
    assert subjects(report) == ["Redis"]


@asynccontextmanager
async def _nowhere() -> AsyncIterator[Connection]:
    """PostgreSQL is away."""
    raise UnavailableError("PostgreSQL cannot be reached")
    yield


async def test_without_redis_the_database_is_looked_at_and_the_other_way_round(
    ask: Ask, counted: Counts, database: ClonedDatabase
) -> None:
    await counted(ROUTES, 3.0, method="GET", route="/desk")
    away = RedisConnection(RedisSource(url="redis://127.0.0.1:1", timeout_seconds=0.5))
    report = await ask(redis=away)
    await away.close()
    assert report.unreachable == ["Redis"]
    assert report.answer.startswith("what was answered how fast is not known while Redis is away")
    report = await ask(connect=_nowhere)
    assert report.unreachable == ["PostgreSQL"]
    assert subjects(report) == ["GET /desk"]


def look(pid: int, *, behind: tuple[int, ...] = (), state: str = "active", transaction: float = 0.0) -> dict[str, Any]:
    """What PostgreSQL says of one session."""
    return {
        "pid": pid,
        "application_name": f"app {pid}",
        "state": state,
        "wait_type": "Lock" if behind else "",
        "wait_event": "tuple" if behind else "",
        "query": "UPDATE x",
        "query_seconds": 40.0 if behind else 1.0,
        "transaction_seconds": transaction,
        "behind": list(behind),
    }


async def test_whom_a_session_waits_behind_is_asked_once_a_second(database: ClonedDatabase) -> None:
    asked = []

    class Listening(psycopg.AsyncConnection[DictRow]):
        async def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.AsyncCursor[DictRow]:
            asked.append(params["blockers"])
            return await super().execute(query, params, **options)

    async with await Listening.connect(database.app_dsn, autocommit=True, row_factory=dict_row) as conn:
        activity = await watch(conn, seconds=0.35)
    assert activity.looks == len(asked) >= 3
    assert asked == [True] + [False] * (len(asked) - 1)


def test_nobody_is_told_to_end_a_backup_that_holds_others_up() -> None:
    activity = Activity()
    activity.add([look(1) | {"application_name": "pg_dump"}, look(2, behind=(1,))])

    (cause,) = of_blocking(activity)

    assert cause.finding.subject == "lock of pg_dump (process 1)"
    assert cause.finding.remedy == "wait until the backup is done"


def test_a_long_transaction_is_told_unless_it_waits_or_holds_others_up_or_is_a_backup() -> None:
    activity = Activity()
    activity.add(
        [
            look(1, state="idle in transaction", transaction=60),
            look(2, behind=(1,), transaction=50),
            look(3, behind=(2,), transaction=45),
            look(4, state="idle in transaction", transaction=31),
            look(5, transaction=29),
            look(6, state="idle in transaction", transaction=9_000) | {"application_name": "pg_dump"},
        ]
    )
    assert [cause.finding.subject for cause in of_transactions(activity)] == ["transaction of app 4 (process 4)"]
    (blocking,) = activity.blocking()
    assert (blocking.pid, [one.pid for one in blocking.waiting], blocking.seconds) == (1, [2, 3], 40.0)


def test_a_holder_that_is_not_seen_is_told_by_its_process_and_a_circle_ends() -> None:
    activity = Activity()
    activity.add([look(2, behind=(99,)), look(3, behind=(2,)), look(4, behind=(3,)), look(2, behind=(99, 4))])
    (blocking,) = activity.blocking()
    assert (blocking.pid, blocking.blocker, len(blocking.waiting)) == (99, None, 3)


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT  *\n FROM people WHERE name = 'Mina''s'", "SELECT * FROM people WHERE name = ?"),
        ("SELECT $1, 42, 1.5", "SELECT $1, ?, ?"),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        (r"SELECT E'it\'s a secret', e'\\', 'x'", "SELECT ?, ?, ?"),
        (r"SELECT E'cut off \'", "SELECT ?"),
        ("SELECT E'cut off \\", "SELECT ?"),
        ("SELECT $$it's$$, $a1$ $$ 'x' $b$ $a1$, $2 FROM people", "SELECT ?, ?, $2 FROM people"),
        ("SELECT $body$cut off in the mid", "SELECT ?"),
        ("SELECT 1 -- don't\nFROM people WHERE name = 'Mina'", "SELECT ? FROM people WHERE name = ?"),
        ("/* Mina's */ SELECT 'x' /* cut off, Mina's", "SELECT ?"),
        ("SELECT \"it's\" FROM x WHERE name = 'Mina'", 'SELECT "it\'s" FROM x WHERE name = ?'),
        ("SELECT '-- none', '/* none', '$$' FROM people", "SELECT ?, ?, ? FROM people"),
        ("x" * 500, "x" * 119 + "…"),
        ("", ""),
    ],
)
def test_of_a_statement_no_value_is_shown(statement: str, shown: str) -> None:
    assert without_values(statement) == shown
