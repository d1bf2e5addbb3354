"""Fixtures for review and delivery."""

from collections.abc import AsyncIterator

import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.postgres.database import Database
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from nadia.review.models import ReviewerRef
from support.reply_world import World


@pytest.fixture
async def desk_database(postgres_dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn=postgres_dsn, pool_size=12)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def live_events(redis_endpoint: RedisEndpoint) -> AsyncIterator[LiveEvents]:
    connection = RedisConnection(RedisSource(url=redis_endpoint.url))
    yield LiveEvents(redis=connection)
    await connection.close()


@pytest.fixture
async def world(desk_database: Database, live_events: LiveEvents) -> World:
    arranged = World(database=desk_database, events=live_events)
    await arranged.open()
    return arranged


@pytest.fixture
async def reviewer(world: World) -> ReviewerRef:
    return await world.reviewer("Jonas")
