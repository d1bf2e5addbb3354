"""Fixtures of the health check of recovery."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nadia.embedded.servers import EmbeddedServers
from nadia.postgres.database import Connection, Database
from support.recovery_records import Connect, Records
from support.servers import ClonedDatabase, cloned_database


@pytest.fixture
async def db(database: ClonedDatabase) -> AsyncIterator[Database]:
    """A database of this test's own, open."""
    opened = Database(dsn=database.app_dsn, pool_size=2)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def db_of_module(servers: EmbeddedServers, database_template: None) -> AsyncIterator[Database]:
    async with cloned_database(servers) as clone:
        opened = Database(dsn=clone.app_dsn, pool_size=2)
        await opened.open()
        yield opened
        await opened.close()


@pytest.fixture
async def connect(db_of_module: Database) -> AsyncIterator[Connect]:
    """One connection in a transaction that is rolled back with the test: as good as a database, and much quicker."""
    async with db_of_module.connection() as conn, conn.transaction(force_rollback=True):

        @asynccontextmanager
        async def same() -> AsyncIterator[Connection]:
            yield conn

        yield same


@pytest.fixture
def records(connect: Connect) -> Records:
    return Records(connect)
