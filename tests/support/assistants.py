"""Assistants for tests: the SDK's own client, over HTTP with a token, and what an installation is told."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from nadia.accounts.models import Role
from nadia.embedded.endpoints import RedisEndpoint
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.serving import Assistance
from nadia.settings import Config
from support.servers import ClonedDatabase

TokenOf: TypeAlias = Callable[[Role], Awaitable[str]]
"""Makes a token that holds a role."""


def settings_of(database: ClonedDatabase, redis: RedisEndpoint, folder: Path, **more: str) -> dict[str, str]:
    """The environment of an installation on a test's servers."""
    return {
        "DATABASE_URL": database.app_dsn,
        "REDIS_URL": redis.url,
        "NADIA_HOME": str(folder / "home"),
        "NADIA_MCP_PORT": "0",
        **more,
    }


def config_of(environ: Mapping[str, str]) -> Config:
    return Config.from_env(environ, dotenv=None)


@asynccontextmanager
async def held(opening: AbstractAsyncContextManager[Client]) -> AsyncIterator[Client]:
    """Open and close a client in one task, as it wants it: pytest sets up and tears down in two."""
    opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        try:
            async with opening as client:
                opened.set_result(client)
                await leave.wait()
        except Exception as exc:
            if opened.done():
                raise
            opened.set_exception(exc)

    task = asyncio.create_task(hold())
    try:
        yield await opened
    finally:
        leave.set()
        await task


@asynccontextmanager
async def in_memory(config: Config, role: Role, *, actor: str, allow_actions: bool) -> AsyncIterator[Client]:
    """A client in this process, for somebody with a role."""
    assistance = Assistance(config, allow_actions=allow_actions)
    caller = Caller(actor=actor, role=role)
    try:
        async with Client(assistance.server(lambda _: caller), cache=None) as client:
            yield client
    finally:
        await assistance.database.close()


@asynccontextmanager
async def over_http(url: str, token: str, *, mode: str = "auto") -> AsyncIterator[Client]:
    """A client that holds a token."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
    ):
        yield client


def child_of(environ: Mapping[str, str], folder: Path, *options: str) -> StdioServerParameters:
    """How a client starts `nadia mcp serve` for itself."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "nadia", "mcp", "serve", *options],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        cwd=folder,
    )


def words(result: CallToolResult) -> str:
    """The text of a tool's answer."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def read_json(client: Client, uri: str) -> Any:
    """A resource's content."""
    (content,) = (await client.read_resource(uri)).contents
    assert content.mime_type == "application/json"
    return json.loads(content.text)  # type: ignore[union-attr]  # a text, by its type
