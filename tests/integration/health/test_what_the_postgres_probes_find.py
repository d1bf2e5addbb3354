"""PostgreSQL slow, full, held up, at the wrong schema, stopped and away: the right probe turns, and only that one."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from nadia.embedded.endpoints import Role
from nadia.embedded.servers import EmbeddedServers
from nadia.health.config import HealthSettings
from nadia.health.models import HealthStatus, ProbeResult
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probes.postgres_connection import PostgresConnectionProbe
from nadia.postgres.brief_use import BriefUse
from nadia.postgres.database import Connection, Database
from nadia.postgres.revisions import heads
from support.health_world import CRITICAL, HEALTHY, UNKNOWN, WARNING, HealthWorld, without
from support.servers import ClonedDatabase


@asynccontextmanager
async def probing(world: HealthWorld, dsn: str, **options: float) -> AsyncIterator[HealthWorld]:
    """The same installation, asked through connections of the check's own."""
    database = Database(dsn=dsn, pool_size=4, **options)  # type: ignore[arg-type]  # the seconds of a time-out
    await database.open()
    try:
        yield replace(world, connect=database.connection)
    finally:
        await database.close()


async def test_a_connection_is_measured(world: HealthWorld) -> None:
    found = await world.of("postgres-connection")

    assert found.status is HEALTHY
    assert found.value is not None
    assert 0 < found.value < 1
    assert (found.unit, found.threshold) == ("seconds", 1)


async def test_a_server_that_answers_slowly_is_a_warning(world: HealthWorld) -> None:
    moments = iter((10.0, 11.5))
    reader = PostgresReader(connect=world.connect, stopwatch=lambda: next(moments))

    found = await PostgresConnectionProbe(server=reader, patience_seconds=1.5).measure()

    assert (found.status, found.summary, found.value) == (WARNING, "takes 2 s to answer", 1.5)


async def test_a_standby_is_critical_because_nothing_can_be_written(database: ClonedDatabase) -> None:
    @asynccontextmanager
    async def as_on_a_standby() -> AsyncIterator[Connection]:
        async with owner.connection() as conn, conn.transaction(force_rollback=True):
            await conn.execute("CREATE SCHEMA shadow")
            await conn.execute(
                "CREATE FUNCTION shadow.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
            )
            await conn.execute("SET LOCAL search_path = shadow, pg_catalog, public")
            yield conn

    owner = Database(dsn=database.owner_dsn, pool_size=2)
    await owner.open()
    reader = PostgresReader(connect=as_on_a_standby)
    found = await PostgresConnectionProbe(server=reader, patience_seconds=1.5).measure()
    await owner.close()

    assert (found.status, found.summary) == (CRITICAL, "is a standby and takes no writes")


async def test_connections_above_their_share_are_a_warning_and_all_of_them_critical(
    world: HealthWorld, database: ClonedDatabase
) -> None:
    async with probing(world, database.app_dsn) as probed, AsyncExitStack() as stack:
        assert await probed.turned() == {}  # and its pool is filled

        async def open_until(percent: float) -> None:
            while ((await probed.of("postgres-connections")).value or 0) <= percent:
                await stack.enter_async_context(await psycopg.AsyncConnection.connect(database.app_dsn))

        await open_until(80)
        assert await probed.turned() == {"postgres-connections": WARNING}

        with pytest.raises(psycopg.OperationalError, match=r"remaining connection slots|too many clients"):
            await open_until(1_000)
        assert await probed.turned() == {"postgres-connections": CRITICAL}
    assert (await world.of("postgres-connections")).status is HEALTHY


async def test_a_check_that_gets_no_connection_says_that_postgres_cannot_be_reached(
    world: HealthWorld, database: ClonedDatabase
) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(psycopg.OperationalError):
            while True:
                await stack.enter_async_context(await psycopg.AsyncConnection.connect(database.app_dsn))

        @asynccontextmanager
        async def late() -> AsyncIterator[Connection]:
            newcomer = Database(dsn=database.app_dsn, pool_size=2)
            try:
                await newcomer.open(at_once=True)
                async with newcomer.connection() as conn:
                    yield conn
            finally:
                await newcomer.close()

        assert await replace(world, connect=late).turned() == without("postgres")


async def test_a_transaction_held_open_is_told_with_whose_it_is(world: HealthWorld, database: ClonedDatabase) -> None:
    impatient = replace(world, settings=HealthSettings(postgres_transaction_seconds=0.2))
    async with await psycopg.AsyncConnection.connect(database.app_dsn, application_name="a-report") as conn:
        await conn.execute("SELECT count(*) FROM messages")
        assert await world.turned() == {}, "a minute is allowed"

        async def is_old() -> bool:
            return await impatient.turned() == {"postgres-transactions": WARNING}

        async with asyncio.timeout(10):
            while not await is_old():
                await asyncio.sleep(0.02)
        found = await impatient.of("postgres-transactions")
        assert found.summary.startswith("one is open for ")
        assert found.summary.endswith("of it idle: application a-report")
        assert found.hint == f"if nobody needs it: SELECT pg_terminate_backend({conn.info.backend_pid})"
    assert await impatient.turned() == {}


