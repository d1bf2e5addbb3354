"""A Telegram of one's own for each test."""

from collections.abc import AsyncIterator

import pytest

from nadia.telegram.telethon.gateway import TelethonGateway
from support.servers import ClonedDatabase
from support.telethon_network import TelethonNetwork, telethon_network


@pytest.fixture
async def network(database: ClonedDatabase) -> AsyncIterator[TelethonNetwork]:
    async with telethon_network(database.app_dsn) as network:
        yield network


@pytest.fixture
async def gateway(network: TelethonNetwork) -> AsyncIterator[TelethonGateway]:
    """Connected, and read up to the present."""
    gateway = network.gateway()
    await gateway.connect(await network.beginning())
    yield gateway
    await gateway.close()
