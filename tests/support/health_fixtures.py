"""Fixtures of the probes' tests."""

import pytest

from nadia.redis.connection import RedisConnection
from support.core import Core
from support.health_world import HealthWorld


@pytest.fixture
async def world(core: Core, redis_connection: RedisConnection) -> HealthWorld:
    """An installation where all is well: an account, its owner alive and connected, nothing that waits, a memory."""
    world = HealthWorld(core=core, connect=core.database.connection, redis=redis_connection)
    await world.link(1)
    await core.receive(chat_id=7)
    await core.memory.recall(await core.customer(chat_id=7))
    return world
