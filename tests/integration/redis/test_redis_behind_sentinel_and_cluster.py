"""The other ways to Redis: what Sentinel points at, and a cluster that loses a node."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nadia.embedded.binaries import find_redis
from nadia.errors import ConfigurationError, UnavailableError
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.core import until
from support.ports import free_ports
from support.redis_cluster import redis_cluster
from support.servers import short_folder

PRIMARY_PASSWORD = "of-the-primary"
SENTINEL_PASSWORD = "of/the@sentinel"


@asynccontextmanager
async def server(folder: Path, configuration: str, *flags: str) -> AsyncIterator[None]:
    file = folder / "server.conf"
    file.write_text(configuration)
    process = await asyncio.create_subprocess_exec(
        str(find_redis().program.path), str(file), *flags, cwd=folder, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def sentinel_of_one_primary() -> AsyncIterator[int]:
    """A primary and a sentinel that watches it; yields the sentinel's port."""
    with short_folder() as base:
        (base / "primary").mkdir()
        (base / "sentinel").mkdir()
        primary, sentinel = free_ports(2)
        async with (
            server(base / "primary", f'port {primary}\nbind 127.0.0.1\nsave ""\nrequirepass {PRIMARY_PASSWORD}\n'),
            server(
                base / "sentinel",
                f"port {sentinel}\nbind 127.0.0.1\nrequirepass {SENTINEL_PASSWORD}\n"
                f"sentinel monitor desk 127.0.0.1 {primary} 1\nsentinel auth-pass desk {PRIMARY_PASSWORD}\n",
                "--sentinel",
            ),
        ):
            yield sentinel


async def answers(connection: RedisConnection) -> bool:
    try:
        return await connection.send([Command(("SET", "key", "value")), Command(("GET", "key"))]) == [True, "value"]
    except UnavailableError:
        return False


async def test_sentinel_leads_to_the_primary_with_credentials_for_each() -> None:
    async with sentinel_of_one_primary() as port:
        source = RedisSource(
            # The first sentinel of the list is not there.
            url=f"redis://:of%2Fthe%40sentinel@127.0.0.1:1,127.0.0.1:{port}",
            password=PRIMARY_PASSWORD,
            mode="sentinel",
            sentinel_service="desk",
        )
        connection = RedisConnection(source)
        try:

            async def found() -> bool:
                return await answers(connection)

            await until(found)
        finally:
            await connection.close()


async def test_an_unknown_service_is_unavailable() -> None:
    async with sentinel_of_one_primary() as port:
        source = RedisSource(
            url=f"redis://:of%2Fthe%40sentinel@127.0.0.1:{port}", mode="sentinel", sentinel_service="another"
        )
        connection = RedisConnection(source)
        with pytest.raises(UnavailableError):
            await connection.send([Command(("PING",))])
        await connection.close()


async def test_an_impossible_sentinel_port_names_the_setting() -> None:
    connection = RedisConnection(RedisSource(url="redis://localhost:many", mode="sentinel"))
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        await connection.get()


# The driver drops broken connections without closing them; they are collected here, not in some later test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_cluster_that_loses_a_node_is_away_until_the_node_is_back() -> None:
    await _a_node_is_lost_and_found()
    gc.collect()


async def _a_node_is_lost_and_found() -> None:
    async with redis_cluster() as cluster:
        connection = RedisConnection(RedisSource(url=cluster.url, mode="cluster", timeout_seconds=1.5))
        keys = [f"key-{number}" for number in range(12)]
        try:
            await connection.send([Command(("SET", key, "value")) for key in keys])
            await cluster.nodes[1].kill()
            with pytest.raises(UnavailableError):
                await connection.send([Command(("GET", key)) for key in keys])

            await cluster.nodes[1].start()
            await cluster.ready()

            async def back() -> bool:
                try:
                    return await connection.send([Command(("GET", key)) for key in keys]) == ["value"] * 12
                except UnavailableError:
                    return False

            await until(back, within=20)
        finally:
            await connection.close()


async def test_no_cluster_at_all_is_unavailable() -> None:
    connection = RedisConnection(RedisSource(url="redis://127.0.0.1:1", mode="cluster"))
    with pytest.raises(UnavailableError):
        await connection.send([Command(("PING",))])
    await connection.close()