async def test_a_backup_s_transaction_is_told_and_not_judged(world: HealthWorld, database: ClonedDatabase) -> None:
    impatient = replace(world, settings=HealthSettings(postgres_transaction_seconds=0.2))
    async with await psycopg.AsyncConnection.connect(database.app_dsn, application_name="pg_dump") as conn:
        await conn.execute("SELECT count(*) FROM messages")

        async with asyncio.timeout(10):
            found = await impatient.of("postgres-transactions")
            while not isinstance(age := found.figures["backup_seconds"], float) or age < 0.3:
                await asyncio.sleep(0.02)
                found = await impatient.of("postgres-transactions")

        assert (found.status, found.hint) == (HEALTHY, None)
        assert found.summary.startswith("none is open for long; a backup runs for ")
        assert found.figures["backup_sessions"] == 1
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, application_name="pg_dump") as conn:
        await conn.execute("SELECT 1")
        found = await impatient.of("postgres-transactions")
        assert found.summary == "none is open for long; a backup runs; 1 session of other roles not visible"


async def test_a_long_statement_is_an_old_transaction_and_not_an_idle_one(
    world: HealthWorld, database: ClonedDatabase
) -> None:
    impatient = replace(world, settings=HealthSettings(postgres_transaction_seconds=0.2))
    async with await psycopg.AsyncConnection.connect(database.app_dsn, autocommit=True) as conn:
        working = asyncio.create_task(conn.execute("SELECT pg_sleep(60)"))
        async with asyncio.timeout(10):
            while await impatient.turned() != {"postgres-transactions": WARNING}:
                await asyncio.sleep(0.02)
        found = await impatient.of("postgres-transactions")
        assert "idle" not in found.summary
        assert found.figures["idle_seconds"] == 0
        conn.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_transactions_of_roles_that_may_not_be_seen_are_counted(
    world: HealthWorld, database: ClonedDatabase
) -> None:
    async with await psycopg.AsyncConnection.connect(database.owner_dsn) as conn:
        await conn.execute("SELECT 1")
        found = await world.of("postgres-transactions")

    assert found.status is HEALTHY
    assert found.summary == "none is open for long; 1 session of other roles not visible"


async def test_a_table_that_somebody_holds_costs_only_what_needs_it(
    world: HealthWorld, database: ClonedDatabase
) -> None:
    async with (
        probing(world, database.app_dsn, statement_timeout_seconds=0.5) as probed,
        await psycopg.AsyncConnection.connect(database.owner_dsn) as conn,
    ):
        await conn.execute("LOCK TABLE outbox")

        found = await probed.turned()

        assert found == dict.fromkeys(
            ("wal-oldest", "parked-items", "review-queue", "review-wait", "outbox-age"), UNKNOWN
        )
        assert (await probed.of("outbox-age")).summary == "cannot be judged: PostgreSQL took too long to answer"


async def test_an_unread_replication_slot_is_a_warning(world: HealthWorld, servers: EmbeddedServers) -> None:
    superuser = servers.dsn(Role.SUPERUSER, database="postgres")
    async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as conn:
        await conn.execute("SELECT pg_create_physical_replication_slot('lost_replica', true)")
        try:
            assert await world.turned() == {"postgres-replication": WARNING}
        finally:
            await conn.execute("SELECT pg_drop_replication_slot('lost_replica')")
    assert (await world.of("postgres-replication")).summary == "no replica"


