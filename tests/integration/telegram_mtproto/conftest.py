"""A local Telegram, an account that can log in, a customer, and clients, which are closed at the end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.mtproto.clients import Connect, plain_client
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account, User


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramTestServer]:
    async with TelegramTestServer() as server:
        yield server


@pytest.fixture
def desk(telegram: TelegramTestServer) -> Account:
    return telegram.add_account("Desk", phone="+1 555 0001")


@pytest.fixture
def ana(telegram: TelegramTestServer) -> User:
    return telegram.add_user("Ana")


@pytest.fixture
async def connect(telegram: TelegramTestServer) -> AsyncIterator[Connect]:
    """Connect a client: with a session's key, with a session object of before, or as a stranger."""
    clients: list[Any] = []

    async def connect(key: bytes | None = None, *, session: Any = None, **options: Any) -> Any:
        client = plain_client(telegram, key, session, **options)
        clients.append(client)
        await client.connect()
        return client

    yield connect
    for client in clients:
        await client.disconnect()
