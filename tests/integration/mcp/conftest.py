"""Fixtures of the MCP server: an installation on the test's servers, people with tokens, clients."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.embedded.endpoints import RedisEndpoint
from nadia.mcp_server.serving import serving_http
from nadia.settings import Config
from support.account_fixtures import SECRET_KEY
from support.assistants import TokenOf, config_of, held, in_memory, settings_of
from support.core import Core
from support.core_fixtures import clock, core, redis_source
from support.servers import ClonedDatabase

__all__ = ["clock", "core", "redis_source"]


@pytest.fixture
def environ(database: ClonedDatabase, redis_endpoint: RedisEndpoint, tmp_path: Path) -> dict[str, str]:
    return settings_of(database, redis_endpoint, tmp_path)


@pytest.fixture
def config(environ: dict[str, str]) -> Config:
    return config_of(environ)


@pytest.fixture
def accounts(core: Core) -> AccountService:
    return AccountService(database=core.database, secret_key=SECRET_KEY)


@pytest.fixture
async def marta(accounts: AccountService) -> Account:
    """The admin."""
    return await accounts.create_first_admin("marta", actor="system")


@pytest.fixture
def token_of(accounts: AccountService, marta: Account) -> TokenOf:
    """Makes tokens of marta's, by role."""

    async def make(role: Role) -> str:
        secret, _ = await accounts.tokens.create(marta, name=f"assistant, {role}", role=role, actor="system")
        return secret

    return make


@pytest.fixture
async def http_url(config: Config) -> AsyncIterator[str]:
    """Where a server that may act is."""
    async with serving_http(config, allow_actions=True) as url:
        yield url


@pytest.fixture
async def reader(config: Config, marta: Account) -> AsyncIterator[Client]:
    """An assistant in this process that may only read."""
    async with held(in_memory(config, Role.ADMIN, actor=marta.reference, allow_actions=False)) as client:
        yield client


@pytest.fixture
async def helper(config: Config, marta: Account) -> AsyncIterator[Client]:
    """An assistant in this process that may act."""
    async with held(in_memory(config, Role.ADMIN, actor=marta.reference, allow_actions=True)) as client:
        yield client
