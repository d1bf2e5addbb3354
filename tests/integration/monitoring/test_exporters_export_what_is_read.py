"""What rules and dashboard read of the standard exporters, these really export."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nadia.embedded.endpoints import Role
from nadia.embedded.servers import EmbeddedServers
from support.exporters import (
    PROCESS,
    READ,
    nginx_exporter,
    node_exporter,
    postgres_exporter,
    redis_exporter,
    running,
)

pytestmark = pytest.mark.prometheus

_STUB_STATUS = b"Active connections: 1 \nserver accepts handled requests\n 5 5 9 \nReading: 0 Writing: 1 Waiting: 0 \n"


async def test_node() -> None:
    async with running(node_exporter()) as exporter:
        assert await exporter.metric_names() >= READ["node"] | PROCESS


async def test_postgres(servers: EmbeddedServers) -> None:
    async with running(postgres_exporter(servers.dsn(Role.APP))) as exporter:
        assert await exporter.metric_names() >= READ["postgres"]


async def test_redis(servers: EmbeddedServers) -> None:
    async with running(redis_exporter(servers.redis.socket_path, servers.redis.password)) as exporter:
        assert await exporter.metric_names() >= READ["redis"]


async def test_nginx() -> None:
    async with status_page() as url, running(nginx_exporter(url)) as exporter:
        assert await exporter.metric_names() >= READ["nginx"]


@asynccontextmanager
async def status_page() -> AsyncIterator[str]:
    """What nginx answers at `stub_status`, in the form that its documentation gives."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(_STUB_STATUS)
        writer.write(head + _STUB_STATUS)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/stub_status"
