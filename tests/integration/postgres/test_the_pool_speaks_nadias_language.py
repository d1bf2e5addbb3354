"""The database's failures as the rest of NADIA meets them, and coming back after an outage."""

import asyncio
import os
import signal
import traceback
from collections.abc import AsyncIterator

import psycopg
import pytest

from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.postgres.database import Database, DatabaseError
from support.servers import ClonedDatabase, short_folder, start_servers

WRITTEN = "my flat is in Strait Street"


@pytest.fixture
async def db(database: ClonedDatabase) -> AsyncIterator[Database]:
    opened = Database(dsn=database.app_dsn, pool_size=4, statement_timeout_seconds=0.5)
    await opened.open()
    yield opened
    await opened.close()


async def ask(db: Database) -> bool:
    try:
        async with db.connection() as conn:
            await conn.execute("SELECT 1")
    except UnavailableError:
        return False
    return True


async def test_rows_are_mappings_and_times_are_utc(db: Database) -> None:
    async with db.connection() as conn:
        row = await (await conn.execute("SELECT now() AS now, current_setting('timezone') AS zone")).fetchone()
    assert row is not None
    assert row["zone"] == "UTC"
    assert row["now"].utcoffset().total_seconds() == 0


async def test_a_transaction_is_all_or_nothing(db: Database) -> None:
    insert = "INSERT INTO notices (topic, severity, summary) VALUES ('x', 'info', 'x')"
    with pytest.raises(KeyError):
        async with db.transaction() as conn:
            await conn.execute(insert)
            raise KeyError
    async with db.transaction() as conn:
        await conn.execute(insert)
    async with db.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS found FROM notices")).fetchone()
    assert row == {"found": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nonsense",
        "INSERT INTO notices (topic, severity, summary) VALUES ('x', 'no such severity', 'x')",
        "SELECT 1/0",
    ],
)
async def test_a_refused_statement_is_an_error_of_ours_on_one_line(db: Database, statement: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        async with db.connection() as conn:
            await conn.execute(statement)
    assert "\n" not in str(refused.value)
    assert await ask(db)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO notices (topic, severity, summary) VALUES (%(words)s, 'info', NULL)", "not-null constraint"),
        ("INSERT INTO notices (topic, severity, summary) VALUES ('x', %(words)s, 'x')", "check constraint"),
        ("SELECT %(words)s::text::int", "InvalidTextRepresentation"),
        ("SELECT %(words)s::text::jsonb", "InvalidTextRepresentation"),
        ("SELECT %(words)s::text::timestamptz", "InvalidDatetimeFormat"),
    ],
)
async def test_no_trace_of_a_refused_statement_holds_what_a_customer_wrote(
    db: Database, statement: str, said: str
) -> None:
    with pytest.raises(DatabaseError) as refused:
        async with db.transaction() as conn:
            await conn.execute(statement, {"words": WRITTEN})
    told = "".join(traceback.format_exception(refused.value))
    assert WRITTEN not in told
    assert said in told
    assert isinstance(refused.value.__cause__, psycopg.Error)


async def test_why_there_is_no_connection_is_told_whole() -> None:
    db = Database(dsn="postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(UnavailableError) as away:
        await db.open(at_once=True)
    assert "127.0.0.1" in str(away.value.__cause__)


async def test_a_statement_that_takes_too_long_is_cut_off(db: Database) -> None:
    with pytest.raises(UnavailableError, match="took too long"):
        async with db.connection() as conn:
            await conn.execute("SELECT pg_sleep(10)")
    assert await ask(db)


async def test_a_server_that_takes_no_writes_is_unavailable(db: Database) -> None:
    with pytest.raises(UnavailableError, match="takes no writes"):
        async with db.transaction() as conn:
            await conn.execute("SET TRANSACTION READ ONLY")
            await conn.execute("INSERT INTO daemon_jobs (job) VALUES ('any')")


async def test_a_deadlock_is_said_to_be_one_and_may_be_tried_again(database: ClonedDatabase) -> None:
    db = Database(dsn=database.app_dsn, pool_size=4)
    await db.open()
    both = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
            await both.wait()
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", (second,))

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    (failed,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(failed, UnavailableError)
    assert "in each other's way" in failed.message
    await db.close()


async def test_an_exhausted_pool_is_unavailable_not_stuck(database: ClonedDatabase) -> None:
    db = Database(dsn=database.app_dsn, pool_size=1)
    await db.open()
    async with db.connection():
        assert not await ask(db)
    assert await ask(db)
    await db.close()


async def test_nobody_listening_is_unavailable_with_the_remedy_and_no_password() -> None:
    db = Database(dsn="postgresql://nadia:hunter2@127.0.0.1:1/nadia", pool_size=2)
    with pytest.raises(UnavailableError) as failed:
        await db.open()
    assert "DATABASE_URL" in (failed.value.hint or "")
    assert "hunter2" not in f"{failed.value} {failed.value.hint}"
    await db.close()


async def test_connections_broken_by_the_server_are_replaced(database: ClonedDatabase, db: Database) -> None:
    other = Database(dsn=database.app_dsn, pool_size=2)
    await other.open()
    await asyncio.gather(*(ask(db) for _ in range(8)))
    async with other.connection() as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
        )
    async with asyncio.timeout(5):
        while not await ask(db):
            await asyncio.sleep(0.01)
        # All of them, not only the one that failed.
        while not all(await asyncio.gather(*(ask(db) for _ in range(12)))):
            await asyncio.sleep(0.05)
    await other.close()


async def test_after_a_crash_of_the_server_the_pool_is_back_within_two_seconds_of_it() -> None:
    with short_folder() as base:
        servers = await start_servers(base, durable=True)
        db = Database(dsn=servers.dsn(), pool_size=6)
        try:
            await db.open()
            for _ in range(2):
                assert all(await asyncio.gather(*(ask(db) for _ in range(12))))
                await _crash(servers, db)
                late = await _seconds_until_all_answer(servers, db)
                assert late < 2.5
        finally:
            await db.close()
            await servers.stop()


async def _crash(servers: EmbeddedServers, db: Database) -> None:
    pid = servers.pid("postgres")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while await ask(db):
            await asyncio.sleep(0.005)


async def _seconds_until_all_answer(servers: EmbeddedServers, db: Database) -> float:
    """Seconds from the server's return, as a fresh connection sees it, to that of every user of the pool."""
    loop = asyncio.get_running_loop()
    answered: float | None = None

    async def users() -> None:
        while not all(await asyncio.gather(*(ask(db) for _ in range(12)))):
            await asyncio.sleep(0.02)

    async def server() -> None:
        nonlocal answered
        while True:
            try:
                fresh = await psycopg.AsyncConnection.connect(servers.dsn())
            except psycopg.OperationalError:
                await asyncio.sleep(0.02)
            else:
                answered = loop.time()
                await fresh.close()
                return

    async with asyncio.timeout(40):
        await asyncio.gather(users(), server())
    assert answered is not None
    return loop.time() - answered
