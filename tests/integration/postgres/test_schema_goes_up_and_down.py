"""Migrations go up, down to nothing, and up again; the product's role changes rows and no tables."""

import psycopg
import pytest

from nadia.errors import InvalidInputError
from nadia.postgres import revisions, schema
from nadia.postgres.database import Database, DatabaseError
from support.servers import ClonedDatabase


async def test_up_down_and_up_again_leaves_the_same_schema(database: ClonedDatabase) -> None:
    before = await _columns(database.owner_dsn)
    assert before

    schema.downgrade(database.owner_dsn, "base")
    assert await _columns(database.owner_dsn) == {("alembic_version", "version_num", "character varying")}

    schema.upgrade(database.owner_dsn)
    assert await _columns(database.owner_dsn) == before


async def test_each_migration_of_each_branch_goes_down_and_up_by_itself(database: ClonedDatabase) -> None:
    db = Database(dsn=database.owner_dsn, pool_size=2)
    await db.open()
    try:
        for branch, line in sorted(revisions.branches().items(), reverse=True):
            for below in reversed([f"{branch}@base" if branch else "base", *line[:-1]]):
                schema.downgrade(database.owner_dsn, below)
        assert await schema.applied(db) == ()
        for revision in revisions.revisions():
            schema.upgrade(database.owner_dsn, revision)
            assert revision in await schema.applied(db)
        await schema.require_current(db)
    finally:
        await db.close()


async def test_a_branch_goes_down_and_up_and_leaves_the_rest(database: ClonedDatabase) -> None:
    before = await _columns(database.owner_dsn)
    main = revisions.heads()[0]
    db = Database(dsn=database.owner_dsn, pool_size=2)
    await db.open()
    try:
        schema.downgrade(database.owner_dsn, "quarantine@base")
        gone = {table for table, _, _ in before - await _columns(database.owner_dsn)}
        assert gone == {"user_protocol_status", "protocol_audit_log", "quarantine_messages"}
        assert await schema.applied(db) == (main,)
        with pytest.raises(schema.SchemaBehindError, match="this version needs quarantine_0001"):
            await schema.require_current(db)

        schema.upgrade(database.owner_dsn, "quarantine@head")
        assert await _columns(database.owner_dsn) == before
        assert await schema.applied(db) == revisions.heads()
    finally:
        await db.close()


async def test_what_stands_on_a_revision_goes_with_it(database: ClonedDatabase) -> None:
    db = Database(dsn=database.owner_dsn, pool_size=2)
    await db.open()
    try:
        schema.downgrade(database.owner_dsn, "0004")
        assert await schema.applied(db) == ("0004", "quarantine_0001")  # Alembic's table holds the branch alone
        schema.downgrade(database.owner_dsn, "0003")
        assert await schema.applied(db) == ("0003",)
    finally:
        await db.close()


@pytest.mark.parametrize("steps", ["0001", "0003", "0004", "0005", "quarantine@base"])
async def test_the_printed_way_down_and_up_is_the_way_that_is_gone(database: ClonedDatabase, steps: str) -> None:
    before = await _columns(database.owner_dsn)
    db = Database(dsn=database.owner_dsn, pool_size=2)
    await db.open()
    try:
        down = schema.downgrade_script(await schema.applied(db), steps)
        await _run(database.owner_dsn, down)
        printed = await schema.applied(db)
        await _run(database.owner_dsn, schema.upgrade_script(printed))
        assert await schema.applied(db) == revisions.heads()
        assert await _columns(database.owner_dsn) == before

        schema.downgrade(database.owner_dsn, steps)
        assert await schema.applied(db) == printed
    finally:
        await db.close()


async def test_steps_count_the_main_line(database: ClonedDatabase) -> None:
    assert schema.steps_below(("0003",), 1) == "0002"
    assert schema.steps_below(("0004", "quarantine_0001"), 4) == "base"
    with pytest.raises(InvalidInputError, match="not 4 steps up"):
        schema.steps_below(("0003",), 4)


async def test_a_schema_that_is_behind_is_refused_with_the_remedy(database: ClonedDatabase) -> None:
    schema.downgrade(database.owner_dsn, "0004")
    db = Database(dsn=database.app_dsn, pool_size=2)
    await db.open()
    try:
        with pytest.raises(schema.SchemaBehindError) as refused:
            await schema.require_current(db)
    finally:
        await db.close()
    assert "nadia db upgrade" in (refused.value.hint or "")


async def test_the_products_role_cannot_change_the_schema(database: ClonedDatabase) -> None:
    db = Database(dsn=database.app_dsn, pool_size=2)
    await db.open()
    try:
        with pytest.raises(DatabaseError):
            async with db.connection() as conn:
                await conn.execute("DROP TABLE messages")
    finally:
        await db.close()


async def _run(dsn: str, script: str) -> None:
    """Run a script as psql would: its statements and transactions as they stand."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(script.encode())


async def _columns(dsn: str) -> set[tuple[str, str, str]]:
    db = Database(dsn=dsn, pool_size=2)
    await db.open()
    try:
        async with db.connection() as conn:
            cursor = await conn.execute(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'public'"
            )
            return {(row["table_name"], row["column_name"], row["data_type"]) for row in await cursor.fetchall()}
    finally:
        await db.close()
