"""The suite's own fixtures keep tests apart."""

import psycopg
import pytest

from nadia.embedded.endpoints import RedisEndpoint
from support.servers import redis_client


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_database_without_the_other_tests_rows(
    turn: int, postgres_dsn: str, postgres_owner_dsn: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_owner_dsn, autocommit=True) as owner:
        await owner.execute("CREATE TABLE only_here (id bigint GENERATED ALWAYS AS IDENTITY, turn int)")
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as app:
        await app.execute("INSERT INTO only_here (turn) VALUES (%s)", [turn])
        rows = await (await app.execute("SELECT turn FROM only_here")).fetchall()
    assert rows == [(turn,)]


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_an_empty_redis(turn: int, redis_endpoint: RedisEndpoint) -> None:
    async with redis_client(redis_endpoint) as client:
        assert await client.dbsize() == 0
        await client.set("left-behind", turn)
