"""Redis full, slow, read-only, silent and away, also in the middle of a check."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from redis.asyncio import Redis

from nadia.embedded.servers import EmbeddedServers
from nadia.health.config import HealthSettings
from nadia.health.probes.redis_connection import RedisConnectionProbe
from nadia.health.probes.redis_memory import RedisMemoryProbe
from nadia.health.redis_reading import RedisReader
from nadia.redis.bare import BareRedis
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.breakable_link import BreakableLink
from support.health_world import CRITICAL, HEALTHY, WARNING, HealthWorld, without


@asynccontextmanager
async def configured(world: HealthWorld, **settings: str) -> AsyncIterator[Redis]:
    """Other settings of the server, until the end of the block."""
    async with world.core.redis.use() as redis:
        assert isinstance(redis, Redis)
        names = {name: name.replace("_", "-") for name in settings}
        before = {name: str((await redis.config_get(names[name]))[names[name]]) for name in settings}
    for name, value in settings.items():
        await redis.config_set(names[name], value)
    try:
        yield redis
    finally:
        for name, value in before.items():
            await redis.config_set(names[name], value)


async def test_an_answer_is_measured(world: HealthWorld) -> None:
    found = await world.of("redis-connection")

    assert found.status is HEALTHY
    assert found.value is not None
    assert 0 < found.value < 0.5
    assert found.figures["servers"] == 1


async def test_memory_above_the_bound_is_a_warning(world: HealthWorld) -> None:
    used = (await world.of("redis-memory")).value
    assert used is not None
    assert 0 < used < 200e6
    tight = replace(world, settings=HealthSettings(redis_memory_megabytes=used / 1e6 + 4))
    assert await tight.turned() == {}

    async with world.core.redis.use() as redis:
        await redis.set("ballast", "x" * 5_000_000)

    assert await tight.turned() == {"redis-memory": WARNING}
    assert (await tight.of("redis-memory")).unit == "bytes"


async def test_memory_near_the_server_s_own_limit_is_critical_whatever_the_bound(world: HealthWorld) -> None:
    used = (await world.of("redis-memory")).value or 0
    async with configured(world, maxmemory=str(int(used * 1.05))):
        assert await world.turned() == {"redis-memory": CRITICAL}
        assert "of the server's limit of" in (await world.of("redis-memory")).summary


async def test_a_server_that_answers_slowly_is_a_warning(world: HealthWorld) -> None:
    moments = iter((10.0, 11.2))
    reader = RedisReader(redis=world.redis, stopwatch=lambda: next(moments))

    found = await RedisConnectionProbe(server=reader, patience_seconds=1.5).measure()

    assert found.status is WARNING
    assert found.value == pytest.approx(1.2)


async def test_a_replica_is_critical_because_it_takes_no_writes(world: HealthWorld) -> None:
    async with world.core.redis.use() as redis:
        assert isinstance(redis, Redis)
        await redis.replicaof("127.0.0.1", "1")
        try:
            found = await world.of("redis-connection")
        finally:
            await redis.replicaof("NO", "ONE")

    assert (found.status, found.summary) == (CRITICAL, "is a replica and takes no writes")


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("role:master\r\nloading:1\r\n", CRITICAL),
        ("role:slave\r\nloading:1\r\n", CRITICAL),
        ("role:master\r\naof_last_write_status:err\r\n", WARNING),
        ("role:master\r\nrdb_last_bgsave_status:err\r\n", WARNING),
        ("role:master\r\nrdb_last_bgsave_status:ok\r\nanything_new:1\r\n", HEALTHY),
    ],
)
async def test_what_a_server_says_of_itself_is_judged(told: str, status: object) -> None:
    class Saying:
        async def send(self, commands: object) -> list[object]:
            return [f"# Server\r\nredis_version:7.2.4\r\nused_memory:1000000\r\nmaxmemory:0\r\n{told}"]

        async def servers(self) -> "list[Saying]":
            return [self]

    reader = RedisReader(redis=Saying())

    assert (await RedisConnectionProbe(server=reader, patience_seconds=1).measure()).status is status
    assert (await RedisMemoryProbe(server=reader, megabytes=200).measure()).status is HEALTHY


@pytest.mark.parametrize("light", [False, True], ids=["by the driver", "by a command's connection"])
async def test_a_stopped_redis_is_critical_within_the_limit_and_all_else_is_judged(
    world: HealthWorld, servers: EmbeddedServers, light: bool
) -> None:
    bare = BareRedis(RedisSource(url=servers.redis.url))
    impatient = replace(world, settings=HealthSettings(probe_timeout_seconds=0.6), redis=bare if light else world.redis)
    assert await impatient.turned() == {}
    pid = servers.pid("redis")
    assert pid is not None
    process = psutil.Process(pid)
    process.suspend()
    try:
        assert await impatient.turned() == without("redis")
        assert (await impatient.of("redis-connection")).summary == "did not answer within 450 ms"
    finally:
        process.resume()
    async with asyncio.timeout(15):
        while await impatient.turned():
            await asyncio.sleep(0.05)
    await bare.close()


@asynccontextmanager
async def linked(
    world: HealthWorld, servers: EmbeddedServers, folder: Path, *, light: bool
) -> AsyncIterator[tuple[HealthWorld, BreakableLink]]:
    """The same installation with a wire to its Redis that can be cut."""
    endpoint = servers.redis
    link = BreakableLink(listens=folder / "wire", leads_to=endpoint.socket_path)
    await link.mend()
    url = endpoint.url.replace(quote(str(endpoint.socket_path)), quote(str(folder / "wire")))
    assert str(folder) in url
    source = RedisSource(url=url)
    connection = BareRedis(source) if light else RedisConnection(source)
    try:
        yield replace(world, redis=connection), link
    finally:
        await connection.close()
        await link.cut()


@pytest.mark.parametrize("light", [False, True], ids=["by the driver", "by a command's connection"])
async def test_redis_away_is_critical_and_back_again_is_well(
    world: HealthWorld, servers: EmbeddedServers, tmp_path: Path, light: bool
) -> None:
    async with linked(world, servers, tmp_path, light=light) as (probed, link):
        assert await probed.turned() == {}
        await link.cut()

        assert await probed.turned() == without("redis")
        await link.mend()
        async with asyncio.timeout(15):
            while await probed.turned():
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("light", [False, True], ids=["by the driver", "by a command's connection"])
@pytest.mark.parametrize("before", range(1, 8))
async def test_redis_that_goes_away_in_the_middle_of_a_check_spoils_nothing_else(
    world: HealthWorld, servers: EmbeddedServers, tmp_path: Path, before: int, light: bool
) -> None:
    async with linked(world, servers, tmp_path, light=light) as (probed, link):
        asked = 0
        send = probed.redis.send

        async def cut_meanwhile(commands: list[Command]) -> list[object]:
            nonlocal asked
            asked += 1
            if asked == before:
                await link.cut()
            return await send(commands)

        probed.redis.send = cut_meanwhile  # type: ignore[assignment,method-assign]  # the moment is the test's

        found = await probed.turned()

        assert found, "somebody asked after that"
        assert found.items() <= without("redis").items()
        assert "the probe itself failed" not in (await probed.report()).summary
