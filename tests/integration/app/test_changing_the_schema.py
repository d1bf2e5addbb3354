"""An operator changes the schema: what is at stake is shown, nobody may be at work, and it is on record."""

import pytest

from nadia.app import migrations
from nadia.errors import RefusedError
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.postgres.revisions import heads
from nadia.telegram.ownership import Ownerships
from support.servers import ClonedDatabase


async def opened(dsn: str) -> Database:
    database = Database(dsn=dsn, pool_size=2)
    await database.open()
    return database


async def test_going_down_is_refused_while_a_process_acts_for_an_account(database: ClonedDatabase) -> None:
    owner, app = await opened(database.owner_dsn), await opened(database.app_dsn)
    try:
        ownerships = Ownerships(database=app, holder="a/1/x", lease_seconds=60, grace_seconds=1)
        await ownerships.register("sandbox", "sandbox")
        ownership = await ownerships.acquire("sandbox")
        assert ownership is not None
        with pytest.raises(RefusedError, match="acts for the Telegram account sandbox"):
            await migrations.downgrade(owner, dsn=database.owner_dsn, revision="base", actor="cli:ann")
        assert await schema.applied(owner) == heads()

        await ownerships.release(ownership)
        await migrations.downgrade(owner, dsn=database.owner_dsn, revision="0002", actor="cli:ann")
        assert await schema.applied(owner) == ("0002",)
    finally:
        await owner.close()
        await app.close()


async def test_each_way_leaves_an_audit_row(database: ClonedDatabase) -> None:
    owner = await opened(database.owner_dsn)
    try:
        await migrations.downgrade(owner, dsn=database.owner_dsn, revision="0002", actor="cli:ann")
        await migrations.upgrade(owner, dsn=database.owner_dsn, revision="heads", actor="cli:bob")
        await migrations.upgrade(owner, dsn=database.owner_dsn, revision="heads", actor="cli:bob")  # changes nothing
        async with owner.connection() as conn:
            rows = await (
                await conn.execute("SELECT actor, action, before, after FROM audit_log ORDER BY id")
            ).fetchall()
    finally:
        await owner.close()

    assert [(row["actor"], row["action"]) for row in rows] == [
        ("cli:ann", "schema.downgraded"),
        ("cli:bob", "schema.upgraded"),
    ]
    assert rows[1]["before"] == {"revision": "0002"}
    assert rows[1]["after"] == {"revision": ", ".join(heads())}
