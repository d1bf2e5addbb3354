"""A workflow connects to what it asks, when it asks, and leaves nothing open."""

from pathlib import Path

import pytest

from nadia.app.workflows import OPENERS, Links, open_workflow
from nadia.errors import ConfigurationError, InvalidInputError, NotFoundError, UnavailableError
from nadia.postgres.database import Database
from nadia.settings import Config
from nadia.workflows.find_error import FindErrorArguments
from support.servers import ClonedDatabase


def config(folder: Path, dsn: str) -> Config:
    return Config.from_env({"NADIA_HOME": str(folder / "home"), "DATABASE_URL": dsn}, dotenv=None)


@pytest.mark.parametrize("name", OPENERS)
async def test_opening_one_connects_to_nothing(tmp_path: Path, name: str) -> None:
    settings = config(tmp_path, f"postgresql://nadia@/nadia?host={tmp_path}")

    async with open_workflow(settings, name, actor="system") as workflow:
        assert workflow.name == name


async def test_one_that_there_is_none_of(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as refused:
        async with open_workflow(config(tmp_path, "postgresql://x"), "db-stat", actor="system"):
            pass

    assert refused.value.hint == "did you mean db-stats?"


async def test_connections_are_shared_by_a_workflow_and_closed_with_it(
    database: ClonedDatabase, tmp_path: Path
) -> None:
    links = Links(config(tmp_path, database.app_dsn), actor="system")
    async with links.connect() as conn:
        await conn.execute("SELECT 1")
    shared = await links.database()
    assert await links.database() is shared
    await links.close()

    watching = Database(dsn=database.app_dsn, application_name="watching", pool_size=1)
    await watching.open()
    async with watching.connection() as conn:
        rows = await (
            await conn.execute(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE application_name = 'nadia-workflow' AND datname = current_database()"
            )
        ).fetchall()
    await watching.close()
    assert rows == []


async def test_postgres_that_was_away_is_asked_again(database: ClonedDatabase, tmp_path: Path) -> None:
    """An assistant may ask while a server is away, and once more."""
    away = Links(config(tmp_path, f"postgresql://nadia@/nadia?host={tmp_path}"), actor="system")
    for _ in range(2):
        with pytest.raises(UnavailableError):
            async with away.connect():
                pass
    await away.close()


async def test_an_older_schema_is_refused_with_what_to_do(database: ClonedDatabase, tmp_path: Path) -> None:
    owner = Database(dsn=database.owner_dsn, pool_size=1)
    await owner.open()
    async with owner.connection() as conn:
        await conn.execute("UPDATE alembic_version SET version_num = '0005' WHERE version_num ~ '^[0-9]+$'")
    await owner.close()
    links = Links(config(tmp_path, database.app_dsn), actor="system")

    with pytest.raises(ConfigurationError) as refused:
        async with links.connect():
            pass
    await links.close()

    assert refused.value.hint == "run `nadia db upgrade`"


async def test_an_assistant_names_no_files(database: ClonedDatabase, tmp_path: Path) -> None:
    async with open_workflow(config(tmp_path, database.app_dsn), "find-error", actor="account:1") as workflow:
        with pytest.raises(InvalidInputError, match="at the terminal only"):
            await workflow.run(FindErrorArguments(log=(Path("/etc/passwd"),)))
