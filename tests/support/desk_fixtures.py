"""Fixtures of the desk and the sandbox pages; a folder's conftest imports those it needs."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from nadia.accounts.models import Role
from nadia.embedded.endpoints import RedisEndpoint
from support.desk_app import DeskHouse, desk_house

As = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def house(postgres_dsn: str, redis_endpoint: RedisEndpoint) -> AsyncIterator[DeskHouse]:
    with tempfile.TemporaryDirectory(prefix="nadia-desk-", dir="/tmp") as folder:
        async with desk_house(dsn=postgres_dsn, redis_url=redis_endpoint.url, folder=Path(folder)) as opened:
            await opened.person("root", Role.ADMIN)
            yield opened


@pytest.fixture
async def as_person(house: DeskHouse) -> AsyncIterator[As]:
    """Makes clients with somebody's token: ``await as_person("ann")``, ``await as_person("vera", Role.VIEWER)``."""
    clients: list[httpx.AsyncClient] = []

    async def make(name: str, role: Role = Role.REVIEWER) -> httpx.AsyncClient:
        token = await house.token(name, role)
        clients.append(httpx.AsyncClient(base_url=house.url, headers={"Authorization": f"Bearer {token}"}, timeout=30))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
async def ann(as_person: As) -> httpx.AsyncClient:
    """A reviewer."""
    return await as_person("ann")


@pytest.fixture
async def stranger(house: DeskHouse) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is not logged in."""
    async with httpx.AsyncClient(base_url=house.url, timeout=30) as client:
        yield client
