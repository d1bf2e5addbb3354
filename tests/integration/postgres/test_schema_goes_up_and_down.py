"""Migrations go up, down to nothing, and up again; the product's role changes rows and no tables."""

import pytest

from nadia.postgres import schema
from nadia.postgres.database import Database, DatabaseError
from support.servers import ClonedDatabase


async def test_up_down_and_up_again_leaves_the_same_schema(database: ClonedDatabase) -> None:
    before = await _columns(database.owner_dsn)
    assert before

    schema.downgrade(database.owner_dsn, "base")
    assert await _columns(database.owner_dsn) == {("alembic_version", "version_num", "character varying")}

    schema.upgrade(database.owner_dsn)
    assert await _columns(database.owner_dsn) == before


async def test_each_migration_goes_down_and_up_by_itself(database: ClonedDatabase) -> None:
    migrations = sorted((schema.MIGRATIONS / "versions").glob("0*.py"))
    for _ in migrations:
        schema.downgrade(database.owner_dsn, "-1")
    for path in migrations:
        schema.upgrade(database.owner_dsn, path.name[:4])
    db = Database(dsn=database.app_dsn, pool_size=2)
    await db.open()
    try:
        await schema.require_current(db)
    finally:
        await db.close()


async def test_a_schema_that_is_behind_is_refused_with_the_remedy(database: ClonedDatabase) -> None:
    schema.downgrade(database.owner_dsn, "-1")
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
