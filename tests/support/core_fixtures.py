"""Fixtures of the core's tests."""

from collections.abc import AsyncIterator

import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.core import Core, HandClock, open_core
from support.redis_cluster import RunningCluster, redis_cluster
from support.servers import ClonedDatabase


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def redis_source(redis_endpoint: RedisEndpoint) -> RedisSource:
    return RedisSource(url=redis_endpoint.url)


@pytest.fixture
async def redis_connection(redis_source: RedisSource) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_source)
    yield connection
    await connection.close()


@pytest.fixture
async def core(database: ClonedDatabase, redis_source: RedisSource, clock: HandClock) -> AsyncIterator[Core]:
    """One process's services with the test's clock, owning an account."""
    async with open_core(database.app_dsn, redis_source, clock=clock) as one:
        await one.own()
        yield one


@pytest.fixture
async def other_core(database: ClonedDatabase, redis_source: RedisSource, clock: HandClock) -> AsyncIterator[Core]:
    """Another process's services on the same servers."""
    async with open_core(database.app_dsn, redis_source, clock=clock, consumer="two") as two:
        yield two


@pytest.fixture(scope="session")
async def cluster_of_session() -> AsyncIterator[RunningCluster]:
    async with redis_cluster() as running:
        yield running


@pytest.fixture
async def cluster(cluster_of_session: RunningCluster) -> RunningCluster:
    """The session's Redis Cluster, emptied."""
    await cluster_of_session.empty()
    return cluster_of_session


@pytest.fixture(params=["one Redis", "a cluster"])
def either_source(request: pytest.FixtureRequest) -> RedisSource:
    """One Redis and a cluster of three in turn, emptied."""
    if request.param == "a cluster":
        running: RunningCluster = request.getfixturevalue("cluster")
        return running.source
    endpoint: RedisEndpoint = request.getfixturevalue("redis_endpoint")
    return RedisSource(url=endpoint.url)


@pytest.fixture
async def either_redis(either_source: RedisSource) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(either_source)
    yield connection
    await connection.close()
