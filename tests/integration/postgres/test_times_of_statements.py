"""What PostgreSQL is asked is timed, whoever asks, and so is the wait for a connection."""

from collections.abc import AsyncIterator

import pytest

from nadia.metrics import REGISTRY
from nadia.postgres.database import Database, DatabaseError
from support.servers import ClonedDatabase


@pytest.fixture
async def pool(database: ClonedDatabase) -> AsyncIterator[Database]:
    opened = Database(dsn=database.app_dsn, pool_size=3)
    await opened.open()
    yield opened
    await opened.close()


def timed(statement: str) -> float:
    return REGISTRY.get_sample_value("nadia_postgres_statement_seconds_count", {"statement": statement}) or 0


def level(name: str) -> float:
    return REGISTRY.get_sample_value(f"nadia_postgres_pool_connections_{name}") or 0


async def test_a_statement_is_timed_whether_it_succeeds_or_not(pool: Database) -> None:
    before = timed("select notices"), timed("update nowhere")
    async with pool.connection() as conn:
        await conn.execute("SELECT count(*) FROM notices")
        async with conn.cursor() as cursor:
            await cursor.execute("SELECT count(*) FROM notices")
    with pytest.raises(DatabaseError):
        async with pool.connection() as conn:
            await conn.execute("UPDATE nowhere SET x = 1")
    assert (timed("select notices"), timed("update nowhere")) == (before[0] + 2, before[1] + 1)


async def test_the_end_of_a_transaction_is_timed_when_it_is_committed(pool: Database) -> None:
    before = timed("commit")
    async with pool.transaction() as conn:
        await conn.execute("SELECT 1")
    with pytest.raises(ValueError, match="given up"):
        async with pool.transaction():
            raise ValueError("given up")
    assert timed("commit") == before + 1


async def test_connections_in_use_and_their_limit_are_shown_and_given_back(pool: Database) -> None:
    in_use, limit = level("in_use"), level("limit")
    other = Database(dsn=pool._dsn, pool_size=7)
    await other.open()
    async with other.connection(), other.connection():
        assert (level("in_use"), level("limit")) == (in_use + 2, limit + 7)
    await other.close()
    await other.close()
    assert (level("in_use"), level("limit")) == (in_use, limit)