class Replica:
    """Reads the server's WAL as a replica does (PostgreSQL's streaming replication protocol)."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.Connection.connect(f"{dsn}&replication=true&application_name=replica")
        pgconn = self._connection.pgconn
        told = pgconn.exec_(b"IDENTIFY_SYSTEM")
        self._position = (told.get_value(0, 2) or b"").decode()
        pgconn.exec_(f"START_REPLICATION PHYSICAL {self._position}".encode())

    def says(self, *, seconds_ago: float) -> None:
        """Tell the server that all is replayed, with the time at which a clock so far behind has it."""
        high, _, low = self._position.partition("/")
        place = (int(high, 16) << 32) + int(low, 16)
        since_2000 = int((time.time() - seconds_ago - 946_684_800) * 1e6)
        message = struct.pack("!cQQQqc", b"r", place, place, place, since_2000, b"\0")
        self._connection.pgconn.put_copy_data(message)
        self._connection.pgconn.flush()

    def close(self) -> None:
        self._connection.pgconn.finish()


async def test_a_replica_is_judged_by_how_far_behind_it_is(
    world: HealthWorld, servers: EmbeddedServers, database: ClonedDatabase
) -> None:
    replica = Replica(servers.dsn(Role.SUPERUSER, database="postgres"))
    async with probing(world, servers.dsn(Role.SUPERUSER, database=database.name)) as seeing:

        async def until_it_is(status: HealthStatus) -> ProbeResult:
            async with asyncio.timeout(10):
                while (found := await seeing.of("postgres-replication")).status is not status:
                    await asyncio.sleep(0.02)
            return found

        replica.says(seconds_ago=0)
        assert (await until_it_is(HEALTHY)).summary == "1 replica, in step"
        assert await world.turned() == {"postgres-replication": UNKNOWN}
        assert "may not see" in (await world.of("postgres-replication")).summary

        replica.says(seconds_ago=60)
        assert (await until_it_is(WARNING)).summary in ("a replica is 50 s behind", "a replica is 51 s behind")
        assert await seeing.turned() == {"postgres-replication": WARNING}
    replica.close()


async def test_a_schema_behind_this_version_is_critical_and_says_what_is_missing(
    world: HealthWorld, database: ClonedDatabase
) -> None:
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as conn:
        await conn.execute("UPDATE alembic_version SET version_num = '0002' WHERE version_num = %s", (heads()[0],))

    assert await world.turned() == {"postgres-schema": CRITICAL}
    found = await world.of("postgres-schema")
    assert found.summary == f"at 0002, {heads()[1]}, this version needs {heads()[0]}"
    assert found.hint == "run `nadia db upgrade`"


async def test_a_schema_that_a_newer_version_made_is_well(world: HealthWorld, database: ClonedDatabase) -> None:
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as conn:
        await conn.execute("UPDATE alembic_version SET version_num = '9999' WHERE version_num = %s", (heads()[0],))

    assert await world.turned() == {}
    assert "newer than this version" in (await world.of("postgres-schema")).summary


async def test_an_empty_database_is_a_matter_of_the_schema_and_nothing_is_said_of_the_rest(
    world: HealthWorld, servers: EmbeddedServers
) -> None:
    async with probing(world, servers.dsn(Role.APP)) as probed:
        found = await probed.turned()
        summary = (await probed.of("review-queue")).summary

    assert found["postgres-schema"] is CRITICAL
    assert found["recovery"] is CRITICAL, "it names its missing tables itself"
    assert set(found.values()) == {CRITICAL, UNKNOWN}
    assert [probe for probe in ("postgres-connection", "redis-connection", "wal-entries") if probe in found] == []
    assert summary == "cannot be judged: PostgreSQL has not what the check asks for"


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process and all that it began, as `kill -STOP` does."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


@pytest.mark.parametrize("light", [False, True], ids=["by a process's pool", "by a command's connections"])
async def test_a_server_that_accepts_and_never_answers_is_critical_within_the_limit(
    world: HealthWorld, servers: EmbeddedServers, database: ClonedDatabase, light: bool
) -> None:
    brief = BriefUse(dsn=database.app_dsn, application_name="nadia-health", statement_timeout_seconds=0.45)
    impatient = replace(
        world,
        settings=HealthSettings(probe_timeout_seconds=0.6),
        connect=brief.connection if light else world.connect,
    )
    assert await impatient.turned() == {}
    pid = servers.pid("postgres")
    assert pid is not None

    with stopped(pid):
        assert await impatient.turned() == without("postgres")
        assert (await impatient.of("postgres-connection")).summary == "did not answer within 450 ms"
    async with asyncio.timeout(15):
        while await impatient.turned():
            await asyncio.sleep(0.05)
    brief.close()


async def test_a_socket_that_nobody_listens_on_is_critical_at_once(world: HealthWorld, tmp_path: Path) -> None:
    away = Database(dsn=f"postgresql://u@/x?host={tmp_path}", pool_size=2)

    @asynccontextmanager
    async def nowhere() -> AsyncIterator[Connection]:
        await away.open(at_once=True)
        raise AssertionError("there is nobody")
        yield

    assert await replace(world, connect=nowhere).turned() == without("postgres")


@pytest.mark.parametrize("before", range(1, 8))
async def test_a_server_that_goes_away_in_the_middle_of_a_check_spoils_nothing_else(
    world: HealthWorld, before: int
) -> None:
    asked = 0

    @asynccontextmanager
    async def dying() -> AsyncIterator[Connection]:
        nonlocal asked
        asked += 1
        async with world.connect() as conn:
            if asked >= before:
                with suppress(psycopg.Error):
                    await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            yield conn

    found = await replace(world, connect=dying).turned()

    assert found, "somebody asked after that"
    assert found.items() <= without("postgres").items()
