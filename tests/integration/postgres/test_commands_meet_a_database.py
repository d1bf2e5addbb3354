"""Commands with a real database: first log-in links, pauses that remain, a schema that is ahead, a busy pool."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from nadia.app.factory import account_service, open_database
from nadia.app.installation import first_login_path
from nadia.errors import UnavailableError
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.settings import Config
from support.command_line import Outcome, run_nadia
from support.servers import ClonedDatabase


@pytest.fixture
async def db(database: ClonedDatabase) -> AsyncIterator[Database]:
    opened = Database(dsn=database.app_dsn, pool_size=2)
    await opened.open()
    yield opened
    await opened.close()


async def test_the_first_link_is_made_anew_until_somebody_logs_in(database: ClonedDatabase, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    config = Config.from_env({"NADIA_HOME": str(home), "DATABASE_URL": database.app_dsn}, dotenv=None)
    async with open_database(config, name="test") as opened:
        accounts = account_service(config, opened)
        first = await first_login_path(accounts, opened)
        second = await first_login_path(accounts, opened)
        assert first is not None
        assert second is not None
        assert first != second

        await accounts.sessions.log_in_by_link(second.partition("token=")[2])
        assert await first_login_path(accounts, opened) is None


async def test_resuming_says_what_still_stands_still(database: ClonedDatabase, db: Database, tmp_path: Path) -> None:
    async with db.connection() as conn:
        await conn.execute("INSERT INTO telegram_accounts (id, network) VALUES ('a', 'sandbox')")

    async def nadia(*arguments: str) -> Outcome:
        environ = {"DATABASE_URL": database.app_dsn, "REDIS_URL": f"unix://{tmp_path}/none.sock"}
        return await asyncio.to_thread(run_nadia, *arguments, cwd=tmp_path, environ=environ)

    await nadia("pause", "sending")
    await nadia("pause", "sending", "--account", "a")
    one = await nadia("resume", "sending", "--account", "a")
    assert "goes on" not in one.out
    assert "still stands still for all accounts" in one.out
    assert "hint: nadia resume sending\n" in one.err

    await nadia("pause", "sending", "--account", "a")
    everyone = await nadia("resume", "sending")
    assert "still stands still for a" in everyone.out
    assert "nadia resume sending --account a" in everyone.err
    assert (await nadia("resume", "sending", "--account", "a")).out == "sending goes on for a\n"


async def test_a_schema_of_a_newer_version_is_accepted(database: ClonedDatabase, db: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database.owner_dsn) as conn:
        await conn.execute("UPDATE alembic_version SET version_num = '9999' WHERE version_num ~ '^[0-9]+$'")
        await conn.execute("INSERT INTO alembic_version VALUES ('coherence_0007')")

    await schema.require_current(db)


async def test_a_pool_without_a_free_connection_says_so(db: Database) -> None:
    async with db.connection(), db.connection():
        with pytest.raises(UnavailableError, match="all 2 connections to PostgreSQL are busy") as refused:
            async with db.connection():
                pass
    assert "NADIA_POSTGRES_POOL_SIZE" in (refused.value.hint or "")
