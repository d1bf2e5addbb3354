"""An installation whose daemons a test runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.postgres.database import Database
from nadia.redis.connection import RedisConnection
from support.core import HandClock
from support.daemons import World
from support.servers import ClonedDatabase


@pytest.fixture
async def world(
    database: ClonedDatabase, redis_connection: RedisConnection, clock: HandClock, tmp_path: Path
) -> AsyncIterator[World]:
    db = Database(dsn=database.app_dsn, pool_size=4)
    await db.open()
    try:
        yield World(database=db, redis=redis_connection, home=tmp_path, clock=clock)
    finally:
        await db.close()
